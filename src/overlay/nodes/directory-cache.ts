/**
 * The directories in use, and descriptors of them. Derived from the node table and the layers; closed when descriptors run
 * short, and opened again by walking down from the root one name at a time.
 */

import {
	DT_DIR,
	EACCES,
	ENOENT,
	ENOTDIR,
	ESTALE,
	NAME_MAX,
	O_DIRECTORY,
	O_PATH,
	O_RDONLY,
} from "../../native/layout.ts";
import { check, fail } from "../../native/libc/errno.ts";
import { close, type Fd, NO_FD } from "../../native/libc/file.ts";
import { EMPTY_NAME, type Name, reserve, store, writeString } from "../../native/memory.ts";
import type { ByteString } from "../../options.ts";
import { isNotDirectory, type Layer } from "../layers/layer.ts";
import { asOwner } from "../layers/owner-access.ts";
import type { Workdir } from "../layers/workdir.ts";
import { hasWhiteoutFile, IMPURE, markImpure, OPAQUE, REDIRECTED, readMarks } from "../marks/whiteout.ts";
import { Directory } from "./directory.ts";
import { PLAIN, PURE } from "./flags.ts";
import { NO_SLOT } from "./listing.ts";
import { measure } from "./name.ts";
import { NO_NODE, type NodeId, type NodeTable, ROOT } from "./node.ts";
import type { DescriptorLimits, Places } from "./places.ts";
import type { Redirects } from "./redirects.ts";

const NAME = reserve(NAME_MAX + 1) as Name;
const SELF = store("." as ByteString);
/** Descriptors a directory is opened with at least, as it has layers: going down a deep path leans on them. */
const LEAST_OPEN = 4;
/** For {@link DirectoryCache.walk}: to open as {@link Layer.openDirectory} does. */
const DIRECTORY = -1;

export class DirectoryCache {
	/** Told of every directory whose listing is to go. */
	onDrop: (directory: Directory) => void = () => {};
	private readonly nodes: NodeTable;
	private readonly layers: readonly Layer[];
	private readonly places: Places;
	private readonly redirects: Redirects;
	private readonly known = new Map<NodeId, Directory>();
	private readonly limits: DescriptorLimits;
	/** Open descriptors, those of directories that are held not counted. */
	private descriptors = 0;
	private held = 0;
	/** What {@link borrow} has opened beyond the limit, and where. */
	private borrowed: Fd = NO_FD;
	private borrower: Directory | undefined;
	private borrowedLayer = -1;

	/** `descriptors`: of removed directories, those that are held are beside the others. */
	constructor(
		nodes: NodeTable,
		layers: readonly Layer[],
		places: Places,
		redirects: Redirects,
		descriptors: DescriptorLimits,
	) {
		this.nodes = nodes;
		this.layers = layers;
		this.places = places;
		this.redirects = redirects;
		this.limits = descriptors;
	}

	/** The root, whose descriptors belong to the layers. */
	openRoot(): void {
		const { layers } = this;
		const marks = layers.map((layer) => readMarks(layer.root, layer !== layers.at(-1)));
		const last = marks.findIndex((mark) => (mark & OPAQUE) !== 0);
		const count = last === -1 ? layers.length : last + 1;
		const fds = layers.slice(0, count).map((layer) => layer.root);
		this.known.set(ROOT, new Directory(this, ROOT, [...fds.keys()], fds, marks.slice(0, count)));
	}

	/** The directory of a node; opens it where it is not open. Throws ENOTDIR, EACCES and what opening may. */
	get(node: NodeId): Directory {
		const directory = this.known.get(node) ?? this.openFromAbove(node);
		directory.recent = true;
		return directory;
	}

	/**
	 * Opens a directory, and first those above it that are not open. By a loop, and keeping no more of these than may be
	 * open: a path may be deeper than that.
	 */
	private openFromAbove(node: NodeId): Directory {
		const { nodes } = this;
		const above: NodeId[] = [];
		for (let next = node; nodes.isNamed(next); ) {
			next = nodes.parent(next);
			if (this.known.has(next)) break;
			above.push(next);
		}
		let last: NodeId | undefined;
		for (let next = above.pop(); next !== undefined; next = above.pop()) {
			this.openBelowParent(next);
			if (last !== undefined && this.descriptors > this.limits.largest) this.drop(last);
			last = next;
		}
		return this.openBelowParent(node);
	}

	private openBelowParent(node: NodeId): Directory {
		const directory = this.open(node);
		this.known.set(node, directory);
		return directory;
	}

	/** Opens a directory anew, by its name, if it is open: other layers, or others' directories, may take part by now. */
	refresh(node: NodeId): void {
		const directory = this.known.get(node);
		if (directory === undefined || node === ROOT || directory.isBeingRead) return;
		const { layers, fds, marks } = this.open(node);
		this.closeFrom(directory, 0);
		Object.assign(directory, { layers, fds, marks });
	}

	/** Opens the directory in the layer at position `at` of its list. Throws what opening may. */
	openIn(directory: Directory, at: number): Fd {
		const fd = check(this.walk(directory.node, this.layers[directory.layers[at]!]!, DIRECTORY));
		directory.fds[at] = fd;
		this.descriptors++;
		return fd;
	}

	/**
	 * The directory's descriptor in a layer that contributes, for going through many layers within one request: where more
	 * is open than may be, it is good only until the next call.
	 */
	borrow(directory: Directory, layer: number): Fd {
		const at = directory.layers.indexOf(layer);
		const open = directory.fds[at]!;
		if (open !== NO_FD) return open;
		if (this.descriptors < this.limits.largest) return this.openIn(directory, at);
		if (this.borrower === directory && this.borrowedLayer === layer) return this.borrowed;
		this.giveBack();
		this.borrowed = check(this.walk(directory.node, this.layers[layer]!, DIRECTORY));
		this.borrower = directory;
		this.borrowedLayer = layer;
		return this.borrowed;
	}

	private giveBack(): void {
		if (this.borrower === undefined) return;
		close(this.borrowed);
		this.borrower = undefined;
	}

	/** Opens an object of a lower layer by the names that lead there, also former ones. Returns -errno where that fails. */
	openByNames(node: NodeId, flags: number): Fd {
		return this.walk(node, this.layers[this.nodes.layer(node)]!, flags);
	}

	/**
	 * Opens what a node is in one layer, down from the nearest directory above it that is open there. Returns -errno where
	 * that fails.
	 */
	private walk(node: NodeId, layer: Layer, flags: number): Fd {
		const { nodes, redirects } = this;
		const steps: (Name | ByteString)[] = [];
		let from = NO_FD;
		for (let at = node; from === NO_FD; ) {
			if (at === NO_NODE) return -ESTALE as Fd;
			const way = redirects.wayTo(at, layer.index);
			if (way === undefined) steps.push(nodes.name(at));
			else steps.push(...way.names.toReversed());
			at = nodes.parent(at);
			from = way?.fromRoot ? layer.root : this.openFd(at, layer);
		}
		let fd = from;
		for (let step = steps.pop(); step !== undefined && fd >= 0; step = steps.pop()) {
			const isLast = steps.length === 0 && flags !== DIRECTORY;
			const name = nameOf(step);
			const above = fd;
			try {
				fd = isLast ? layer.open(above, name, flags) : this.openDirectory(layer, above, name);
			} finally {
				if (above !== from) close(above);
			}
		}
		return fd;
	}

	/**
	 * Opens what `fd` is open on in a layer for reading its entries. Also where its mode keeps the owner of an upper
	 * directory from listing it: to remove it, this process must. Returns -errno where that fails.
	 */
	openReader(fd: Fd, layer: Layer): Fd {
		const open = () => layer.open(fd, SELF, O_RDONLY | O_DIRECTORY);
		return this.places.isUpperLayer(layer.index) ? (asOwner(open, [fd, EMPTY_NAME]) as Fd) : open();
	}

	/** A descriptor of the caller's own of what the topmost layer has, good for more than looking names up. */
	openTopmost(directory: Directory): Fd {
		const layer = this.layers[directory.layers[0]!]!;
		return check(this.openReader(this.borrow(directory, layer.index), layer));
	}

	/** Also where the directory above was closed to its owner, whom this process acts for. */
	openDirectory(layer: Layer, above: Fd, name: Name): Fd {
		const fd = layer.openDirectory(above, name);
		if (fd !== -EACCES || !this.places.isUpperLayer(layer.index)) return fd;
		return asOwner(() => layer.openDirectory(above, name), [above, EMPTY_NAME]) as Fd;
	}

	private openFd(node: NodeId, layer: Layer): Fd {
		if (node === ROOT) return layer.root;
		const directory = this.known.get(node);
		return directory?.fds[directory.layers.indexOf(layer.index)] ?? NO_FD;
	}

	/** The directory was copied up; takes over `fd`, its descriptor in the upper layer. */
	raise(directory: Directory, fd: Fd): void {
		directory.addUpper(fd);
		this.descriptors++;
	}

	/**
	 * Notes in the upper directory that files in it may have an origin, and directories other names below. Of files that is a
	 * hint: without it their numbers are not kept. Returns 0 or -errno.
	 */
	markImpure(directory: Directory, work: Workdir): number {
		if ((directory.marks[0]! & IMPURE) !== 0) return 0;
		const marked = markImpure(work, directory.fds[0]!);
		if (marked < 0) return marked;
		directory.marks[0]! |= IMPURE;
		this.nodes.setFlag(directory.node, PLAIN, false);
		return 0;
	}

	/** Closes what is kept of a node's directory, unless it is just being read. */
	drop(node: NodeId): void {
		const directory = this.known.get(node);
		if (directory === undefined || node === ROOT || directory.isBeingRead) return;
		this.known.delete(node);
		if (directory.isHeld) {
			this.descriptors++;
			this.held--;
		}
		this.closeFrom(directory, 0);
		this.onDrop(directory);
	}

	/** As {@link drop}, where more is open than may be: for going through many directories within one request. */
	dropBeyondLimit(node: NodeId): void {
		if (this.descriptors > this.limits.largest) this.drop(node);
	}

	/** Closes what is open of a directory's layers from position `first` on. */
	private closeFrom(directory: Directory, first: number): void {
		if (this.borrower === directory) this.giveBack();
		const { fds } = directory;
		for (let at = first; at < fds.length; at++) {
			if (fds[at] === NO_FD) continue;
			close(fds[at]!);
			fds[at] = NO_FD;
			this.descriptors--;
		}
	}

	/** Whether one more removed directory may be held. */
	get mayHold(): boolean {
		return this.held < this.limits.mostHeld;
	}

	/** The descriptor in the topmost layer; NO_FD where the directory is not open. */
	openTop(node: NodeId): Fd {
		return this.known.get(node)?.fds[0] ?? NO_FD;
	}

	/** The directory was removed: whoever still has it open sees it empty. */
	markRemoved(node: NodeId): void {
		const directory = this.known.get(node);
		if (directory === undefined) return;
		directory.removed = true;
		this.onDrop(directory);
		if (this.places.isReachable(node)) {
			// What leads to it now is another way, or leads to what stands for it.
			this.drop(node);
			return;
		}
		this.closeFrom(directory, 1);
		directory.layers.length = 1;
		directory.fds.length = 1;
		directory.isHeld = true;
		this.descriptors--;
		this.held++;
	}

	/** Closes directories not used lately while more are open than may be. Between requests only: within one they stay open. */
	trim(largest = this.limits.largest): void {
		this.giveBack();
		if (this.descriptors <= largest) return;
		// In order of last use: what was asked for since the last time goes behind the rest.
		for (const [node, directory] of [...this.known]) {
			if (!directory.recent) continue;
			directory.recent = false;
			this.known.delete(node);
			this.known.set(node, directory);
		}
		for (const [node, directory] of this.known) {
			if (this.descriptors <= largest / 2) return;
			if (!directory.isHeld) this.drop(node);
		}
	}

	private open(node: NodeId): Directory {
		const { nodes, layers } = this;
		if (nodes.kind(node) !== DT_DIR) fail(ENOTDIR);
		if (!nodes.isNamed(node)) return this.openRemoved(node);
		const parent = this.get(nodes.parent(node));
		const name = nodes.name(node);
		const top = nodes.layer(node);
		const stack = new Directory(this, node, [], [], []);
		try {
			const candidates = this.candidates(parent, name);
			const last = nodes.flag(node, PURE) ? top : candidates.at(-1);
			for (const index of candidates) {
				if (index < top) continue;
				if (!this.push(stack, layers[index]!, parent, name, index === last) || index === last) break;
			}
			if (stack.fds.length === 0) fail(ENOENT);
			this.followLast(stack, parent);
			this.places.checkOpened(node, stack.fds[0]!);
		} catch (error) {
			this.closeFrom(stack, 0);
			throw error;
		}
		return stack;
	}

	private openRemoved(node: NodeId): Directory {
		const fd = this.places.openNameless(node, O_PATH | O_DIRECTORY);
		const directory = new Directory(this, node, [this.nodes.layer(node)], [fd], [0]);
		directory.removed = true;
		this.descriptors++;
		return directory;
	}

	/** The layers that can have the directory, by the parent's listing where there is one. */
	private candidates(parent: Directory, name: Name): readonly number[] {
		const { listing } = parent;
		if (listing === undefined) return parent.layers;
		const slot = listing.find(name, measure(name));
		return slot === NO_SLOT ? [] : listing.layersOf(slot);
	}

	/** Adds one layer's directory to `stack`; returns whether layers below it may still contribute. */
	private push(stack: Directory, layer: Layer, parent: Directory, name: Name, isLast: boolean): boolean {
		const above = this.borrow(parent, layer.index);
		const fd = this.openDirectory(layer, above, name);
		if (fd < 0 && fd !== -ENOENT) {
			if (isNotDirectory(fd)) return false;
			check(fd);
		}
		if (fd >= 0) {
			const isPlain = this.nodes.flag(stack.node, PLAIN);
			const marks = this.add(stack, layer.index, fd, () => (isPlain ? 0 : readMarks(fd, !isLast)));
			if ((marks & (OPAQUE | REDIRECTED)) !== 0) return false;
		}
		// A listing has heeded these already.
		return isLast || parent.listing !== undefined || !hasWhiteoutFile(above, name, measure(name).length);
	}

	/** Adds a layer's directory to `stack`, which has `fd` also where asking for its marks throws. Returns the marks. */
	add(stack: Directory, layer: number, fd: Fd, marksOf: () => number): number {
		stack.fds.push(fd);
		stack.layers.push(layer);
		this.descriptors++;
		const marks = marksOf();
		stack.marks.push(marks);
		const isBeyondLimit = this.descriptors > this.limits.largest && stack.fds.length > LEAST_OPEN;
		if (isBeyondLimit) this.closeFrom(stack, stack.fds.length - 1);
		return marks;
	}

	/** Adds what the last directory of `stack` leads to, if that was renamed. */
	private followLast(stack: Directory, parent: Directory): void {
		const isRedirected = (stack.marks.at(-1)! & (OPAQUE | REDIRECTED)) === REDIRECTED;
		if (isRedirected) this.redirects.follow(this, stack, parent);
		else if (!this.redirects.areNone) this.redirects.forget(stack.node);
		if (isRedirected && stack.layers.length > 1) this.nodes.setFlag(stack.node, PURE, false);
	}
}

/** A name that stands in memory already, or is written there for the next call. */
function nameOf(step: Name | ByteString): Name {
	if (typeof step !== "string") return step;
	writeString(NAME, step);
	return NAME;
}
