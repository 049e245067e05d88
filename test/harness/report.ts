/** What tests came to, read from the JUnit reports that Bun writes. */
import { existsSync, readFileSync } from "node:fs";

export interface Totals {
	readonly passed: number;
	readonly failed: number;
	readonly skipped: number;
}

export const noTests: Totals = { passed: 0, failed: 0, skipped: 0 };
export const oneFailure: Totals = { ...noTests, failed: 1 };

/** Sums of the report's first element. A report that is missing or tells of no test counts as a failure. */
export function readReport(path: string, wentWell: boolean): Totals {
	const report = existsSync(path) ? readFileSync(path, "utf8") : "";
	const attributes = /<testsuites [^>]*>/.exec(report)?.[0] ?? "";
	const count = (name: string) => Number(new RegExp(` ${name}="(\\d+)"`).exec(attributes)?.[1] ?? 0);
	const [tests, failed, skipped] = [count("tests"), count("failures"), count("skipped")];
	const isFailure = !wentWell || tests === 0;
	return { passed: tests - failed - skipped, skipped, failed: isFailure ? Math.max(failed, 1) : failed };
}

export function sum(all: readonly Totals[]): Totals {
	const of = (pick: (totals: Totals) => number) => all.map(pick).reduce((left, right) => left + right, 0);
	return {
		passed: of(({ passed }) => passed),
		failed: of(({ failed }) => failed),
		skipped: of(({ skipped }) => skipped),
	};
}

/** `N passed, N failed, N skipped`. */
export function summary({ passed, failed, skipped }: Totals): string {
	return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`;
}

/** The last line of all, and the exit code that goes with it. */
export function conclude(all: readonly Totals[]): void {
	const totals = sum(all);
	console.log(`\n${summary(totals)}`);
	process.exitCode = totals.failed > 0 ? 1 : 0;
}
