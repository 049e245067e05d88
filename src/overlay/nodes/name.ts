/** What has to be known of a name before anything is looked up by it: its length and its hashes. */
import { bytes, type Name } from "../../native/memory.ts";

/** Differ from mount to mount, so that a layer cannot be made of names that collide. */
let [seed = 0, seedOfSpread = 0] = crypto.getRandomValues(new Uint32Array(2));

/** What all hashes, and with them the order of listings, depend on. */
export function seeds(): [number, number] {
	return [seed, seedOfSpread];
}

/** Goes on with those of a predecessor. To be called before anything is measured. */
export function useSeeds([first, second]: [number, number]): void {
	seed = first;
	seedOfSpread = second;
}

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
	let hash = seed ^ 0x811c9dc5;
	let spread = seedOfSpread;
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
