/** This thread's capabilities: which it has, and laying them down for good (capabilities(7)). */
import { dlopen, FFIType } from "bun:ffi";
import {
	_LINUX_CAPABILITY_VERSION_3,
	CAP_SYS_ADMIN,
	PR_CAPBSET_DROP,
	PR_SET_NO_NEW_PRIVS,
	SYS_capget,
	SYS_capset,
	UserCapDataStruct,
	UserCapHeaderStruct,
} from "../layout.ts";
import { base, reserve, view } from "../memory.ts";
import { exists, readLink, readText } from "./by-path.ts";
import { check, outcome } from "./errno.ts";

const { syscall } = dlopen("libc.so.6", {
	syscall: { args: ["i64", "usize", "usize"], returns: FFIType.i64_fast },
}).symbols;
const { prctl } = dlopen("libc.so.6", {
	prctl: { args: ["i32", "u64", "u64", "u64", "u64"], returns: "i32" },
}).symbols;

/** A set of 64 capabilities comes as two structs of 32 each; those this program asks for are in the first. */
const SET_SIZE = 64;
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

/**
 * Lays all capabilities (`CAP_*`) but the `needed` ones down for good, as far as is permitted: this thread, and what it
 * starts from now on, cannot get them back by any program of root's.
 */
export function keepCapabilities(needed: readonly number[]): void {
	for (let capability = 0; capability < SET_SIZE; capability++) {
		if (!needed.includes(capability)) prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
	}
	readCurrent();
	const { effective, permitted, inheritable, sizeof } = UserCapDataStruct;
	for (let word = 0; word < DATA_SIZE / sizeof; word++) {
		const first = word * 32;
		const mask = needed.reduce((bits, one) => (one >> 5 === word ? bits | (1 << (one - first)) : bits), 0);
		for (const set of [effective, permitted, inheritable]) {
			const at = CURRENT + word * sizeof + set;
			view.setUint32(at, view.getUint32(at, true) & mask, true);
		}
	}
	check(outcome(syscall(SYS_capset, base + HEADER, base + CURRENT)));
}

/** From now on no program gives this thread more privileges than it has: no set-user-ID bit, no root's uid. */
export function forbidNewPrivileges(): void {
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

/** What is the machine's is ours: passthrough, attributes of the `trusted` namespace. */
export function isPrivileged(): boolean {
	return hasCapability(CAP_SYS_ADMIN) && isInitialUserNamespace();
}

/** The machine's own user namespace (Linux include/linux/proc_ns.h, PROC_USER_INIT_INO). */
const INITIAL_NAMESPACE = "user:[4026531837]";

/**
 * Whether this process is in the machine's own user namespace; false where /proc does not tell. In another all users of the
 * machine may exist, too.
 */
export function isInitialUserNamespace(): boolean {
	try {
		const hasAll = /^\s*0\s+0\s+4294967295\s*$/.test(readText("/proc/self/uid_map"));
		const namespace = "/proc/self/ns/user";
		// There is only the one where the kernel has no others.
		return hasAll && (!exists(namespace) || readLink(namespace) === INITIAL_NAMESPACE);
	} catch {
		return false;
	}
}
