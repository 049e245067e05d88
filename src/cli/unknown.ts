/** What is said of arguments that mean nothing here: with what may have been meant. */
import { display } from "../display.ts";
import type { ByteString } from "../options.ts";
import { resolveEscapes } from "./option-string.ts";

/** Options of mount(8) and SELinux that look like ours, and are no misspelling of them. */
const meantElsewhere: ReadonlySet<string> = new Set([
	"async",
	"defcontext",
	"fscontext",
	"norelatime",
	"relatime",
]);
/** Names up to this length are too much alike to guess; up to the next, one letter may be wrong; else two. */
const tooShort = 4;
const short = 7;
/** Rather an option of something else than the rest of a name that a comma cut in two. */
const isOptionLike = /=|^[a-z_]{3,}$/;
const longSwitches = ["foreground", "debug", "help", "version", "options"];

/**
 * The warning for an argument or option, as it was written.
 * @param known names of options
 * @param before the option in front of it
 */
export function describeUnknown(
	argument: ByteString,
	known: readonly string[],
	before: ByteString | undefined,
): string {
	const hint = hintFor(argument, known, before);
	return `unknown argument ignored: ${display(resolveEscapes(argument))}${hint === undefined ? "" : `: ${hint}`}`;
}

function hintFor(
	argument: ByteString,
	known: readonly string[],
	before: ByteString | undefined,
): string | undefined {
	const [, dashes = "", blank = "", name = ""] = /^(-*)(\s*)([^=]*)/.exec(argument) ?? [];
	const nearest = nearestOf(name.trimEnd(), known);
	const nearestSwitch = dashes === "" ? undefined : nearestOf(name, longSwitches);
	if (nearestSwitch !== undefined) return `did you mean --${nearestSwitch}?`;
	if (dashes !== "" && nearest !== undefined) return `options of the mount follow -o: write -o ${nearest}`;
	if (blank !== "" && nearest !== undefined) return "write no blanks after commas";
	if (nearest === name) return `${name} takes no value`;
	if (nearest !== undefined) return `did you mean ${nearest}?`;
	const isRest =
		before !== undefined &&
		/^(?:(?:lower|upper|work)dir|(?:lower|data)dir\+)=/.test(before) &&
		!isOptionLike.test(argument);
	return isRest ? "if it is the rest of a name, write \\, for the comma in that" : undefined;
}

/** The known name that was meant, if one is that near. */
function nearestOf(name: string, known: readonly string[]): string | undefined {
	if (name === "" || meantElsewhere.has(name)) return undefined;
	const most = name.length <= tooShort ? 0 : name.length <= short ? 1 : 2;
	const [nearest] = known
		.filter((candidate) => Math.abs(candidate.length - name.length) <= most)
		.map((candidate) => ({ candidate, wrong: distance(name.toLowerCase(), candidate) }))
		.filter(({ wrong }) => wrong <= most)
		.sort((left, right) => left.wrong - right.wrong);
	return nearest?.candidate;
}

/** How many letters are missing, too many, wrong, or swapped with their neighbour. */
function distance(left: string, right: string): number {
	const rows: number[][] = [Array.from({ length: right.length + 1 }, (_, index) => index)];
	for (let i = 1; i <= left.length; i++) {
		const row = [i];
		for (let j = 1; j <= right.length; j++) {
			const isSame = left[i - 1] === right[j - 1];
			const replaced = rows[i - 1]![j - 1]! + (isSame ? 0 : 1);
			row[j] = Math.min(replaced, rows[i - 1]![j]! + 1, row[j - 1]! + 1);
			const isSwapped = i > 1 && j > 1 && left[i - 1] === right[j - 2] && left[i - 2] === right[j - 1];
			if (isSwapped) row[j] = Math.min(row[j]!, rows[i - 2]![j - 2]! + 1);
		}
		rows.push(row);
	}
	return rows[left.length]![right.length]!;
}
