/**
 * The syntax of `-o` strings: how options are separated, how a name with a colon or comma is written.
 *
 *     \:  \,  \\   a literal colon, comma, backslash; any other character after a backslash is itself
 *     \\:          a literal colon too: what programs write for fuse-overlayfs in C, where libfuse removes
 *                  one backslash before the path list is split
 *     \054         three octal digits, 000 to 377: that byte, as in libfuse
 *
 * So a name that ends in a backslash, before a separating colon, is written `NAME\134:`.
 */
import type { ByteString } from "../options.ts";
import { UsageError } from "./usage-error.ts";

/** Option names whose value may stand in double quotes, which then hide commas. */
const quotable = /^[a-z]*context=$/;

/**
 * Splits the value of one `-o` at its commas. Escapes stay as they are, so that each option can be split
 * further; empty options are left out.
 *
 * Throws UsageError where a quote is not closed.
 */
export function splitOptions(text: ByteString): ByteString[] {
	const options: ByteString[] = [];
	let start = 0;
	for (let at = 0; at < text.length; at++) {
		const character = text[at];
		if (character === ",") {
			options.push(text.slice(start, at) as ByteString);
			start = at + 1;
		} else if (character === "\\") {
			at++;
			// A quote anywhere else belongs to a file name.
		} else if (character === '"' && quotable.test(text.slice(start, at))) {
			const name = text.slice(start, at - 1);
			at = text.indexOf('"', at + 1);
			if (at < 0) throw new UsageError(`${name} has no closing quote: write ${name}="VALUE"`);
		}
	}
	options.push(text.slice(start) as ByteString);
	return options.filter((option) => option !== "");
}

/** Resolves the escapes of one value. */
export function resolveEscapes(text: ByteString): ByteString {
	if (!text.includes("\\")) return text;
	let result = "";
	for (let at = 0; at < text.length; ) {
		const [bytes, next] = readCharacter(text, at);
		result += bytes;
		at = next;
	}
	return result as ByteString;
}

/** Splits a list of paths at its colons and resolves the escapes; empty paths are kept. */
export function splitPathList(text: ByteString): ByteString[] {
	const paths: string[] = [];
	let path = "";
	for (let at = 0; at < text.length; ) {
		if (text[at] === ":") {
			paths.push(path);
			path = "";
			at++;
			continue;
		}
		const [bytes, next] = readCharacter(text, at);
		path += bytes;
		at = next;
	}
	paths.push(path);
	return paths as ByteString[];
}

/** What stands at an index, its escape resolved, and the index after it. */
function readCharacter(text: ByteString, at: number): [bytes: string, next: number] {
	const character = text[at]!;
	if (character !== "\\" || at + 1 === text.length) return [character, at + 1];
	const octal = /^[0-3][0-7][0-7]/.exec(text.slice(at + 1, at + 4));
	if (octal) return [String.fromCharCode(Number.parseInt(octal[0], 8)), at + 4];
	// Longer runs of backslashes are pairs: only exactly two before a colon are the spelling for C.
	const run = /^\\+/.exec(text.slice(at))![0].length;
	if (run === 2 && text[at + 2] === ":") return [":", at + 3];
	if (run > 2) return ["\\".repeat(run >> 1), at + (run & ~1)];
	return [text[at + 1]!, at + 2];
}
