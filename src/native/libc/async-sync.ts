/** fsync(2) by the kernel's own threads, many at a time: io_submit(2) and its relatives, Linux 4.18. */
import { dlopen, FFIType } from "bun:ffi";
import {
	EFD_CLOEXEC,
	EFD_NONBLOCK,
	IOCB_CMD_FDSYNC,
	IOCB_CMD_FSYNC,
	IOCB_FLAG_RESFD,
	iocb,
	ioEvent,
	SYS_io_getevents,
	SYS_io_setup,
	SYS_io_submit,
} from "../layout.ts";
import { base, bytes, getNumber, reserve, setNumber, view } from "../memory.ts";
import { check, outcome } from "./errno.ts";
import type { Fd } from "./file.ts";

const { syscall: getEvents } = dlopen("libc.so.6", {
	syscall: { args: ["i64", "usize", "i64", "i64", "usize", "usize"], returns: FFIType.i64_fast },
}).symbols;
const { syscall: submit } = dlopen("libc.so.6", {
	syscall: { args: ["i64", "usize", "i64", "usize"], returns: FFIType.i64_fast },
}).symbols;
const { syscall } = dlopen("libc.so.6", {
	syscall: { args: ["i64", "usize", "usize"], returns: FFIType.i64_fast },
}).symbols;
const { eventfd } = dlopen("libc.so.6", { eventfd: { args: ["u32", "i32"], returns: "i32" } }).symbols;

/** Names a queue of the kernel's; as a result, `-errno` when negative. */
export type SyncQueue = number & { readonly __brand: "SyncQueue" };

const LARGEST_HARVEST = 16;
const CONTEXT = reserve(8);
const BLOCK = reserve(iocb.sizeof);
/** A vector of one. */
const BLOCKS = reserve(8);
setNumber(BLOCKS, base + BLOCK);
const EVENTS = reserve(LARGEST_HARVEST * ioEvent.sizeof);

/** A descriptor that becomes readable, by 8 bytes, when something that names it is done; -errno where none can be had. */
export function openEvents(): Fd {
	return outcome(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) as Fd;
}

/** For at least so many syncs at a time. */
export function openSyncQueue(size: number): SyncQueue {
	setNumber(CONTEXT, 0);
	const result = outcome(syscall(SYS_io_setup, size, base + CONTEXT));
	return (result < 0 ? result : getNumber(CONTEXT)) as SyncQueue;
}

/**
 * Starts an fsync(2) or, if `dataOnly`, fdatasync(2), which `fd` may be closed during. At its end `events` becomes readable,
 * and `id` is found in the queue. Returns 0 or -errno.
 */
export function startSync(queue: SyncQueue, fd: Fd, dataOnly: boolean, id: number, events: Fd): number {
	bytes.fill(0, BLOCK, BLOCK + iocb.sizeof);
	setNumber(BLOCK + iocb.aioData, id);
	view.setUint16(BLOCK + iocb.aioLioOpcode, dataOnly ? IOCB_CMD_FDSYNC : IOCB_CMD_FSYNC, true);
	view.setUint32(BLOCK + iocb.aioFildes, fd, true);
	view.setUint32(BLOCK + iocb.aioFlags, IOCB_FLAG_RESFD, true);
	view.setUint32(BLOCK + iocb.aioResfd, events, true);
	return Math.min(outcome(submit(SYS_io_submit, queue, 1, base + BLOCKS)), 0);
}

/** Tells `done` of each sync that has ended, with its id and 0 or -errno. */
export function harvestSyncs(queue: SyncQueue, done: (id: number, result: number) => void): void {
	for (;;) {
		const count = outcome(getEvents(SYS_io_getevents, queue, 0, LARGEST_HARVEST, base + EVENTS, 0));
		check(count);
		const ended: [number, number][] = [];
		for (let at = EVENTS; at < EVENTS + count * ioEvent.sizeof; at += ioEvent.sizeof) {
			ended.push([getNumber(at + ioEvent.data), Number(view.getBigInt64(at + ioEvent.res, true))]);
		}
		for (const [id, result] of ended) done(id, result);
		if (count < LARGEST_HARVEST) return;
	}
}
