/**
 * What removed directories were like that somebody may still be in, for a successor of this daemon: what holds them here, a
 * descriptor, ends with it. It then makes a copy of each that stands for it (changes/take-over.ts).
 */

import { statx, timespec } from "../../native/layout.ts";
import { timesOf } from "../../native/libc/stat.ts";
import { copy64, type Offset, shorts, words } from "../../native/memory.ts";
import { NO_NODE, type NodeId } from "./node.ts";
import type { State } from "./state.ts";
import { field, REMOVED, removed } from "./state-layout.ts";

/** A directory as it was removed. */
export interface RemovedDirectory {
	readonly node: NodeId;
	/** As on disk. */
	readonly mode: number;
	readonly uid: number;
	readonly gid: number;
	/** Two `struct timespec`, access and modification time. */
	readonly times: Offset;
}

export class RemovedDirectories {
	private readonly state: State;
	private readonly at: Offset;
	private readonly places = new Map<NodeId, number>();
	private readonly free: number[] = [];

	constructor(state: State) {
		this.state = state;
		this.at = state.removed;
		for (let place = Math.min(state.get(field.removed), REMOVED) - 1; place >= 0; place--) {
			const node = this.nodeAt(place);
			if (node === NO_NODE) this.free.push(place);
			else this.places.set(node, place);
		}
	}

	/** Notes a directory by its `struct statx`, as on disk; false where as many are noted as can be. */
	note(node: NodeId, stat: Offset): boolean {
		const place = this.free.pop() ?? this.unused();
		if (place === REMOVED) return false;
		this.places.set(node, place);
		const at = this.placeAt(place);
		words[(at + removed.mode) >>> 2] = shorts[(stat + statx.stxMode) >>> 1]!;
		words[(at + removed.uid) >>> 2] = words[(stat + statx.stxUid) >>> 2]!;
		words[(at + removed.gid) >>> 2] = words[(stat + statx.stxGid) >>> 2]!;
		const times = timesOf(stat);
		for (let offset = 0; offset < 2 * timespec.sizeof; offset += 8)
			copy64(at + removed.times + offset, times + offset);
		words[(at + removed.node) >>> 2] = node;
		return true;
	}

	has(node: NodeId): boolean {
		return this.places.has(node);
	}

	/** The directory is gone, has its name again, or something stands for it. */
	forget(node: NodeId): void {
		if (this.places.size === 0) return;
		const place = this.places.get(node);
		if (place === undefined) return;
		words[(this.placeAt(place) + removed.node) >>> 2] = NO_NODE;
		this.places.delete(node);
		this.free.push(place);
	}

	/** All that are noted. */
	get all(): readonly RemovedDirectory[] {
		return [...this.places].map(([node, place]) => {
			const at = this.placeAt(place);
			return {
				node,
				mode: words[(at + removed.mode) >>> 2]!,
				uid: words[(at + removed.uid) >>> 2]!,
				gid: words[(at + removed.gid) >>> 2]!,
				times: at + removed.times,
			};
		});
	}

	/** A place that was never used; REMOVED where there is none. */
	private unused(): number {
		const place = this.state.get(field.removed);
		if (place < REMOVED) this.state.set(field.removed, place + 1);
		return place;
	}

	private nodeAt(place: number): NodeId {
		return words[(this.placeAt(place) + removed.node) >>> 2]! as NodeId;
	}

	private placeAt(place: number): Offset {
		return this.at + place * removed.sizeof;
	}
}
