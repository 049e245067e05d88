/** Runs in the machine: the files of the plan in each mode, one after the other. */

import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Outcome, type Run, runFile } from "../../harness/lanes.ts";
import { projectDirectory } from "../../harness/program.ts";
import { rootRun } from "../../harness/root-run.ts";
import { reasonsToSkip } from "../../harness/setting.ts";
import { rootlessRuns } from "../../rootless/run.ts";
import { type FileResult, isMeantFor, type Mode, type Plan, type Report, type Traits } from "../report.ts";
import { isOnNfs, nfsRun, startNfsServer } from "./nfs.ts";
import { isShared, sharedRun } from "./shared.ts";

const binary = join(projectDirectory, "dist/fuse-overlayfs");
/** Of the machine's own time, which stands while it is not emulated. */
const fileLimitMs = 15 * 60_000;

const port = readdirSync("/dev").find((name) => name.startsWith("vport"));
if (port === undefined) throw new Error("there is no port to report to");

function tell(report: Report): void {
	appendFileSync(`/dev/${port}`, `${JSON.stringify(report)}\n`);
}

function output(...command: readonly string[]): string {
	return Bun.spawnSync([...command], { stderr: "ignore" })
		.stdout.toString()
		.trim();
}

function traits(): Traits {
	const libfuse = /^FUSE library version:? (\S+)/m.exec(output(binary, "--version"))?.[1];
	return {
		kernel: output("uname", "-r"),
		libc: output("getconf", "GNU_LIBC_VERSION"),
		libfuse: libfuse ?? "of unknown version",
		pageSize: Number(output("getconf", "PAGESIZE")),
	};
}

function runIn(mode: Mode, file: string): Run {
	if (mode === "root") return rootRun(mode, [file], binary);
	if (isOnNfs(mode)) return nfsRun(mode, file, binary);
	if (isShared(mode)) return sharedRun(mode, file, binary);
	return rootlessRuns(projectDirectory, { [mode]: binary }, [file])[0]!;
}

/** The demo ends well or not; it is no test file. */
function runDemo(run: Run, file: string): Outcome {
	const scratch = mkdtempSync(join(tmpdir(), "fuse-overlayfs-demo-"));
	try {
		const { starter, environment } = run.enter(scratch, file, 0);
		const { exitCode, stdout, stderr } = Bun.spawnSync([...starter, process.execPath, file], {
			cwd: projectDirectory,
			env: { ...process.env, ...environment },
		});
		const isGood = exitCode === 0;
		return {
			totals: { passed: isGood ? 1 : 0, failed: isGood ? 0 : 1, skipped: 0 },
			complaint: isGood ? undefined : `ended with exit code ${exitCode}`,
			output: `${stdout}${stderr}`,
		};
	} finally {
		rmSync(scratch, { recursive: true, force: true });
	}
}

async function tryFile(file: string, mode: Mode): Promise<FileResult> {
	const start = Date.now();
	const run = runIn(mode, file);
	const isTest = /\.(test|trial)\.ts$/.test(file);
	const outcome = isTest ? await runFile({ run, file, seconds: 0 }, 0, fileLimitMs) : runDemo(run, file);
	if (outcome.complaint !== undefined) console.log(outcome.output.trimEnd());
	const failed = [...outcome.output.matchAll(/^\(fail\) (.*?)(?: \[[\d.]+ms\])?$/gm)].map(
		([, name]) => name!,
	);
	const failures = failed.length === 0 && outcome.complaint ? [outcome.complaint] : failed;
	return { file, mode, ...outcome.totals, failures, seconds: Math.round((Date.now() - start) / 1000) };
}

const plan = JSON.parse(readFileSync("/tmp/plan.json", "utf8")) as Plan;
tell({ traits: traits() });
tell({
	skips: plan.modes.flatMap((mode) => reasonsToSkip(mode).map((reason) => `${mode}: skipped ${reason}`)),
});
if (plan.modes.some(isOnNfs)) startNfsServer();
console.log(JSON.stringify(traits()));
for (const file of plan.files) {
	for (const mode of plan.modes.filter((each) => isMeantFor(each, file))) {
		const result = await tryFile(file, mode);
		tell({ result });
		console.log(
			`${mode}: ${file}: ${result.passed} passed, ${result.failed} failed, ${result.skipped} skipped (${result.seconds} s)`,
		);
	}
}
tell({ end: true });
