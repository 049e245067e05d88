/** System calls that read and change directories. Names and buffers are offsets into native/memory.ts. */
import { dlopen, FFIType } from "bun:ffi";
import { EINVAL, SYS_getdents64, SYS_mknodat, SYS_readlinkat } from "../layout.ts";
import { base, bytes, type Name, type Offset, readString } from "../memory.ts";
import { OUTPUT } from "./call.ts";
import { isDistant } from "./distant.ts";
import { outcome } from "./errno.ts";
import type { Fd } from "./file.ts";
import { ask, noteChange } from "./replay.ts";

const libc = dlopen("libc.so.6", {
	mkdirat: { args: ["i32", "usize", "u32"], returns: "i32" },
	symlinkat: { args: ["usize", "i32", "usize"], returns: "i32" },
	linkat: { args: ["i32", "usize", "i32", "usize", "i32"], returns: "i32" },
	unlinkat: { args: ["i32", "usize", "i32"], returns: "i32" },
	renameat2: { args: ["i32", "usize", "i32", "usize", "u32"], returns: "i32" },
	readlinkat: { args: ["i32", "usize", "usize", "usize"], returns: FFIType.i64_fast },
}).symbols;
const { syscall: getEntries } = dlopen("libc.so.6", {
	syscall: { args: ["i64", "i32", "usize", "usize"], returns: FFIType.i64_fast },
}).symbols;
const { syscall: makeNodeCall } = dlopen("libc.so.6", {
	syscall: { args: ["i64", "i32", "usize", "u32", "u32"], returns: FFIType.i64_fast },
}).symbols;

const LARGEST_DEVICE = 0xffffffff;

/** Reads `struct linux_dirent64` records; 0 at the end. By the call's number: its name in the C library is not the same in all. */
export function readEntries(directory: Fd, target: Offset, size: number): number {
	if (isDistant(directory)) return readEntriesDistant(directory, target, size);
	return outcome(getEntries(SYS_getdents64, directory, base + target, size));
}

function readEntriesDistant(directory: Fd, target: Offset, size: number): number {
	const args = [directory, OUTPUT, size];
	return ask(directory, SYS_getdents64, args, target, size, { isCounted: true }) as number;
}

export function makeDirectory(directory: Fd, name: Offset, mode: number): number {
	noteChange();
	return outcome(libc.mkdirat(directory, base + name, mode));
}

/** `mode` holds the kind (S_IFMT) too; `device` counts for devices only. Not by mknodat(3), which came with glibc 2.33. */
export function makeNode(directory: Fd, name: Offset, mode: number, device: number): number {
	// Larger ones are none that Linux has, and would be taken for others.
	if (device > LARGEST_DEVICE) return -EINVAL;
	noteChange();
	return outcome(makeNodeCall(SYS_mknodat, directory, base + name, mode, device));
}

export function makeSymlink(target: Offset, directory: Fd, name: Offset): number {
	noteChange();
	return outcome(libc.symlinkat(base + target, directory, base + name));
}

export function makeLink(from: Fd, name: Offset, to: Fd, newName: Offset, flags: number): number {
	noteChange();
	return outcome(libc.linkat(from, base + name, to, base + newName, flags));
}

/** `flags`: AT_REMOVEDIR for directories. */
export function removeName(directory: Fd, name: Offset, flags: number): number {
	noteChange();
	return outcome(libc.unlinkat(directory, base + name, flags));
}

/** `flags`: `RENAME_*`. */
export function moveName(from: Fd, name: Offset, to: Fd, newName: Offset, flags: number): number {
	noteChange();
	return outcome(libc.renameat2(from, base + name, to, base + newName, flags));
}

/** Reads a link's target without NUL; returns its length. The empty name reads `directory` itself (O_PATH). */
export function readLink(directory: Fd, name: Offset, target: Offset, size: number): number {
	if (isDistant(directory)) {
		const args = [directory, readString(name), OUTPUT, size];
		return ask(directory, SYS_readlinkat, args, target, size, { isCounted: true }) as number;
	}
	return outcome(libc.readlinkat(directory, base + name, base + target, size));
}

/** Whether the name is "." or "..". */
export function isDot(name: Name): boolean {
	return (
		bytes[name] === 0x2e && (bytes[name + 1] === 0 || (bytes[name + 1] === 0x2e && bytes[name + 2] === 0))
	);
}
