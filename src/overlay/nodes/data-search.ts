/**
 * Where the data of a file without its own is (marks/metacopy.ts). Such a file, the marked one, has the name, the attributes and
 * the size; its data is that of a file in a layer below.
 *
 * Layers are searched one after the other, as for directories that were renamed (redirects.ts): for the marked file's name, or
 * for what its own `overlay.redirect` says. A further marked file on the way is passed over, and its redirect changes what is
 * looked for below it; anything but a regular file, and a whiteout, end the search. Nothing found is an error: never zeros.
 *
 * Where the last marked file's own redirect is a path from the root, and that file is in a lower layer, the data may be in a
 * data-only layer (data-only.ts). Those are looked into when the data is first asked for, as there may be many such files.
 * Source: Linux fs/overlayfs/namei.c, ovl_lookup and ovl_lookup_single.
 */

import { DT_REG, ENOENT, NAME_MAX, O_PATH, statx } from "../../native/layout.ts";
import { check, fail } from "../../native/libc/errno.ts";
import { close, type Fd } from "../../native/libc/file.ts";
import { statDescriptor } from "../../native/libc/metadata.ts";
import { kindOf, linkCount, sizeOf } from "../../native/libc/stat.ts";
import { attributeNames } from "../../native/libc/xattr.ts";
import {
	EMPTY_NAME,
	getNumber,
	type Int64,
	type Name,
	readBytes,
	reserve,
	writeString,
} from "../../native/memory.ts";
import type { ByteString } from "../../options.ts";
import type { Layer } from "../layers/layer.ts";
import { digestIn, metacopyNamespace } from "../marks/metacopy.ts";
import { hasRedirect, type RedirectNamespace, readRedirect } from "../marks/redirect.ts";
import { NO_DIGEST } from "../marks/verity.ts";
import { hasWhiteoutFile, isWhiteoutFile } from "../marks/whiteout.ts";
import type { Data } from "./data-only.ts";
import type { Directory } from "./directory.ts";
import type { DirectoryCache } from "./directory-cache.ts";
import { RETIRED } from "./flags.ts";
import { measure } from "./name.ts";
import { type NodeId, type NodeTable, ROOT } from "./node.ts";
import type { Places } from "./places.ts";
import type { Redirects, Search } from "./redirects.ts";
import type { Refusals } from "./refusals.ts";

const NAME = reserve(NAME_MAX + 1) as Name;
const STAT = reserve(statx.sizeof);
/** Bytes of what is counted as one by stat(2). */
const BLOCK = 512;

/** Where the data of a marked file is, and what was found out on the way. */
export interface DataPlace {
	/** That of its mark. */
	readonly namespace: RedirectNamespace;
	/** What it says itself of where its data is. */
	readonly redirect: ByteString | undefined;
	/** What the layers below have under its name goes by several names there. */
	readonly isLinkedBelow: boolean;
	/** Bytes that it shows. */
	readonly size: Int64;
	/** The way to its data from the root of the layer that has it. */
	readonly path: ByteString;
	/** The fs-verity digest that its data must have; empty: none is known. */
	readonly digest: ByteString;
	/** The layer that has its data; undefined: a data-only one, which is not looked for yet. */
	readonly layer: Layer | undefined;
	/** Blocks of 512 bytes that its data takes, or may take as far as is known. */
	readonly blocks: number;
	/** It is shorter than its data: a cut was interrupted (changes/complete.ts). */
	readonly isCut: boolean;
}

/** Data found in a layer, and the way to it from the layer's root. */
interface Found extends Data {
	readonly path: ByteString;
}

interface Course extends Search {
	/** Whether the first file found has several names; undefined: nothing is found yet. */
	isLinkedBelow: boolean | undefined;
	/** Of the topmost marked file that has one. */
	digest: ByteString;
	/** Where data-only layers may have the data, as the last marked file says; undefined: they do not count. */
	inDataOnly: ByteString | undefined;
}

/**
 * Marks of the `user` namespace, which whoever may write to a file can set: followed to wherever they lead, or to data-only
 * layers alone.
 */
export type UsersMarks = "followed" | "to data-only layers" | "refused";

export class DataSearch {
	private readonly nodes: NodeTable;
	private readonly layers: readonly Layer[];
	private readonly dataOnly: readonly Layer[];
	private readonly places: Places;
	private readonly directories: DirectoryCache;
	private readonly redirects: Redirects;
	private readonly refusals: Refusals;
	private readonly usersMarks: UsersMarks;

	constructor(
		nodes: NodeTable,
		layers: readonly Layer[],
		dataOnly: readonly Layer[],
		places: Places,
		directories: DirectoryCache,
		redirects: Redirects,
		refusals: Refusals,
		usersMarks: UsersMarks,
	) {
		this.nodes = nodes;
		this.layers = layers;
		this.dataOnly = dataOnly;
		this.places = places;
		this.directories = directories;
		this.redirects = redirects;
		this.refusals = refusals;
		this.usersMarks = usersMarks;
	}

	/**
	 * The mark of a regular file, of `name` in `directory` or what `directory` is open on; undefined: it has none. `attributes`:
	 * their names, where they are known. Throws EPERM where it is not to be followed.
	 */
	markOf(
		node: NodeId,
		directory: Fd,
		name: Name,
		attributes = attributeNames(directory, name),
	): RedirectNamespace | undefined {
		const namespace = metacopyNamespace(directory, name, attributes);
		if (namespace === "user" && this.usersMarks === "refused") this.refusals.refuseMetacopy(node);
		return namespace;
	}

	/**
	 * Where the data of a marked file is. Throws EPERM where a mark is not to be followed, EINVAL for a malformed redirect, EIO
	 * where there is no data, and what opening may.
	 * @param namespace of its mark
	 * @param marked open on it
	 */
	find(node: NodeId, namespace: RedirectNamespace, marked: Fd): DataPlace {
		const { nodes, directories } = this;
		const from = nodes.layer(node);
		const isRemoved = nodes.flag(node, RETIRED);
		const ownName = isRemoved
			? this.redirects.pathIn(from, node)
			: readBytes(nodes.name(node), nodes.nameLength(node));
		const search: Course = {
			// The directory that it was in may be gone as well.
			way: { fromRoot: isRemoved, names: ownName.split("/") as ByteString[] },
			isOver: false,
			isLinkedBelow: undefined,
			digest: NO_DIGEST,
			inDataOnly: undefined,
		};
		const redirect = this.turn(node, from, namespace, marked, search);
		const soughtAs = `${search.way.fromRoot ? "/" : ""}${search.way.names.join("/")}` as ByteString;
		check(statDescriptor(marked, STAT));
		const size = sizeOf(STAT);
		const block = getNumber(STAT + statx.stxBlksize);
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
			if (found.size < size) this.refusals.refuseLost(node, from, soughtAs);
			const { digest } = search;
			const isLinkedBelow = search.isLinkedBelow === true;
			return { ...found, namespace, redirect, isLinkedBelow, size, digest, isCut: found.size > size };
		}
		if (search.inDataOnly === undefined) this.refusals.refuseLost(node, from, soughtAs);
		// As the kernel guesses it.
		const blocks = Math.ceil(Number(size) / block) * (block / BLOCK);
		const { digest, inDataOnly: path } = search;
		const isLinkedBelow = search.isLinkedBelow === true;
		const place = { namespace, redirect, isLinkedBelow, size, path, digest };
		return { ...place, layer: undefined, blocks, isCut: false };
	}

	/** Has the search go on as the marks of a file without data say; returns its redirect. */
	private turn(
		node: NodeId,
		layer: number,
		namespace: RedirectNamespace,
		marked: Fd,
		search: Course,
	): ByteString | undefined {
		const { refusals, redirects } = this;
		const digest = digestIn(marked, namespace) ?? refusals.refuseStrangeMetacopy(node, layer);
		if (search.digest === NO_DIGEST) search.digest = digest;
		const value = this.redirectIn(node, layer, namespace, marked);
		const way = value === undefined ? undefined : redirects.parse(node, layer, value);
		const leads = way?.fromRoot === true && this.dataOnly.length > 0 && !this.places.isUpperLayer(layer);
		search.inDataOnly = leads ? (way.names.join("/") as ByteString) : undefined;
		const isBelieved = namespace === "trusted" || this.usersMarks === "followed";
		if (!leads && !isBelieved) refusals.refuseMetacopy(node);
		if (way === undefined) return undefined;
		if (!leads && redirects.areRefused) refusals.refuseRedirected(node, layer, namespace);
		// Data-only layers are for this alone: what leads there is followed in any case.
		if (way.fromRoot) search.isOver = redirects.areRefused || !isBelieved;
		const { fromRoot, names } = search.way;
		search.way = way.fromRoot ? way : { fromRoot, names: [...names.slice(0, -1), ...way.names] };
		return value;
	}

	/** Where the redirect of a file without data says that it is; undefined: it has none. */
	private redirectIn(
		node: NodeId,
		layer: number,
		namespace: RedirectNamespace,
		marked: Fd,
	): ByteString | undefined {
		if (!hasRedirect(marked, namespace)) return undefined;
		return readRedirect(marked, namespace) ?? this.refusals.refuseMalformed(node, layer);
	}

	/** Looks for the data in one layer, down from its directory `base`. Undefined: it is not there. */
	private searchLayer(
		node: NodeId,
		search: Course,
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
			const above = fromRoot || base.node === ROOT ? "" : `${redirects.pathIn(index, base.node)}/`;
			return { ...found, path: `${above}${names.join("/")}` as ByteString };
		} finally {
			if (!isAtBase) close(reached.fd);
		}
	}

	/** As {@link searchLayer}, for NAME in a directory that says `marks` of itself. */
	private searchDirectory(
		node: NodeId,
		search: Course,
		index: number,
		directory: Fd,
		marks: number,
		isLast: boolean,
	): Data | undefined {
		const layer = this.layers[index]!;
		const isHiding = !isLast && hasWhiteoutFile(directory, NAME, measure(NAME).length);
		const fd = layer.open(directory, NAME, O_PATH);
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
			if (!isFile || (!isLast && isWhiteoutFile(directory, marks, NAME, STAT))) {
				search.isOver = true;
				return undefined;
			}
			search.isLinkedBelow ??= linkCount(STAT) > 1;
			const further = this.markOf(node, fd, EMPTY_NAME);
			if (further === undefined) return { layer, size, blocks };
			search.isOver ||= isHiding;
			if (isLast && this.dataOnly.length === 0) search.isOver = true;
			else this.turn(node, index, further, fd, search);
			return undefined;
		} finally {
			close(fd);
		}
	}
}
