/**
 * Runs test files side by side, each in a process of its own: one that dies, hangs or leaves no report costs its own
 * tests only, and is named. What failed is shown when its file ends; how far all is, every few seconds.
 */
import { chmodSync, closeSync, mkdtempSync, openSync, readFileSync, rmSync, statSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join, normalize } from "node:path";
import { projectDirectory } from "./program.ts";
import { Progress } from "./progress.ts";
import { oneFailure, readReport, sum, type Totals } from "./report.ts";
import { watchdog } from "./watchdog-client.ts";

/** Tests under one set of circumstances. */
export interface Run {
	readonly title: string;
	/** Test files, and directories of such, from the project's directory. */
	readonly paths: readonly string[];
	/**
	 * Where the tests of one file run.
	 * @param scratch an empty directory for this file alone
	 * @param lane a number, from 0, that no other file has which runs at the same time
	 */
	enter(scratch: string, file: string, lane: number): Surroundings;
	/** What is told when it has ended, a line each. */
	readonly remarks?: readonly string[];
}

export interface Surroundings {
	/** The project as the tests see it. */
	readonly project: string;
	readonly environment: Readonly<Record<string, string>>;
	/** What the tests are started by, such as unshare with its options. */
	readonly starter: readonly string[];
	/** Where the tests leave their report, as they see it and as we do. */
	readonly report: readonly [theirs: string, ours: string];
}

/** A test file in a run. */
export interface Task {
	readonly run: Run;
	readonly file: string;
	/** How long it takes, roughly. */
	readonly seconds: number;
}

/** No test takes this long unless something hangs; see watchdog.ts for what then happens. */
const testLimitMs = 60_000;
/** Nor does a file, on a machine slowed four times that has yet to fetch what tests need. */
const usualFileLimitMs = 20 * 60_000;
const mostLanes = 4;
/** These drop the kernel's caches, while others count what the kernel asks for. */
const alone: readonly string[] = ["test/mount/memory.test.ts", "test/soak/soak.test.ts"];
/** Files that take long, in seconds, roughly: they begin first, and the time left is reckoned by them. */
const longFiles: Readonly<Record<string, number>> = {
	"test/conformance/conformance.test.ts": 120,
	"test/clients/same-work.test.ts": 90,
	"test/faults/system-calls.test.ts": 50,
	"test/real-input/root.test.ts": 50,
	"test/overlay/core/move.test.ts": 40,
	"test/fuzz/fuzz.test.ts": 40,
	"test/bench/bench.test.ts": 35,
	"test/clients/containers.test.ts": 30,
	"test/hostile/special-files.test.ts": 25,
	"test/hostile/size.test.ts": 20,
	"test/faults/full-disk.test.ts": 20,
	"test/clients/user-namespaces.test.ts": 20,
	"test/crash/crash.test.ts": 45,
	"test/mount/failover.test.ts": 60,
	"test/mount/failover-load.test.ts": 60,
	"test/mount/failover-steps.test.ts": 60,
	"test/mount/idleness.test.ts": 40,
	"test/mount/few-descriptors.test.ts": 20,
	"test/mount/huge-directory.test.ts": 15,
	"test/mount/seccomp.test.ts": 15,
	"test/mount/nested.test.ts": 15,
	"test/mount/layers.test.ts": 10,
	"test/mount/readdir.test.ts": 10,
	"test/mount/passthrough.test.ts": 10,
	"test/mount/force-mask.test.ts": 10,
	"test/hostile/links.test.ts": 10,
	"test/faults/limits.test.ts": 10,
	"test/overlay/core/kernel.test.ts": 10,
};
const usualSeconds = 2;

/**
 * Runs the files of all runs, those of one run before those of the next, side by side. Returns the totals of each run; a
 * file that could not be started, did not end, or did not tell of any test, counts as a failed test.
 */
export async function runAll(runs: readonly Run[], fileLimitMs = usualFileLimitMs): Promise<Totals[]> {
	const lanes = Math.min(availableParallelism(), mostLanes);
	const tasks = runs.flatMap(tasksOf);
	const results = new Map<Run, Totals[]>(runs.map((run) => [run, []]));
	using progress = new Progress(runs, tasks);
	const work = async (waiting: Task[], lane: number) => {
		for (let task = waiting.shift(); task !== undefined; task = waiting.shift()) {
			progress.begin(task);
			const outcome = await runFile(task, lane, fileLimitMs);
			progress.end(task, outcome);
			results.get(task.run)?.push(outcome.totals);
		}
	};
	const together = tasks.filter(({ file }) => !alone.includes(file));
	await Promise.all(Array.from({ length: lanes }, (_, lane) => work(together, lane)));
	const apart = tasks.filter(({ file }) => alone.includes(file));
	await work(apart, 0);
	return [...results.values()].map(sum);
}

function tasksOf(run: Run): Task[] {
	const files = run.paths.map(normalize).flatMap((path) => {
		if (!statSync(join(projectDirectory, path)).isDirectory()) return [path];
		return [...new Bun.Glob(`${path}/**/*.test.ts`).scanSync({ cwd: projectDirectory })].sort();
	});
	const tasks = files.map((file) => ({ run, file, seconds: longFiles[file] ?? usualSeconds }));
	return tasks.sort((left, right) => right.seconds - left.seconds);
}

/** What became of a file: its totals, and what is to be shown of it. */
export interface Outcome {
	readonly totals: Totals;
	/** Why it failed as a whole; undefined: it did not. */
	readonly complaint?: string | undefined;
	/** What its tests wrote. */
	readonly output: string;
}

/** Runs a file in a process of its own, in the surroundings of its run. */
export async function runFile({ run, file }: Task, lane: number, limitMs: number): Promise<Outcome> {
	const scratch = mkdtempSync(join(tmpdir(), "fuse-overlayfs-run-"));
	watchdog.tell("tree", scratch);
	try {
		chmodSync(scratch, 0o755);
		const { project, environment, starter, report } = run.enter(scratch, file, lane);
		const options = ["--only-failures", "--reporter=junit", `--reporter-outfile=${report[0]}`];
		const bun = join(project, "node_modules/.bin/bun");
		// A file and not a pipe, whose end a daemon that a test left might keep open.
		const output = join(scratch, "output");
		const fd = openSync(output, "w");
		const child = Bun.spawn([...starter, bun, "test", `--timeout=${testLimitMs}`, ...options, `./${file}`], {
			cwd: project,
			env: { ...process.env, ...environment },
			stdio: ["ignore", fd, fd],
		});
		closeSync(fd);
		let isLate = false;
		const impatience = setTimeout(() => {
			isLate = true;
			child.kill("SIGKILL");
		}, limitMs);
		await child.exited;
		clearTimeout(impatience);
		const ending = isLate
			? `did not end within ${limitMs / 60_000} minutes and was killed`
			: complaintOf(child);
		const totals = readReport(report[1], ending === undefined);
		const complaint = ending ?? (totals.failed > 0 ? "tells of no test" : undefined);
		return { totals, complaint, output: readFileSync(output, "utf8") };
	} catch (error) {
		const complaint = error instanceof Error ? error.message : String(error);
		return { totals: oneFailure, complaint, output: "" };
	} finally {
		rmSync(scratch, { recursive: true, force: true });
		watchdog.tell("tree-gone", scratch);
	}
}

function complaintOf({ exitCode, signalCode }: Bun.Subprocess): string | undefined {
	if (signalCode !== null) return `was ended by ${signalCode}`;
	return exitCode === 0 ? undefined : `ended with exit code ${exitCode}`;
}
