/**
 * Syncs that the kernel's own threads wait for: many at a time, so that they share what the file system does for each - a
 * commit, a flush of the disk's cache - and without a Worker.
 */

import {
	harvestSyncs,
	openEvents,
	openSyncQueue,
	type SyncQueue,
	startSync,
} from "../../native/libc/async-sync.ts";
import { check } from "../../native/libc/errno.ts";
import { close, type Fd, NO_FD, read } from "../../native/libc/file.ts";
import { reserve } from "../../native/memory.ts";

/** At a time; further ones are left to whoever asks. */
const LARGEST_COUNT = 64;
/** What an eventfd counts. */
const COUNTED_SIZE = 8;
const COUNTED = reserve(COUNTED_SIZE);

export class Syncs {
	/** Becomes readable when a sync has ended; NO_FD before the first. */
	events = NO_FD;
	/** Under way. */
	count = 0;
	/** -errno where this kernel, or a seccomp filter, has none, or too few files may be open. */
	private queue: SyncQueue | undefined;

	/** Starts one, `id` to be told at its end; false: it must be done in another way. */
	start(fd: Fd, dataOnly: boolean, id: number): boolean {
		if (this.count === LARGEST_COUNT || !this.isPossible()) return false;
		if (startSync(this.queue!, fd, dataOnly, id, this.events) < 0) return false;
		this.count++;
		return true;
	}

	/** Whether the kernel does this. */
	isPossible(): boolean {
		if (this.queue === undefined) {
			const events = openEvents();
			this.queue = events < 0 ? (events as number as SyncQueue) : openSyncQueue(LARGEST_COUNT);
			if (this.queue >= 0) this.events = events;
			else if (events >= 0) close(events);
		}
		return this.queue >= 0;
	}

	/** Tells `done` of each that has ended, with its id and 0 or -errno. */
	collect(done: (id: number, result: number) => void): void {
		// First the count is taken: what ends meanwhile is counted again.
		if (this.count === 0 || read(this.events, COUNTED, COUNTED_SIZE) < 0) return;
		harvestSyncs(check(this.queue!), (id, result) => {
			this.count--;
			done(id, result);
		});
	}
}
