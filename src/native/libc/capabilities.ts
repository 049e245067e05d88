/** This thread's capabilities: which it has, and laying one down for a while (capabilities(7)). */
import { dlopen, FFIType } from "bun:ffi";
import {
	_LINUX_CAPABILITY_VERSION_3,
	SYS_capget,
	SYS_capset,
	UserCapDataStruct,
	UserCapHeaderStruct,
} from "../layout.ts";
import { base, copy, type Offset, reserve, view } from "../memory.ts";
import { check, outcome } from "./errno.ts";

const { syscall } = dlopen("libc.so.6", {
	syscall: { args: ["i64", "usize", "usize"], returns: FFIType.i64_fast },
}).symbols;

/** A set of 64 capabilities comes as two structs of 32 each; those this program asks for are in the first. */
const DATA_SIZE = 2 * UserCapDataStruct.sizeof;
const HEADER = reserve(UserCapHeaderStruct.sizeof);
const CURRENT = reserve(DATA_SIZE);

function readCurrent(): void {
	view.setUint32(HEADER + UserCapHeaderStruct.version, _LINUX_CAPABILITY_VERSION_3, true);
	view.setInt32(HEADER + UserCapHeaderStruct.pid, 0, true);
	check(outcome(syscall(SYS_capget, base + HEADER, base + CURRENT)));
}

/** Whether the capability (`CAP_*`, below 32) is in effect, in the process's own user namespace. */
export function hasCapability(capability: number): boolean {
	readCurrent();
	return ((view.getUint32(CURRENT + UserCapDataStruct.effective, true) >>> capability) & 1) === 1;
}

/** One capability (`CAP_*`, below 32) that can be laid down and taken up again, at the price of a system call each. */
export class Privilege {
	private readonly with: Offset = reserve(DATA_SIZE);
	private readonly without: Offset = reserve(DATA_SIZE);

	constructor(capability: number) {
		readCurrent();
		copy(this.with, CURRENT, DATA_SIZE);
		copy(this.without, CURRENT, DATA_SIZE);
		const effective = this.without + UserCapDataStruct.effective;
		view.setUint32(effective, view.getUint32(effective, true) & ~(1 << capability), true);
	}

	layDown(): void {
		check(outcome(syscall(SYS_capset, base + HEADER, base + this.without)));
	}

	takeUp(): void {
		check(outcome(syscall(SYS_capset, base + HEADER, base + this.with)));
	}
}
