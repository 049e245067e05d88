/**
 * `npm test`: all tests with the program run from source, then those that mount once more with the compiled
 * binary. The last line sums up both runs: `N passed, N failed, N skipped`.
 */

import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { projectDirectory } from "./program.ts";
import { reachableProject } from "./reachable.ts";

/** Where tests run the program as a whole. */
const programTests = ["./test/mount", "./test/conformance", "./test/clients", "./test/real-input"];
/** No test takes this long unless something hangs; see watchdog.ts for what then happens. */
const timeoutMs = 60_000;

interface Totals {
	readonly passed: number;
	readonly failed: number;
	readonly skipped: number;
}

/** Sums of the report's first element. A report that is missing or tells of no test counts as a failure. */
function readReport(path: string, exitCode: number): Totals {
	const report = existsSync(path) ? readFileSync(path, "utf8") : "";
	const attributes = /<testsuites [^>]*>/.exec(report)?.[0] ?? "";
	const count = (name: string) => Number(new RegExp(` ${name}="(\\d+)"`).exec(attributes)?.[1] ?? 0);
	const failed = count("failures");
	const skipped = count("skipped");
	const passed = count("tests") - failed - skipped;
	const wentWell = exitCode === 0 && passed > 0;
	return { passed, skipped, failed: wentWell ? failed : Math.max(failed, 1) };
}

async function runTests(title: string, paths: readonly string[], environment = {}): Promise<Totals> {
	console.log(`\n== ${title}`);
	const scratch = mkdtempSync(join(tmpdir(), "fuse-overlayfs-report-"));
	const report = join(scratch, "report.xml");
	const options = [`--timeout=${timeoutMs}`, "--reporter=junit", `--reporter-outfile=${report}`];
	const child = Bun.spawn([process.execPath, "test", ...options, ...paths], {
		cwd: projectDirectory,
		env: { ...process.env, ...environment },
		stdio: ["ignore", "inherit", "inherit"],
	});
	const exitCode = await child.exited;
	const totals = readReport(report, exitCode);
	rmSync(scratch, { recursive: true });
	return totals;
}

async function build(): Promise<boolean> {
	console.log("\n== building the binary");
	const child = Bun.spawn([process.execPath, "run", "build"], {
		cwd: projectDirectory,
		stdio: ["ignore", "inherit", "inherit"],
	});
	return (await child.exited) === 0;
}

async function runFromSource(): Promise<Totals> {
	using project = reachableProject(["package.json", "src", "node_modules"]);
	return await runTests("from source", ["./test"], {
		FUSE_OVERLAYFS_PROGRAM: join(project.path, "src/fuse-overlayfs"),
	});
}

async function runCompiled(): Promise<Totals> {
	using project = reachableProject(["dist"]);
	return await runTests("the compiled binary", programTests, {
		FUSE_OVERLAYFS_PROGRAM: join(project.path, "dist/fuse-overlayfs"),
	});
}

const totals = [await runFromSource()];
if (await build()) {
	totals.push(await runCompiled());
} else {
	totals.push({ passed: 0, failed: 1, skipped: 0 });
}

const sum = (pick: (totals: Totals) => number) => totals.map(pick).reduce((left, right) => left + right, 0);
const skipped = sum((total) => total.skipped);
const failed = sum((total) => total.failed);
const tail = skipped > 0 ? `, ${skipped} skipped` : "";
console.log(`\n${sum((total) => total.passed)} passed, ${failed} failed${tail}`);
process.exitCode = failed > 0 ? 1 : 0;
