/**
 * The arguments as written, before any meaning: which are switches, which the values of `-o`, which names.
 *
 * Taken from the raw arguments, because citty keeps only the last of several `-o`.
 */
import type { ByteString } from "../options.ts";
import { UsageError } from "./usage-error.ts";

export type Switch = "foreground" | "debug" | "help" | "version";

export type Argument =
	| { readonly kind: "switch"; readonly name: Switch }
	| { readonly kind: "options"; readonly text: ByteString }
	| { readonly kind: "positional"; readonly text: ByteString }
	| { readonly kind: "unknown"; readonly text: ByteString };

const longSwitches: ReadonlyMap<string, Switch> = new Map([
	["--foreground", "foreground"],
	["--debug", "debug"],
	["--help", "help"],
	["--version", "version"],
]);

/** undefined: accepted without effect. `-s` asks libfuse for a single thread, which is what there is. */
const shortSwitches: ReadonlyMap<string, Switch | undefined> = new Map([
	["f", "foreground"],
	["d", "debug"],
	["h", "help"],
	["V", "version"],
	["s", undefined],
]);

/**
 * Splits the arguments, in their order. `-o` takes its value glued or as the next argument, whatever that
 * looks like; switches may be joined (`-df`, `-fo OPTIONS`); after `--` all are positional.
 *
 * Throws UsageError where a value is missing.
 */
export function parseArguments(args: readonly ByteString[]): Argument[] {
	const result: Argument[] = [];
	let at = 0;
	const takeValue = (option: string, usage: string): ByteString => {
		const value = args[at++];
		if (value === undefined) throw new UsageError(`missing argument after ${option}: write ${usage}`);
		return value;
	};
	while (at < args.length) {
		const text = args[at++]!;
		if (text === "--") {
			return result.concat(args.slice(at).map((rest) => ({ kind: "positional", text: rest })));
		}
		if (!text.startsWith("-")) {
			result.push({ kind: "positional", text });
		} else if (text === "-t") {
			// mount(8) names the type of file system, which is this program.
			takeValue("-t", "-t fuse-overlayfs, or leave it out");
		} else if (text === "--options") {
			result.push({ kind: "options", text: takeValue("--options", "--options OPTION[,OPTION...]") });
		} else if (text.startsWith("--options=")) {
			result.push({ kind: "options", text: text.slice("--options=".length) as ByteString });
		} else if (text.startsWith("-o") && text !== "-o") {
			result.push({ kind: "options", text: text.slice("-o".length) as ByteString });
		} else {
			const known = readSwitches(text);
			if (known === undefined) result.push({ kind: "unknown", text });
			for (const name of known?.switches ?? []) result.push({ kind: "switch", name });
			if (known?.options) {
				result.push({ kind: "options", text: takeValue("-o", "-o OPTION[,OPTION...]") });
			}
		}
	}
	return result;
}

/** The switches joined in one argument, and whether an `-o` ends it; undefined: not all of it is known. */
function readSwitches(text: string): { switches: Switch[]; options: boolean } | undefined {
	const long = longSwitches.get(text);
	if (long !== undefined) return { switches: [long], options: false };
	if (!/^-[a-zA-Z]+$/.test(text)) return undefined;
	const options = text.endsWith("o");
	const letters = [...text.slice(1, options ? -1 : undefined)];
	if (!letters.every((letter) => shortSwitches.has(letter))) return undefined;
	const switches = letters.map((letter) => shortSwitches.get(letter)).filter((name) => name !== undefined);
	return { switches, options };
}
