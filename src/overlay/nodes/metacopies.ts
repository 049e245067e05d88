/**
 * Regular files without data of their own (marks/metacopy.ts): where their data is. Such a file, the marked one, has the name,
 * the attributes and the size; its data is that of a file in a layer below.
 *
 * Layers are searched one after the other, as for directories that were renamed (redirects.ts): for the marked file's name, or
 * for what its own `overlay.redirect` says. A further marked file on the way is passed over, and its redirect changes what is
 * looked for below it; anything but a regular file, and a whiteout, end the search. Nothing found is an error: never zeros.
 * Lower layers do not change, so what was found stays where it is, whatever the marked file is named later on.
 * Source: Linux fs/overlayfs/namei.c, ovl_lookup and ovl_lookup_single.
 */

import { DT_REG, EIO, ENOENT, NAME_MAX, O_NONBLOCK, O_PATH, O_RDONLY, statx } from "../../native/layout.ts";
import { check, fail } from "../../native/libc/errno.ts";
import { close, type Fd, NO_FD } from "../../native/libc/file.ts";
import { statDescriptor } from "../../native/libc/metadata.ts";
import { kindOf, linkCount, sizeOf } from "../../native/libc/stat.ts";
import { attributeNames } from "../../native/libc/xattr.ts";
import {
	EMPTY_NAME,
	getNumber,
	type Int64,
	type Name,
	type Offset,
	readBytes,
	reserve,
	setNumber,
	writeString,
} from "../../native/memory.ts";
import type { ByteString } from "../../options.ts";
import type { Layer } from "../layers/layer.ts";
import { isMetacopyValid, metacopyNamespace } from "../marks/metacopy.ts";
import { hasRedirect, type RedirectNamespace, readRedirect, type Way } from "../marks/redirect.ts";
import { ATTRIBUTE_WHITEOUTS, hasWhiteoutAttribute, hasWhiteoutFile } from "../marks/whiteout.ts";
import type { Directory } from "./directory.ts";
import type { DirectoryCache } from "./directory-cache.ts";
import { measure } from "./name.ts";
import { type NodeId, type NodeTable, ROOT } from "./node.ts";
import type { Redirects, Search } from "./redirects.ts";
import type { Refusals } from "./refusals.ts";

const NAME = reserve(NAME_MAX + 1) as Name;
const STAT = reserve(statx.sizeof);

/** What is known of a marked file. */
interface Metacopy {
	/** That of its mark. */
	readonly namespace: RedirectNamespace;
	/** What it says itself of where its data is. */
	redirect: ByteString | undefined;
	/** What the layers below have under its name goes by several names there. */
	readonly isLinkedBelow: boolean;
	/** The layer that has its data. */
	readonly layer: number;
	/** The names that lead there, from the layer's root. */
	readonly names: readonly ByteString[];
	/** Blocks of 512 bytes that its data takes. */
	readonly blocks: number;
	/** It is shorter than its data: a cut was interrupted (changes/complete.ts). */
	readonly isCut: boolean;
	/** Open on its data; NO_FD: it is not open. */
	fd: Fd;
}

/** What was left behind when a file was copied up, besides its data. */
export interface Left {
	/** That of the copy's mark. */
	readonly namespace: RedirectNamespace;
	/** The lower file has several names. */
	readonly isLinkedBelow: boolean;
	/** Blocks of 512 bytes that its data takes. */
	readonly blocks: number;
}

interface DataSearch extends Search {
	/** Whether the first file found has several names; undefined: nothing is found yet. */
	isLinkedBelow: boolean | undefined;
}

/** What is found in a layer. */
interface Found {
	readonly names: readonly ByteString[];
	readonly blocks: number;
	readonly size: Int64;
}

export class Metacopies {
	private readonly nodes: NodeTable;
	private readonly layers: readonly Layer[];
	private readonly directories: DirectoryCache;
	private readonly redirects: Redirects;
	private readonly refusals: Refusals;
	private readonly followsUsers: boolean;
	private readonly known = new Map<NodeId, Metacopy>();
	/** Those whose data is open, in order of last use. */
	private readonly open = new Set<NodeId>();

	/** @param followsUsers also marks of the `user` namespace, which whoever may write to a file can set, are followed */
	constructor(
		nodes: NodeTable,
		layers: readonly Layer[],
		directories: DirectoryCache,
		redirects: Redirects,
		refusals: Refusals,
		followsUsers: boolean,
	) {
		this.nodes = nodes;
		this.layers = layers;
		this.directories = directories;
		this.redirects = redirects;
		this.refusals = refusals;
		this.followsUsers = followsUsers;
	}

	/** No file that the kernel knows is without data of its own. */
	get areNone(): boolean {
		return this.known.size === 0;
	}

	/** Descriptors kept open. */
	get opened(): number {
		return this.open.size;
	}

	/** Whether the data of a file is known to lie in another layer. */
	has(node: NodeId): boolean {
		return !this.areNone && this.known.has(node);
	}

	/** The namespace of the file's mark. */
	namespaceOf(node: NodeId): RedirectNamespace | undefined {
		return this.known.get(node)?.namespace;
	}

	/** The layer that has a file's data; undefined: it has its own. */
	layerOf(node: NodeId): number | undefined {
		return this.areNone ? undefined : this.known.get(node)?.layer;
	}

	/** Whether there is more data than the file shows. */
	isCut(node: NodeId): boolean {
		return !this.areNone && this.known.get(node)?.isCut === true;
	}

	/** What a file says itself of where its data is; undefined: nothing, that is under its name. */
	redirectOf(node: NodeId): ByteString | undefined {
		return this.known.get(node)?.redirect;
	}

	setRedirect(node: NodeId, redirect: ByteString): void {
		this.known.get(node)!.redirect = redirect;
	}

	/** Whether what the layers below have of a file goes by several names there. */
	isLinkedBelow(node: NodeId): boolean {
		return this.known.get(node)?.isLinkedBelow === true;
	}

	/** A file of a lower layer is about to have a copy in the upper layer stand for it that is without its data. */
	leave(node: NodeId, { namespace, isLinkedBelow, blocks }: Left): void {
		const { nodes, redirects, known } = this;
		const below = known.get(node);
		const layer = below?.layer ?? nodes.layer(node);
		const names = below?.names ?? (redirects.pathIn(layer, node).split("/") as ByteString[]);
		const left = { namespace, redirect: undefined, isLinkedBelow, layer, names };
		this.shut(node);
		known.set(node, { ...left, blocks: below?.blocks ?? blocks, isCut: false, fd: NO_FD });
	}

	/** Puts into a file's `struct statx` what its data takes. */
	showBlocks(node: NodeId, stat: Offset): void {
		const metacopy = this.known.get(node);
		if (metacopy !== undefined) setNumber(stat + statx.stxBlocks, metacopy.blocks);
	}

	/**
	 * Looks whether a regular file, `name` in `directory` or what `directory` is open on, has the mark, and if so finds its
	 * data. `attributes`: their names, where they are known. Throws EPERM where the mark is not to be followed, EINVAL for a
	 * malformed redirect, EIO where there is no data, and what opening may.
	 */
	look(node: NodeId, directory: Fd, name: Name, attributes = attributeNames(directory, name)): void {
		const namespace = metacopyNamespace(directory, name, attributes);
		if (namespace === undefined) return;
		if (namespace === "user" && !this.followsUsers) this.refusals.refuseMetacopy(node);
		if (name === EMPTY_NAME) {
			this.note(node, namespace, directory);
			return;
		}
		const fd = check(this.layers[this.nodes.layer(node)]!.open(directory, name, O_PATH));
		try {
			this.note(node, namespace, fd);
		} finally {
			close(fd);
		}
	}

	private note(node: NodeId, namespace: RedirectNamespace, marked: Fd): void {
		const { nodes, directories } = this;
		const from = nodes.layer(node);
		const ownName = readBytes(nodes.name(node), nodes.nameLength(node));
		const way: Way = { fromRoot: false, names: [ownName] };
		const search: DataSearch = { way, isOver: false, isLinkedBelow: undefined };
		const redirect = this.turn(node, from, namespace, marked, search);
		const soughtAs = `${search.way.fromRoot ? "/" : ""}${search.way.names.join("/")}` as ByteString;
		check(statDescriptor(marked, STAT));
		const size = sizeOf(STAT);
		// What has no name is not looked for by one.
		const parent = nodes.isNamed(node) ? directories.get(nodes.parent(node)) : undefined;
		const root = directories.get(ROOT);
		const bottom = root.layers.at(-1)!;
		for (let layer = from + 1; layer <= bottom && !search.isOver; layer++) {
			const base = search.way.fromRoot ? root : parent;
			if (base === undefined || !base.layers.includes(layer)) continue;
			const found = this.searchLayer(node, search, layer, base, layer === bottom);
			if (found === undefined) continue;
			// It would end in zeros.
			if (found.size < size) break;
			const { names, blocks } = found;
			const isLinkedBelow = search.isLinkedBelow === true;
			const isCut = found.size > size;
			this.forget(node);
			this.known.set(node, { namespace, redirect, isLinkedBelow, layer, names, blocks, isCut, fd: NO_FD });
			return;
		}
		this.refusals.refuseLost(node, from, soughtAs);
	}

	/** Has the search go on as the marks of a file without data say; returns its redirect. */
	private turn(
		node: NodeId,
		layer: number,
		namespace: RedirectNamespace,
		marked: Fd,
		search: Search,
	): ByteString | undefined {
		const { refusals, redirects } = this;
		if (!isMetacopyValid(marked, namespace)) refusals.refuseStrangeMetacopy(node, layer);
		if (!hasRedirect(marked, namespace)) return undefined;
		if (redirects.areRefused) refusals.refuseRedirected(node, layer, namespace);
		const value = readRedirect(marked, namespace) ?? refusals.refuseMalformed(node, layer);
		const way = redirects.parse(node, layer, value);
		if (way.fromRoot) search.isOver = false;
		const { fromRoot, names } = search.way;
		search.way = way.fromRoot ? way : { fromRoot, names: [...names.slice(0, -1), ...way.names] };
		return value;
	}

	/** Looks for the data in one layer, down from its directory `base`. Undefined: it is not there. */
	private searchLayer(
		node: NodeId,
		search: DataSearch,
		index: number,
		base: Directory,
		isLast: boolean,
	): Found | undefined {
		const { directories, redirects } = this;
		const { fromRoot, names } = search.way;
		const start = directories.borrow(base, index);
		const depth = names.length - 1;
		const reached = redirects.descend(directories, node, search, index, start, depth, isLast);
		if (reached === undefined) return undefined;
		const isAtBase = reached.fd === start;
		const marks = isAtBase ? base.marks[base.layers.indexOf(index)]! : reached.marks;
		try {
			writeString(NAME, names[depth]!);
			const found = this.searchDirectory(node, search, index, reached.fd, marks, isLast);
			if (found === undefined) return undefined;
			const above = fromRoot || base.node === ROOT ? "" : redirects.pathIn(index, base.node);
			const leading = above === "" ? [] : (above.split("/") as ByteString[]);
			return { ...found, names: [...leading, ...names] };
		} finally {
			if (!isAtBase) close(reached.fd);
		}
	}

	/** As {@link searchLayer}, for NAME in a directory that says `marks` of itself. */
	private searchDirectory(
		node: NodeId,
		search: DataSearch,
		index: number,
		directory: Fd,
		marks: number,
		isLast: boolean,
	): Omit<Found, "names"> | undefined {
		const isHiding = !isLast && hasWhiteoutFile(directory, NAME, measure(NAME).length);
		const fd = this.layers[index]!.open(directory, NAME, O_PATH);
		if (fd < 0) {
			if (fd !== -ENOENT) fail(-fd);
			search.isOver ||= isHiding;
			return undefined;
		}
		try {
			check(statDescriptor(fd, STAT));
			const size = sizeOf(STAT);
			const blocks = getNumber(STAT + statx.stxBlocks);
			const isFile = kindOf(STAT) === DT_REG;
			const mayBeWhiteout = size === 0 && !isLast && (marks & ATTRIBUTE_WHITEOUTS) !== 0;
			if (!isFile || (mayBeWhiteout && hasWhiteoutAttribute(directory, NAME))) {
				search.isOver = true;
				return undefined;
			}
			search.isLinkedBelow ??= linkCount(STAT) > 1;
			const further = metacopyNamespace(fd, EMPTY_NAME, attributeNames(fd, EMPTY_NAME));
			if (further === undefined) return { size, blocks };
			if (further === "user" && !this.followsUsers) this.refusals.refuseMetacopy(node);
			search.isOver ||= isHiding;
			if (isLast) search.isOver = true;
			else this.turn(node, index, further, fd, search);
			return undefined;
		} finally {
			close(fd);
		}
	}

	/** A descriptor to read a file's data with, until the next {@link trim}. Throws EIO where it is gone, and what opening may. */
	readable(node: NodeId): Fd {
		const metacopy = this.known.get(node) ?? fail(EIO);
		this.open.delete(node);
		if (metacopy.fd === NO_FD) metacopy.fd = this.openData(metacopy);
		this.open.add(node);
		return metacopy.fd;
	}

	private openData({ layer: index, names }: Metacopy): Fd {
		const layer = this.layers[index]!;
		let above = layer.root;
		for (const [depth, name] of names.entries()) {
			writeString(NAME, name);
			const isLast = depth === names.length - 1;
			const fd = isLast
				? layer.open(above, NAME, O_RDONLY | O_NONBLOCK)
				: this.directories.openDirectory(layer, above, NAME);
			if (above !== layer.root) close(above);
			above = check(fd === -ENOENT ? (-EIO as Fd) : fd);
		}
		const looked = statDescriptor(above, STAT);
		if (looked === 0 && kindOf(STAT) === DT_REG) return above;
		close(above);
		return fail(looked < 0 ? -looked : EIO);
	}

	/** The file has its own data, or its node is freed. */
	forget(node: NodeId): void {
		if (this.areNone) return;
		this.shut(node);
		this.known.delete(node);
	}

	/** Closes the descriptors longest unused while there are more than `largest`. Called between requests only. */
	trim(largest: number): void {
		for (const node of this.open) {
			if (this.open.size <= largest) return;
			this.shut(node);
		}
	}

	private shut(node: NodeId): void {
		if (!this.open.delete(node)) return;
		const metacopy = this.known.get(node)!;
		close(metacopy.fd);
		metacopy.fd = NO_FD;
	}
}
