/**
 * The kernel's part, played on an {@link Overlay} by nodes and names: every operation as a request would ask for it,
 * with nothing looked up before. Counts the references it was given, and gives them back.
 */

import { O_RDWR, S_IFMT, statx, timespec, UTIME_OMIT } from "../../../src/native/layout.ts";
import { check, Errno } from "../../../src/native/libc/errno.ts";
import { pread, pwrite } from "../../../src/native/libc/file.ts";
import { linkCount } from "../../../src/native/libc/stat.ts";
import {
	bytes,
	EMPTY_NAME,
	type Name,
	type Offset,
	readBytes,
	release,
	reserve,
	setNumber,
	store,
	view,
} from "../../../src/native/memory.ts";
import type { ByteString } from "../../../src/options.ts";
import { type Changes, changeAttributes } from "../../../src/overlay/changes/attributes.ts";
import { copyUpToWrite } from "../../../src/overlay/changes/copy-up.ts";
import { create } from "../../../src/overlay/changes/create.ts";
import { link } from "../../../src/overlay/changes/link.ts";
import type { Caller } from "../../../src/overlay/changes/maker.ts";
import { rmdir, unlink } from "../../../src/overlay/changes/remove.ts";
import { rename } from "../../../src/overlay/changes/rename.ts";
import { writeAttribute } from "../../../src/overlay/changes/xattr.ts";
import { NO_SLOT } from "../../../src/overlay/nodes/listing.ts";
import { NO_NODE, type NodeId } from "../../../src/overlay/nodes/node.ts";
import type { Overlay } from "../../../src/overlay/overlay.ts";
import { readAttributes, STAT } from "../../../src/overlay/reading/attributes.ts";
import { lookup } from "../../../src/overlay/reading/lookup.ts";
import { numberOf } from "../../../src/overlay/reading/readdir.ts";
import { readAttribute } from "../../../src/overlay/reading/xattr.ts";
import type { BytePath } from "../../harness/native.ts";

export const SCRATCH_SIZE = 1 << 20;
const SCRATCH = reserve(SCRATCH_SIZE);
const TIMES = reserve(2 * timespec.sizeof);
/** The offset of the first entry behind "." and "..". */
const AFTER_DOTS = 2;

export const root: Caller = { uid: 0, gid: 0, umask: 0o022 };

export type Change = Partial<Omit<Changes, "times">> & {
	/** Nanoseconds since the epoch. */
	readonly mtime?: bigint;
};

export interface Attributes {
	/** S_IFMT bits. */
	readonly kind: number;
	readonly mode: number;
	readonly uid: number;
	readonly gid: number;
	readonly size: number;
	readonly links: number;
	readonly inode: bigint;
	/** Nanoseconds since the epoch. */
	readonly mtime: bigint;
	readonly major: number;
	readonly minor: number;
}

export interface DirectoryEntry {
	/** Latin-1: one char code a byte. */
	readonly name: string;
	/** DT_*. */
	readonly type: number;
	readonly inode: bigint;
	/** The offset behind it. */
	readonly next: number;
}

/** The name of the errno ("ENOENT") that `action` throws; undefined when it succeeds. Anything else is passed on. */
export function errnoOf(action: () => unknown): string | undefined {
	try {
		action();
	} catch (error) {
		if (error instanceof Errno) return error.message;
		throw error;
	}
	return undefined;
}

export function latin1(path: BytePath): string {
	return (typeof path === "string" ? Buffer.from(path) : path).toString("latin1");
}

export class NodeClient {
	/** Room for values, 1 MiB. */
	readonly scratch = SCRATCH;

	overlay: Overlay;

	readonly #references = new Map<NodeId, number>();

	constructor(overlay: Overlay) {
		this.overlay = overlay;
	}

	/** Hands `text` over as a name in the region, and takes it back. */
	named<Result>(text: string, action: (name: Name) => Result): Result {
		const name = store(text as ByteString);
		try {
			return action(name);
		} finally {
			release(name, text.length + 1);
			this.overlay.trim();
		}
	}

	/** Counts a reference that the kernel would hold. */
	hold(node: NodeId): NodeId {
		this.overlay.nodes.reference(node);
		this.#references.set(node, (this.#references.get(node) ?? 0) + 1);
		return node;
	}

	/** The node a name stands for, NO_NODE if for none. */
	look(parent: NodeId, name: string): NodeId {
		const node = this.named(name, (stored) => lookup(this.overlay, parent, stored));
		return node === NO_NODE ? node : this.hold(node);
	}

	attributes(node: NodeId): Attributes {
		readAttributes(this.overlay, node);
		this.overlay.trim();
		const mode = view.getUint16(STAT + statx.stxMode, true);
		const seconds = view.getBigInt64(STAT + statx.stxMtime, true);
		return {
			kind: mode & S_IFMT,
			mode: mode & 0o7777,
			uid: view.getUint32(STAT + statx.stxUid, true),
			gid: view.getUint32(STAT + statx.stxGid, true),
			size: Number(view.getBigUint64(STAT + statx.stxSize, true)),
			links: linkCount(STAT),
			inode: view.getBigUint64(STAT + statx.stxIno, true),
			mtime: seconds * 1_000_000_000n + BigInt(view.getUint32(STAT + statx.stxMtime + 8, true)),
			major: view.getUint32(STAT + statx.stxRdevMajor, true),
			minor: view.getUint32(STAT + statx.stxRdevMinor, true),
		};
	}

	/** Makes an object, `mode` with the S_IFMT bits, in a directory that may have no name any more. */
	makeIn(
		parent: NodeId,
		name: string,
		mode: number,
		caller = root,
		device = 0,
		target: BytePath = "",
	): NodeId {
		return this.named(latin1(target), (targetName) =>
			this.named(name, (stored) => {
				const shownTarget = target === "" ? EMPTY_NAME : targetName;
				const blueprint = { mode, device, target: shownTarget, access: O_RDWR };
				return this.hold(create(this.overlay, parent, stored, caller, blueprint));
			}),
		);
	}

	readFrom(node: NodeId): string {
		let content = "";
		for (;;) {
			const fd = this.overlay.files.readable(node);
			const length = check(pread(fd, SCRATCH, SCRATCH_SIZE, content.length));
			this.overlay.trim();
			if (length === 0) return content;
			content += readBytes(SCRATCH, length);
		}
	}

	writeTo(node: NodeId, content: string | Buffer, position = 0): void {
		const data = Buffer.from(content);
		copyUpToWrite(this.overlay, node);
		for (let written = 0; written < data.length; ) {
			const part = data.subarray(written, written + SCRATCH_SIZE);
			bytes.set(part, SCRATCH);
			const fd = this.overlay.files.writable(node);
			written += check(pwrite(fd, SCRATCH, part.length, position + written));
		}
		this.overlay.trim();
	}

	unlinkIn(parent: NodeId, name: string): void {
		this.named(name, (stored) => unlink(this.overlay, parent, stored));
	}

	rmdirIn(parent: NodeId, name: string): void {
		this.named(name, (stored) => rmdir(this.overlay, parent, stored));
	}

	renameIn(parent: NodeId, name: string, newParent: NodeId, newName: string, flags = 0): void {
		this.named(name, (stored) =>
			this.named(newName, (newStored) => rename(this.overlay, parent, stored, newParent, newStored, flags)),
		);
	}

	linkIn(node: NodeId, parent: NodeId, name: string): void {
		this.named(name, (stored) => link(this.overlay, node, parent, stored));
		this.hold(node);
	}

	changeNode(node: NodeId, { mtime, ...changes }: Change): Attributes {
		changeAttributes(this.overlay, node, {
			mode: undefined,
			uid: undefined,
			gid: undefined,
			size: undefined,
			timesAreKernels: false,
			kernelKeepsTimes: false,
			killPrivileges: undefined,
			times: mtime === undefined ? undefined : timesWith(mtime),
			...changes,
		});
		return this.attributes(node);
	}

	getxattrOf(node: NodeId, attribute: string): Buffer {
		const length = this.named(attribute, (stored) =>
			check(readAttribute(this.overlay, node, stored, SCRATCH, SCRATCH_SIZE)),
		);
		return Buffer.from(bytes.slice(SCRATCH, SCRATCH + length));
	}

	setxattrOf(node: NodeId, attribute: string, value: string | Buffer, flags = 0): void {
		const data = Buffer.from(value);
		bytes.set(data, SCRATCH);
		this.named(attribute, (stored) =>
			writeAttribute(this.overlay, node, stored, SCRATCH, data.length, flags, undefined),
		);
	}

	/** At most `count` entries behind `offset`, in the order of readdir, without "." and "..". */
	entries(node: NodeId, offset = AFTER_DOTS, count = Number.POSITIVE_INFINITY): DirectoryEntry[] {
		const { overlay } = this;
		const directory = overlay.directory(node);
		const listing = overlay.listings.list(directory);
		const found: DirectoryEntry[] = [];
		for (let slot = listing.after(offset); slot !== NO_SLOT; slot = listing.following(slot)) {
			if (found.length >= count) break;
			if (!listing.isVisible(slot)) continue;
			numberOf(overlay, directory, listing, slot);
			found.push({
				name: readBytes(listing.name(slot), listing.nameLength(slot)),
				type: listing.type(slot),
				inode: (BigInt(overlay.inodes.high) << 32n) | BigInt(overlay.inodes.low),
				next: listing.cookie(slot),
			});
		}
		overlay.trim();
		return found;
	}

	/** Gives one reference back. */
	forget(node: NodeId, count = 1): void {
		const held = this.#references.get(node) ?? 0;
		if (count > held) throw new Error(`node ${node} is held ${held} times only`);
		if (count === held) this.#references.delete(node);
		else this.#references.set(node, held - count);
		this.overlay.nodes.forget(node, count);
	}

	/** Gives back every reference, of the nodes found last first, as the kernel must. */
	forgetAll(): void {
		for (const [node, count] of [...this.#references].reverse()) this.forget(node, count);
	}
}

function timesWith(mtime: bigint): Offset {
	setNumber(TIMES + timespec.tvSec, 0);
	setNumber(TIMES + timespec.tvNsec, UTIME_OMIT);
	view.setBigInt64(TIMES + timespec.sizeof + timespec.tvSec, mtime / 1_000_000_000n, true);
	view.setBigInt64(TIMES + timespec.sizeof + timespec.tvNsec, mtime % 1_000_000_000n, true);
	return TIMES;
}
