/**
 * The results that are kept, one for each release: bench/results/VERSION_DATE.json with its picture, and what README.md
 * and docs/performance.md show of the latest. `bun bench/record.ts RESULT.json` keeps what a run wrote by --json; without a file it renders
 * again what is kept.
 */

import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { projectDirectory } from "../test/harness/program.ts";
import { renderChart } from "./chart.ts";
import { renderSummary, renderTables } from "./markdown.ts";
import type { Result } from "./result.ts";

const BEGIN = "<!-- bench: begin, written by bench/record.ts -->";
const END = "<!-- bench: end -->";

/** The pages that show the latest result between the two lines. */
export const pages = [
	{ path: "README.md", toProject: "", render: renderSummary },
	{ path: "docs/performance.md", toProject: "../", render: renderTables },
] as const;
type Page = (typeof pages)[number];

export interface Kept {
	/** Path of the JSON file and its picture in the project, without `.json` and `.svg`. */
	readonly name: string;
	readonly result: Result;
}

/** A result as the text of a file. */
export function serialize(result: Result): string {
	return `${JSON.stringify(result, undefined, "\t")}\n`;
}

/** Keeps a result in place of an earlier one of the same version. Returns the path of its file in the project. */
export function record(result: Result, project: string): string {
	const directory = join(project, "bench/results");
	const picture = renderChart(result);
	mkdirSync(directory, { recursive: true });
	for (const file of readdirSync(directory))
		if (file.startsWith(`${result.version}_`)) rmSync(join(directory, file));
	const name = `bench/results/${result.version}_${result.date.slice(0, 10)}`;
	writeFileSync(join(project, `${name}.json`), serialize(result));
	writeFileSync(join(project, `${name}.svg`), picture);
	showLatest(project);
	return `${name}.json`;
}

/** The one measured last; undefined while there is none. */
export function latest(project: string): Kept | undefined {
	const directory = join(project, "bench/results");
	const kept = readdirSync(directory)
		.filter((file) => file.endsWith(".json"))
		.map((file) => ({
			name: `bench/results/${file.slice(0, -".json".length)}`,
			result: JSON.parse(readFileSync(join(directory, file), "utf8")) as Result,
		}));
	return kept.sort((left, right) => left.result.date.localeCompare(right.result.date)).at(-1);
}

/** The text of a page with what it shows of a result replaced. Throws an Error where it has no place for it. */
export function withSection(page: Page, text: string, kept: Kept | undefined): string {
	const [begin, end] = [text.indexOf(BEGIN), text.indexOf(END)];
	if (begin < 0 || end < begin) throw new Error(`${page.path} lacks the lines ${BEGIN} and ${END}`);
	const section =
		kept === undefined
			? "Nothing has been measured yet."
			: page.render(kept.result, `${page.toProject}${kept.name}.svg`);
	return `${text.slice(0, begin)}${BEGIN}\n\n${section}\n\n${text.slice(end)}`;
}

function showLatest(project: string): void {
	for (const page of pages) {
		const path = join(project, page.path);
		writeFileSync(path, withSection(page, readFileSync(path, "utf8"), latest(project)));
	}
}

if (import.meta.main) {
	const [file] = process.argv.slice(2);
	const result = file === undefined ? latest(projectDirectory)?.result : await Bun.file(file).json();
	if (result === undefined) showLatest(projectDirectory);
	else console.log(record(result, projectDirectory));
}
