/**
 * The files' content. The kernel sends no OPEN, so a descriptor is kept for a node from its first use: as many as
 * the limit allows, the longest unused closed first; for a node without a name to which nothing else leads for as long
 * as it lives. What is open for writing is closed a moment after its last use: it keeps a program in the upper layer
 * from being run there, and the layer's file system from being made read-only. Of a file whose data lies in another layer
 * (metacopies.ts) what is open here is good for naming it only; its data is read from there.
 */

import {
	EMFILE,
	ENFILE,
	O_NOATIME,
	O_NOFOLLOW,
	O_NONBLOCK,
	O_PATH,
	O_RDONLY,
	O_RDWR,
} from "../../native/layout.ts";
import { check } from "../../native/libc/errno.ts";
import { close, type Fd, NO_FD, openAt, reopen } from "../../native/libc/file.ts";
import { EMPTY_NAME, type Name } from "../../native/memory.ts";
import type { Layer } from "../layers/layer.ts";
import { asOwner } from "../layers/owner-access.ts";
import { PLAIN } from "./flags.ts";
import type { Metacopies } from "./metacopies.ts";
import type { NodeId, NodeTable } from "./node.ts";
import type { DescriptorLimits, Places } from "./places.ts";

/** What a descriptor is good for; each includes those before it. */
const NAMING = 0;
const READING = 1;
const WRITING = 2;
/** What was open for writing is closed once it has not been used for so long, in nanoseconds, or up to twice that. */
const MOMENT = 1e8;

interface OpenFile {
	fd: Fd;
	use: number;
	/** Asked for since the cache last looked for something to close. */
	recent: boolean;
	/** Asked for to be written to since those open for writing were last looked at. */
	isWritten: boolean;
	/** Not to be closed as long as the node lives. */
	isHeld: boolean;
}

export class FileCache {
	private readonly nodes: NodeTable;
	private readonly layers: readonly Layer[];
	private readonly places: Places;
	private readonly metacopies: Metacopies;
	private readonly files = new Map<NodeId, OpenFile>();
	/** Those that are not held, in order of last use. */
	private readonly closable = new Set<NodeId>();
	/** Those open for writing. */
	private readonly writers = new Set<NodeId>();
	/** When those were last looked at. */
	private rested = 0;
	private readonly limits: DescriptorLimits;

	/** `descriptors`: those that are held are among them. */
	constructor(
		nodes: NodeTable,
		layers: readonly Layer[],
		places: Places,
		metacopies: Metacopies,
		descriptors: DescriptorLimits,
	) {
		this.nodes = nodes;
		this.layers = layers;
		this.places = places;
		this.metacopies = metacopies;
		this.limits = descriptors;
	}

	/** A descriptor to read a regular file's content with. Throws what opening it may. */
	readable(node: NodeId): Fd {
		const file = this.files.get(node);
		if (file !== undefined && file.use >= READING) {
			file.recent = true;
			return file.fd;
		}
		return this.acquire(node, file, READING, O_RDONLY);
	}

	/** A descriptor to read and change a regular file of the upper layer with. Throws what opening it may. */
	writable(node: NodeId): Fd {
		const file = this.files.get(node);
		if (file !== undefined && file.use === WRITING) {
			file.recent = true;
			file.isWritten = true;
			return file.fd;
		}
		return this.acquire(node, file, WRITING, O_RDWR);
	}

	/** As {@link readable}, good for nothing but reading: whoever is handed it may keep it. */
	readOnly(node: NodeId): Fd {
		const file = this.files.get(node);
		return file?.use === WRITING ? this.acquire(node, file, READING, O_RDONLY) : this.readable(node);
	}

	/**
	 * Opens a regular file of the upper layer to write to, unless it has its data in another layer, which must be copied
	 * first: whether that is so. Throws what opening may.
	 */
	lacksData(node: NodeId): boolean {
		const { metacopies } = this;
		if (metacopies.has(node)) return true;
		const file = this.files.get(node);
		if (file?.use === WRITING) return false;
		this.acquire(node, file, WRITING, O_RDWR);
		return metacopies.has(node);
	}

	/**
	 * A descriptor of the caller's own of a regular file itself, also where its data is not in it. Throws what opening may.
	 */
	openOwn(node: NodeId, flags: number): Fd {
		const fd = this.openFor(node, this.files.get(node), flags | O_NONBLOCK);
		this.checkObject(node, fd);
		return fd;
	}

	/** The node's descriptor, good for whatever; NO_FD where none is open. */
	openFd(node: NodeId): Fd {
		return this.files.get(node)?.fd ?? NO_FD;
	}

	/** The descriptor of a node without a name, good for naming it at least. Throws ESTALE where nothing leads to it. */
	nameless(node: NodeId): Fd {
		const file = this.files.get(node);
		if (file !== undefined) return file.fd;
		const fd = this.places.openNameless(node, O_PATH);
		this.add(node, fd, NAMING);
		return fd;
	}

	/**
	 * Holds a descriptor of the node's object until it is let go of or forgotten. False where as many are held as should
	 * be, unless it `must` be. Throws what opening may.
	 */
	hold(node: NodeId, must: boolean): boolean {
		const known = this.files.get(node);
		if (known?.isHeld) return true;
		if (!must && this.held >= this.limits.mostHeld) return false;
		if (known === undefined) {
			const { directory, name } = this.places.locate(node);
			const fd = openAt(directory, name, O_PATH | O_NOFOLLOW);
			if (!must && (fd === -EMFILE || fd === -ENFILE)) return false;
			this.add(node, check(fd), NAMING);
		}
		this.closable.delete(node);
		this.files.get(node)!.isHeld = true;
		return true;
	}

	/** The node's object can be reached in another way: its descriptor is like others from now on. */
	letGo(node: NodeId): void {
		const file = this.files.get(node);
		if (file === undefined) return;
		file.isHeld = false;
		this.closable.add(node);
	}

	private get held(): number {
		return this.files.size - this.closable.size;
	}

	/** Takes over a descriptor of the node's object from now on, open as `access` says: O_RDWR or O_RDONLY. */
	replace(node: NodeId, fd: Fd, access: number = O_RDWR): void {
		this.put(node, fd, access === O_RDWR ? WRITING : READING);
	}

	private put(node: NodeId, fd: Fd, use: number): void {
		const file = this.files.get(node);
		if (file === undefined) {
			this.add(node, fd, use);
			return;
		}
		close(file.fd);
		file.fd = fd;
		file.use = use;
		file.recent = true;
		this.noteUse(node, file);
	}

	private add(node: NodeId, fd: Fd, use: number): void {
		const file = { fd, use, recent: true, isWritten: false, isHeld: false };
		this.files.set(node, file);
		this.closable.add(node);
		this.noteUse(node, file);
	}

	private noteUse(node: NodeId, file: OpenFile): void {
		file.isWritten = file.use === WRITING;
		if (file.isWritten) this.writers.add(node);
		else this.writers.delete(node);
	}

	/**
	 * Closes what is open for writing and has not been written to for a moment. To be called between requests, with the
	 * time in nanoseconds; returns in how many milliseconds again, -1: not before the next request.
	 */
	rest(now: number): number {
		if (this.writers.size === 0) return -1;
		if (now - this.rested >= MOMENT) {
			this.rested = now;
			for (const node of this.writers) this.restWriter(node, this.files.get(node)!);
			if (this.writers.size === 0) return -1;
		}
		return Math.ceil((this.rested + MOMENT - now) / 1e6);
	}

	private restWriter(node: NodeId, file: OpenFile): void {
		if (file.isWritten) file.isWritten = false;
		// Nobody runs what has no name, and while it is open its file system cannot be made read-only.
		else if (file.isHeld) this.writers.delete(node);
		else this.drop(node);
	}

	/** Closes the node's descriptor. */
	drop(node: NodeId): void {
		const file = this.files.get(node);
		if (file === undefined) return;
		this.files.delete(node);
		this.closable.delete(node);
		this.writers.delete(node);
		close(file.fd);
	}

	/** Closes the descriptors not used lately while there are more than may be. Called between requests only. */
	trim(most = this.limits.largest): void {
		const { metacopies } = this;
		metacopies.trim(most / 4);
		const largest = most - metacopies.opened;
		if (this.files.size <= largest) return;
		// What comes around a second time is closed, used lately or not.
		for (const node of this.closable) {
			if (this.files.size <= (largest * 3) / 4) return;
			const file = this.files.get(node)!;
			if (file.recent) {
				file.recent = false;
				this.closable.delete(node);
				this.closable.add(node);
				continue;
			}
			this.drop(node);
		}
	}

	/** Throws ESTALE, and closes the descriptor, where it is of what is another object by now. */
	private checkObject(node: NodeId, fd: Fd): void {
		try {
			if (this.nodes.isNamed(node)) this.places.checkOpened(node, fd);
		} catch (error) {
			close(fd);
			throw error;
		}
	}

	/** Before the first use of a descriptor: what must not be read must not be written either. */
	private checkUsable(node: NodeId, fd: Fd): void {
		this.checkObject(node, fd);
		try {
			if (!this.nodes.flag(node, PLAIN)) this.metacopies.look(node, fd, EMPTY_NAME);
		} catch (error) {
			close(fd);
			throw error;
		}
	}

	private acquire(node: NodeId, file: OpenFile | undefined, use: number, flags: number): Fd {
		const { metacopies } = this;
		if (use === READING && metacopies.has(node)) return metacopies.readable(node);
		const fd = this.openFor(node, file, flags | O_NONBLOCK);
		if (file === undefined || file.use === NAMING) this.checkUsable(node, fd);
		if (!metacopies.has(node)) {
			this.put(node, fd, use);
			return fd;
		}
		this.put(node, fd, NAMING);
		return metacopies.readable(node);
	}

	/**
	 * What users may do was seen to when they opened the file; its mode, or that of the directory above, may have been
	 * changed since and close it to its owner, whom this process then acts for.
	 */
	private openFor(node: NodeId, file: OpenFile | undefined, flags: number): Fd {
		const { nodes, places } = this;
		if (!nodes.isNamed(node)) {
			// First a descriptor that is good for naming it.
			const fd = file?.fd ?? this.nameless(node);
			return check(places.isUpper(node) ? reopenAsOwner(fd, flags) : reopen(fd, flags | O_NOATIME));
		}
		const { directory, name } = places.locate(node);
		const layer = this.layers[nodes.layer(node)]!;
		return check(
			places.isUpper(node) ? openAsOwner(layer, directory, name, flags) : layer.open(directory, name, flags),
		);
	}
}

/** Returns a descriptor or -errno. */
function openAsOwner(layer: Layer, directory: Fd, name: Name, flags: number): Fd {
	const open = () => layer.open(directory, name, flags);
	return asOwner(open, [directory, EMPTY_NAME], [directory, name]) as Fd;
}

/** Returns a descriptor or -errno. */
function reopenAsOwner(fd: Fd, flags: number): Fd {
	return asOwner(() => reopen(fd, flags | O_NOATIME), [fd, EMPTY_NAME]) as Fd;
}
