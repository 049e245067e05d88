/** How the value of a single option is read: strictly, with an error that says what would be right. */

import { display } from "../display.ts";
import type { ByteString } from "../options.ts";
import { resolveEscapes, splitPathList } from "./option-string.ts";
import { UsageError } from "./usage-error.ts";

/** (uid_t) -1 is no id: system calls read it as "leave unchanged". */
const largestId = 2 ** 32 - 2;

/** Longer than any uptime, and still an integer in every unit the kernel counts in. */
const longestTimeout = 2 ** 32;

/** Digits only, no sign; undefined: something else, or not exact in a double. */
export function parseDecimal(text: ByteString): number | undefined {
	if (!/^[0-9]+$/.test(text)) return undefined;
	const number = Number(text);
	return Number.isSafeInteger(number) ? number : undefined;
}

/** A whole number, 0 for false: the option alone means true, as does any number but 0. */
export function parseBoolean(option: string, value: ByteString | undefined): boolean {
	if (value === undefined) return true;
	if (!/^-?[0-9]+$/.test(value)) throw invalidValue(option, value, `write ${option}=0 or ${option}=1`);
	return Number(value) !== 0;
}

export function parseTimeout(option: string, value: ByteString): number {
	if (!/^\+?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?$/.test(value)) {
		throw invalidValue(option, value, `give seconds, such as ${option}=1.5, or ${option}=0 for no caching`);
	}
	return Math.min(Number(value), longestTimeout);
}

export function parseId(option: string, value: ByteString): number {
	const id = parseDecimal(value);
	if (id === undefined || id > largestId) {
		throw invalidValue(option, value, `give a numeric id from 0 to ${largestId}`);
	}
	return id;
}

export function parseMaxWrite(option: string, value: ByteString): number {
	const size = parseDecimal(value);
	if (size === undefined || size === 0 || size >= 2 ** 32) {
		throw invalidValue(option, value, `give a size in bytes, such as ${option}=131072`);
	}
	return size;
}

/** One of a few words. */
export function parseChoice<Choice extends string>(
	option: string,
	value: ByteString,
	choices: readonly Choice[],
): Choice {
	const choice = choices.find((candidate) => candidate === (value as string));
	if (choice === undefined) {
		throw invalidValue(option, value, `write ${choices.map((word) => `${option}=${word}`).join(" or ")}`);
	}
	return choice;
}

export function parsePath(option: string, value: ByteString): ByteString {
	const path = resolveEscapes(value);
	if (path === "") throw new UsageError(`${option} is empty: write ${option}=DIR`);
	return checkPath(option, path);
}

/** Lower layers, topmost first. */
export interface LayerPaths {
	readonly merged: readonly ByteString[];
	/** Those of which only data is used. */
	readonly dataOnly: readonly ByteString[];
}

/**
 * `DIR[:DIR...][::DATA...]`, as for kernel overlayfs: each data-only layer has two colons in front of it. A single colon at the
 * end is legal: C and Rust fuse-overlayfs take it.
 */
export function parseLayerPaths(option: string, value: ByteString): LayerPaths {
	const paths = splitPathList(value);
	if (paths.length > 1 && paths.at(-1) === "") paths.pop();
	const refuse = (problem: string): never => {
		const syntax = `write ${option}=DIR[:DIR...][::DATA...]`;
		throw new UsageError(`${option}=${display(value)}: ${problem}: ${syntax}`);
	};
	const merged: ByteString[] = [];
	const dataOnly: ByteString[] = [];
	for (const [at, path] of paths.entries()) {
		if (path === "") {
			// Between two names it is what makes the second data-only.
			if (at === 0 || at === paths.length - 1 || paths[at - 1] === "") refuse("a directory name is empty");
		} else if (paths[at - 1] === "") {
			dataOnly.push(checkPath(option, path));
		} else {
			if (dataOnly.length > 0) refuse("a layer that is to be seen cannot follow a data-only one");
			merged.push(checkPath(option, path));
		}
	}
	return { merged, dataOnly };
}

/** A security context, in double quotes or not. */
export function parseContext(option: string, value: ByteString): ByteString {
	const quoted = /^"([^"]*)"$/.exec(value);
	const context = quoted ? quoted[1]! : resolveEscapes(value);
	if (context === "" || context.includes('"') || context.includes("\0")) {
		throw invalidValue(option, value, `write ${option}="CONTEXT"`);
	}
	return context as ByteString;
}

/** An escape can write the one byte that no file name can hold. */
function checkPath(option: string, path: ByteString): ByteString {
	if (path.includes("\0")) throw invalidValue(option, path, "a file name cannot hold a NUL byte");
	return path;
}

function invalidValue(option: string, value: ByteString, remedy: string): UsageError {
	return new UsageError(`${option}=${display(value)} is not valid: ${remedy}`);
}
