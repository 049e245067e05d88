/**
 * `npm test`: all tests with the program run from source, those that mount once more with the compiled binary, and
 * as an ordinary user. Tests that pass are not told of. The last line sums up all runs:
 * `N passed, N failed, N skipped`.
 */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runRootless } from "../rootless/run.ts";
import { projectDirectory } from "./program.ts";
import { reachableProject } from "./reachable.ts";
import { readReport, summary, type Totals } from "./report.ts";

/** Where tests run the program as a whole. */
const programTests = [
	"./test/mount",
	"./test/hostile",
	"./test/faults",
	"./test/conformance",
	"./test/clients",
	"./test/real-input",
];
/** No test takes this long unless something hangs; see watchdog.ts for what then happens. */
const timeoutMs = 60_000;
/**
 * Each run mounts where nobody else sees it: who copies the machine's table of mounts meanwhile, as containers do,
 * would keep mounts of the tests alive after their unmount.
 */
const ownMounts = ["unshare", "--mount", "--propagation", "private", "--"];

async function runTests(title: string, paths: readonly string[], environment = {}): Promise<Totals> {
	console.log(`\n== ${title}`);
	const scratch = mkdtempSync(join(tmpdir(), "fuse-overlayfs-report-"));
	const report = join(scratch, "report.xml");
	const options = [
		`--timeout=${timeoutMs}`,
		"--only-failures",
		"--reporter=junit",
		`--reporter-outfile=${report}`,
	];
	const child = Bun.spawn([...ownMounts, process.execPath, "test", ...options, ...paths], {
		cwd: projectDirectory,
		env: { ...process.env, ...environment },
		stdio: ["ignore", "inherit", "inherit"],
	});
	const exitCode = await child.exited;
	const totals = readReport(report, exitCode === 0);
	rmSync(scratch, { recursive: true });
	console.log(`${title}: ${summary([totals])}`);
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

/** Where passthrough is the default, opening without a message and the write cache need runs of their own. */
async function runWithoutPassthrough(): Promise<Totals> {
	using project = reachableProject(["package.json", "src", "node_modules"]);
	return await runTests("from source, without passthrough", ["./test/mount"], {
		FUSE_OVERLAYFS_PROGRAM: join(project.path, "src/fuse-overlayfs"),
		FUSE_OVERLAYFS_NO_PASSTHROUGH: "1",
	});
}

const totals = [await runFromSource(), await runWithoutPassthrough()];
if (await build()) {
	totals.push(await runCompiled());
} else {
	totals.push({ passed: 0, failed: 1, skipped: 0 });
}

totals.push(...runRootless());

console.log(`\n${summary(totals)}`);
process.exitCode = totals.some(({ failed }) => failed > 0) ? 1 : 0;
