/**
 * Directories that were renamed (marks/redirect.ts): what the layers below have of them, and where.
 *
 * Layers are searched one after the other, topmost first. A mark met on the way changes what is looked for in the layers
 * below it; a whiteout, anything but a directory and an opaque directory on the way hide what lies below. A mark that counts
 * must lead somewhere, and to what is not shown elsewhere: what belongs to the directory would be missing, or there twice.
 * Source: Linux fs/overlayfs/namei.c, ovl_lookup, ovl_lookup_layer and ovl_lookup_single.
 */

import { EINVAL, EIO, ENOENT, NAME_MAX } from "../../native/layout.ts";
import { Errno, fail } from "../../native/libc/errno.ts";
import { close, type Fd } from "../../native/libc/file.ts";
import { type Name, readBytes, reserve, writeString } from "../../native/memory.ts";
import type { ByteString } from "../../options.ts";
import { isNotDirectory, type Layer } from "../layers/layer.ts";
import {
	LONGEST_REDIRECT,
	type RedirectNamespace,
	readRedirect,
	redirectNamespace,
	type Way,
	wayOf,
} from "../marks/redirect.ts";
import { hasWhiteoutFile, OPAQUE, REDIRECTED, readMarks } from "../marks/whiteout.ts";
import type { Directory } from "./directory.ts";
import { measure } from "./name.ts";
import { NO_NODE, type NodeId, type NodeTable, ROOT } from "./node.ts";
import type { Places } from "./places.ts";
import type { Refusals } from "./refusals.ts";

const NAME = reserve(NAME_MAX + 1) as Name;

/** `on`: all are followed, and made; `follow`: all are followed; `off`: those of the machine's namespace; `nofollow`: none. */
export type RedirectMode = "on" | "follow" | "off" | "nofollow";

/** Whoever keeps directories open. */
interface Opener {
	get(node: NodeId): Directory;
	borrow(directory: Directory, layer: number): Fd;
	/** Returns -errno where that fails. */
	openDirectory(layer: Layer, above: Fd, name: Name): Fd;
	/** Adds a layer's directory below those of `stack`; takes over `fd`. */
	add(stack: Directory, layer: number, fd: Fd, marksOf: () => number): number;
}

/** What is known of a renamed directory. */
interface Redirect {
	/** By layer: where those below have what belongs to it, if not under its name. */
	ways: ReadonlyMap<number, Way>;
	/** What the upper layer's directory says. */
	mark: Mark | undefined;
	/** The inode number by which it is in `shownBy`. */
	number: string | undefined;
}

export interface Mark {
	readonly namespace: RedirectNamespace;
	readonly value: ByteString;
}

/** What is looked for in the layers from here on. */
export interface Search {
	way: Way;
	/** The layers below have nothing more to add. */
	isOver: boolean;
}

/** Where a way has led to in a layer: a descriptor, and what that directory says of itself. */
interface Reached {
	readonly fd: Fd;
	readonly marks: number;
}

export class Redirects {
	private readonly nodes: NodeTable;
	private readonly layers: readonly Layer[];
	private readonly places: Places;
	private readonly refusals: Refusals;
	private readonly mode: RedirectMode;
	private readonly known = new Map<NodeId, Redirect>();
	/** Which of them shows an inode number. */
	private readonly shownBy = new Map<string, NodeId>();

	constructor(
		nodes: NodeTable,
		layers: readonly Layer[],
		places: Places,
		refusals: Refusals,
		mode: RedirectMode,
	) {
		this.nodes = nodes;
		this.layers = layers;
		this.places = places;
		this.refusals = refusals;
		this.mode = mode;
	}

	/** Directories that lower layers contribute to can be renamed. */
	get areMade(): boolean {
		return this.mode === "on";
	}

	/** No mark is to be followed. */
	get areRefused(): boolean {
		return this.mode === "nofollow";
	}

	/** No directory that the kernel knows was renamed. */
	get areNone(): boolean {
		return this.known.size === 0;
	}

	/** Where a lower layer has what belongs to a node; undefined: under its name in what is its parent's. */
	wayTo(node: NodeId, layer: number): Way | undefined {
		return this.areNone ? undefined : this.known.get(node)?.ways.get(layer);
	}

	/** What the upper layer's directory says of its former name; undefined: nothing, or it is not known yet. */
	markOf(node: NodeId): Mark | undefined {
		return this.known.get(node)?.mark;
	}

	setMark(node: NodeId, mark: Mark): void {
		this.recordOf(node).mark = mark;
	}

	/** The directory has got another name: lower layers have what belongs to it where they had it before. */
	setWays(node: NodeId, ways: ReadonlyMap<number, Way>): void {
		this.recordOf(node).ways = ways;
		this.claim(node);
	}

	/** Where lower layers have what belongs to a node, whatever names those above it get. */
	waysFromRoot(node: NodeId, layers: readonly number[]): ReadonlyMap<number, Way> {
		const names = (layer: number) => this.pathIn(layer, node).split("/") as ByteString[];
		return new Map(layers.map((layer) => [layer, { fromRoot: true, names: names(layer) }]));
	}

	/**
	 * What the mark of an object of the upper layer is to say once it has another name: its name now, if its parent stays the
	 * same, else the path that the layers below have it at; what it says already, `own`, if that stays true. Undefined: the
	 * path is longer than readers take. Throws ENOENT below what was removed. Source: Linux fs/overlayfs/dir.c, ovl_get_redirect.
	 */
	valueFor(
		node: NodeId,
		staysInParent: boolean,
		own: ByteString | undefined = this.markOf(node)?.value,
	): ByteString | undefined {
		const { nodes } = this;
		const nameOf = (at: NodeId) => readBytes(nodes.name(at), nodes.nameLength(at));
		let value = own ?? nameOf(node);
		if (staysInParent || value.startsWith("/")) return value;
		for (let at = nodes.parent(node); at !== ROOT && !value.startsWith("/"); at = nodes.parent(at)) {
			if (!nodes.isNamed(at)) fail(ENOENT);
			value = `${this.markOf(at)?.value ?? nameOf(at)}/${value}` as ByteString;
			if (value.length > LONGEST_REDIRECT) return undefined;
		}
		if (!value.startsWith("/")) value = `/${value}` as ByteString;
		return value.length <= LONGEST_REDIRECT ? value : undefined;
	}

	private recordOf(node: NodeId): Redirect {
		const known = this.known.get(node);
		if (known !== undefined) return known;
		const made = { ways: new Map(), mark: undefined, number: undefined };
		this.known.set(node, made);
		return made;
	}

	/** The node is freed, or was opened and has no mark. */
	forget(node: NodeId): void {
		const { number } = this.known.get(node) ?? {};
		this.known.delete(node);
		if (number !== undefined && this.shownBy.get(number) === node) this.shownBy.delete(number);
	}

	/** The path of a node's object in a lower layer, from its root and without a leading slash; former names lead there, too. */
	pathIn(layer: number, node: NodeId): ByteString {
		const { nodes } = this;
		const names: ByteString[] = [];
		for (let at = node; at !== ROOT && nodes.name(at) !== 0; at = nodes.parent(at)) {
			const way = this.wayTo(at, layer);
			names.unshift(...(way?.names ?? [readBytes(nodes.name(at), nodes.nameLength(at))]));
			if (way?.fromRoot) break;
		}
		return names.join("/") as ByteString;
	}

	/**
	 * Adds to `stack`, whose last directory has the mark, what that leads to. Throws EPERM where it is not to be followed,
	 * EINVAL for a malformed one, EIO where it leads nowhere, and what opening may.
	 */
	follow(opener: Opener, stack: Directory, parent: Directory): void {
		const { node } = stack;
		const from = stack.layers.at(-1)!;
		const root = opener.get(ROOT);
		const bottom = root.layers.at(-1)!;
		// Nothing lies below: it has no more than it shows.
		if (from >= bottom) return;
		const mark = this.read(node, from, opener.borrow(stack, from));
		const search: Search = { way: this.parse(node, from, mark.value), isOver: false };
		const ways = new Map<number, Way>();
		for (let index = from + 1; index <= bottom && !search.isOver; index++) {
			const base = search.way.fromRoot ? root : parent;
			if (!base.layers.includes(index)) continue;
			const { way } = search;
			const above = opener.borrow(base, index);
			const { length } = way.names;
			const reached = this.descend(opener, node, search, index, above, length, index === bottom);
			if (reached === undefined) continue;
			opener.add(stack, index, reached.fd, () => reached.marks);
			ways.set(index, way);
		}
		if (ways.size === 0) this.refusals.refuseLost(node, from, mark.value);
		const record = this.recordOf(node);
		record.ways = ways;
		record.mark = this.places.isUpperLayer(from) ? mark : undefined;
	}

	private read(node: NodeId, layer: number, directory: Fd): Mark {
		const namespace = redirectNamespace(directory) ?? fail(EIO);
		const isFollowed = this.mode === "off" ? namespace === "trusted" : this.mode !== "nofollow";
		if (!isFollowed) this.refusals.refuseRedirected(node, layer, namespace);
		const value = readRedirect(directory, namespace);
		return value === undefined ? this.refusals.refuseMalformed(node, layer) : { namespace, value };
	}

	/** The way that a mark's value stands for. Throws EINVAL for a malformed one. */
	parse(node: NodeId, layer: number, value: ByteString): Way {
		try {
			return wayOf(value);
		} catch (error) {
			if (error instanceof Errno && error.code === EINVAL) this.refusals.refuseMalformed(node, layer, value);
			throw error;
		}
	}

	/**
	 * Goes down in one layer, from its directory `base`, by the first `count` names of the way, and changes the search as what
	 * is met there says. Returns where it ends, for the caller to close unless that is `base`; undefined: there is no such
	 * directory. Throws what following marks and opening may.
	 */
	descend(
		opener: Pick<Opener, "openDirectory">,
		node: NodeId,
		search: Search,
		index: number,
		base: Fd,
		count: number,
		isLast: boolean,
	): Reached | undefined {
		const layer = this.layers[index]!;
		const { fromRoot, names } = search.way;
		let above = base;
		// What the layers below are searched for, up to where this one was gone down.
		let next: Way = { fromRoot, names: [] };
		let depth = 0;
		let marks = 0;
		try {
			for (; depth < count; depth++) {
				const name = names[depth]!;
				writeString(NAME, name);
				// First: looking for it may fail, and nothing must be open then that nobody closes.
				const isHiding = !isLast && hasWhiteoutFile(above, NAME, measure(NAME).length);
				const fd = opener.openDirectory(layer, above, NAME);
				if (above !== base) close(above);
				above = base;
				if (fd < 0) {
					if (!isNotDirectory(fd) && fd !== -ENOENT) fail(-fd);
					search.isOver ||= isHiding || isNotDirectory(fd);
					return undefined;
				}
				above = fd;
				marks = readMarks(fd, !isLast);
				let step: Way = { fromRoot: false, names: [name] };
				if ((marks & OPAQUE) !== 0) {
					search.isOver = true;
				} else if ((marks & REDIRECTED) !== 0 && !isLast) {
					step = this.parse(node, index, this.read(node, index, fd).value);
					// What was hidden in the layers below is not on the way that they are searched by now.
					if (step.fromRoot) search.isOver = false;
				} else if (isHiding) {
					search.isOver = true;
				}
				next = step.fromRoot ? step : { ...next, names: [...next.names, ...step.names] };
			}
		} catch (error) {
			if (above !== base) close(above);
			throw error;
		} finally {
			search.way = { ...next, names: [...next.names, ...names.slice(depth)] };
		}
		return { fd: above, marks };
	}

	/**
	 * Refuses with ESTALE, as kernel overlayfs does, a directory that is shown elsewhere already because of a mark: programs
	 * would go in circles, or take two directories for one. `node`: one that has got its inode number.
	 */
	checkShownOnce(node: NodeId): void {
		const number = this.numberOf(node);
		const shownBy = this.shownBy.get(number);
		const isElsewhere = shownBy !== undefined && shownBy !== node && this.nodes.isNamed(shownBy);
		const ways = this.known.get(node)?.ways;
		if (ways === undefined || ways.size === 0) {
			if (isElsewhere) this.refusals.refuseDouble(node);
			return;
		}
		if (isElsewhere || this.isShownByName(node, number)) this.refusals.refuseDouble(node);
		this.claim(node);
	}

	private claim(node: NodeId): void {
		const record = this.recordOf(node);
		if (record.number !== undefined) this.shownBy.delete(record.number);
		record.number = this.numberOf(node);
		this.shownBy.set(record.number, node);
	}

	/** Whether the number is that of a directory above a renamed one, or of that which has the name it leads to. */
	private isShownByName(node: NodeId, number: string): boolean {
		const { nodes } = this;
		for (let above = nodes.parent(node); above !== ROOT; above = nodes.parent(above)) {
			if (this.numberOf(above) === number) return true;
		}
		const [layer = 0] = this.known.get(node)!.ways.keys();
		let other: NodeId = ROOT;
		for (const name of this.pathIn(layer, node).split("/")) {
			writeString(NAME, name as ByteString);
			other = nodes.find(other, NAME, measure(NAME));
			if (other === NO_NODE) return false;
		}
		return other !== node && this.numberOf(other) === number;
	}

	private numberOf(node: NodeId): string {
		return `${this.nodes.inodeHigh(node)}:${this.nodes.inodeLow(node)}`;
	}
}
