/** What holds of every command line. */

import { expect, test } from "bun:test";
import * as fc from "fast-check";
import { parseIdMapping } from "../../src/cli/id-mapping.ts";
import { mountOptions } from "../../src/cli/mount-options.ts";
import { splitOptions, splitPathList } from "../../src/cli/option-string.ts";
import { parseCommandLine, UsageError } from "../../src/cli/parse.ts";
import { sessionArgument } from "../../src/fuse/session-options.ts";
import type { ByteString, IdRange } from "../../src/options.ts";
import { IdMap, NO_ID } from "../../src/overlay/marks/id-map.ts";
import { byteStrings } from "./arbitrary.ts";

const syntax = ',:=\\"01234567';
const id = fc.integer({ min: 0, max: 2 ** 32 - 1 });

/** Writes the bytes that mean something as octal escapes. */
function escaped(text: string): string {
	return text.replace(/[\\:,]/g, (character) => `\\${character.charCodeAt(0).toString(8).padStart(3, "0")}`);
}

/** The result of `action`; undefined where it throws UsageError. Other errors are not caught. */
function unlessRefused<Result>(action: () => Result): Result | undefined {
	try {
		return action();
	} catch (error) {
		if (error instanceof UsageError) return undefined;
		throw error;
	}
}

test("whatever the arguments are, they are understood or refused with a reason", () => {
	const option = fc.oneof(
		byteStrings(syntax),
		fc
			.tuple(fc.constantFrom(...mountOptions.keys()), byteStrings(syntax))
			.map(([name, value]) => `${name}=${value}` as ByteString),
	);
	const argument = fc.oneof(
		byteStrings("-o"),
		fc.constantFrom("-o", "--", "-f", "-d", "-s", "--options", "-ofsync=0", "lowerdir=a", "/mnt"),
		fc.array(option, { maxLength: 5 }).map((options) => `-olowerdir=/l,${options.join(",")}`),
	) as fc.Arbitrary<ByteString>;
	fc.assert(
		fc.property(fc.array(argument, { maxLength: 6 }), fc.boolean(), (args, root) => {
			const parsed = unlessRefused(() => parseCommandLine(args, { root }));
			if (parsed?.kind !== "mount") return;
			const { options } = parsed;
			expect(options.timeout).toBeGreaterThanOrEqual(0);
			expect(options.timeout).toBeLessThan(Number.POSITIVE_INFINITY);
			expect(options.maxWrite === undefined || options.maxWrite > 0).toBeTrue();
			for (const path of [options.mountpoint, ...options.lowerDirectories]) {
				expect(path).not.toBe("" as ByteString);
				expect(path).not.toContain("\0");
			}
			expect((options.upperDirectory === undefined) === (options.workDirectory === undefined)).toBeTrue();
		}),
	);
});

test("every list of directories can be written, and is read as what it was", () => {
	const paths = fc.array(byteStrings(syntax, { minLength: 1 }), { minLength: 1, maxLength: 6 });
	fc.assert(
		fc.property(paths, paths, (lower, others) => {
			const value = lower.map(escaped).join(":");
			expect(splitPathList(value as ByteString)).toEqual(lower);
			const text = [`lowerdir=${value}`, ...others.map((path) => `x=${escaped(path)}`)].join(",");
			const [first, ...rest] = splitOptions(text as ByteString);
			expect(first).toBe(`lowerdir=${value}` as ByteString);
			expect(rest.length).toBe(others.length);
		}),
	);
});

test("what libfuse is handed, it splits into what was meant", () => {
	fc.assert(
		fc.property(fc.array(byteStrings(syntax, { minLength: 1 }), { minLength: 1 }), (options) => {
			// libfuse lib/fuse_opt.c, process_opt_sep_arg: a comma separates, a backslash takes the next byte as it is.
			const split = [...sessionArgument(options).matchAll(/(?:\\.|[^,\\])+/gs)].map(([option]) =>
				option.replace(/\\(.)/gs, "$1"),
			);
			expect(split).toEqual(options);
		}),
	);
});

const ranges = fc.array(
	fc
		.record({ onDisk: id, shown: id, length: fc.integer({ min: 1, max: 2 ** 32 - 1 }) })
		.filter(({ onDisk, shown, length }) => Math.max(onDisk, shown) + length <= 2 ** 32),
	{ maxLength: 5 },
);

test("an id mapping is read as what was written", () => {
	fc.assert(
		fc.property(ranges, fc.boolean(), fc.boolean(), (mapping, colonBefore, colonAfter) => {
			const text = mapping.map(({ onDisk, shown, length }) => `${onDisk}:${shown}:${length}`).join(":");
			const value = `${colonBefore ? ":" : ""}${text}${colonAfter && text !== "" ? ":" : ""}`;
			expect(parseIdMapping("uidmapping", value as ByteString)).toEqual(mapping);
		}),
	);
});

test("of any text as an id mapping nothing leaves 32 bits", () => {
	fc.assert(
		fc.property(byteStrings(":::0123456789"), (text) => {
			for (const { onDisk, shown, length } of unlessRefused(() => parseIdMapping("uidmapping", text)) ?? []) {
				for (const end of [onDisk + length, shown + length]) {
					expect(Number.isSafeInteger(end) && end <= 2 ** 32).toBeTrue();
				}
			}
		}),
	);
});

/** The last range that holds `wanted` on its side `of`, and where in it. */
function rangeOf(mapping: readonly IdRange[], of: "onDisk" | "shown", wanted: number) {
	const range = mapping.findLast((one) => wanted >= one[of] && wanted < one[of] + one.length);
	return range && { range, place: wanted - range[of] };
}

test("an id is mapped by the last range that holds it, else is nobody's", () => {
	const overflow = 65534;
	const near = (mapping: readonly IdRange[]) =>
		fc.oneof(id, ...mapping.flatMap(({ onDisk, shown }) => [fc.constant(onDisk), fc.constant(shown)]));
	const cases = ranges
		.filter((mapping) => mapping.length > 0)
		.chain((mapping) => fc.tuple(fc.constant(mapping), near(mapping)));
	fc.assert(
		fc.property(cases, ([mapping, one]) => {
			const map = new IdMap(mapping, overflow);
			const byDisk = rangeOf(mapping, "onDisk", one);
			expect(map.shown(one)).toBe(byDisk ? byDisk.range.shown + byDisk.place : overflow);
			const byShown = rangeOf(mapping, "shown", one);
			expect(map.onDisk(one)).toBe(byShown ? byShown.range.onDisk + byShown.place : NO_ID);
		}),
	);
});
