/**
 * The run of a benchmark: in each round every workload is run by every peer, one right after the other and in changing
 * order, so that whatever else happens on the machine meets all of them.
 */

import { join } from "node:path";
import manifest from "../package.json" with { type: "json" };
import { projectDirectory } from "../test/harness/program.ts";
import { Caches } from "./caches.ts";
import { Client, runStep } from "./client.ts";
import { describeMachine } from "./machine.ts";
import { describePeer, type Peer } from "./peers.ts";
import type { Placement } from "./placement.ts";
import type { Result, Sample, WorkloadResult } from "./result.ts";
import type { Scratch } from "./scratch.ts";
import { Stand } from "./stand.ts";
import { missingPrograms } from "./workloads/index.ts";
import { Scale, type Stage, type Tree, Unavailable, type Workload } from "./workloads/workload.ts";

/** No workload takes this long unless a file system hangs; its daemon is then killed. */
const PATIENCE_MS = 15 * 60_000;

export interface Settings {
	readonly workloads: readonly Workload[];
	readonly peers: readonly Peer[];
	readonly rounds: number;
	readonly scale: number;
	readonly placement: Placement;
}

/** What is told while it runs. */
export interface Progress {
	/** Before a sample; `done` of `total` have been taken. */
	begin(round: number, workload: string, peer: string, done: number, total: number): void;
	/** After it: the sample, or why there is none. */
	end(workload: string, peer: string, outcome: Sample | string): void;
}

/** What a run keeps from its begin to its end. */
interface Run {
	readonly scratch: Scratch;
	/** Does what is measured. */
	readonly client: Client;
	readonly placement: Placement;
	readonly scale: Scale;
	readonly trees: TreeStore;
	readonly caches: Caches;
}

/** Runs it within `scratch`. What fails is recorded and the rest goes on; throws only when `signal` ends it. */
export async function runBenchmark(
	settings: Settings,
	scratch: Scratch,
	signal: AbortSignal,
	progress: Progress,
): Promise<Result> {
	const date = new Date().toISOString();
	const machine = describeMachine(scratch.path);
	const client = await Client.compile(scratch.path, signal);
	const scale = new Scale(settings.scale);
	const caches = await Caches.open(client, signal);
	const trees = new TreeStore(scratch, client, scale, signal);
	const { placement } = settings;
	const run: Run = { scratch, client: client.placed(placement), placement, scale, trees, caches };
	const skipped = missing(settings.workloads);
	const workloads = settings.workloads.filter(({ name }) => skipped[name] === undefined);
	const results = await takeSamples({ ...settings, workloads }, run, signal, progress, skipped);
	return {
		date,
		version: manifest.version,
		commit: sourceCommit(),
		machine,
		dropsCaches: caches.canDrop,
		dropsByOthers: caches.droppedByOthers,
		rounds: settings.rounds,
		scale: settings.scale,
		placement,
		peers: settings.peers.map(describePeer),
		workloads: results,
		skipped,
	};
}

/** The workloads that this machine lacks programs for, each with which. */
function missing(workloads: readonly Workload[]): Record<string, string> {
	const needs = workloads.map((workload) => [workload.name, missingPrograms(workload)] as const);
	return Object.fromEntries(
		needs
			.filter(([, programs]) => programs.length > 0)
			.map(([name, programs]) => [name, `needs ${programs.join(" and ")}`]),
	);
}

/** Adds to `skipped` what turns out to be impossible here. */
async function takeSamples(
	{ workloads, peers, rounds }: Settings,
	run: Run,
	signal: AbortSignal,
	progress: Progress,
	skipped: Record<string, string>,
): Promise<WorkloadResult[]> {
	const results = workloads.map((workload) => ({
		name: workload.name,
		group: workload.group,
		what: workload.what,
		operations: workload.operations(run.scale),
		...(workload.bytes === undefined ? {} : { bytes: workload.bytes(run.scale) }),
		samples: Object.fromEntries(peers.map((peer) => [peer.name, [] as Sample[]])),
		failures: {} as Record<string, string>,
	}));
	const total = rounds * workloads.length * peers.length;
	let done = 0;
	for (let round = 0; round < rounds; round++) {
		for (const [index, workload] of workloads.entries()) {
			const result = results[index]!;
			for (const peer of rotated(peers, round + index)) {
				done++;
				// What failed once would only take time again.
				if (result.failures[peer.name] !== undefined || skipped[workload.name] !== undefined) continue;
				progress.begin(round, workload.name, peer.name, done - 1, total);
				try {
					const sample = await takeSample(workload, peer, run);
					result.samples[peer.name]!.push(sample);
					progress.end(workload.name, peer.name, sample);
				} catch (error) {
					signal.throwIfAborted();
					const reason = error instanceof Error ? error.message : String(error);
					if (error instanceof Unavailable) skipped[workload.name] = reason;
					else result.failures[peer.name] = reason;
					progress.end(workload.name, peer.name, reason);
				}
			}
		}
	}
	return results.filter(({ name }) => skipped[name] === undefined);
}

async function takeSample(workload: Workload, peer: Peer, run: Run): Promise<Sample> {
	const { client, scratch, scale } = run;
	const tree = await run.trees.get(workload.tree);
	await run.caches.prepare(workload.cache, tree, scratch.path);
	await using stand = await Stand.open(scratch, client, peer, tree, workload.tree.layers);
	const impatience = setTimeout(() => stand.kill(), PATIENCE_MS);
	try {
		const stage: Stage = { merged: stand.merged, tree, scale };
		for (const command of workload.prepare?.(stage) ?? []) await client.run(command);
		const timing = workload.run === "mount" ? stand.ready : await stand.measure(workload.run(stage));
		const memory = stand.memory();
		const seen: Sample = {
			milliseconds: timing.elapsed,
			placement: run.placement,
			...(timing.latency === undefined ? {} : { latency: timing.latency }),
			...(workload.run === "mount" || memory !== undefined
				? { processorMilliseconds: timing.processor }
				: {}),
		};
		if (memory === undefined) return seen;
		const sample: Sample = {
			...seen,
			ownBytes: memory.own,
			sharedBytes: memory.shared,
		};
		if (workload.dropsAfterwards !== true || !run.caches.canDrop) return sample;
		await run.caches.drop();
		await stand.quiet();
		return { ...sample, ownBytesAfterDrop: stand.memory()!.own };
	} finally {
		clearTimeout(impatience);
	}
}

/** The lower layers on disk, each tree built when it is first asked for. */
class TreeStore {
	private readonly scratch: Scratch;
	private readonly client: Client;
	private readonly scale: Scale;
	private readonly signal: AbortSignal;
	/** A tree that could not be built fails each time it is asked for. */
	private readonly built = new Map<Tree, Promise<string>>();

	constructor(scratch: Scratch, client: Client, scale: Scale, signal: AbortSignal) {
		this.scratch = scratch;
		this.client = client;
		this.scale = scale;
		this.signal = signal;
	}

	/** The tree's directory, the layers in it being 0 (the topmost), 1, ... */
	get(tree: Tree): Promise<string> {
		const found = this.built.get(tree);
		if (found !== undefined) return found;
		const building = this.build(tree);
		this.built.set(tree, building);
		return building;
	}

	private async build(tree: Tree): Promise<string> {
		const directory = this.scratch.directory("trees", tree.name);
		const log = join(this.scratch.path, "build-tree.log");
		for (let layer = 0; layer < tree.layers; layer++)
			this.scratch.directory("trees", tree.name, String(layer));
		await tree.build({
			directory,
			layer: (index) => join(directory, String(index)),
			scale: this.scale,
			client: this.client,
			execute: async (...command) => {
				await runStep(command, log, this.signal, { cwd: directory });
			},
		});
		return directory;
	}
}

function rotated<Item>(items: readonly Item[], by: number): Item[] {
	const start = by % items.length;
	return [...items.slice(start), ...items.slice(0, start)];
}

/** Of the source tree this runs from; undefined outside a repository. */
function sourceCommit(): string | undefined {
	const { exitCode, stdout } = Bun.spawnSync(["git", "rev-parse", "--short", "HEAD"], {
		cwd: projectDirectory,
		stderr: "ignore",
	});
	return exitCode === 0 ? stdout.toString().trim() : undefined;
}
