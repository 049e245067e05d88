/** What the properties are tried on. */

import * as fc from "fast-check";
import type { ByteString } from "../../src/options.ts";

/** How often a property is tried. */
fc.configureGlobal({ numRuns: 1000 });

const anyByte = fc.integer({ min: 1, max: 255 });

function textOf(codes: readonly number[]): ByteString {
	return String.fromCharCode(...codes) as ByteString;
}

/** Bytes that may stand in an argument or a path: all but NUL, those of the syntax more often than others. */
export function byteStrings(
	special: string,
	{ minLength = 0, maxLength = 40 } = {},
): fc.Arbitrary<ByteString> {
	const specials = [...special].map((character) => fc.constant(character.charCodeAt(0)));
	const code = fc.oneof({ arbitrary: anyByte, weight: 5 }, ...specials);
	return fc.array(code, { minLength, maxLength }).map(textOf);
}

/** A name as users give it: bytes but NUL and slash, beginning with one of `prefixes` more often than not. */
export function names(...prefixes: string[]): fc.Arbitrary<ByteString> {
	const rest = fc.array(
		anyByte.filter((code) => code !== 0x2f),
		{ minLength: 1, maxLength: 30 },
	);
	return fc
		.tuple(fc.constantFrom("", ...prefixes), rest)
		.map(([prefix, codes]) => (prefix + textOf(codes)) as ByteString);
}
