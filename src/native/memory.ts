/**
 * The memory that system calls and libfuse see: one region, reserved once, that never moves.
 *
 * Everything handed to C lies in it, so a "pointer" in this program is an {@link Offset} into the region,
 * readable as `bytes[offset]` at the price of an array access and passed to C as `base + offset`. A typed
 * array's own address is never used: Bun may move small ones when code tiers up.
 *
 * File names are bytes that end in NUL, somewhere in the region: {@link Name}.
 */
import { dlopen, type Pointer, toArrayBuffer } from "bun:ffi";
import type { ByteString } from "../options.ts";
import {
	MADV_DONTNEED,
	MAP_ANONYMOUS,
	MAP_FAILED,
	MAP_FIXED,
	MAP_NORESERVE,
	MAP_PRIVATE,
	MAP_SHARED,
	PROT_READ,
	PROT_WRITE,
} from "./layout.ts";

/** A place in the region, in bytes from its start. */
export type Offset = number;
/** The offset of a NUL-terminated file name: one path component, never empty, without "/". */
export type Name = Offset & { readonly __brand: "Name" };

/** Address space only; pages are taken when first touched. Smaller ones are tried where this is refused. */
const REGION_SIZES = [1 << 30, 1 << 28, 1 << 26];
const ALIGNMENT = 16;
const PAGE = 4096;

const { getpagesize, madvise, mmap } = dlopen("libc.so.6", {
	getpagesize: { args: [], returns: "i32" },
	madvise: { args: ["usize", "usize", "i32"], returns: "i32" },
	mmap: { args: ["usize", "usize", "i32", "i32", "i32", "i64"], returns: "ptr" },
}).symbols;
const region = reserveRegion();
/** The region's address in this process. */
export const base: number = region.address;
export const bytes = new Uint8Array(region.buffer);
export const view = new DataView(region.buffer);
/**
 * The same memory in words of four bytes, for what lies at multiples of four, as all fields of that size do:
 * `words[offset >>> 2]`. Code that is not compiled yet, or not fully, reads these much faster than by a DataView.
 */
export const words = new Uint32Array(region.buffer);
/** As {@link words}, of two bytes each: `shorts[offset >>> 1]`. */
export const shorts = new Uint16Array(region.buffer);
/** What Buffer's methods do for this encoding, for any bytes: faster than by its name, and nothing has to be made for it. */
const { latin1Slice, latin1Write } = Buffer.prototype as unknown as {
	latin1Slice(this: Uint8Array, start: number, end: number): string;
	latin1Write(this: Uint8Array, text: string, offset: number, length: number): number;
};

function reserveRegion(): { address: number; buffer: ArrayBuffer } {
	for (const size of REGION_SIZES) {
		const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
		const address = mmap(0, size, PROT_READ | PROT_WRITE, flags, -1, 0);
		if (address === null || BigInt.asUintN(64, BigInt(address)) === MAP_FAILED) continue;
		return { address: Number(address), buffer: toArrayBuffer(Number(address) as Pointer, 0, size) };
	}
	throw new Error("cannot reserve memory: raise the address space limit (ulimit -v)");
}

/** What blocks of one size are cut from. No page is larger. */
const CHUNK_SHIFT = 16;
export const CHUNK = 1 << CHUNK_SHIFT;

/** Offset 0 stays unused, so that 0 can stand for "no name" and reads as an empty string. */
let top = PAGE;
/** Where the next place of less than a page is. */
let smallNext = 0;
let smallEnd = 0;
const SMALL_PLACES = 4 * PAGE;
/** Where what can be reserved ends. */
let end = bytes.length;

/** Memory for the life of the process, zeroed, aligned to 16 bytes (from 4 and 64 KiB on to as much). */
export function reserve(size: number): Offset {
	if (size >= PAGE) return reserveAligned(size, size >= CHUNK ? CHUNK : PAGE);
	// Many small places share pages, whatever is reserved between them.
	if (smallNext + size > smallEnd) {
		smallNext = reserveAligned(SMALL_PLACES, PAGE);
		smallEnd = smallNext + SMALL_PLACES;
	}
	const start = smallNext;
	smallNext += Math.ceil(size / ALIGNMENT) * ALIGNMENT;
	return start;
}

function reserveAligned(size: number, alignment: number): Offset {
	const start = Math.ceil(top / alignment) * alignment;
	if (start + size > end) throw new Error("out of memory: the region for names and buffers is full");
	top = start + size;
	return start;
}

/** What of such memory need not keep its content from one request to the next. */
const scratch: { readonly at: Offset; readonly size: number }[] = [];

/** As {@link reserve}, on pages of its own; between requests the content may become zeros. For places of 64 KiB and more. */
export function reserveScratch(size: number): Offset {
	const at = reserve(Math.ceil(size / CHUNK) * CHUNK);
	scratch.push({ at, size });
	return at;
}

/** As {@link reserve}, at the end of the region; undefined where there is not as much. */
export function reserveEnd(size: number): Offset | undefined {
	const start = Math.floor((end - size) / CHUNK) * CHUNK;
	if (start < top) return undefined;
	end = start;
	return start;
}

/**
 * Has `size` bytes at `at`, whole pages, be those of a file from `from` on, as everybody sees it who maps it. False where that
 * is refused; nothing is changed then.
 */
export function share(at: Offset, size: number, fd: number, from: number): boolean {
	const address = mmap(base + at, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, from);
	return address !== null && BigInt.asUintN(64, BigInt(address)) !== MAP_FAILED;
}

/** The empty string, for calls with AT_EMPTY_PATH. */
export const EMPTY_NAME = reserve(ALIGNMENT) as Name;

const CLASS_SHIFT = 3;
const LARGEST_SMALL = 1024;
/** Blocks of this size and more do not keep their pages while they are free. */
const SMALLEST_RETURNED = CHUNK;
/** Free blocks above the small classes, by their rounded size. */
const freeLarge = new Map<number, Offset[]>();
/** Whether some of these may have pages. */
let hasKeptPages = false;

// Small blocks: a chunk, known by its number, has blocks of one size only.

/** By size class: chunks that may have room. All that have any are among them. */
const roomy: number[][] = [];
// Array.from(), which is JavaScript, would be compiled for this alone at each start.
while (roomy.length <= LARGEST_SMALL >> CLASS_SHIFT) roomy.push([]);
/** Chunks of which nothing is in use, without their pages. */
const freeChunks: number[] = [];
/** By chunk: the first free block, which holds the offset of the next; 0: none. */
const firstFree = new Uint32Array(bytes.length >>> CHUNK_SHIFT);
/** By chunk: what was never in use begins here. */
const fresh = new Uint32Array(firstFree.length);
/** By chunk: how many blocks are in use. */
const used = new Uint16Array(firstFree.length);
/** By chunk: whether it is in {@link roomy}. */
const isRoomy = new Uint8Array(firstFree.length);

/** The size a block of `size` bytes really takes: multiples of 8, above 1 KiB powers of two. */
export function blockSize(size: number): number {
	if (size <= LARGEST_SMALL) return Math.max(8, (size + 7) & ~7);
	return 2 ** Math.ceil(Math.log2(size));
}

/** A block of at least `size` bytes with undefined content; {@link release} takes it back. */
export function allocate(size: number): Offset {
	const rounded = blockSize(size);
	if (rounded > LARGEST_SMALL) return freeLarge.get(rounded)?.pop() ?? reserve(rounded);
	const chunks = roomy[rounded >> CLASS_SHIFT]!;
	for (let chunk = chunks.at(-1); chunk !== undefined; chunk = chunks.at(-1)) {
		const free = firstFree[chunk]!;
		if (free !== 0) {
			firstFree[chunk] = words[free >>> 2]!;
			used[chunk]!++;
			return free;
		}
		const next = fresh[chunk]!;
		if (next + rounded <= (chunk + 1) * CHUNK) {
			fresh[chunk] = next + rounded;
			used[chunk]!++;
			return next;
		}
		chunks.pop();
		isRoomy[chunk] = 0;
	}
	const chunk = freeChunks.pop() ?? reserve(CHUNK) >>> CHUNK_SHIFT;
	firstFree[chunk] = 0;
	fresh[chunk] = chunk * CHUNK + rounded;
	used[chunk] = 1;
	isRoomy[chunk] = 1;
	chunks.push(chunk);
	return chunk * CHUNK;
}

/** Whether {@link allocate} has room for a block of more than a kilobyte. */
export function hasRoom(size: number): boolean {
	const rounded = blockSize(size);
	return (freeLarge.get(rounded)?.length ?? 0) > 0 || top + CHUNK + rounded <= end;
}

/** Gives back a block of {@link allocate} with the same `size`. */
export function release(block: Offset, size: number): void {
	const rounded = blockSize(size);
	if (rounded > LARGEST_SMALL) {
		if (rounded >= SMALLEST_RETURNED) madvise(base + block, rounded, MADV_DONTNEED);
		else hasKeptPages = true;
		const free = freeLarge.get(rounded);
		if (free === undefined) freeLarge.set(rounded, [block]);
		else free.push(block);
		return;
	}
	const chunk = block >>> CHUNK_SHIFT;
	words[block >>> 2] = firstFree[chunk]!;
	firstFree[chunk] = block;
	used[chunk]!--;
	if (isRoomy[chunk] !== 0) return;
	isRoomy[chunk] = 1;
	roomy[rounded >> CLASS_SHIFT]!.push(chunk);
}

/** Gives the system the pages of which nothing is in use. To be called between requests. */
export function returnPages(): void {
	for (const { at, size } of scratch) madvise(base + at, size & -CHUNK, MADV_DONTNEED);
	for (const chunks of roomy) {
		for (const chunk of chunks.splice(0)) {
			if (used[chunk] !== 0) {
				chunks.push(chunk);
				continue;
			}
			madvise(base + chunk * CHUNK, CHUNK, MADV_DONTNEED);
			isRoomy[chunk] = 0;
			freeChunks.push(chunk);
		}
	}
	if (!hasKeptPages) return;
	hasKeptPages = false;
	const page = getpagesize();
	for (const [size, blocks] of freeLarge) {
		if (size < page || size >= SMALLEST_RETURNED) continue;
		for (const block of blocks) madvise(base + block, size, MADV_DONTNEED);
	}
}

/** Length in bytes of the NUL-terminated string at `string`. */
export function lengthOf(string: Offset): number {
	let end = string;
	while (bytes[end] !== 0) end++;
	return end - string;
}

/** The bytes at `offset`, as a string of char codes 0..255. */
export function readBytes(offset: Offset, length: number): ByteString {
	return latin1Slice.call(bytes, offset, offset + length) as ByteString;
}

/** The NUL-terminated bytes at `string`. */
export function readString(string: Offset): ByteString {
	return readBytes(string, lengthOf(string));
}

/** Writes `text` and a NUL at `target`, which must have room for `text.length + 1` bytes. */
export function writeString(target: Offset, text: ByteString): void {
	latin1Write.call(bytes, text, target, text.length);
	bytes[target + text.length] = 0;
}

/** Copies `text` with its NUL into a block of its own, which the caller releases or keeps for good. */
export function store(text: ByteString): Name {
	const block = allocate(text.length + 1);
	writeString(block, text);
	return block as Name;
}

/** Copies `length` bytes within the region. */
export function copy(target: Offset, source: Offset, length: number): void {
	if (length > 64) {
		bytes.copyWithin(target, source, source + length);
		return;
	}
	for (let index = 0; index < length; index++) bytes[target + index] = bytes[source + index]!;
}

/** Copies a 64-bit field from one multiple of four to another. */
export function copy64(target: Offset, source: Offset): void {
	words[target >>> 2] = words[source >>> 2]!;
	words[(target >>> 2) + 1] = words[(source >>> 2) + 1]!;
}

/** A signed integer of 64 bits: a number where that is exact, below 2^53, else a bigint. So equal ones are `===`. */
export type Int64 = number | bigint;

/** The upper halves of what numbers hold exactly are from -2^21 up to below 2^21. */
const EXACT = 2 ** 21;

/** At a multiple of four. */
export function getInt64(offset: Offset): Int64 {
	const high = words[(offset >>> 2) + 1]! | 0;
	if (high >= EXACT || high < -EXACT) return view.getBigInt64(offset, true);
	return words[offset >>> 2]! + high * 2 ** 32;
}

/** At a multiple of four. */
export function setInt64(offset: Offset, value: Int64): void {
	if (typeof value === "bigint") {
		view.setBigInt64(offset, value, true);
		return;
	}
	words[offset >>> 2] = value;
	words[(offset >>> 2) + 1] = Math.floor(value / 2 ** 32);
}

/** `value` and a few bytes more. */
export function advance(value: Int64, bytes: number): Int64 {
	if (typeof value === "number" && value + bytes <= Number.MAX_SAFE_INTEGER) return value + bytes;
	return BigInt(value) + BigInt(bytes);
}

/** How far `end` is behind `start`, but no more than `most`. */
export function distance(start: Int64, end: Int64, most: number): number {
	if (typeof start === "number" && typeof end === "number") return Math.min(end - start, most);
	return Math.min(Number(BigInt(end) - BigInt(start)), most);
}

export function smaller(one: Int64, other: Int64): Int64 {
	return one < other ? one : other;
}

/**
 * A non-negative 64-bit number, at a multiple of four, that is known to be below 2^53: a node id, a length of memory. Sizes
 * of files may be larger.
 */
export function getNumber(offset: Offset): number {
	return words[offset >>> 2]! + words[(offset >>> 2) + 1]! * 2 ** 32;
}

/** Stores a non-negative integer below 2^53 as 64 bits, at a multiple of four. */
export function setNumber(offset: Offset, value: number): void {
	words[offset >>> 2] = value;
	words[(offset >>> 2) + 1] = value / 2 ** 32;
}

/** Whether the `length` bytes at `name` and at `other` are the same. */
export function sameBytes(name: number, other: number, length: number): boolean {
	for (let index = 0; index < length; index++) {
		if (bytes[name + index] !== bytes[other + index]) return false;
	}
	return true;
}

/** Whether the bytes at `name` begin with `prefix`. */
export function startsWith(name: number, prefix: ByteString): boolean {
	for (let index = 0; index < prefix.length; index++) {
		if (bytes[name + index] !== prefix.charCodeAt(index)) return false;
	}
	return true;
}
