/**
 * Blocks that calls have filled, which keep their pages for a while: a large read takes as long to get pages for its block as
 * to fill them.
 */

import { allocate, type Offset, release } from "../memory.ts";

/** Smaller ones keep theirs in any case. */
const SMALLEST = 1 << 16;
/** Bytes kept at most. */
const MOST_KEPT = 16 << 20;

/** By their size. */
const blocks = new Map<number, Offset[]>();
let kept = 0;

/** A block of at least `size` bytes with undefined content; {@link giveBlock} takes it back. */
export function takeBlock(size: number): Offset {
	const warm = kept === 0 ? undefined : blocks.get(size)?.pop();
	if (warm === undefined) return allocate(size);
	kept -= size;
	return warm;
}

/** Gives back a block of {@link takeBlock} with the same `size`. */
export function giveBlock(block: Offset, size: number): void {
	if (size < SMALLEST || kept + size > MOST_KEPT) {
		release(block, size);
		return;
	}
	const warm = blocks.get(size);
	if (warm === undefined) blocks.set(size, [block]);
	else warm.push(block);
	kept += size;
}

/** Whether blocks keep their pages. */
export function areWarm(): boolean {
	return kept > 0;
}

/** Gives the pages back. */
export function coolBlocks(): void {
	for (const [size, warm] of blocks) for (const block of warm) release(block, size);
	blocks.clear();
	kept = 0;
}
