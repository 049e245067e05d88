import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { knownDefects } from "./known-defects.ts";
import { cellsOf } from "./statement.ts";
import { subjects } from "./subjects.ts";

const statements = new Set(cellsOf(subjects).map(({ key }) => key));

/** Whether a file has a test, or a case of one, of this title that is not always skipped. */
function hasTest(path: string, title: string): boolean {
	const source = readFileSync(join(import.meta.dir, "..", path), "utf8");
	const at = ['"', "`"].map((quote) => source.indexOf(quote + title + quote)).find((index) => index >= 0);
	return at !== undefined && !/\b(skip|todo)\(\s*$/.test(source.slice(0, at));
}

test.each(Object.entries(knownDefects))("held: %s", (_, held) => {
	const missing = [
		...(held.statements ?? []).filter((statement) => !statements.has(statement)),
		...Object.entries(held.tests ?? {}).flatMap(([path, titles]) =>
			titles.filter((title) => !hasTest(path, title)).map((title) => `${path}: ${title}`),
		),
	];
	expect(missing).toEqual([]);
	expect(Object.keys(held)).not.toEqual([]);
});
