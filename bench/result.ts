/** What a benchmark finds out: the form of its JSON files, and the figures reckoned from it. */

import type { Latency } from "./client.ts";
import type { Machine } from "./machine.ts";
import type { PeerDescription } from "./peers.ts";
import type { Placement } from "./placement.ts";
import { geometricMean, median } from "./statistics.ts";
import type { User } from "./user.ts";
import type { Group } from "./workloads/workload.ts";

/** The workload of starting, and what it takes at least. */
export const START = "mount_ready";
export const START_FLOOR = "start_floor";

/** One workload run once by one peer. */
export interface Sample {
	readonly milliseconds: number;
	/** Where it ran. Missing: `free`. */
	readonly placement?: Placement;
	/** Of single answers meanwhile, in workloads that look at them. */
	readonly latency?: Latency;
	/**
	 * Processor time of the daemon, user and system, all threads; kernel overlayfs has none. Of a start: of all that the program
	 * that mounts has started, stages and children that have ended included, until the first answer.
	 */
	readonly processorMilliseconds?: number;
	/** Of the daemon at the end of the workload, see Memory in daemon.ts. */
	readonly ownBytes?: number;
	readonly sharedBytes?: number;
	/** Its own, after the mount was left alone for a minute; where the workload asks for it. */
	readonly ownBytesAfterIdling?: number;
	/** The same, after the kernel was then told to drop its caches. */
	readonly ownBytesAfterDrop?: number;
}

export interface WorkloadResult {
	readonly name: string;
	readonly group: Group;
	readonly what: string;
	readonly operations: number;
	/** Of file contents that are moved, where that is what the workload is about. */
	readonly bytes?: number;
	/** Per peer, one per round. */
	readonly samples: Readonly<Record<string, readonly Sample[]>>;
	/** Why a peer has no samples. */
	readonly failures: Readonly<Record<string, string>>;
}

export interface Result {
	readonly date: string;
	/** Of our program. */
	readonly version: string;
	readonly commit: string | undefined;
	readonly machine: Machine;
	/** False: the machine did not let us, and `cold` workloads began with names and inodes in memory. */
	readonly dropsCaches: boolean;
	/** How often another program emptied the kernel's caches meanwhile: where it did, the figures are no good. */
	readonly dropsByOthers: number;
	readonly rounds: number;
	readonly scale: number;
	/** Where all samples ran. Missing: `free`. */
	readonly placement?: Placement;
	/** Who mounted. Missing: root. */
	readonly as?: User;
	/** What workloads on the machine's own file system had their layers on. */
	readonly ownDisk?: string;
	readonly peers: readonly PeerDescription[];
	/** Which podman its workloads were measured with. */
	readonly podman?: string;
	readonly workloads: readonly WorkloadResult[];
	/** Left out, and why. */
	readonly skipped: Readonly<Record<string, string>>;
}

export function times(workload: WorkloadResult, peer: string): number[] {
	return (workload.samples[peer] ?? []).map((sample) => sample.milliseconds);
}

/** How many times as long as `reference` the peer takes; undefined where one of them has no figures. */
export function ratio(workload: WorkloadResult, peer: string, reference: string): number | undefined {
	const [own, other] = [times(workload, peer), times(workload, reference)];
	return own.length === 0 || other.length === 0 ? undefined : median(own) / median(other);
}

/**
 * How many times as long as two empty programs our start takes, and how many times the processor time; undefined where one
 * of them has no figures.
 */
export function startRatios({ workloads }: Result): { time: number; processor: number } | undefined {
	const over = (pick: (sample: Sample) => number | undefined) => {
		const [start, floor] = [START, START_FLOOR].map((wanted) => {
			const workload = workloads.find(({ name }) => name === wanted);
			return workload === undefined ? undefined : medianOf(workload, "ours", pick);
		});
		return start === undefined || floor === undefined ? undefined : start / floor;
	};
	const time = over(({ milliseconds }) => milliseconds);
	const processor = over(({ processorMilliseconds }) => processorMilliseconds);
	return time === undefined || processor === undefined ? undefined : { time, processor };
}

/** The geometric mean of the ratios of those workloads that both have figures for. */
export function meanRatio(
	workloads: readonly WorkloadResult[],
	peer: string,
	reference: string,
): number | undefined {
	const ratios = workloads
		.map((workload) => ratio(workload, peer, reference))
		.filter((value) => value !== undefined);
	return ratios.length === 0 ? undefined : geometricMean(ratios);
}

/** The median of a figure over a peer's samples; undefined where they do not have it. */
export function medianOf(
	workload: WorkloadResult,
	peer: string,
	pick: (sample: Sample) => number | undefined,
): number | undefined {
	const values = (workload.samples[peer] ?? []).map(pick).filter((value) => value !== undefined);
	return values.length === 0 ? undefined : median(values);
}
