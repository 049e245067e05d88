/** What a machine reports, a line of JSON each, and how that is shown. */

import { summary } from "../harness/report.ts";
import type { LayersOn, Setting } from "../harness/setting.ts";
import type { Machine } from "./machines.ts";

/** As whom the tests are run in a machine, and on what. */
export const modes = [
	"root",
	"id ranges",
	"one id",
	"fusermount",
	"NFS 4.2",
	"NFS 3",
	"9p",
	"virtiofs",
] as const satisfies readonly (Setting | LayersOn)[];
export type Mode = (typeof modes)[number];

/** What the machine is to do; the file `plan.json` of its scratch disk. */
export interface Plan {
	/** Test files, and the demo, in the order in which they are tried. */
	readonly files: readonly string[];
	readonly modes: readonly Mode[];
}

/**
 * Whether a file is tried in a mode. The conformance table looks into files of any mode bits, which an ordinary user cannot. On
 * 9p QEMU's server makes no whiteouts and FIFOs, and times are of whole seconds, so that tests cannot make or compare layers.
 */
export function isMeantFor(mode: Mode, file: string): boolean {
	if (mode === "9p") return !file.startsWith("test/mount/") && !file.startsWith("test/conformance/");
	return mode !== "fusermount" || !file.startsWith("test/conformance/");
}

export interface Traits {
	readonly kernel: string;
	readonly libc: string;
	readonly libfuse: string;
	readonly pageSize: number;
}

export interface FileResult {
	readonly file: string;
	readonly mode: Mode;
	readonly passed: number;
	readonly failed: number;
	readonly skipped: number;
	/** Names of the tests that failed, and why the file failed as a whole. */
	readonly failures: readonly string[];
	readonly seconds: number;
}

/** `skips`: why tests are skipped there, which its kernel and programs have a say in. */
export type Report =
	| { readonly traits: Traits }
	| { readonly skips: readonly string[] }
	| { readonly result: FileResult }
	| { readonly end: true };

/** How it came to an end: by itself, because its time was up, or why not. */
export type Ending = "ended" | "time is up" | { readonly complaint: string };

/** What became of a machine. */
export interface MachineReport {
	readonly machine: Machine;
	readonly traits: Traits | undefined;
	readonly skips: readonly string[];
	readonly results: readonly FileResult[];
	/** Why it did not come to its end; undefined: it did, or its time was up. */
	readonly complaint: string | undefined;
	/** It has no complaint, something was tried, and nothing failed. */
	readonly isGood: boolean;
}

/** Reads what a machine reported before it came to its end. */
export function readReport(machine: Machine, text: string, ending: Ending): MachineReport {
	// What comes after the last line's end was cut off.
	const lines = text.split("\n").slice(0, -1);
	const records = lines.map((line) => JSON.parse(line) as Report);
	const results = records.flatMap((record) => ("result" in record ? [record.result] : []));
	const [traits] = records.flatMap((record) => ("traits" in record ? [record.traits] : []));
	const skips = records.flatMap((record) => ("skips" in record ? record.skips : []));
	const hasEnded = records.some((record) => "end" in record);
	const early = hasEnded || ending === "time is up" ? undefined : "it ended before its time: see its console";
	const why = typeof ending === "object" ? ending.complaint : early;
	const isGood = why === undefined && results.length > 0 && results.every(({ failed }) => failed === 0);
	return { machine, traits, skips, results, complaint: why, isGood };
}

/** A table of files and modes, and below it what failed and why tests are skipped. */
export function show({ machine, traits, skips, results, complaint }: MachineReport, plan: Plan): string {
	const cell = (file: string, mode: Mode) => {
		if (!isMeantFor(mode, file)) return "-";
		const result = results.find((one) => one.file === file && one.mode === mode);
		return result === undefined ? "not reached" : summary(result);
	};
	const rows = plan.files
		.map((file) => [file, ...plan.modes.map((mode) => cell(file, mode))])
		.filter((row) => row.some((text, index) => index > 0 && text !== "not reached" && text !== "-"));
	const missed = plan.files.length - rows.length;
	const failures = results.flatMap(({ file, mode, failures }) =>
		failures.map((name) => `failed: ${mode}: ${file}: ${name}`),
	);
	const system =
		traits === undefined
			? "it told nothing of itself"
			: `Linux ${traits.kernel}, ${traits.libc}, libfuse ${traits.libfuse}, pages of ${traits.pageSize}`;
	return [
		`${machine.name}: ${system}`,
		...table([["file", ...plan.modes], ...rows]),
		...(missed > 0 ? [`not reached: ${missed} of ${plan.files.length} files`] : []),
		...failures,
		...skips,
		...(complaint === undefined ? [] : [`${machine.name}: ${complaint}`]),
	].join("\n");
}

function table(rows: readonly (readonly string[])[]): string[] {
	const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
	return rows.map((row) =>
		row
			.map((text, column) => text.padEnd(widths[column]!))
			.join("  ")
			.trimEnd(),
	);
}
