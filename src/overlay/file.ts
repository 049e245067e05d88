/**
 * The files' content. The kernel sends no OPEN, so a descriptor is kept for a node from its first use: as many as
 * the limit allows, the longest unused closed first; for a node that has lost its name for as long as it lives.
 */

import {
	EMFILE,
	ESTALE,
	O_NOATIME,
	O_NOFOLLOW,
	O_NONBLOCK,
	O_PATH,
	O_RDONLY,
	O_RDWR,
} from "../native/layout.ts";
import { check, fail } from "../native/libc/errno.ts";
import { close, type Fd, openAt, reopen } from "../native/libc/file.ts";
import { EMPTY_NAME } from "../native/memory.ts";
import { refuseMetacopy } from "./elsewhere.ts";
import { type NodeId, PLAIN } from "./node.ts";
import type { Overlay } from "./overlay.ts";

/** What a descriptor is good for; each includes those before it. */
const NAMING = 0;
const READING = 1;
const WRITING = 2;

interface OpenFile {
	fd: Fd;
	use: number;
	recent: boolean;
}

export class FileCache {
	private readonly overlay: Overlay;
	private readonly open = new Map<NodeId, OpenFile>();
	private readonly largest: number;
	private readonly most: number;

	/**
	 * @param largest descriptors to keep open at most, between requests, pinned ones not counted
	 * @param most as many without a name are kept open
	 */
	constructor(overlay: Overlay, largest: number, most: number) {
		this.overlay = overlay;
		this.largest = largest;
		this.most = most;
	}

	/** A descriptor to read a regular file's content with. Throws what opening it may. */
	readable(node: NodeId): Fd {
		const file = this.open.get(node);
		if (file !== undefined && file.use >= READING) {
			file.recent = true;
			return file.fd;
		}
		return this.acquire(node, file, READING, O_RDONLY);
	}

	/** A descriptor to read and change a regular file of the upper layer with. Throws what opening it may. */
	writable(node: NodeId): Fd {
		const file = this.open.get(node);
		if (file !== undefined && file.use === WRITING) {
			file.recent = true;
			return file.fd;
		}
		return this.acquire(node, file, WRITING, O_RDWR);
	}

	/** The descriptor of a node without name, good for naming it only. */
	pinned(node: NodeId): Fd {
		return this.open.get(node)?.fd ?? fail(ESTALE);
	}

	/**
	 * Makes the node's object reachable without its name. To be called before the name is removed. Throws EMFILE where too
	 * many are: other files need descriptors to go on with.
	 */
	pin(node: NodeId): void {
		if (this.open.has(node)) return;
		if (this.open.size >= this.most && this.countPinned() >= this.most) fail(EMFILE);
		const { overlay } = this;
		const { directory, name } = overlay.locate(node);
		const fd = check(openAt(directory, name, O_PATH | O_NOFOLLOW));
		this.open.set(node, { fd, use: NAMING, recent: true });
	}

	private countPinned(): number {
		let count = 0;
		for (const node of this.open.keys()) if (!this.overlay.nodes.isNamed(node)) count++;
		return count;
	}

	/** Takes over a descriptor open for reading and writing: the node's object from now on. */
	replace(node: NodeId, fd: Fd): void {
		const file = this.open.get(node);
		if (file === undefined) {
			this.open.set(node, { fd, use: WRITING, recent: true });
			return;
		}
		close(file.fd);
		file.fd = fd;
		file.use = WRITING;
	}

	/** Takes over a descriptor good for naming only: the object of a node without name from now on. */
	replacePinned(node: NodeId, fd: Fd): void {
		this.drop(node);
		this.open.set(node, { fd, use: NAMING, recent: true });
	}

	/** Closes the node's descriptor. */
	drop(node: NodeId): void {
		const file = this.open.get(node);
		if (file === undefined) return;
		this.open.delete(node);
		close(file.fd);
	}

	/** Closes the descriptors not used lately while there are more than may be. Called between requests only. */
	trim(): void {
		if (this.open.size <= this.largest) return;
		let toClose = this.open.size - this.largest / 2;
		// Whatever was used lately comes around once more.
		for (const [node, file] of [...this.open, ...this.open]) {
			if (toClose <= 0) return;
			if (!this.overlay.nodes.isNamed(node) || !this.open.has(node)) continue;
			if (file.recent) {
				file.recent = false;
				this.open.delete(node);
				this.open.set(node, file);
				continue;
			}
			this.drop(node);
			toClose--;
		}
	}

	/** Before the first use of a descriptor: what must not be read must not be written either. */
	private checkHasData(node: NodeId, fd: Fd): void {
		if (this.overlay.nodes.flag(node, PLAIN)) return;
		try {
			refuseMetacopy(this.overlay, node, fd, EMPTY_NAME);
		} catch (error) {
			close(fd);
			throw error;
		}
	}

	private acquire(node: NodeId, file: OpenFile | undefined, use: number, flags: number): Fd {
		const { overlay } = this;
		let fd: Fd;
		if (file !== undefined && !this.overlay.nodes.isNamed(node)) {
			fd = check(reopen(file.fd, flags | O_NOATIME | O_NONBLOCK));
		} else {
			const { directory, name } = overlay.locate(node);
			const layer = overlay.layers[overlay.nodes.layer(node)]!;
			fd = check(layer.open(directory, name, flags | O_NONBLOCK));
		}
		if (file === undefined || file.use === NAMING) this.checkHasData(node, fd);
		if (file === undefined) {
			this.open.set(node, { fd, use, recent: true });
		} else {
			close(file.fd);
			file.fd = fd;
			file.use = use;
			file.recent = true;
		}
		return fd;
	}
}
