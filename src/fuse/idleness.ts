/**
 * What a mount gives back when nobody uses it: nodes, what is kept for requests to come, memory.
 *
 * Which nodes are in use only the kernel knows. It is told of all (FUSE_NOTIFY_PRUNE), drops those that nobody has open or
 * stands in, of which no memory is mapped and no child is in use, and sends FORGET, by which alone a node goes. Then, and where
 * the kernel cannot be told, what is left is packed.
 */

import { EINVAL } from "../native/layout.ts";
import { returnPages } from "../native/memory.ts";
import type { WorkerJobs } from "../overlay/jobs/worker-jobs.ts";
import { type NodeId, ROOT } from "../overlay/nodes/node.ts";
import type { Overlay } from "../overlay/overlay.ts";
import type { Dispatcher } from "./dispatch.ts";
import { LARGEST_PRUNE } from "./notify.ts";
import { kernelId } from "./request.ts";

/** A mount is idle when nobody has asked for anything in it for so long, in milliseconds. */
export const IDLE_AFTER = 30_000;
/** Nodes that are worth a Worker, where the kernel's threads cannot tell the kernel. */
const WORTH_A_WORKER = 10_000;
/** Requests whose garbage is worth to be looked for. */
const WORTH_COLLECTING = 1000;

export class Idleness {
	private readonly overlay: Overlay;
	private readonly dispatcher: Dispatcher;
	private readonly jobs: WorkerJobs;
	private readonly after: number;
	/** How many requests there had been when that was last looked at, and when, in nanoseconds, there were not as many yet. */
	private requests = 0;
	private since = 0;
	/** How many there had been when garbage was collected. */
	private collected = 0;
	/** As {@link requests}, of all that the kernel has sent, when memory was given back. */
	private packed = 0;
	/** Whether nothing is left to do until there is a request. */
	private isDone = false;
	/** Nodes from this one on the kernel was told of, or need not be. */
	private told = 0;
	/** The kernel is told of nodes, and may need answers meanwhile. */
	private isTelling = false;

	/** @param after see {@link IDLE_AFTER} */
	constructor(overlay: Overlay, dispatcher: Dispatcher, jobs: WorkerJobs, after: number) {
		this.overlay = overlay;
		this.dispatcher = dispatcher;
		this.jobs = jobs;
		this.after = after * 1e6;
	}

	/**
	 * To be called when nothing is to be done, with the time in nanoseconds; returns in how many milliseconds again, -1: not
	 * before there is.
	 */
	rest(now: number): number {
		if (this.isTelling) return -1;
		if (this.hasRequests() || this.jobs.isActive) {
			this.requests = this.count;
			this.since = now;
			this.isDone = false;
			this.told = 0;
		} else if (this.isDone && this.packed !== this.dispatcher.handled) {
			// What the kernel has forgotten of its own accord is packed, too.
			this.since = now;
			this.isDone = false;
		}
		if (this.isDone) return -1;
		const left = this.since + this.after - now;
		if (left > 0) return Math.ceil(left / 1e6);
		if (this.told === 0) this.told = this.canTell ? this.overlay.nodes.end : ROOT;
		if (this.told > ROOT + 1 && this.tell()) return -1;
		this.overlay.rest();
		returnPages();
		if (this.requests - this.collected > WORTH_COLLECTING) {
			Bun.gc(true);
			this.collected = this.requests;
		}
		this.isDone = true;
		this.packed = this.dispatcher.handled;
		return -1;
	}

	private get count(): number {
		return this.dispatcher.handled - this.dispatcher.unusing;
	}

	private hasRequests(): boolean {
		return this.requests !== this.count;
	}

	private get canTell(): boolean {
		const { count } = this.overlay.nodes;
		if (!this.dispatcher.agreed.prunes || count === 1) return false;
		return count > WORTH_A_WORKER || this.jobs.hasKernelThreads;
	}

	/** Tells the kernel of some nodes, the latest first: children before their parents. False: there are none. */
	private tell(): boolean {
		const { nodes } = this.overlay;
		const ids: number[] = [];
		for (; this.told > ROOT + 1 && ids.length < LARGEST_PRUNE; this.told--) {
			const node = (this.told - 1) as NodeId;
			if (nodes.lookupCount(node) > 0) ids.push(kernelId(this.overlay, node));
		}
		if (ids.length === 0) return false;
		this.isTelling = true;
		this.dispatcher.notifications.prune(ids, (result) => {
			this.isTelling = false;
			if (result < 0) this.told = ROOT;
			if (result === -EINVAL) this.dispatcher.agreed.prunes = false;
		});
		return true;
	}
}
