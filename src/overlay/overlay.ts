/**
 * The overlay: layers merged into one tree. State and invariants; what is done with it stands in the other files
 * of this folder. Nothing here knows of FUSE: every operation can be called on plain directories.
 *
 * - `layers[0]` is the upper layer if there is `work`, else the topmost lower one.
 * - Lower layers are never changed.
 * - A node's place on disk is its name in its parent's directory in its topmost layer, or, once it has no name,
 *   what nameless.ts has left to lead to it.
 */

import {
	AT_EMPTY_PATH,
	DT_DIR,
	EACCES,
	EINVAL,
	ENOENT,
	EOVERFLOW,
	EPERM,
	EROFS,
	ESTALE,
	statx,
} from "../native/layout.ts";
import { check, fail } from "../native/libc/errno.ts";
import { close, type Fd, NO_FD } from "../native/libc/file.ts";
import { isOpenOn, statDescriptor } from "../native/libc/metadata.ts";
import { inodeHigh, inodeLow, kindOf } from "../native/libc/stat.ts";
import { EMPTY_NAME, type Name, type Offset, readString, reserve } from "../native/memory.ts";
import type { Jobs, Task } from "./jobs/job.ts";
import { DiskPace } from "./layers/disk-pace.ts";
import { areDistant, keepDistance } from "./layers/distance.ts";
import type { Layer, Place } from "./layers/layer.ts";
import { asOwner } from "./layers/owner-access.ts";
import type { Workdir } from "./layers/workdir.ts";
import type { Identity } from "./marks/identity.ts";
import type { Columns } from "./nodes/columns.ts";
import { DataSearch } from "./nodes/data-search.ts";
import { Deferred } from "./nodes/deferred.ts";
import type { Directory } from "./nodes/directory.ts";
import { DirectoryCache } from "./nodes/directory-cache.ts";
import { FileCache } from "./nodes/file.ts";
import { BUSY, LINKED } from "./nodes/flags.ts";
import { Indexed } from "./nodes/indexed.ts";
import { InodeNumbers } from "./nodes/inode-number.ts";
import type { Journal } from "./nodes/journal.ts";
import { Listings } from "./nodes/listings.ts";
import { LiveListings } from "./nodes/live-listings.ts";
import { Metacopies } from "./nodes/metacopies.ts";
import { measure } from "./nodes/name.ts";
import { type NodeId, NodeTable, ROOT } from "./nodes/node.ts";
import { OriginNumbers } from "./nodes/origin-numbers.ts";
import { Parked } from "./nodes/parked.ts";
import type { Places } from "./nodes/places.ts";
import { Redirects } from "./nodes/redirects.ts";
import { Refusals } from "./nodes/refusals.ts";
import { UpperLinks } from "./nodes/upper-links.ts";
import type { OverlayOptions } from "./overlay-options.ts";

const STAT = reserve(statx.sizeof);

export class Overlay implements Places {
	readonly layers: readonly Layer[];
	/** Layers with nothing but data of files in the others; their numbers follow. */
	readonly dataOnly: readonly Layer[];
	/** Where changes are prepared; undefined: a read-only overlay. */
	readonly work: Workdir | undefined;
	/** Names in the workdir of what has none in the mount. */
	readonly parked: Parked;
	readonly options: OverlayOptions;
	readonly identity: Identity | undefined;
	readonly jobs: Jobs;
	readonly nodes: NodeTable;
	readonly refusals: Refusals;
	readonly redirects: Redirects;
	readonly directories: DirectoryCache;
	readonly listings: Listings;
	readonly metacopies: Metacopies;
	readonly files: FileCache;
	readonly upperLinks = new UpperLinks();
	readonly originNumbers: OriginNumbers;
	/** undefined: names of lower files part when they are copied up. */
	readonly indexed: Indexed | undefined;
	readonly diskPace = new DiskPace();
	readonly inodes: InodeNumbers;
	/** Told of each change before it is made; undefined: nobody goes on after this process. */
	journal: Journal | undefined;
	/** Copies made in the background that failed, with their errno, for the request that waits for them. */
	readonly failures = new Map<NodeId, number>();
	/** POSIX ACLs can be used through the mount. Not where whoever checks permissions there does not heed them. */
	acl: boolean;
	/** Whether somebody may have the node open, or a mapping of it. */
	mayBeOpen: (node: NodeId) => boolean = () => true;
	/** Whether the request that has started the job on a node still waits: what is of use to nobody else need not be done. */
	isAwaited: (node: NodeId) => boolean = () => true;
	/** Told of every node on which a job has ended: what waited for it can be run again. */
	onIdle: (node: NodeId) => void = () => {};
	/** Told of a file parted from its other names by copy-up, and its directory: number and link count are others now. */
	onParted: (node: NodeId, directory: NodeId) => void = () => {};
	private readonly place: Place = { directory: -1 as Fd, name: EMPTY_NAME, flags: 0 };

	constructor(
		layers: readonly Layer[],
		work: Workdir | undefined,
		identity: Identity | undefined,
		jobs: Jobs,
		options: OverlayOptions,
		dataOnly: readonly Layer[] = [],
		columns?: Columns,
	) {
		this.layers = layers;
		this.dataOnly = dataOnly;
		this.work = work;
		this.parked = new Parked(work);
		this.identity = identity;
		this.jobs = jobs;
		this.options = options;
		this.acl = options.acl;
		this.indexed = options.indexes ? new Indexed() : undefined;
		this.nodes = new NodeTable((node) => this.release(node), columns);
		this.refusals = new Refusals(this.nodes, layers);
		this.redirects = new Redirects(this.nodes, layers, this, this.refusals, options.redirects);
		const largest = options.largestDescriptors / 2;
		const descriptors = { largest, mostHeld: largest / 2 };
		this.directories = new DirectoryCache(this.nodes, layers, this, this.redirects, descriptors);
		const ListingsOfKind = options.live ? LiveListings : Listings;
		this.listings = new ListingsOfKind(this.nodes, layers, this.directories, jobs, options.largestListings);
		this.listings.onRead = (node) => this.markIdle(node);
		this.directories.onDrop = (directory) => this.listings.drop(directory);
		const { nodes, directories, redirects, refusals } = this;
		const users = options.usersMetacopies;
		const search = new DataSearch(nodes, layers, dataOnly, this, directories, redirects, refusals, users);
		this.metacopies = new Metacopies(nodes, layers, dataOnly, search, redirects, refusals, options.verity);
		this.files = new FileCache(this.nodes, layers, this, this.metacopies, descriptors);
		this.inodes = new InodeNumbers(layers, options.inode32);
		this.originNumbers = new OriginNumbers(this.nodes);
		keepDistance([...(work === undefined ? layers : layers.slice(1)), ...dataOnly]);
		this.nodes.setKind(ROOT, DT_DIR);
		this.directories.openRoot();
		this.numberRoot();
	}

	/** Whether looking into a directory may take long: a lower layer that contributes is on a distant file system. */
	isDistant(directory: Directory): boolean {
		return areDistant(directory.layers.map((layer) => this.layers[layer]!));
	}

	/** As for other merged directories: the topmost lower layer's number, which no copy-up changes. */
	private numberRoot(): void {
		const lower = this.options.hasCopies ? 1 : 0;
		check(statDescriptor(this.layers[lower]!.root, STAT));
		this.inodes.translate(lower, inodeLow(STAT), inodeHigh(STAT));
		this.nodes.setInode(ROOT, this.inodes.low, this.inodes.high);
	}

	isUpper(node: NodeId): boolean {
		return this.isUpperLayer(this.nodes.layer(node));
	}

	/** The layer that has a regular file's data. Throws EIO where that is nowhere. */
	dataLayer(node: NodeId): Layer {
		return this.metacopies.layerOf(node) ?? this.layers[this.nodes.layer(node)]!;
	}

	/** Files are copied up without their data where that is not to change. */
	get leavesData(): boolean {
		return this.options.leavesData && this.work?.keepsAttributes === true;
	}

	isUpperLayer(layer: number): boolean {
		return layer === 0 && this.work !== undefined;
	}

	/**
	 * Whether what a layer has under a node's name, its `struct statx` at `stat`, is the node's object. In the upper layer,
	 * where a copy shows the number of what it was made from, only what is open can tell.
	 */
	isSameObject(node: NodeId, layer: number, stat: Offset): boolean {
		const { nodes, inodes, files, directories } = this;
		if (layer !== nodes.layer(node) || kindOf(stat) !== nodes.kind(node)) return false;
		if (this.isUpper(node)) {
			const fd = nodes.kind(node) === DT_DIR ? directories.openTop(node) : files.openFd(node);
			return fd === NO_FD || isOpenOn(fd, stat);
		}
		inodes.translate(layer, inodeLow(stat), inodeHigh(stat));
		return inodes.low === nodes.inodeLow(node) && inodes.high === nodes.inodeHigh(node);
	}

	checkOpened(node: NodeId, fd: Fd): void {
		if (!this.options.live) return;
		check(statDescriptor(fd, STAT));
		if (!this.isSameObject(node, this.nodes.layer(node), STAT)) fail(ESTALE);
	}

	/** Whether new objects of this process belong to these ids by themselves. */
	isOwn(uid: number, gid: number): boolean {
		return uid === this.options.uid && gid === this.options.gid;
	}

	/**
	 * Throws what giving an object away has failed with; EOVERFLOW for an id that does not exist in this process's
	 * namespace. Where owners are squashed a refusal does not matter.
	 */
	checkOwner(result: number): void {
		const squashes = this.identity?.uid !== undefined || this.identity?.gid !== undefined;
		if (squashes && (result === -EPERM || result === -EINVAL)) return;
		check(result === -EINVAL ? -EOVERFLOW : result);
	}

	/** The workdir of an overlay that can be changed. Throws EROFS for one that cannot. */
	writable(): Workdir {
		return this.work ?? fail(EROFS);
	}

	locate(node: NodeId): Place {
		const { nodes, place, indexed } = this;
		if (indexed?.isCopied(node)) {
			place.directory = indexed.fd;
			place.name = indexed.name(indexed.get(node)!);
			place.flags = 0;
			return place;
		}
		if (nodes.isNamed(node) && node !== ROOT) {
			place.directory = this.directories.get(nodes.parent(node)).fd(nodes.layer(node));
			place.name = nodes.name(node);
			place.flags = 0;
			return place;
		}
		place.directory = nodes.kind(node) === DT_DIR ? this.topOf(node) : this.files.nameless(node);
		place.name = EMPTY_NAME;
		place.flags = AT_EMPTY_PATH;
		return place;
	}

	/**
	 * What `attempt`, which returns -errno where it fails, answers at a node's place. Once more where the directory above in
	 * the upper layer was closed to its owner, whom this process acts for: what is open can be changed all the same.
	 */
	attemptAt(node: NodeId, attempt: (place: Place) => number): number {
		const result = attempt(this.locate(node));
		return result === -EACCES && this.isUpper(node) ? this.attemptAsOwner(node, attempt) : result;
	}

	private attemptAsOwner(node: NodeId, attempt: (place: Place) => number): number {
		const { directory } = this.locate(node);
		return asOwner(() => attempt(this.locate(node)), [directory, EMPTY_NAME]);
	}

	isReachable(node: NodeId): boolean {
		return !this.isUpper(node) || this.parked.has(node);
	}

	/** The node's directory to look names up in or to change. Throws ESTALE for an id the kernel cannot hold. */
	directory(node: NodeId): Directory {
		if (!this.nodes.has(node)) fail(ESTALE);
		return this.directories.get(node);
	}

	/** As {@link directory}, to change a name in it. Throws {@link Deferred} while it is being read. */
	directoryToChange(node: NodeId): Directory {
		this.settle(node);
		return this.directory(node);
	}

	/** Other names may lead to the same file of the upper layer; its `struct statx` is at `stat`. */
	linkUpper(node: NodeId, stat: Offset): void {
		if (this.nodes.flag(node, LINKED)) return;
		this.nodes.setFlag(node, LINKED, true);
		this.upperLinks.add(node, stat);
	}

	/** A file of the upper layer was met by a name: without one it goes by that, else it is noted as another. */
	meetAt(node: NodeId, parent: NodeId, name: Name): void {
		const { nodes } = this;
		if (nodes.isNamed(node)) {
			const generation = nodes.generation(parent);
			this.upperLinks.addName(node, { parent, generation, name: readString(name) });
		} else {
			nodes.attach(node, parent, name, measure(name));
			this.takeBack(node);
		}
	}

	/** The node has a name: nothing else need lead to it. */
	takeBack(node: NodeId): void {
		this.parked.remove(node);
		this.files.letGo(node);
	}

	/** The node's name is gone from the mount. Before it is removed, nameless.ts sees to how the node is reached then. */
	loseName(node: NodeId): void {
		const isDirectory = this.nodes.kind(node) === DT_DIR;
		if (isDirectory) this.directories.markRemoved(node);
		// By its name, too, a directory's lower layers lead to what was removed from it.
		if (!isDirectory && this.isUpper(node)) {
			this.nodes.detach(node);
		} else {
			this.indexed?.forget(node);
			this.nodes.retire(node);
		}
		this.nodes.freeIfUnused(node);
	}

	openNameless(node: NodeId, flags: number): Fd {
		const { work, nodes, parked, indexed } = this;
		let fd = -ESTALE as Fd;
		if (indexed?.isCopied(node))
			fd = this.layers[0]!.open(indexed.fd, indexed.name(indexed.get(node)!), flags);
		else if (work !== undefined && parked.has(node))
			fd = this.layers[0]!.open(work.fd, parked.name(node), flags);
		else if (!this.isUpper(node) && nodes.name(node) !== 0) fd = this.directories.openByNames(node, flags);
		check(fd === -ENOENT ? (-ESTALE as Fd) : fd);
		try {
			this.checkOpened(node, fd);
		} catch (error) {
			close(fd);
			throw error;
		}
		return fd;
	}

	/** Throws {@link Deferred} while a job works on the node. */
	settle(node: NodeId): void {
		if (this.nodes.flag(node, BUSY)) throw new Deferred(node);
	}

	/** The job a request waited for has failed: that is its answer. */
	throwFailure(node: NodeId): void {
		const failure = this.failures.get(node);
		if (this.failures.delete(node)) fail(failure!);
	}

	/** Starts a job on a node, for which others wait; `done` may return a further task. Throws {@link Deferred} unless it is done. */
	runJob(node: NodeId, task: Task, done: (result: number) => Task | undefined): void {
		this.startJob(node, task, done);
		if (this.nodes.flag(node, BUSY)) throw new Deferred(node);
	}

	private startJob(node: NodeId, task: Task, done: (result: number) => Task | undefined): void {
		this.nodes.setFlag(node, BUSY, true);
		this.jobs.run(task, (result) => {
			this.nodes.setFlag(node, BUSY, false);
			let next: Task | undefined;
			try {
				next = done(result);
			} finally {
				if (next === undefined) this.markIdle(node);
			}
			if (next !== undefined) this.startJob(node, next, done);
		});
	}

	/** Ends what {@link BUSY} began: what waited for the node goes on. */
	markIdle(node: NodeId): void {
		this.nodes.setFlag(node, BUSY, false);
		this.nodes.freeIfUnused(node);
		this.onIdle(node);
	}

	private topOf(node: NodeId): Fd {
		return this.directories.get(node).fds[0]!;
	}

	/** Takes back what is kept beyond the limits. To be called between requests. */
	trim(): void {
		this.directories.trim();
		this.listings.trim();
		this.files.trim();
	}

	/** Takes back all that can be had again, where nobody asks for it any more. To be called between requests. */
	rest(): void {
		this.listings.trim(0);
		// Where others may change the layers, another object may have the name of what somebody has open.
		if (!this.options.live) {
			this.directories.trim(0);
			this.files.trim(0);
		}
		this.nodes.shrink();
	}

	/** Lets go of the layers and the workdir, which then holds nothing of this mount. */
	close(): void {
		for (const layer of [...this.layers, ...this.dataOnly]) layer.close();
		this.parked.clear();
		if (this.indexed !== undefined && this.indexed.fd !== NO_FD) close(this.indexed.fd);
		this.work?.close();
	}

	private release(node: NodeId): void {
		this.directories.drop(node);
		this.files.drop(node);
		this.parked.remove(node);
		this.failures.delete(node);
		this.redirects.forget(node);
		this.metacopies.forget(node);
		this.originNumbers.forget(node);
		this.indexed?.forget(node);
		if (this.nodes.flag(node, LINKED)) this.upperLinks.remove(node);
	}
}
