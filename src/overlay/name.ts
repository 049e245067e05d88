/** What has to be known of a name before anything is looked up by it: its length and its hashes. */
import { bytes, type Name } from "../native/memory.ts";
import type { ByteString } from "../options.ts";

/** The longest name Linux file systems take, in bytes. */
export const NAME_MAX = 255;

/** Differs from run to run, so that a layer cannot be made of names that collide. */
const [SEED = 0, SEED_SPREAD = 0] = crypto.getRandomValues(new Uint32Array(2));

export interface Measure {
	length: number;
	/** 32 bits; tables are indexed by it. */
	hash: number;
	/** Another 32 bits, to tell apart and order names of equal hash. */
	spread: number;
}

const measured: Measure = { length: 0, hash: 0, spread: 0 };

/** Measures a NUL-terminated name. Returns the same record every time, overwritten by the next call. */
export function measure(name: Name): Measure {
	let hash = SEED ^ 0x811c9dc5;
	let spread = SEED_SPREAD;
	let end: number = name;
	for (;;) {
		const byte = bytes[end]!;
		if (byte === 0) break;
		hash = Math.imul(hash ^ byte, 0x01000193);
		spread = (Math.imul(spread, 31) + byte) | 0;
		end++;
	}
	measured.length = end - name;
	measured.hash = mix(hash);
	measured.spread = mix(spread);
	return measured;
}

/** Spreads every input bit over the whole word (the finalizer of MurmurHash3). */
export function mix(value: number): number {
	let word = value;
	word = Math.imul(word ^ (word >>> 16), 0x85ebca6b);
	word = Math.imul(word ^ (word >>> 13), 0xc2b2ae35);
	return (word ^ (word >>> 16)) >>> 0;
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

/** Whether the name is "." or "..". */
export function isDot(name: Name): boolean {
	return (
		bytes[name] === 0x2e && (bytes[name + 1] === 0 || (bytes[name + 1] === 0x2e && bytes[name + 2] === 0))
	);
}
