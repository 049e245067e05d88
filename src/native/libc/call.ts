/** A system call as data, with memory of its own: for whoever has it made by another thread. */

import { dlopen, FFIType } from "bun:ffi";
import type { ByteString } from "../../options.ts";
import { xattrArgs } from "../layout.ts";
import { base, bytes, copy, type Int64, type Offset, setNumber, words, writeString } from "../memory.ts";
import { outcome64 } from "./errno.ts";
import { takeBlock } from "./warm-blocks.ts";

const { syscall } = dlopen("libc.so.6", {
	syscall: { args: ["i64", "i64", "i64", "i64", "i64", "i64", "i64"], returns: FFIType.i64_fast },
}).symbols;

const ALIGNMENT = 8;

/** Stands for the address of what a system call fills. */
export class Output {
	/** What is there before; undefined: it does not matter. */
	readonly before: Uint8Array | undefined;

	constructor(before?: Uint8Array) {
		this.before = before;
	}
}
export const OUTPUT = new Output();
/** As {@link OUTPUT}, of a `struct xattr_args` that tells of it. */
export const VALUE_OUTPUT = new Output();
/** A string stands for the address of its bytes and a NUL, an array for that of a copy of its bytes. */
export type Argument = number | bigint | ByteString | Uint8Array | Output;

/** A system call that another thread may make. */
export interface Call {
	readonly number: number;
	/** Addresses among them lie in the call's own memory. */
	readonly args: readonly (number | bigint)[];
}

/** With the memory that its arguments lie in, and where its output goes. */
export interface Prepared extends Call {
	readonly block: Offset;
	readonly size: number;
	readonly output: Offset;
}

/** A call with arguments, of which one may stand for an output of `outputSize` bytes. The block is the caller's to give back. */
export function prepare(number: number, args: readonly Argument[], outputSize: number): Prepared {
	let size = align(outputSize);
	for (const argument of args) {
		if (typeof argument === "string" || argument instanceof Uint8Array) size += align(argument.length + 1);
		else if (argument === VALUE_OUTPUT) size += xattrArgs.sizeof;
	}
	const block = takeBlock(size);
	let at = block + align(outputSize);
	const place = (argument: Argument): number | bigint => {
		if (typeof argument === "number" || typeof argument === "bigint") return argument;
		const start = at;
		if (argument === VALUE_OUTPUT) {
			setNumber(at + xattrArgs.value, base + block);
			words[(at + xattrArgs.size) >>> 2] = outputSize;
			words[(at + xattrArgs.flags) >>> 2] = 0;
			at += xattrArgs.sizeof;
		} else if (argument instanceof Output) {
			if (argument.before !== undefined) bytes.set(argument.before, block);
			return base + block;
		} else if (typeof argument === "string") {
			writeString(at, argument);
			at += align(argument.length + 1);
		} else {
			bytes.set(argument, at);
			at += align(argument.length + 1);
		}
		return base + start;
	};
	return { number, args: args.map(place), block, size, output: block };
}

function align(size: number): number {
	return (size + ALIGNMENT - 1) & -ALIGNMENT;
}

/** Makes a call on the calling thread. */
export function perform({ number, args }: Call): Int64 {
	const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = args;
	return outcome64(syscall(number, a, b, c, d, e, f));
}

/** A call's result or -errno, and what it has filled. */
export interface Answered {
	readonly output: Offset;
	readonly result: Int64;
}

/** Copies what a call has filled to `target`, all `size` bytes or as many as the result says; returns the result. */
export function takeOutput(
	{ output, result }: Answered,
	target: Offset,
	isCounted: boolean | undefined,
	size: number,
): Int64 {
	if (size > 0 && result >= 0) copy(target, output, isCounted ? Math.min(Number(result), size) : size);
	return result;
}
