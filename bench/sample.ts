/** One sample: a workload run once by a peer. */

import { join } from "node:path";
import type { Caches } from "./caches.ts";
import { type Client, runStep, type Timing } from "./client.ts";
import type { Peer } from "./peers.ts";
import type { Placement } from "./placement.ts";
import type { Sample } from "./result.ts";
import type { Scratch } from "./scratch.ts";
import { SlowLayers } from "./slow-layers.ts";
import { Stand } from "./stand.ts";
import type { TreeStore } from "./tree-store.ts";
import type { Session } from "./user.ts";
import {
	type DirectWorkload,
	IDLE_SECONDS,
	type MountedWorkload,
	type Scale,
	type Stage,
	type Workload,
} from "./workloads/workload.ts";

/** No workload takes this long unless a file system hangs; its daemon is then killed. */
const PATIENCE_MS = 15 * 60_000;

/** What a benchmark keeps from its begin to its end. */
export interface Run {
	readonly scratch: Scratch;
	/** Does what is measured. */
	readonly client: Client;
	/** As whose user the client works. */
	readonly session: Session;
	readonly placement: Placement;
	readonly podmanRoot: string | undefined;
	readonly scale: Scale;
	readonly trees: TreeStore;
	/** Scratch and trees on the machine's own disk; missing where no workload asks for it. */
	readonly own?: { readonly scratch: Scratch; readonly trees: TreeStore };
	readonly caches: Caches;
	readonly signal: AbortSignal;
	/** What workloads keep, by its name; see Place. */
	readonly kept: Map<string, Promise<unknown>>;
}

/** Throws StepFailed, or Unavailable. */
export function takeSample(workload: Workload, peer: Peer, run: Run): Promise<Sample> {
	return "tree" in workload ? takeMounted(workload, peer, run) : takeDirect(workload, peer, run);
}

async function takeDirect(workload: DirectWorkload, peer: Peer, run: Run): Promise<Sample> {
	const directory = run.scratch.directory("kept");
	const timing = await workload.measure({
		peer,
		directory,
		scratch: run.scratch.path,
		placement: run.placement,
		podmanRoot: run.podmanRoot,
		scale: run.scale,
		client: run.client,
		execute(command, environment = {}) {
			const log = join(run.scratch.path, "direct.log");
			return runStep(command, log, run.signal, { cwd: directory, environment });
		},
		keep<Kept>(name: string, make: () => Promise<Kept>) {
			const found = run.kept.get(name) ?? make();
			run.kept.set(name, found);
			return found as Promise<Kept>;
		},
	});
	const { memory } = timing;
	return {
		...sampleOf(timing, run),
		processorMilliseconds: timing.processor,
		...(memory && { ownBytes: memory.own, sharedBytes: memory.shared }),
	};
}

function sampleOf({ elapsed, latency }: Timing, { placement }: Run): Sample {
	return { milliseconds: elapsed, placement, ...(latency === undefined ? {} : { latency }) };
}

async function takeMounted(workload: MountedWorkload, peer: Peer, run: Run): Promise<Sample> {
	const { client, scale, session } = run;
	const { scratch, trees } = workload.disk === "own" ? run.own! : run;
	const tree = await trees.get(workload.tree);
	await run.caches.prepare(workload.cache, tree, scratch.path);
	const { layers } = workload.tree;
	await using slow =
		workload.delay === undefined ? undefined : SlowLayers.open(scratch, tree, layers, workload.delay);
	await using stand = await Stand.open(scratch, client, session, peer, slow?.path ?? tree, layers);
	const impatience = setTimeout(() => stand.kill(), PATIENCE_MS);
	try {
		const stage: Stage = { merged: stand.merged, tree, scale };
		for (const command of workload.prepare?.(stage) ?? []) await client.run(command);
		const timing = workload.run === "mount" ? stand.ready : await stand.measure(workload.run(stage));
		const memory = stand.memory();
		const seen: Sample = {
			...sampleOf(timing, run),
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
		if (workload.restsAfterwards !== true) return sample;
		await Bun.sleep(scale.count(IDLE_SECONDS) * 1000);
		const rested = { ...sample, ownBytesAfterIdling: stand.memory()!.own };
		if (!run.caches.canDrop) return rested;
		await run.caches.drop();
		await stand.quiet();
		return { ...rested, ownBytesAfterDrop: stand.memory()!.own };
	} finally {
		clearTimeout(impatience);
	}
}
