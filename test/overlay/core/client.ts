/**
 * The kernel's part by path: looks names up one by one, and refuses what the kernel itself would. Paths are text or,
 * where a name is no text, bytes.
 */

import {
	DT_DIR,
	EEXIST,
	EINVAL,
	EISDIR,
	ENOENT,
	ENOTDIR,
	ENOTEMPTY,
	RENAME_EXCHANGE,
	RENAME_NOREPLACE,
	S_IFDIR,
	S_IFLNK,
	S_IFREG,
} from "../../../src/native/layout.ts";
import { readLink } from "../../../src/native/libc/directory.ts";
import { check, fail } from "../../../src/native/libc/errno.ts";
import { readBytes } from "../../../src/native/memory.ts";
import { copyUp } from "../../../src/overlay/changes/copy-up.ts";
import { createNameless } from "../../../src/overlay/changes/create.ts";
import { deleteAttribute } from "../../../src/overlay/changes/xattr.ts";
import { NO_NODE, type NodeId, ROOT } from "../../../src/overlay/nodes/node.ts";
import { listNames } from "../../../src/overlay/reading/xattr.ts";
import type { BytePath } from "../../harness/native.ts";
import {
	type Attributes,
	type Change,
	errnoOf,
	latin1,
	NodeClient,
	root,
	SCRATCH_SIZE,
} from "./node-client.ts";

export class Client extends NodeClient {
	/** The node at a path. Throws ENOENT. */
	node(path: BytePath): NodeId {
		let node = ROOT;
		for (const name of latin1(path).split("/")) {
			if (name === "") continue;
			node = this.look(node, name);
			if (node === NO_NODE) fail(ENOENT);
		}
		return node;
	}

	exists(path: BytePath): boolean {
		return errnoOf(() => this.node(path)) === undefined;
	}

	/** The directory a path leads to by all but its last name. Throws ENOENT, ENOTDIR. */
	#parent(path: BytePath): [parent: NodeId, name: string] {
		const text = latin1(path);
		const slash = text.lastIndexOf("/");
		const parent = this.node(Buffer.from(text.slice(0, Math.max(slash, 0)), "latin1"));
		if (this.overlay.nodes.kind(parent) !== DT_DIR) fail(ENOTDIR);
		return [parent, text.slice(slash + 1)];
	}

	/** Looks a name up, as the kernel does before it changes what the name stands for. */
	#target(path: BytePath): [parent: NodeId, name: string] {
		const [parent, name] = this.#parent(path);
		this.look(parent, name);
		return [parent, name];
	}

	stat(path: BytePath): Attributes {
		return this.attributes(this.node(path));
	}

	/** Makes an object; `mode` with the S_IFMT bits. */
	make(path: BytePath, mode: number, caller = root, device = 0, target: BytePath = ""): NodeId {
		return this.makeIn(...this.#target(path), mode, caller, device, target);
	}

	create(path: BytePath, content: string | Buffer = "", mode = 0o666, caller = root): NodeId {
		const node = this.make(path, S_IFREG | mode, caller);
		if (content.length > 0) this.writeTo(node, content);
		return node;
	}

	mkdir(path: BytePath, mode = 0o777, caller = root): NodeId {
		return this.make(path, S_IFDIR | mode, caller);
	}

	symlink(target: BytePath, path: BytePath, caller = root): NodeId {
		return this.make(path, S_IFLNK | 0o777, caller, 0, target);
	}

	/** A file without a name. */
	createNameless(directory: BytePath, mode = 0o666, caller = root): NodeId {
		return this.hold(createNameless(this.overlay, this.node(directory), caller, mode));
	}

	read(path: BytePath): string {
		return this.readFrom(this.node(path));
	}

	write(path: BytePath, content: string | Buffer, position = 0): void {
		this.writeTo(this.node(path), content, position);
	}

	readlink(path: BytePath): string {
		const place = this.overlay.locate(this.node(path));
		return readBytes(this.scratch, check(readLink(place.directory, place.name, this.scratch, 4096)));
	}

	unlink(path: BytePath): void {
		this.unlinkIn(...this.#target(path));
	}

	rmdir(path: BytePath): void {
		this.rmdirIn(...this.#target(path));
	}

	/** With what the kernel itself refuses before it asks. Source: Linux fs/namei.c, do_renameat2 and vfs_rename. */
	rename(from: BytePath, to: BytePath, flags = 0): void {
		const [parent, name] = this.#parent(from);
		const [newParent, newName] = this.#parent(to);
		const node = this.look(parent, name);
		if (node === NO_NODE) fail(ENOENT);
		const target = this.look(newParent, newName);
		const exchange = (flags & RENAME_EXCHANGE) !== 0;
		if ((flags & RENAME_NOREPLACE) !== 0 && target !== NO_NODE) fail(EEXIST);
		if (exchange && target === NO_NODE) fail(ENOENT);
		if (`${latin1(to)}/`.startsWith(`${latin1(from)}/`) && node !== target) fail(EINVAL);
		if (latin1(from).startsWith(`${latin1(to)}/`)) fail(exchange ? EINVAL : ENOTEMPTY);
		if (node === target) return;
		if (target !== NO_NODE && !exchange) this.#checkKinds(node, target);
		this.renameIn(parent, name, newParent, newName, flags);
	}

	#checkKinds(node: NodeId, target: NodeId): void {
		const { nodes } = this.overlay;
		const isDirectory = nodes.kind(node) === DT_DIR;
		if (isDirectory && nodes.kind(target) !== DT_DIR) fail(ENOTDIR);
		if (!isDirectory && nodes.kind(target) === DT_DIR) fail(EISDIR);
	}

	exchange(one: BytePath, other: BytePath): void {
		this.rename(one, other, RENAME_EXCHANGE);
	}

	renameNoReplace(from: BytePath, to: BytePath): void {
		this.rename(from, to, RENAME_NOREPLACE);
	}

	link(from: BytePath, to: BytePath): void {
		this.linkNode(this.node(from), to);
	}

	linkNode(node: NodeId, to: BytePath): void {
		const [parent, name] = this.#parent(to);
		if (this.look(parent, name) !== NO_NODE) fail(EEXIST);
		this.linkIn(node, parent, name);
	}

	copyUp(path: BytePath): void {
		copyUp(this.overlay, this.node(path));
		this.overlay.trim();
	}

	change(path: BytePath, changes: Change): Attributes {
		return this.changeNode(this.node(path), changes);
	}

	getxattr(path: BytePath, attribute: string): Buffer {
		return this.getxattrOf(this.node(path), attribute);
	}

	setxattr(path: BytePath, attribute: string, value: string | Buffer, flags = 0): void {
		this.setxattrOf(this.node(path), attribute, value, flags);
	}

	removexattr(path: BytePath, attribute: string): void {
		const node = this.node(path);
		this.named(attribute, (stored) => deleteAttribute(this.overlay, node, stored));
	}

	listxattr(path: BytePath): string[] {
		const length = listNames(this.overlay, this.node(path), this.scratch, SCRATCH_SIZE, true);
		this.overlay.trim();
		return readBytes(this.scratch, length).split("\0").slice(0, -1).sort();
	}

	/** The names in a directory, sorted; Latin-1. */
	names(path: BytePath = ""): string[] {
		return this.entries(this.node(path))
			.map(({ name }) => name)
			.sort();
	}
}
