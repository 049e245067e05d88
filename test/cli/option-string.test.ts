import { describe, expect, it } from "bun:test";
import { resolveEscapes, splitOptions, splitPathList } from "../../src/cli/option-string.ts";
import { UsageError } from "../../src/cli/usage-error.ts";
import { bytes, raw } from "./bytes.ts";

const $ = String.raw;

describe("splitOptions", () => {
	it.each([
		["", []],
		[",", []],
		["a", ["a"]],
		["a,b=c,d", ["a", "b=c", "d"]],
		[",a,,b,", ["a", "b"]],
		[$`lowerdir=a\,b,c`, [$`lowerdir=a\,b`, "c"]],
		[$`lowerdir=a\\,b`, [$`lowerdir=a\\`, "b"]],
		[$`lowerdir=a\\\,b`, [$`lowerdir=a\\\,b`]],
		["a\\", ["a\\"]],
		["a,b\\", ["a", "b\\"]],
		['context="a,b",c', ['context="a,b"', "c"]],
		['x,fscontext="a,b"', ["x", 'fscontext="a,b"']],
		["context=a,b", ["context=a", "b"]],
		['context="a,b', UsageError],
		['lowerdir=a"b,c"d', ['lowerdir=a"b', 'c"d']],
		['lowerdir="a,b"', ['lowerdir="a', 'b"']],
		['a\\,context="b,c"', ['a\\,context="b', 'c"']],
		["lowerdir=a\nb,c", ["lowerdir=a\nb", "c"]],
	])("splits %j", (text, expected) => {
		const split = () => splitOptions(bytes(text));
		if (Array.isArray(expected)) expect(split()).toEqual(expected.map(bytes));
		else expect(split).toThrow(expected);
	});

	it("names the option whose quote is open", () => {
		expect(() => splitOptions(bytes('a,context="b,c'))).toThrow(
			'context has no closing quote: write context="VALUE"',
		);
	});
});

describe("resolveEscapes", () => {
	it.each([
		["", ""],
		["a b", "a b"],
		[$`a\:b`, "a:b"],
		[$`a\\:b`, "a:b"],
		["a:b", "a:b"],
		[$`a\,b`, "a,b"],
		[$`a\\b`, $`a\b`],
		[$`a\\\\b`, $`a\\b`],
		[$`a\b`, "ab"],
		[$`a\\\:b`, $`a\:b`],
		[$`a\\\\:b`, $`a\\:b`],
		[$`a\040b\054c`, "a b,c"],
		[$`a\400`, "a400"],
		[$`a\08`, "a08"],
		[$`a\\040`, $`a\040`],
		["a\\", "a\\"],
		["a\\\n", "a\n"],
	])("resolves %j", (text, expected) => {
		expect(resolveEscapes(bytes(text))).toBe(bytes(expected));
	});

	it("keeps bytes that are not UTF-8, and writes them", () => {
		expect(resolveEscapes(raw(0xff, 0x5c, 0x3a, 0xfe))).toBe(raw(0xff, 0x3a, 0xfe));
		expect(resolveEscapes(bytes($`\377`))).toBe(raw(0xff));
	});
});

describe("splitPathList", () => {
	it.each([
		["", [""]],
		["a", ["a"]],
		["/a:/b:c d", ["/a", "/b", "c d"]],
		[$`a\:b:c`, ["a:b", "c"]],
		[$`a\\:b:c`, ["a:b", "c"]],
		[$`a\\\:b:c`, [$`a\:b`, "c"]],
		[$`a\\\\:b`, [$`a\\`, "b"]],
		[$`a\134:b`, ["a\\", "b"]],
		[$`a\072b:c`, ["a:b", "c"]],
		[$`a\\b:c`, [$`a\b`, "c"]],
		[$`a\,b:c`, ["a,b", "c"]],
		["a::b", ["a", "", "b"]],
		[":a:", ["", "a", ""]],
		["a:b\\", ["a", "b\\"]],
		["a\nb:c", ["a\nb", "c"]],
	])("splits %j", (text, expected) => {
		expect(splitPathList(bytes(text))).toEqual(expected.map(bytes));
	});
});
