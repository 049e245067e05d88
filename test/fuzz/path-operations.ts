/** Operations on names. None follows a symlink as its last step, except where the target is the same for all sides. */

import {
	accessSync,
	type BigIntStats,
	chmodSync,
	constants,
	lchownSync,
	linkSync,
	lstatSync,
	mkdirSync,
	readdirSync,
	readFileSync,
	readlinkSync,
	rmdirSync,
	symlinkSync,
	truncateSync,
	unlinkSync,
	writeFileSync,
	writeSync,
} from "node:fs";
import { dirname } from "node:path";
import { Descriptor, open } from "../harness/descriptor.ts";
import {
	getxattr,
	listxattr,
	mknod,
	RENAME_EXCHANGE,
	RENAME_NOREPLACE,
	readDirectoryRecords,
	removexattr,
	renameat2,
	setTimes,
	setxattr,
	XATTR_CREATE,
	XATTR_REPLACE,
} from "../harness/native.ts";
import { contentHash } from "../harness/snapshot.ts";
import { deadEnd } from "../overlay/core/random-layers.ts";
import { accessList, aclName, isAcl } from "./acl.ts";
import { openFile } from "./open-file.ts";
import { type Content, contentOf, digest, type Operation, operation, pastTime, timeOf } from "./operation.ts";
import type { Side } from "./side.ts";

export function describeStat(stats: BigIntStats): readonly (string | number)[] {
	const isDirectory = stats.isDirectory();
	return [
		Number(stats.mode).toString(8),
		`${stats.uid}:${stats.gid}`,
		`${stats.rdev >> 8n}:${stats.rdev & 255n}`,
		...(isDirectory ? [] : [`size ${stats.size}`, `links ${stats.nlink}`]),
		timeOf(stats.mtimeNs),
	];
}

function codeOfError(error: unknown): unknown {
	return (error as { code?: unknown }).code;
}

export function isSameFile(one: BigIntStats, other: BigIntStats): boolean {
	return one.ino === other.ino && one.dev === other.dev;
}

/** Runs `action` with the umask that files are made with. */
function masked<Result>(mask: number, action: () => Result): Result {
	const before = process.umask(mask);
	try {
		return action();
	} finally {
		process.umask(before);
	}
}

/** A symlink would lead one side's step into the other's tree, or to a device. */
export function isSymlink(side: Side, path: string): boolean {
	return lstatSync(side.at(path)).isSymbolicLink();
}

/** Whether open(2) by name neither blocks nor leaves the tree. */
function isPlain(side: Side, path: string): boolean {
	const stats = lstatSync(side.at(path));
	return stats.isFile() || stats.isDirectory();
}

function rewrite(side: Side, path: string, flags: number, content: Content): unknown {
	if (!isPlain(side, path)) return "special";
	using file = new Descriptor(openFile(side, path, constants.O_WRONLY | flags, 0));
	const bytes = contentOf(content);
	return writeSync(file.fd, bytes, 0, bytes.length);
}

/** renameat2(2). Above ext4, kernel overlayfs changes the time of the directory before it fails: it is set on all sides. */
export function rename(side: Side, path: string, to: string, flags: number): void {
	try {
		renameat2(side.at(path), side.at(to), flags);
	} catch (error) {
		if (codeOfError(error) === "ENOTEMPTY") setTimes(dirname(side.at(path)), "now", "now");
		throw error;
	}
}

/** The directory or file `path` and all below it, in the order of names. */
export function removeTree(path: string): void {
	if (lstatSync(path).isDirectory()) {
		for (const name of readdirSync(path).sort()) removeTree(`${path}/${name}`);
		rmdirSync(path);
	} else unlinkSync(path);
}

/** Each entry with its type. */
export function listing(path: string): string[] {
	using directory = open(path, constants.O_RDONLY | constants.O_DIRECTORY);
	const lines: string[] = [];
	for (;;) {
		const records = readDirectoryRecords(directory.fd, 512);
		if (records.length === 0) return lines.sort();
		for (const { name, type } of records) lines.push(`${name} ${type}`);
	}
}

const largestWhole = 64n * 1024n * 1024n;
const setgid = 0o2000;
const groupExecution = 0o010;

/** A mode whose setgid bit the mask would leave without group execution, without it: see explained.ts. */
function withoutVainSetgid(mode: number, mask: number): number {
	return (mask & groupExecution) === 0 ? mode : mode & ~setgid;
}

const renameFlags = [0, 0, 0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_EXCHANGE];

export const pathOperations: Readonly<Record<string, Operation>> = {
	create: operation(
		4,
		(pick) => ({ path: pick.place(), content: pick.content(), mode: pick.mode(), mask: pick.mask() }),
		(side, { path, content, mode, mask }) =>
			masked(mask, () =>
				writeFileSync(side.at(path), contentOf(content), { flag: "wx", mode: withoutVainSetgid(mode, mask) }),
			),
	),
	mkdir: operation(
		4,
		(pick) => ({ path: pick.place(), mode: pick.mode() | 0o700, mask: pick.mask() }),
		(side, { path, mode, mask }) => masked(mask, () => void mkdirSync(side.at(path), { mode })),
	),
	symlink: operation(
		2,
		(pick) => ({ path: pick.place(), target: pick.oneOf(deadEnd, "a", "../b", "nowhere") }),
		(side, { path, target }) => symlinkSync(target, side.at(path)),
	),
	mknod: operation(
		2,
		(pick) => ({
			path: pick.place(),
			type: pick.oneOf(0o010000, 0o010000, 0o140000, 0o020000, 0o060000, 0o100000),
			mode: pick.mode(),
			minor: pick.oneOf(0, 3),
			mask: pick.mask(),
		}),
		(side, { path, type, mode, minor, mask }) =>
			masked(mask, () =>
				mknod(side.at(path), type | withoutVainSetgid(mode, mask), minor === 0 ? 0 : 1, minor),
			),
	),
	unlink: operation(
		6,
		(pick) => ({ path: pick.path() }),
		(side, { path }) => unlinkSync(side.at(path)),
	),
	rmdir: operation(
		5,
		(pick) => ({ path: pick.path() }),
		(side, { path }) => rmdirSync(side.at(path)),
	),
	/** Removing whole trees makes room for opaque directories. */
	removeTree: operation(
		2,
		(pick) => ({ path: pick.path() }),
		(side, { path }) => removeTree(side.at(path)),
	),
	rename: operation(
		10,
		(pick) => ({ path: pick.path(), to: pick.place(), flags: pick.oneOf(...renameFlags) }),
		(side, { path, to, flags }) => rename(side, path, to, flags),
	),
	link: operation(
		6,
		(pick) => ({ path: pick.path(), to: pick.place() }),
		(side, { path, to }) => linkSync(side.at(path), side.at(to)),
	),
	stat: operation(
		4,
		(pick) => ({ path: pick.path() }),
		(side, { path }) => describeStat(lstatSync(side.at(path), { bigint: true })),
	),
	/** Whether two names are one file. */
	isSame: operation(
		1,
		(pick) => ({ path: pick.path(), to: pick.path() }),
		(side, { path, to }) =>
			isSameFile(lstatSync(side.at(path), { bigint: true }), lstatSync(side.at(to), { bigint: true })),
	),
	readdir: operation(
		4,
		(pick) => ({ path: pick.path() }),
		(side, { path }) => (isSymlink(side, path) ? "symlink" : listing(side.at(path))),
	),
	readlink: operation(
		1,
		(pick) => ({ path: pick.path() }),
		(side, { path }) => readlinkSync(side.at(path)),
	),
	readFile: operation(
		3,
		(pick) => ({ path: pick.path() }),
		(side, { path }) => {
			if (!isPlain(side, path)) return "special";
			const { size } = lstatSync(side.at(path), { bigint: true });
			if (size > largestWhole) return `${size} bytes, ${contentHash(Buffer.from(side.at(path)), size)}`;
			return digest(readFileSync(side.at(path)));
		},
	),
	access: operation(
		2,
		(pick) => ({ path: pick.path(), mode: pick.number(8) }),
		(side, { path, mode }) => (isSymlink(side, path) ? "symlink" : accessSync(side.at(path), mode)),
	),
	append: operation(
		3,
		(pick) => ({ path: pick.path(), content: pick.content() }),
		(side, { path, content }) => rewrite(side, path, constants.O_APPEND, content),
	),
	overwrite: operation(
		2,
		(pick) => ({ path: pick.path(), content: pick.content() }),
		(side, { path, content }) => rewrite(side, path, constants.O_TRUNC, content),
	),
	truncate: operation(
		3,
		(pick) => ({ path: pick.path(), size: pick.oneOf(0, pick.number(10), pick.size()) }),
		(side, { path, size }) => {
			if (isSymlink(side, path)) return "symlink";
			// Of a FUSE file system with a write cache the kernel does not let this change the times, of others it does.
			const stats = lstatSync(side.at(path));
			if (stats.isFile() && stats.size === size) return "has that size";
			return truncateSync(side.at(path), size);
		},
	),
	chmod: operation(
		4,
		(pick) => ({ path: pick.path(), mode: pick.mode() }),
		(side, { path, mode }) => (isSymlink(side, path) ? "symlink" : chmodSync(side.at(path), mode)),
	),
	chown: operation(
		3,
		(pick) => ({ path: pick.path(), uid: pick.uid(), gid: pick.gid() }),
		(side, { path, uid, gid }) => lchownSync(side.at(path), uid, gid),
	),
	utimens: operation(
		2,
		(pick) => ({ path: pick.path(), time: pick.number(1000) }),
		(side, { path, time }) => setTimes(side.at(path), "omit", pastTime(time)),
	),
	touch: operation(
		1,
		(pick) => ({ path: pick.path() }),
		(side, { path }) => setTimes(side.at(path), "now", "now"),
	),
	setxattr: operation(
		3,
		(pick) => ({
			path: pick.path(),
			name: pick.oneOf("user.note", "user.other", "trusted.note", "security.note"),
			value: "v".repeat(pick.oneOf(0, 1, pick.number(30), 300)),
			flags: pick.oneOf(0, 0, XATTR_CREATE, XATTR_REPLACE),
		}),
		(side, { path, name, value, flags }) => setxattr(side.at(path), name, value, flags),
	),
	getxattr: operation(
		1,
		(pick) => ({ path: pick.path(), name: pick.oneOf("user.note", "trusted.note", aclName.access) }),
		(side, { path, name }) =>
			isAcl(name) && !side.hasAcls ? "not offered" : digest(getxattr(side.at(path), name)),
	),
	listxattr: operation(
		1,
		(pick) => ({ path: pick.path() }),
		(side, { path }) => listxattr(side.at(path)),
	),
	removexattr: operation(
		2,
		(pick) => ({
			path: pick.path(),
			name: pick.oneOf("user.note", "user.note", aclName.access, aclName.default),
		}),
		(side, { path, name }) => {
			if (isAcl(name) && !side.hasAcls) return "not offered";
			// Overlayfs, unlike other file systems, takes the setgid bit away with the ACL.
			const isGroup = (lstatSync(side.at(path)).mode & setgid) !== 0;
			return isGroup && name === aclName.access ? "setgid" : removexattr(side.at(path), name);
		},
	),
	setAcl: operation(
		2,
		(pick) => ({
			path: pick.path(),
			kind: pick.oneOf("access", "access", "default"),
			// With execution for the group, for setgid's sake.
			permissions: [0, 0, 1, 1, 0].map((always) => pick.number(8) | always),
			uid: pick.oneOf(1000, 1001),
		}),
		(side, { path, kind, permissions, uid }) =>
			side.hasAcls
				? setxattr(side.at(path), aclName[kind as "access"], accessList(permissions, uid))
				: "not offered",
	),
};
