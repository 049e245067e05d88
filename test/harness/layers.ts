/**
 * Builds layer directories from a readable description, and the temporary trees that hold them.
 *
 * A description maps names, with slashes for sub-directories, to entries: a string or bytes for a plain file,
 * else what {@link file}, {@link directory}, {@link symlink}, {@link whiteout} and the others return. Parents
 * that are not described are made as plain directories.
 */

import { spawnSync } from "node:child_process";
import {
	chmodSync,
	closeSync,
	lchownSync,
	linkSync,
	mkdirSync,
	mkdtempSync,
	openSync,
	rmSync,
	symlinkSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ftruncate, pwrite } from "./exact-offsets.ts";
import { detachMountsUnder } from "./mount-table.ts";
import { type BytePath, mknod, mount, setTimes, setxattr } from "./native.ts";
import { lacks, overlayAttributes, setting } from "./setting.ts";
import { watchdog } from "./watchdog-client.ts";

export interface Attributes {
	readonly mode?: number;
	readonly uid?: number;
	readonly gid?: number;
	/** Nanoseconds since the epoch, for access and modification. */
	readonly time?: bigint;
	readonly xattrs?: Readonly<Record<string, string | Buffer>>;
}

/** Makes one object at `path`; `layer` is the root it belongs to. */
type Maker = (path: Buffer, layer: string) => void;

export interface Entry {
	readonly make: Maker;
	readonly attributes: Attributes;
	/** Directories get their time after all else, when nothing changes it any more. */
	readonly isDirectory: boolean;
	/** What of the layers below does not show: the name itself, or what the directory of that name holds. */
	readonly hides?: "name" | "content";
	readonly isDevice?: boolean;
}

/** Names as text, or, for names that are no text, pairs with the name in bytes. */
export type Description =
	| Readonly<Record<string, Entry | string | Buffer>>
	| readonly (readonly [BytePath, Entry | string | Buffer])[];

function entry(make: Maker, attributes: Attributes = {}, isDirectory = false): Entry {
	return { make, attributes, isDirectory };
}

export function file(content: string | Buffer, attributes: Attributes = {}): Entry {
	return entry((path) => writeFileSync(path, content), attributes);
}

/** Parts of data at their offsets, holes around them. */
export function sparseFile(
	size: number | bigint,
	parts: Readonly<Record<number | string, string>>,
	attributes: Attributes = {},
): Entry {
	return entry((path) => {
		const fd = openSync(path, "w");
		ftruncate(fd, BigInt(size));
		for (const [offset, text] of Object.entries(parts)) pwrite(fd, text, BigInt(offset));
		closeSync(fd);
	}, attributes);
}

/** The four markers of an opaque directory that are read. */
export type OpaqueFormat = "trusted" | "user" | "fuseoverlayfs" | "file";
/** The one that kernel overlayfs reads and writes in this setting; where nothing has attributes, the only one there is. */
export const kernelsOpaque: OpaqueFormat = lacks("user attributes") ? "file" : overlayAttributes;
const opaqueXattrs = {
	trusted: "trusted.overlay.opaque",
	user: "user.overlay.opaque",
	fuseoverlayfs: "user.fuseoverlayfs.opaque",
} as const;

export function directory(attributes: Attributes & { readonly opaque?: OpaqueFormat } = {}): Entry {
	const { opaque, ...rest } = attributes;
	const make: Maker = (path) => {
		mkdirSync(path);
		if (opaque === "file") writeFileSync(Buffer.concat([path, Buffer.from("/.wh..wh..opq")]), "");
		else if (opaque !== undefined) setxattr(path, opaqueXattrs[opaque], "y");
	};
	return { ...entry(make, rest, true), ...(opaque === undefined ? {} : { hides: "content" }) };
}

export function symlink(target: BytePath, attributes: Attributes = {}): Entry {
	return entry((path) => symlinkSync(target, path), attributes);
}

export function fifo(attributes: Attributes = {}): Entry {
	return entry((path) => mknod(path, 0o010600), { mode: 0o644, ...attributes });
}

export function socket(attributes: Attributes = {}): Entry {
	return entry((path) => mknod(path, 0o140600), { mode: 0o644, ...attributes });
}

export function device(
	kind: "char" | "block",
	major: number,
	minor: number,
	attributes: Attributes = {},
): Entry {
	const type = kind === "char" ? 0o020600 : 0o060600;
	const made = entry((path) => mknod(path, type, major, minor), { mode: 0o600, ...attributes });
	return { ...made, isDevice: true };
}

/** A further name of a file that the description made before. */
export function hardLink(name: string): Entry {
	return entry((path, layer) => linkSync(join(layer, name), path));
}

/**
 * Hides the name in the layers below: as a device 0:0, as a file `.wh.NAME`, or as the kernel's "xattr
 * whiteout", for which the directory holding it gets the opaque value `x`.
 */
export function whiteout(format: "device" | "file" | "xattr" = "device"): Entry {
	const make: Maker = (path, layer) => {
		const slash = path.lastIndexOf("/");
		const parent = path.subarray(0, slash);
		if (format === "device") {
			mknod(path, 0o020000, 0, 0);
		} else if (format === "file") {
			writeFileSync(Buffer.concat([parent, Buffer.from("/.wh."), path.subarray(slash + 1)]), "");
		} else {
			writeFileSync(path, "");
			setxattr(path, `${overlayAttributes}.overlay.whiteout`, "y");
			// The kernel looks for them only in a lower layer whose root is marked too.
			for (const marked of [parent, layer]) setxattr(marked, `${overlayAttributes}.overlay.opaque`, "x");
		}
	};
	return { ...entry(make), hides: "name" };
}

function applyAttributes(path: Buffer, { attributes }: Entry): void {
	const { uid = 0, gid = 0, mode, xattrs = {}, time } = attributes;
	if (uid !== 0 || gid !== 0) lchownSync(path, uid, gid);
	// A mode may keep its owner from setting attributes; an ACL sets the mode.
	const isAcl = (name: string) => name.startsWith("system.");
	const pairs = Object.entries(xattrs);
	for (const [name, value] of pairs) if (!isAcl(name)) setxattr(path, name, value);
	if (mode !== undefined) chmodSync(path, mode);
	for (const [name, value] of pairs) if (isAcl(name)) setxattr(path, name, value);
	if (time !== undefined) setTimes(path, time, time);
}

/** Adds what `description` says to the directory `layer`, which may be missing. */
export function fillLayer(layer: string, description: Description): void {
	const callersMask = process.umask(0o022);
	try {
		makeEntries(layer, description);
	} finally {
		process.umask(callersMask);
	}
}

function makeEntries(layer: string, description: Description): void {
	const parents = new Set<string>();
	const makeParent = (path: Buffer) => {
		const parent = path.subarray(0, path.lastIndexOf("/"));
		if (!parents.has(parent.toString("latin1"))) mkdirSync(parent, { recursive: true });
		parents.add(parent.toString("latin1"));
	};
	mkdirSync(layer, { recursive: true });
	const pairs: readonly (readonly [BytePath, Entry | string | Buffer])[] = Array.isArray(description)
		? description
		: Object.entries(description);
	const directories: [Buffer, Entry][] = [];
	for (const [name, content] of pairs) {
		const described =
			typeof content === "string" || Buffer.isBuffer(content) ? file(content) : (content as Entry);
		const path = Buffer.concat([Buffer.from(`${layer}/`), Buffer.from(name)]);
		makeParent(path);
		described.make(path, layer);
		if (described.isDirectory) directories.push([path, described]);
		else applyAttributes(path, described);
	}
	for (const [path, described] of directories.reverse()) applyAttributes(path, described);
}

/** Where temporary trees are made: FUSE_OVERLAYFS_TEST_DIRECTORY, for trying other file systems. */
const baseDirectory = process.env.FUSE_OVERLAYFS_TEST_DIRECTORY ?? tmpdir();

/** Mounts a file system on an empty directory, until that is unmounted. */
export type MountDisk = (path: string) => void;

/** A tmpfs of 2 MiB. */
export const smallDisk: MountDisk = (path) => mount("tmpfs", path, "tmpfs", 0, "size=2m");

/** A directory of its own for one test, removed at the end of the scope, or by the watchdog. */
export class TemporaryTree implements Disposable {
	readonly path: string;

	constructor(base: string) {
		this.path = mkdtempSync(join(base, "fuse-overlayfs-test-"));
		// Users other than root must reach the mounts inside.
		chmodSync(this.path, 0o755);
		watchdog.tell("tree", this.path);
	}

	join(...names: string[]): string {
		return join(this.path, ...names);
	}

	/** Makes the directory `name` with what is described; its path. */
	layer(name: string, description: Description = {}): string {
		const path = this.join(name);
		fillLayer(path, description);
		return path;
	}

	/**
	 * The layers a test needs: `lower` (topmost first), `upper`, `work`, and the mountpoint `merged`. `mountDisk` mounts
	 * what upper and work are to lie on.
	 */
	layers(lowers: readonly Description[], upper: Description = {}, mountDisk?: MountDisk): Layers {
		const disk = mountDisk === undefined ? "" : "disk/";
		mountDisk?.(this.layer("disk"));
		return {
			lower: lowers.map((description, index) => this.layer(`lower${index + 1}`, description)),
			upper: this.layer(`${disk}upper`, upper),
			work: this.layer(`${disk}work`),
			mountpoint: this.layer("merged"),
		};
	}

	[Symbol.dispose](): void {
		detachMountsUnder(this.path);
		// An ordinary user may not remove what is in a closed directory.
		if (setting === "fusermount") spawnSync("chmod", ["-R", "u+rwX", this.path]);
		rmSync(this.path, { recursive: true, force: true });
		watchdog.tell("tree-gone", this.path);
	}
}

export interface Layers {
	readonly lower: readonly string[];
	readonly upper: string;
	readonly work: string;
	readonly mountpoint: string;
}

export function temporaryTree(base = baseDirectory): TemporaryTree {
	return new TemporaryTree(base);
}
