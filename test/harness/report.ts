/** What a run of Bun's tests came to, read from its JUnit report. */
import { existsSync, readFileSync } from "node:fs";

export interface Totals {
	readonly passed: number;
	readonly failed: number;
	readonly skipped: number;
}

/** Sums of the report's first element. A report that is missing or tells of no test counts as a failure. */
export function readReport(path: string, wentWell: boolean): Totals {
	const report = existsSync(path) ? readFileSync(path, "utf8") : "";
	const attributes = /<testsuites [^>]*>/.exec(report)?.[0] ?? "";
	const count = (name: string) => Number(new RegExp(` ${name}="(\\d+)"`).exec(attributes)?.[1] ?? 0);
	const failed = count("failures");
	const skipped = count("skipped");
	const passed = count("tests") - failed - skipped;
	return { passed, skipped, failed: wentWell && passed > 0 ? failed : Math.max(failed, 1) };
}

/** `N passed, N failed, N skipped` of all of them together. */
export function summary(all: readonly Totals[]): string {
	const sum = (pick: (totals: Totals) => number) => all.map(pick).reduce((left, right) => left + right, 0);
	const skipped = sum(({ skipped }) => skipped);
	const tail = skipped > 0 ? `, ${skipped} skipped` : "";
	return `${sum(({ passed }) => passed)} passed, ${sum(({ failed }) => failed)} failed${tail}`;
}
