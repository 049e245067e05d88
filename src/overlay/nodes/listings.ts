/**
 * The listings of directories: when a directory is read, at once or in steps, and how long its listing is kept. What has
 * a listing kept in step with our own changes tells it here, too.
 */

import { EIO } from "../../native/layout.ts";
import { Errno, fail } from "../../native/libc/errno.ts";
import { Pending } from "../../native/libc/replay.ts";
import { type Name, readString, store } from "../../native/memory.ts";
import type { Jobs } from "../jobs/job.ts";
import type { Layer } from "../layers/layer.ts";
import { Deferred } from "./deferred.ts";
import type { Directory } from "./directory.ts";
import type { DirectoryCache } from "./directory-cache.ts";
import { Reading } from "./fill-listing.ts";
import { BUSY } from "./flags.ts";
import { Listing, NO_SLOT, type Slot } from "./listing.ts";
import { measure } from "./name.ts";
import type { NodeId, NodeTable } from "./node.ts";

/** Lookups by asking each layer before the whole directory is read, so that absence needs no system call. */
const PATIENCE = 3;
/** As many bytes of directory entries, of about 30 each, are read at once; for more others would wait too long. */
const LARGEST_AT_ONCE = 1 << 18;
/** A listing that a walk has got something from stays for so long after it, in nanoseconds, whatever its size. */
const WALKERS_PAUSE = 10e9;

export class Listings {
	/** Told of every node whose directory was read in steps, when that has ended. */
	onRead: (node: NodeId) => void = () => {};
	/** Those of which reading in steps has failed, with its errno, for the requests that wait for it. */
	readonly failures = new Map<Directory, number>();
	private readonly nodes: NodeTable;
	private readonly layers: readonly Layer[];
	private readonly directories: DirectoryCache;
	private readonly jobs: Jobs;
	/** Those that are being read in steps. */
	private readonly readings = new Map<Directory, Reading>();
	private readonly largest: number;
	private readonly memory = { bytes: 0 };
	/** All that have a listing; what was used lately is behind the rest after a {@link trim}. */
	private readonly holders = new Set<Directory>();
	/** When each of those that are walked was asked for last. */
	private readonly walked = new Map<Directory, number>();

	/** @param largest bytes to keep at most, between requests, those of walked directories not counted */
	constructor(
		nodes: NodeTable,
		layers: readonly Layer[],
		directories: DirectoryCache,
		jobs: Jobs,
		largest: number,
	) {
		this.nodes = nodes;
		this.layers = layers;
		this.directories = directories;
		this.jobs = jobs;
		this.largest = largest;
	}

	/** The complete listing. Throws {@link Deferred} while it is being read, and what reading may. */
	list(directory: Directory): Listing {
		this.throwFailure(directory);
		if (!directory.isBeingRead) {
			const listing = this.atOnce(directory, (begun) => this.readOn(directory, begun));
			if (listing !== undefined) return listing;
			this.throwFailure(directory);
		}
		// Where jobs are done at once, it is there by now.
		const listing = this.get(directory);
		if (listing !== undefined) return listing;
		throw new Deferred(directory.node);
	}

	/** As {@link list}, for one of a number of requests that get all of it piece by piece, from `offset` on. */
	walk(directory: Directory, _offset: number): Listing {
		const listing = this.list(directory);
		this.noteWalk(directory);
		return listing;
	}

	/** The listing, if it is there or now worth reading: a merged directory in which names are looked up often. */
	ifWorthwhile(directory: Directory): Listing | undefined {
		const { listing } = directory;
		if (listing !== undefined) directory.isListingRecent = true;
		if (listing !== undefined || !directory.isMerged || directory.isLarge) return listing;
		return ++directory.lookups > PATIENCE ? this.ifReadable(directory) : undefined;
	}

	/**
	 * The listing, if it is there or can be read at once. Undefined also where a layer cannot be read, or the directory is being
	 * copied up: names may be found all the same, and those of others are.
	 */
	ifReadable(directory: Directory): Listing | undefined {
		if (directory.isLarge) return undefined;
		try {
			return this.atOnce(directory);
		} catch (error) {
			if (!(error instanceof Errno || error instanceof Deferred)) throw error;
			directory.lookups = 0;
			return undefined;
		}
	}

	/**
	 * Tells the listing, if there is one or once it is read, what has become of a name in a way that others need not wait
	 * for. It may have been read with that or without.
	 */
	noteChange(directory: Directory, name: Name, change: (listing: Listing, slot: Slot) => void): void {
		const { listing } = directory;
		const reading = this.readings.get(directory);
		if (listing !== undefined) tell(listing, name, change);
		else if (reading !== undefined) reading.changes.push({ name: store(readString(name)), change });
	}

	/** The listing may be out of step, or nobody needs it: it will be read anew. */
	drop(directory: Directory): void {
		this.get(directory)?.release();
		this.put(directory, undefined);
		this.holders.delete(directory);
		this.walked.delete(directory);
	}

	/** Drops listings not used lately while there is more of them than may be. Called between requests only. */
	trim(largest = this.largest): void {
		if (this.memory.bytes <= largest) return;
		const limit = largest + this.bytesOfWalked();
		if (this.memory.bytes <= limit) return;
		for (const directory of [...this.holders]) {
			if (!directory.isListingRecent) continue;
			directory.isListingRecent = false;
			this.holders.delete(directory);
			this.holders.add(directory);
		}
		for (const directory of this.holders) {
			if (this.memory.bytes <= limit - largest / 2) return;
			if (!this.walked.has(directory)) this.drop(directory);
		}
	}

	private bytesOfWalked(): number {
		const now = Bun.nanoseconds();
		let bytes = 0;
		for (const [directory, last] of this.walked) {
			if (now - last > WALKERS_PAUSE) this.walked.delete(directory);
			else bytes += this.get(directory)?.size ?? 0;
		}
		return bytes;
	}

	/** The listing, read now if it is not there; undefined where that takes too long, then `goOn` may do the rest. */
	private atOnce(directory: Directory, goOn?: (reading: Reading) => void): Listing | undefined {
		if (this.get(directory)?.isStale) this.drop(directory);
		directory.isListingRecent = true;
		const known = this.get(directory);
		if (known !== undefined || directory.isBeingRead) return known;
		const listing = new Listing(this.memory);
		if (directory.removed) return this.keep(directory, listing);
		const reading = new Reading(this.layers, this.directories, directory, listing);
		// Whoever can do without it does not wait.
		if (reading.isDistant) {
			this.readOn(directory, reading);
			return undefined;
		}
		try {
			while (reading.bytes < LARGEST_AT_ONCE) {
				if (!reading.step()) continue;
				directory.isLarge = false;
				return this.keep(directory, listing);
			}
		} catch (error) {
			reading.abandon();
			throw error;
		}
		directory.isLarge = true;
		if (goOn === undefined) reading.abandon();
		else goOn(reading);
		return undefined;
	}

	/**
	 * Goes on reading in steps. Until the end the node is busy: nobody changes the directory. Throws {@link Deferred} while it is
	 * being copied up, by which another layer comes to take part.
	 */
	private readOn(directory: Directory, reading: Reading): void {
		try {
			if (this.nodes.flag(directory.node, BUSY)) throw new Deferred(directory.node);
			reading.makeLasting();
		} catch (error) {
			reading.abandon();
			throw error;
		}
		this.readings.set(directory, reading);
		directory.isBeingRead = true;
		this.nodes.setFlag(directory.node, BUSY, true);
		this.jobs.inSteps(() => {
			let isEnd = true;
			try {
				isEnd = reading.step();
				if (isEnd) this.finish(directory, reading);
			} catch (error) {
				isEnd = !(error instanceof Pending);
				if (!isEnd) throw error;
				reading.abandon();
				this.failures.set(directory, error instanceof Errno ? error.code : EIO);
				if (!(error instanceof Errno)) throw error;
			} finally {
				if (isEnd) {
					this.readings.delete(directory);
					directory.isBeingRead = false;
					this.onRead(directory.node);
				}
			}
			return isEnd;
		});
	}

	/** Reading in steps has failed: that is the answer to whoever waited for it. */
	private throwFailure(directory: Directory): void {
		const failure = this.failures.get(directory);
		if (this.failures.delete(directory)) fail(failure!);
	}

	private finish(directory: Directory, reading: Reading): void {
		this.keep(directory, reading.listing);
		for (const { name, change } of reading.changes) tell(reading.listing, name, change);
		reading.end();
		this.noteAwaited(directory);
	}

	/** Whoever waits for a listing that was read in steps is to find it. */
	protected noteAwaited(directory: Directory): void {
		this.noteWalk(directory);
	}

	protected noteWalk(directory: Directory): void {
		this.walked.set(directory, Bun.nanoseconds());
	}

	/** Where a directory's listing is kept. */
	protected get(directory: Directory): Listing | undefined {
		return directory.listing;
	}

	protected put(directory: Directory, listing: Listing | undefined): void {
		directory.listing = listing;
	}

	private keep(directory: Directory, listing: Listing): Listing {
		this.put(directory, listing);
		directory.lookups = 0;
		this.holders.add(directory);
		return listing;
	}
}

function tell(listing: Listing, name: Name, change: (listing: Listing, slot: Slot) => void): void {
	const slot = listing.find(name, measure(name));
	if (slot !== NO_SLOT) change(listing, slot);
}
