/**
 * The run of a benchmark: in each round every workload is run by every peer, one right after the other and in changing
 * order, so that whatever else happens on the machine meets all of them.
 */

import { join } from "node:path";
import manifest from "../package.json" with { type: "json" };
import { projectDirectory } from "../test/harness/program.ts";
import { Caches } from "./caches.ts";
import { Client } from "./client.ts";
import { describeMachine, fileSystemOf } from "./machine.ts";
import { describePeer, type Peer, versionOf } from "./peers.ts";
import type { Placement } from "./placement.ts";
import type { Result, Sample, WorkloadResult } from "./result.ts";
import { type Run, takeSample } from "./sample.ts";
import { Scratch } from "./scratch.ts";
import { TreeStore } from "./tree-store.ts";
import { Session, type User } from "./user.ts";
import { missingPrograms } from "./workloads/index.ts";
import { isOfPodman, Scale, Unavailable, type Workload } from "./workloads/workload.ts";

const OWN_DISK = "/var/tmp";

export interface Settings {
	readonly workloads: readonly Workload[];
	readonly peers: readonly Peer[];
	readonly rounds: number;
	readonly scale: number;
	readonly placement: Placement;
	/** Who mounts. Missing: root. */
	readonly as?: User;
	/** Where workloads on the machine's own disk have their layers. Missing: /var/tmp. */
	readonly ownDisk?: string;
	/** See Place. */
	readonly podmanRoot?: string | undefined;
}

/** What is told while it runs. */
export interface Progress {
	/** Before a sample; `done` of `total` have been taken. */
	begin(round: number, workload: string, peer: string, done: number, total: number): void;
	/** After it: the sample, or why there is none. */
	end(workload: string, peer: string, outcome: Sample | string): void;
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
	// Pages of the program that are not on disk yet would count as memory of the daemon's own.
	await client.run(["settle", scratch.path]);
	const scale = new Scale(settings.scale);
	const caches = await Caches.open(client, signal);
	const { placement, podmanRoot, as = "root" } = settings;
	await using session = await Session.open(as, join(scratch.path, "user"));
	const trees = new TreeStore(scratch, client, scale, session, signal);
	const hasOwn = settings.workloads.some((workload) => "disk" in workload && workload.disk === "own");
	await using own = hasOwn ? new Scratch(settings.ownDisk ?? OWN_DISK) : undefined;
	const kept = new Map<string, Promise<unknown>>();
	const placed = { client: client.placed(placement, session), session, placement, podmanRoot };
	const run: Run = {
		...{ ...placed, scratch, scale, trees, caches, signal, kept },
		...(own && { own: { scratch: own, trees: new TreeStore(own, client, scale, session, signal) } }),
	};
	const skipped = impossible(settings.workloads, as);
	const workloads = settings.workloads.filter(({ name }) => skipped[name] === undefined);
	const results = await takeSamples({ ...settings, workloads }, run, signal, progress, skipped).finally(() =>
		disposeOf(kept.values()),
	);
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
		...(as === "root" ? {} : { as }),
		...(own && { ownDisk: fileSystemOf(own.path) }),
		peers: settings.peers.map((peer) => describePeer(peer, podmanRoot)),
		...(results.some(isOfPodman) ? { podman: versionOf(["podman"], podmanRoot) } : {}),
		workloads: results,
		skipped,
	};
}

/** The workloads that cannot be run here and as this user, each with the reason. */
function impossible(workloads: readonly Workload[], as: User): Record<string, string> {
	return Object.fromEntries(
		workloads.flatMap((workload) => {
			const reason = whyImpossible(workload, as);
			return reason === undefined ? [] : [[workload.name, reason]];
		}),
	);
}

function whyImpossible(workload: Workload, as: User): string | undefined {
	const programs = missingPrograms(workload);
	if (programs.length > 0) return `needs ${programs.join(" and ")}`;
	if (as !== "root" && !("tree" in workload)) return "--as does not apply to it";
	if (as === "fusermount" && workload.mounts === true) return "mounts, which an ordinary user may not";
	return undefined;
}

/** Of what can be, the last one first. */
async function disposeOf(kept: Iterable<Promise<unknown>>): Promise<void> {
	for (const made of (await Promise.allSettled(kept)).reverse()) {
		const value = made.status === "fulfilled" ? made.value : undefined;
		if (value instanceof Object && Symbol.asyncDispose in value)
			await (value as AsyncDisposable)[Symbol.asyncDispose]();
	}
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
	const suit = (workload: Workload, peer: Peer) => !("suits" in workload) || workload.suits?.(peer) !== false;
	const perRound = workloads.flatMap((workload) => peers.filter((peer) => suit(workload, peer)));
	const total = rounds * perRound.length;
	let done = 0;
	for (let round = 0; round < rounds; round++) {
		for (const [index, workload] of workloads.entries()) {
			const result = results[index]!;
			for (const peer of rotated(peers, round + index).filter((peer) => suit(workload, peer))) {
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
