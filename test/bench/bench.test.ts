/** The benchmark works: every workload once, at a small scale, by the program under test. Its figures are no matter. */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { type Progress, runBenchmark, type Settings } from "../../bench/bench.ts";
import { Client, runStep } from "../../bench/client.ts";
import { daemonsOf, programsBelow } from "../../bench/daemon.ts";
import { type Peer, parsePeer } from "../../bench/peers.ts";
import { type Placement, parsePlacement } from "../../bench/placement.ts";
import { renderReport } from "../../bench/report.ts";
import { meanRatio, type Result, ratio, type Sample, type WorkloadResult } from "../../bench/result.ts";
import { Scratch } from "../../bench/scratch.ts";
import { geometricMean, median, spread } from "../../bench/statistics.ts";
import { chooseWorkloads, missingPrograms, workloads } from "../../bench/workloads/index.ts";
import { Unavailable, type Workload } from "../../bench/workloads/workload.ts";
import { mountTable } from "../harness/mount-table.ts";
import { programIn, reachableProject } from "../harness/reachable.ts";

const project = reachableProject();
afterAll(() => project[Symbol.dispose]());
const ours: Peer = { name: "ours", command: [programIn(project.path)] };
const silent: Progress = { begin() {}, end() {} };
const never = new AbortController().signal;
const scale = 0.002;
const placement: Placement = "free";

function run(names: readonly string[], scratch: Scratch, peers = [ours], signal = never): Promise<Result> {
	const settings = {
		workloads: chooseWorkloads(names),
		peers,
		rounds: 1,
		scale,
		placement,
		ownDisk: tmpdir(),
	};
	return runBenchmark(settings, scratch, signal, silent);
}

/** podman's others take as long at any scale; what they share is tried by these. */
const tried = workloads.filter(({ group, name }) => !group.startsWith("podman") || name.endsWith("_run"));

describe("workloads", () => {
	// One run for all: trees are built once, as in a real one.
	let all: Result;
	beforeAll(async () => {
		await using scratch = new Scratch(tmpdir());
		all = await run(
			tried.map((workload) => workload.name),
			scratch,
		);
		// The Debian tree of apt_install may have to be fetched first.
	}, 20 * 60_000);

	for (const workload of tried) {
		test.skipIf(missingPrograms(workload).length > 0)(workload.name, () => {
			expect(all.skipped[workload.name]).toBeUndefined();
			const result = all.workloads.find(({ name }) => name === workload.name)!;
			expect(result.failures).toEqual({});
			const [sample] = result.samples.ours!;
			expect(sample!.milliseconds).toBeGreaterThan(0);
			expect(sample!.processorMilliseconds).toBeGreaterThanOrEqual(0);
			if ("tree" in workload) expect(sample!.ownBytes).toBeGreaterThan(0);
			if (sample!.latency !== undefined) {
				const { p50, p99, max } = sample!.latency;
				expect([p50, p99, max]).toEqual([p50, p99, max].sort((left, right) => left - right));
				expect(p50).toBeGreaterThan(0);
			}
			expect(renderReport(all, (text) => text)).toContain(workload.name);
		});
	}

	test("our start is compared with that of two empty programs", () => {
		expect(renderReport(all, (text) => text)).toMatch(
			/^Start: ours\/two empty programs of Bun: time [\d.]+, processor time [\d.]+$/m,
		);
	});

	test("those that time answers to others do, and only they", () => {
		const timed = all.workloads.filter(({ samples }) => samples.ours?.[0]?.latency !== undefined);
		expect(timed.map(({ name }) => name)).toEqual([
			"readdir_million_latency",
			"copyup_latency",
			"slow_2ms_others",
			"slow_20ms_others",
		]);
	});

	test("are told apart by name", () => {
		expect(new Set(workloads.map((workload) => workload.name)).size).toBe(workloads.length);
	});

	test("are chosen by name and group; the slow ones by name only", () => {
		expect(chooseWorkloads(["find_cold", "untar"]).map((workload) => workload.name)).toEqual([
			"find_cold",
			"untar",
		]);
		expect(chooseWorkloads(["scale"]).some((workload) => workload.name === "million_files")).toBe(false);
		expect(chooseWorkloads([]).some((workload) => workload.name === "million_files")).toBe(false);
		expect(() => chooseWorkloads(["find_cold", "nonsense"])).toThrow("nonsense");
	});
});

describe("what goes wrong", () => {
	test("a program that does not mount is recorded, and the others go on", async () => {
		await using scratch = new Scratch(tmpdir());
		const broken: Peer = { name: "broken", command: ["sh", "-c", "echo no such luck >&2; exit 1"] };
		const result = await run(["stat_missing"], scratch, [broken, ours]);
		expect(result.workloads[0]!.failures.broken).toContain("no such luck");
		expect(result.workloads[0]!.samples.ours).toHaveLength(1);
		expect(renderReport(result, (text) => text)).toContain("no such luck");
	});

	test("is told without what was told of an earlier step", async () => {
		await using scratch = new Scratch(tmpdir());
		const fail = (text: string) =>
			runStep(["sh", "-c", `echo ${text} >&2; exit 1`], join(scratch.path, "log"), never);
		await fail("a long complaint").catch(() => {});
		expect(await fail("no").catch((error) => error.message)).toBe("no");
	});

	test("what cannot be built on a machine is left out, and said to be", async () => {
		await using scratch = new Scratch(tmpdir());
		const [possible] = chooseWorkloads(["stat_missing"]);
		const build = () => Promise.reject(new Unavailable("there is no mirror"));
		const impossible = { ...possible!, name: "impossible", tree: { name: "impossible", layers: 1, build } };
		const settings = { workloads: [impossible, possible!], peers: [ours], rounds: 2, scale, placement };
		const result = await runBenchmark(settings, scratch, never, silent);
		expect(result.workloads.map(({ name, failures }) => [name, failures])).toEqual([["stat_missing", {}]]);
		expect(result.skipped).toEqual({ impossible: "there is no mirror" });
		expect(renderReport(result, (text) => text)).toContain("impossible: left out, there is no mirror");
	});

	for (const workload of chooseWorkloads(["readdir_big", "podman_run"])) {
		test.skipIf(missingPrograms(workload).length > 0)(
			`an interruption of ${workload.name} leaves no mount, no daemon and no file`,
			() => interrupt(workload),
			// podman imports an image first.
			60_000,
		);
	}
});

/** In its second round. */
async function interrupt(workload: Workload): Promise<void> {
	const interruption = new AbortController();
	const scratch = new Scratch(tmpdir());
	const progress: Progress = {
		...silent,
		begin(round) {
			if (round === 1) setTimeout(() => interruption.abort(), 50);
		},
	};
	const settings: Settings = {
		workloads: [workload],
		peers: [ours],
		rounds: 100,
		scale,
		placement: "together",
	};
	const running = runBenchmark(settings, scratch, interruption.signal, progress);
	expect(running).rejects.toThrow("abort");
	await running.catch(() => {});
	await scratch[Symbol.asyncDispose]();
	expect(mountTable().filter(({ path }) => path.startsWith(scratch.path))).toEqual([]);
	expect(daemonsOf(scratch.path)).toEqual([]);
	expect(programsBelow(scratch.path)).toEqual([]);
	expect(existsSync(scratch.path)).toBe(false);
}

describe("processor time", () => {
	/** A process that computes, and appends to the file `told` what it has then taken itself. */
	const computing = "sh -c 'i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; times >>told'";

	test.each([
		["run", "children", computing],
		["run", "orphans", `setsid ${computing} & exit 0`],
		["ready", "stages that have ended", `${computing}; ${computing}`],
		// The mount of a program that has gone to the background answers.
		["ready", "what goes on in the background", `${computing}; setsid sleep 1 >&2 &`],
	] as const)("%s: of all that it starts: %s", async (as, _, script) => {
		await using scratch = new Scratch(tmpdir());
		const client = await Client.compile(scratch.path, never);
		const command = [as, scratch.path, "sh", "-c", `cd ${scratch.path} && ${script}`];
		const { processor } = await client.run(command, { watched: "all" });
		const told = readFileSync(join(scratch.path, "told"), "utf8").matchAll(/(\d+)m([\d.]+)s/g);
		const seconds = [...told].map(([, minutes, rest]) => Number(minutes) * 60 + Number(rest));
		expect(seconds.length).toBeGreaterThan(0);
		expect(processor / 1000).toBeGreaterThanOrEqual(seconds.reduce((sum, value) => sum + value));
	});
});

describe("--placement", () => {
	const severalProcessors = availableParallelism() > 1;
	/** Writes to the file $0 where it may run, and what its starter has started. */
	const look = `grep Cpus_allowed_list /proc/self/status >"$0"; cat /proc/$PPID/task/$PPID/children >>"$0"`;

	/** What is written by `look`, as the caller or as a program that mounts: processors, number of processes. */
	async function seen(placement: Placement, as: "caller" | "daemon"): Promise<[string, number]> {
		await using scratch = new Scratch(tmpdir());
		const client = (await Client.compile(scratch.path, never)).placed(placement);
		const file = join(scratch.path, "seen");
		await client.run([as === "caller" ? "run" : "ready", scratch.path, "sh", "-c", look, file]);
		const [processors = "", children = ""] = readFileSync(file, "utf8").trim().split("\n");
		return [processors.split(/\s+/)[1]!, children.trim().split(" ").length];
	}

	test("free: caller and daemon run anywhere, with nobody beside them", async () => {
		const [caller, daemon] = [await seen("free", "caller"), await seen("free", "daemon")];
		expect(caller).toEqual(daemon);
		expect(caller[1]).toBe(1);
		if (severalProcessors) expect(caller[0]).not.toMatch(/^\d+$/);
	});

	test("together: on one processor, with a process for each of the others", async () => {
		const [caller, daemon] = [await seen("together", "caller"), await seen("together", "daemon")];
		expect(caller).toEqual(daemon);
		expect(caller[0]).toMatch(/^\d+$/);
		expect(caller[1]).toBe(availableParallelism());
	});

	test.if(severalProcessors)("apart: on two processors, with nobody beside them", async () => {
		const [caller, daemon] = [await seen("apart", "caller"), await seen("apart", "daemon")];
		expect(caller[0]).toMatch(/^\d+$/);
		expect(daemon[0]).toMatch(/^\d+$/);
		expect(caller[0]).not.toBe(daemon[0]);
		expect([caller[1], daemon[1]]).toEqual([1, 1]);
	});

	test("is said of each sample and of the run", async () => {
		await using scratch = new Scratch(tmpdir());
		const settings: Settings = {
			workloads: chooseWorkloads(["mount_ready", "find_4"]),
			peers: [ours],
			rounds: 1,
			scale,
			placement: "together",
		};
		const result = await runBenchmark(settings, scratch, never, silent);
		expect(result.placement).toBe("together");
		for (const { samples, failures } of result.workloads) {
			expect(failures).toEqual({});
			expect(samples.ours!.map(({ placement }) => placement)).toEqual(["together"]);
		}
		expect(renderReport(result, (text) => text)).toContain("Placement together: caller and daemon on one");
	});

	test("others are refused", () => {
		expect(() => parsePlacement("beside")).toThrow("free, together, apart");
	});
});

describe("figures", () => {
	test("median, spread, geometric mean", () => {
		expect(median([3, 1, 2])).toBe(2);
		expect(median([4, 1, 2, 3])).toBe(2.5);
		expect(spread([90, 100, 120])).toBeCloseTo(0.15);
		expect(geometricMean([1, 4])).toBeCloseTo(2);
	});

	const sample = (milliseconds: number): Sample => ({ milliseconds });
	const results = (...pairs: [number[], number[]][]): WorkloadResult[] =>
		pairs.map(([kernel, ours], index) => ({
			name: String(index),
			group: "baseline",
			what: "",
			operations: 1,
			samples: { kernel: kernel.map(sample), ours: ours.map(sample) },
			failures: {},
		}));

	test("ratios are those of medians; what has no figures does not count", () => {
		const all = results(
			[
				[1, 2, 3],
				[8, 4, 6],
			],
			[[1], []],
			[[2], [24]],
		);
		expect(ratio(all[0]!, "ours", "kernel")).toBe(3);
		expect(ratio(all[1]!, "ours", "kernel")).toBeUndefined();
		expect(meanRatio(all, "ours", "kernel")).toBeCloseTo(6);
		expect(meanRatio([], "ours", "kernel")).toBeUndefined();
	});
});

describe("--peer", () => {
	test("names a program, with arguments", () => {
		expect(parsePeer("shell=/bin/sh -o x=y")).toEqual({ name: "shell", command: ["/bin/sh", "-o", "x=y"] });
		expect(parsePeer("shell=sh").command).toEqual([Bun.which("sh")!]);
	});

	test.each(["shell", "=sh", "shell=", "shell=/no/such/program"])("%s is refused", (text) => {
		expect(() => parsePeer(text)).toThrow("--peer");
	});
});
