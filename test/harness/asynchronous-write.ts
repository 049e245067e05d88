/** A direct write that is started, and waited for later, by the kernel's asynchronous interface: io_submit(2). */

import { dlopen, FFIType, ptr } from "bun:ffi";
import { checked, type Mapping, stableBuffer } from "./native.ts";

const libc = dlopen("libc.so.6", {
	syscall: { args: ["i64", "u64", "u64", "u64", "u64", "u64"], returns: FFIType.i64_fast },
}).symbols;

/** The C library has no functions for io_setup, io_submit and io_getevents. */
const [SETUP, SUBMIT, GET_EVENTS] = process.arch === "arm64" ? [0, 2, 4] : [206, 209, 208];
const IOCB_CMD_PWRITE = 1;
/** Of `struct iocb` and `struct io_event`. */
const [REQUEST_SIZE, EVENT_SIZE] = [64, 32];

/** Writes `memory` at the beginning of the descriptor's file, and returns once that is done: how many bytes. */
export function writeAsynchronously(fd: number, memory: Mapping): number {
	const request = stableBuffer(REQUEST_SIZE);
	request.writeUInt16LE(IOCB_CMD_PWRITE, 16);
	request.writeUInt32LE(fd, 20);
	request.writeBigUInt64LE(BigInt(ptr(memory.bytes)), 24);
	request.writeBigUInt64LE(BigInt(memory.bytes.length), 32);
	const requests = stableBuffer(8);
	requests.writeBigUInt64LE(BigInt(ptr(request)));
	const context = stableBuffer(8);
	checked("io_setup", libc.syscall(SETUP, 1, ptr(context), 0, 0, 0));
	const id = context.readBigUInt64LE();
	checked("io_submit", libc.syscall(SUBMIT, id, 1, ptr(requests), 0, 0));
	const event = stableBuffer(EVENT_SIZE);
	checked("io_getevents", libc.syscall(GET_EVENTS, id, 1, 1, ptr(event), 0));
	return Number(event.readBigInt64LE(16));
}
