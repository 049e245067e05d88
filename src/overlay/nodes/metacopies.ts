/**
 * Regular files without data of their own (marks/metacopy.ts) that the kernel knows: where their data is, and descriptors of it.
 * Lower layers do not change, so what was found (data-search.ts) stays where it is, whatever the marked file is named later on.
 */

import { DT_REG, EIO, ENOENT, O_NONBLOCK, O_PATH, O_RDONLY, statx } from "../../native/layout.ts";
import { check, fail } from "../../native/libc/errno.ts";
import { close, type Fd, NO_FD } from "../../native/libc/file.ts";
import { statDescriptor } from "../../native/libc/metadata.ts";
import { kindOf } from "../../native/libc/stat.ts";
import { attributeNames } from "../../native/libc/xattr.ts";
import { EMPTY_NAME, type Int64, type Name, type Offset, reserve, setNumber } from "../../native/memory.ts";
import type { ByteString, MountOptions } from "../../options.ts";
import type { Layer } from "../layers/layer.ts";
import { metacopyNamespace } from "../marks/metacopy.ts";
import type { RedirectNamespace } from "../marks/redirect.ts";
import { measureVerity, NO_DIGEST } from "../marks/verity.ts";
import { findData } from "./data-only.ts";
import type { DataPlace, DataSearch } from "./data-search.ts";
import { PLAIN } from "./flags.ts";
import { type NodeId, type NodeTable, ROOT } from "./node.ts";
import type { Redirects } from "./redirects.ts";
import type { Refusals } from "./refusals.ts";

const STAT = reserve(statx.sizeof);

/** What is known of a marked file. */
interface Metacopy extends DataPlace {
	redirect: ByteString | undefined;
	layer: Layer | undefined;
	blocks: number;
	isCut: boolean;
	/** Open on its data; NO_FD: it is not open. */
	fd: Fd;
}

/** What was left behind when a file was copied up, besides its data. */
export interface Left {
	/** That of the copy's mark. */
	readonly namespace: RedirectNamespace;
	/** The lower file has several names. */
	readonly isLinkedBelow: boolean;
	/** Bytes that it shows, and blocks of 512 bytes that its data takes. */
	readonly size: Int64;
	readonly blocks: number;
	/** The fs-verity digest that its data has; empty: none is known. */
	readonly digest: ByteString;
}

export class Metacopies {
	/** Told of a file whose data takes other blocks than it was shown with. */
	onBlocks: (node: NodeId) => void = () => {};
	private readonly nodes: NodeTable;
	private readonly layers: readonly Layer[];
	private readonly dataOnly: readonly Layer[];
	private readonly search: DataSearch;
	private readonly redirects: Redirects;
	private readonly refusals: Refusals;
	private readonly verity: MountOptions["verity"];
	private readonly known = new Map<NodeId, Metacopy>();
	/** Those whose data is open, in order of last use. */
	private readonly open = new Set<NodeId>();
	/** By id, 1: files that another process has known, at which this one has not looked yet. */
	private unseen = new Uint8Array(0);

	constructor(
		nodes: NodeTable,
		layers: readonly Layer[],
		dataOnly: readonly Layer[],
		search: DataSearch,
		redirects: Redirects,
		refusals: Refusals,
		verity: MountOptions["verity"],
	) {
		this.nodes = nodes;
		this.layers = layers;
		this.dataOnly = dataOnly;
		this.search = search;
		this.redirects = redirects;
		this.refusals = refusals;
		this.verity = verity;
	}

	/** Another process has known the nodes there are, and which of them are without data of their own. */
	inherit(): void {
		const { nodes } = this;
		this.unseen = new Uint8Array(nodes.end);
		for (let node = (ROOT + 1) as NodeId; node < nodes.end; node++)
			if (nodes.has(node) && nodes.kind(node) === DT_REG && !nodes.flag(node, PLAIN)) this.unseen[node] = 1;
	}

	/** Whether a file is still to be looked at because of {@link inherit}. */
	isUnseen(node: NodeId): boolean {
		return this.unseen[node] === 1;
	}

	/** A file need not be looked at any more, or is about to be another one. */
	noteSeen(node: NodeId): void {
		if (this.unseen[node] === 1) this.unseen[node] = 0;
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

	/** The layer that has a file's data; undefined: it has its own. Throws EIO where there is none. */
	layerOf(node: NodeId): Layer | undefined {
		const metacopy = this.areNone ? undefined : this.known.get(node);
		return metacopy && this.locate(node, metacopy);
	}

	/** Whether there is more data than the file shows; known once its data was asked for. */
	isCut(node: NodeId): boolean {
		return !this.areNone && this.known.get(node)?.isCut === true;
	}

	/** The fs-verity digest that a file's data must have; empty: none is known. */
	digestOf(node: NodeId): ByteString {
		return this.known.get(node)?.digest ?? NO_DIGEST;
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
	leave(node: NodeId, left: Left): void {
		this.noteSeen(node);
		const { nodes, layers, redirects, known } = this;
		const index = nodes.layer(node);
		// Where the file was without data itself, it is where that was.
		const { path, layer, blocks } = known.get(node) ?? {
			path: redirects.pathIn(index, node),
			layer: layers[index],
			blocks: left.blocks,
		};
		this.shut(node);
		known.set(node, { ...left, redirect: undefined, path, layer, blocks, isCut: false, fd: NO_FD });
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
	look(node: NodeId, directory: Fd, name: Name, attributes?: ByteString): void {
		const { search, layers, nodes } = this;
		const namespace = search.markOf(node, directory, name, attributes);
		if (namespace === undefined) return;
		if (name === EMPTY_NAME) {
			this.keep(node, search.find(node, namespace, directory));
			return;
		}
		const fd = check(layers[nodes.layer(node)]!.open(directory, name, O_PATH));
		try {
			this.keep(node, search.find(node, namespace, fd));
		} finally {
			close(fd);
		}
	}

	private keep(node: NodeId, place: DataPlace): void {
		this.forget(node);
		this.known.set(node, { ...place, fd: NO_FD });
	}

	/**
	 * A descriptor to read a file's data with, until the next {@link trim}. Throws EIO where there is none, or it has not the
	 * digest it must have, and what opening may.
	 */
	readable(node: NodeId): Fd {
		const metacopy = this.known.get(node) ?? fail(EIO);
		this.open.delete(node);
		if (metacopy.fd === NO_FD) metacopy.fd = this.openData(node, metacopy);
		this.open.add(node);
		return metacopy.fd;
	}

	/** The layer that has the data, looked for if that is not known yet. Throws EIO where none has, and what opening may. */
	private locate(node: NodeId, metacopy: Metacopy): Layer {
		if (metacopy.layer !== undefined) return metacopy.layer;
		const { path, size } = metacopy;
		const data = findData(this.dataOnly, path);
		if (data === undefined || data.size < size) this.refusals.refuseMissing(node, `/${path}` as ByteString);
		const isGuessWrong = metacopy.blocks !== data.blocks;
		metacopy.blocks = data.blocks;
		metacopy.isCut = data.size > size;
		metacopy.layer = data.layer;
		if (isGuessWrong) this.onBlocks(node);
		return data.layer;
	}

	private openData(node: NodeId, metacopy: Metacopy): Fd {
		const layer = this.locate(node, metacopy);
		const isDataOnly = this.dataOnly.includes(layer);
		const fd = layer.openPath(metacopy.path, O_RDONLY | O_NONBLOCK);
		if (fd === -ENOENT) {
			if (!isDataOnly) fail(EIO);
			// It is looked for again once somebody asks again.
			metacopy.layer = undefined;
			this.refusals.refuseMissing(node, `/${metacopy.path}` as ByteString);
		}
		check(fd);
		try {
			check(statDescriptor(fd, STAT));
			if (kindOf(STAT) !== DT_REG) fail(EIO);
			// In the other layers that was seen to when it was looked for.
			const isMarked =
				isDataOnly && metacopyNamespace(fd, EMPTY_NAME, attributeNames(fd, EMPTY_NAME)) !== undefined;
			if (isMarked) this.refusals.refuseMissing(node, `/${metacopy.path}` as ByteString);
			this.verify(node, metacopy, fd);
			return fd;
		} catch (error) {
			close(fd);
			throw error;
		}
	}

	/** Throws EIO for data that has not the digest it must have. Source: Linux fs/overlayfs/util.c, ovl_validate_verity. */
	private verify(node: NodeId, { digest }: Metacopy, data: Fd): void {
		const { refusals, verity } = this;
		if (verity === "off") return;
		if (digest === NO_DIGEST) {
			if (verity === "require") refusals.refuseUnverified(node, "that names no fs-verity digest");
			return;
		}
		const measured = measureVerity(data);
		if (measured === undefined) refusals.refuseUnverified(node, "its data has no fs-verity digest");
		if (measured !== digest)
			refusals.refuseUnverified(node, "its data has not the fs-verity digest it must have");
	}

	/** The file has its own data, or its node is freed. */
	forget(node: NodeId): void {
		this.noteSeen(node);
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
