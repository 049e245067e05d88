/**
 * What an operation of the fuzzer is: how its arguments are drawn, and how it is done on one side. A step is one
 * operation by one actor, all its arguments in plain JSON, so that a sequence of steps can be kept and run again.
 */

import { createHash } from "node:crypto";
import type { BytePath } from "../harness/native.ts";
import type { Picker } from "./picker.ts";
import type { Side } from "./side.ts";

export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };
export type Arguments = { readonly [key: string]: Json };

export interface Step {
	/** Index in {@link import("./actors.ts").actors}. */
	readonly actor: number;
	readonly operation: string;
	readonly args: Arguments;
}

export interface Operation<Args extends Arguments = Arguments> {
	/** How often it is drawn, in proportion to the others. */
	readonly weight: number;
	draw(pick: Picker): Args;
	/** Does it on one side; what it answers must not depend on the side, its numbers of inodes, or the time. */
	perform(side: Side, args: Args): unknown;
}

/** Lets each entry of a table of operations have arguments of its own. */
export function operation<Args extends Arguments>(
	weight: number,
	draw: (pick: Picker) => Args,
	perform: (side: Side, args: Args) => unknown,
): Operation {
	return { weight, draw, perform: perform as Operation["perform"] };
}

/** Content as arguments have it: `length` bytes of a pattern that `seed` tells apart from others. */
export interface Content {
	readonly [key: string]: Json;
	readonly seed: number;
	readonly length: number;
}

export function contentOf({ seed, length }: Content): Buffer {
	return Buffer.alloc(length, `${seed}.`);
}

/** Short content as text, long content as its length and hash. */
export function digest(bytes: Buffer): string {
	if (bytes.length <= 40) return bytes.toString("latin1");
	return `${bytes.length} bytes, ${createHash("sha1").update(bytes).digest("hex").slice(0, 12)}`;
}

/** Times before this one were set by layers or steps, and are compared exactly; later ones are all "now". */
export const earliestNow = 1_700_000_000_000_000_000n;

export function timeOf(nanoseconds: bigint): string {
	return nanoseconds >= earliestNow ? "now" : String(nanoseconds);
}

/** A time in the past, to the nanosecond. */
export function pastTime(index: number): bigint {
	return 1_500_000_000_000_000_000n + BigInt(index) * 1_000_000_007n;
}

export type PathOf = (path: string) => BytePath;
