/**
 * How system calls report failure: a wrapper returns the call's result or `-errno`; whoever cannot go on
 * throws the {@link Errno} of it, which the place where requests enter catches and answers.
 */
import { dlopen, type Pointer, toArrayBuffer } from "bun:ffi";
import {
	EBADMSG,
	ECONNABORTED,
	EDQUOT,
	EIO,
	EMFILE,
	ENFILE,
	ENOMEM,
	ENOSPC,
	ENOTCONN,
	EREMOTEIO,
	ETIMEDOUT,
	EUCLEAN,
	errnoNames,
} from "../layout.ts";
import type { Int64 } from "../memory.ts";

const { __errno_location, strerror } = dlopen("libc.so.6", {
	__errno_location: { args: [], returns: "ptr" },
	strerror: { args: ["i32"], returns: "cstring" },
}).symbols;
/** This thread's errno. Valid only directly after the failing call. */
const cell = new Int32Array(toArrayBuffer(__errno_location() as Pointer, 0, 4));

/** `result`, or `-errno` when it is negative. To be called directly around the system call. */
export function outcome(result: number | bigint): number {
	return result < 0 ? -cell[0]! : Number(result);
}

/** As {@link outcome}, where results may be beyond 2^53. */
export function outcome64(result: number | bigint): Int64 {
	return result < 0 ? -cell[0]! : result;
}

/** A failed operation, to be answered to whoever asked for it. Made once per code: throwing one is cheap. */
export class Errno extends Error {
	override readonly name = "Errno";
	readonly code: number;

	private constructor(code: number) {
		super(errnoName(code));
		this.code = code;
	}

	private static readonly known: Errno[] = [];

	/** The one instance for a positive errno. */
	static of(code: number): Errno {
		let errno = Errno.known[code];
		if (errno === undefined) {
			errno = new Errno(code);
			Errno.known[code] = errno;
		}
		return errno;
	}
}

/** Throws the {@link Errno} for a positive code. */
export function fail(code: number): never {
	throw Errno.of(code);
}

/** Passes a system call's result on; throws the {@link Errno} for `-errno`. */
export function check<Result extends number | bigint>(result: Result): Result {
	if (result < 0) throw Errno.of(-Number(result));
	return result;
}

/** Codes by which the system says that it could not do its work, nothing about what it was asked for. */
const FAULTS: ReadonlySet<number> = new Set([
	EIO,
	ENOMEM,
	EMFILE,
	ENFILE,
	ENOSPC,
	EDQUOT,
	ENOTCONN,
	ECONNABORTED,
	ETIMEDOUT,
	EREMOTEIO,
	EUCLEAN,
	EBADMSG,
]);

export function isFault(code: number): boolean {
	return FAULTS.has(code);
}

/** Whether a call succeeded: for questions to which other errors mean no. Throws for a fault, which is no answer. */
export function succeeds(result: number): boolean {
	if (result < 0 && FAULTS.has(-result)) throw Errno.of(-result);
	return result >= 0;
}

/** Whether a call was refused for no other reason than that the disk is full: the file system checks for it last. */
export function isForLackOfSpace(result: number): boolean {
	return result === -ENOSPC || result === -EDQUOT;
}

/** What a positive errno means, in words. */
export function describeErrno(code: number): string {
	return String(strerror(code));
}

/** The symbolic name of a positive errno, "EACCES"; "errno 4711" for one that Linux does not have. */
export function errnoName(code: number): string {
	return errnoNames[code] ?? `errno ${code}`;
}
