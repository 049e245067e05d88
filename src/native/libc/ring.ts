/**
 * System calls made by threads of the kernel's own: io_uring(7), Linux 5.6. They cost no thread of this process, and wait as
 * many at a time as there are.
 */
import { dlopen, FFIType, type Pointer, toArrayBuffer } from "bun:ffi";
import {
	F_GETFL,
	F_SETFL,
	IORING_FEAT_NODROP,
	IORING_FEAT_SINGLE_MMAP,
	IORING_OFF_SQ_RING,
	IORING_OFF_SQES,
	IORING_OP_CLOSE,
	IORING_OP_FGETXATTR,
	IORING_OP_OPENAT,
	IORING_OP_OPENAT2,
	IORING_OP_READ,
	IORING_OP_STATX,
	IORING_OP_WRITE,
	IORING_REGISTER_IOWQ_MAX_WORKERS,
	IOSQE_ASYNC,
	ioCqringOffsets,
	ioSqringOffsets,
	ioUringCqe,
	ioUringParams,
	ioUringSqe,
	MAP_FAILED,
	MAP_POPULATE,
	MAP_SHARED,
	O_NONBLOCK,
	PROT_READ,
	PROT_WRITE,
	SYS_close,
	SYS_fgetxattr,
	SYS_io_uring_enter,
	SYS_io_uring_register,
	SYS_io_uring_setup,
	SYS_openat,
	SYS_openat2,
	SYS_pread64,
	SYS_statx,
	SYS_write,
} from "../layout.ts";
import { base, bytes, reserve, view } from "../memory.ts";
import type { Call } from "./call.ts";
import { outcome } from "./errno.ts";
import { close, type Fd } from "./file.ts";
import { descriptorControl } from "./process.ts";

const { syscall } = dlopen("libc.so.6", {
	syscall: { args: ["i64", "i64", "i64", "i64", "i64", "i64", "i64"], returns: FFIType.i64_fast },
}).symbols;
const { mmap } = dlopen("libc.so.6", {
	mmap: { args: ["usize", "usize", "i32", "i32", "i32", "i64"], returns: "ptr" },
}).symbols;

const PARAMS = reserve(ioUringParams.sizeof);
/** Two numbers: of threads for work of bounded and of unbounded duration. */
const LIMITS = reserve(8);

/** What a system call is called here, and where its arguments go; undefined: it cannot be made by the kernel's threads. */
interface Operation {
	readonly code: number;
	/** The fields of its arguments. */
	readonly fields: readonly (keyof typeof ioUringSqe | undefined)[];
}

/** By the number of the system call. */
const OPERATIONS: ReadonlyMap<number, Operation> = new Map([
	[SYS_openat, { code: IORING_OP_OPENAT, fields: ["fd", "addr", "rwFlags", "len"] }],
	[SYS_openat2, { code: IORING_OP_OPENAT2, fields: ["fd", "addr", "off", "len"] }],
	[SYS_statx, { code: IORING_OP_STATX, fields: ["fd", "addr", "rwFlags", "len", "off"] }],
	[SYS_pread64, { code: IORING_OP_READ, fields: ["fd", "addr", "len", "off"] }],
	[SYS_fgetxattr, { code: IORING_OP_FGETXATTR, fields: ["fd", "addr", "off", "len"] }],
	[SYS_write, { code: IORING_OP_WRITE, fields: ["fd", "addr", "len"] }],
	[SYS_close, { code: IORING_OP_CLOSE, fields: ["fd"] }],
]);
const WIDE: readonly (keyof typeof ioUringSqe | undefined)[] = ["addr", "off"];

export class Ring {
	/** Readable while there are results. */
	readonly fd: Fd;
	/** Under way. */
	count = 0;
	private readonly size: number;
	/** Shared with the kernel, as words of four bytes. */
	private readonly words: Int32Array;
	private readonly results: DataView;
	private readonly entries: DataView;
	private readonly entryBytes: Uint8Array;
	private readonly submitted: { readonly head: number; readonly tail: number; readonly mask: number };
	private readonly completed: { readonly head: number; readonly tail: number; readonly mask: number };
	/** What this kernel does not know. */
	private readonly unknown = new Set<number>();

	/** Undefined where the kernel, or a seccomp filter, has none. `threads`: of the kernel's, at most. */
	static open(size: number, threads: number): Ring | undefined {
		bytes.fill(0, PARAMS, PARAMS + ioUringParams.sizeof);
		const fd = outcome(syscall(SYS_io_uring_setup, size, base + PARAMS, 0, 0, 0, 0)) as Fd;
		if (fd < 0) return undefined;
		const features = view.getUint32(PARAMS + ioUringParams.features, true);
		const needed = IORING_FEAT_SINGLE_MMAP | IORING_FEAT_NODROP;
		const memory = (features & needed) === needed ? map(fd) : undefined;
		if (memory === undefined) {
			close(fd);
			return undefined;
		}
		view.setUint32(LIMITS, threads, true);
		view.setUint32(LIMITS + 4, threads, true);
		// Before Linux 5.15: four for each processor.
		syscall(SYS_io_uring_register, fd, IORING_REGISTER_IOWQ_MAX_WORKERS, base + LIMITS, 2, 0, 0);
		return new Ring(fd, memory);
	}

	private constructor(fd: Fd, { ring, entries }: Memory) {
		this.fd = fd;
		this.words = new Int32Array(ring);
		this.entries = new DataView(entries);
		this.entryBytes = new Uint8Array(entries);
		const word = (offsets: number, field: number) => view.getUint32(PARAMS + offsets + field, true) >>> 2;
		const { sqOff, cqOff, sqEntries } = ioUringParams;
		this.size = view.getUint32(PARAMS + sqEntries, true);
		const { head, tail, ringMask, array } = ioSqringOffsets;
		this.submitted = {
			head: word(sqOff, head),
			tail: word(sqOff, tail),
			mask: this.words[word(sqOff, ringMask)]!,
		};
		this.completed = {
			head: word(cqOff, ioCqringOffsets.head),
			tail: word(cqOff, ioCqringOffsets.tail),
			mask: this.words[word(cqOff, ioCqringOffsets.ringMask)]!,
		};
		this.results = new DataView(ring, view.getUint32(PARAMS + cqOff + ioCqringOffsets.cqes, true));
		// Each place of the queue stands for the entry of its number.
		for (let index = 0; index < this.size; index++) this.words[word(sqOff, array) + index] = index;
	}

	/** Starts a call, `id` to be told at its end; false: it must be made in another way. */
	start(call: Call, id: number): boolean {
		const operation = this.unknown.has(call.number) ? undefined : OPERATIONS.get(call.number);
		if (operation === undefined || this.count === this.size) return false;
		const { tail, mask } = this.submitted;
		const next = this.words[tail]!;
		this.fill((next & mask) * ioUringSqe.sizeof, operation, call.args, id);
		// Reading would answer EAGAIN in place of waiting.
		if (call.number === SYS_pread64) makeWait(call.args[0] as Fd);
		Atomics.store(this.words, tail, next + 1);
		const taken = outcome(syscall(SYS_io_uring_enter, this.fd, 1, 0, 0, 0, 0));
		if (taken !== 1) {
			Atomics.store(this.words, tail, next);
			return false;
		}
		this.count++;
		return true;
	}

	private fill(at: number, { code, fields }: Operation, args: Call["args"], id: number): void {
		this.entryBytes.fill(0, at, at + ioUringSqe.sizeof);
		this.entries.setUint8(at + ioUringSqe.opcode, code);
		// What may wait would else be tried first by the thread that submits it.
		this.entries.setUint8(at + ioUringSqe.flags, IOSQE_ASYNC);
		this.entries.setUint32(at + ioUringSqe.userData, id, true);
		fields.forEach((field, index) => {
			if (field === undefined) return;
			const place = at + ioUringSqe[field];
			if (WIDE.includes(field)) this.entries.setBigInt64(place, BigInt(args[index]!), true);
			else this.entries.setInt32(place, Number(args[index]), true);
		});
	}

	/** Whether there are results. */
	get hasResults(): boolean {
		return this.words[this.completed.head] !== Atomics.load(this.words, this.completed.tail);
	}

	/** Tells `done` of each call that has ended: its id, and its result or -errno. */
	collect(done: (id: number, result: number) => void): void {
		const { head, mask } = this.completed;
		while (this.hasResults) {
			const next = this.words[head]!;
			const at = (next & mask) * ioUringCqe.sizeof;
			const id = this.results.getUint32(at + ioUringCqe.userData, true);
			const result = this.results.getInt32(at + ioUringCqe.res, true);
			Atomics.store(this.words, head, next + 1);
			this.count--;
			done(id, result);
		}
	}

	/** An answer may be the kernel's own, which does not know the call here; it is not started here any more. */
	decline(number: number): void {
		this.unknown.add(number);
	}
}

interface Memory {
	readonly ring: ArrayBuffer;
	readonly entries: ArrayBuffer;
}

/** What is shared with the kernel. */
function map(fd: Fd): Memory | undefined {
	const get = (field: number) => view.getUint32(PARAMS + field, true);
	const { sqEntries, cqEntries, sqOff, cqOff } = ioUringParams;
	const submission = get(sqOff + ioSqringOffsets.array) + get(sqEntries) * 4;
	const completion = get(cqOff + ioCqringOffsets.cqes) + get(cqEntries) * ioUringCqe.sizeof;
	const ring = mapShared(fd, Math.max(submission, completion), IORING_OFF_SQ_RING);
	const entries = mapShared(fd, get(sqEntries) * ioUringSqe.sizeof, IORING_OFF_SQES);
	return ring === undefined || entries === undefined ? undefined : { ring, entries };
}

function mapShared(fd: Fd, size: number, offset: number): ArrayBuffer | undefined {
	const address = mmap(0, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, offset);
	if (address === null || BigInt.asUintN(64, BigInt(address)) === MAP_FAILED) return undefined;
	return toArrayBuffer(Number(address) as Pointer, 0, size);
}

/** Takes O_NONBLOCK, which is for opening, from a descriptor. */
function makeWait(fd: Fd): void {
	const flags = descriptorControl(fd, F_GETFL, 0);
	if (flags >= 0 && (flags & O_NONBLOCK) !== 0) descriptorControl(fd, F_SETFL, flags & ~O_NONBLOCK);
}
