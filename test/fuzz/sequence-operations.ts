/**
 * Sequences that single operations seldom make: what is open or known by another name goes on to be used after its
 * first name, its rights or its place are gone.
 */

import {
	chmodSync,
	closeSync,
	constants,
	fchmodSync,
	fstatSync,
	linkSync,
	lstatSync,
	mkdirSync,
	openSync,
	readdirSync,
	readSync,
	renameSync,
	rmdirSync,
	statSync,
	unlinkSync,
	writeFileSync,
	writeSync,
} from "node:fs";
import { dirname } from "node:path";
import { Descriptor, O_TMPFILE, open } from "../harness/descriptor.ts";
import { ftruncate } from "../harness/exact-offsets.ts";
import { fallocate, fsetxattr, linkDescriptor, mapMemory, setTimesOf, setxattr } from "../harness/native.ts";
import { accessList, aclName } from "./acl.ts";
import { hold, isSpecial } from "./descriptor-operations.ts";
import { openFile } from "./open-file.ts";
import { contentOf, digest, type Operation, operation } from "./operation.ts";
import { describeStat, isSymlink, listing, removeTree, rename } from "./path-operations.ts";
import type { Side } from "./side.ts";

const { O_CREAT, O_EXCL, O_RDONLY, O_RDWR, O_TRUNC, O_WRONLY } = constants;

/** What `action` answers, or with which error it fails: what follows it is tried all the same. */
export function tried(action: () => unknown): unknown {
	try {
		return action() ?? "done";
	} catch (error) {
		const { code } = error as { code?: unknown };
		if (typeof code !== "string") throw error;
		return code;
	}
}

/** Reads, writes and looks at what is open, whatever has become of it. */
function use(fd: number): unknown[] {
	if (fstatSync(fd).isDirectory()) return [tried(() => readdirSync(`/proc/self/fd/${fd}`).sort())];
	const buffer = Buffer.alloc(100);
	return [
		tried(() => digest(buffer.subarray(0, readSync(fd, buffer, 0, buffer.length, 0)))),
		tried(() => {
			return writeSync(fd, "used", 2);
		}),
		tried(() => digest(buffer.subarray(0, readSync(fd, buffer, 0, buffer.length, 0)))),
		fstatSync(fd).size,
	];
}

type Taking = "chmod" | "fchmod" | "acl" | "chmodParent" | "chmodTwice";

/** Takes rights away; what must be done when all is over. */
function takeAway(side: Side, how: Taking, path: string, fd: number, mode: number): () => void {
	const parent = dirname(side.at(path));
	const before = statSync(parent).mode & 0o7777;
	switch (how) {
		case "chmod":
			chmodSync(side.at(path), mode);
			break;
		case "fchmod":
			fchmodSync(fd, mode);
			break;
		case "acl":
			if (side.hasAcls) setxattr(side.at(path), aclName.access, accessList([0, 0, 0, 0, 0], 1000));
			break;
		case "chmodParent":
			chmodSync(parent, 0);
			return () => chmodSync(parent, before);
		case "chmodTwice":
			chmodSync(side.at(path), mode);
			fchmodSync(fd, 0);
			break;
	}
	return () => {};
}

/** As `cp -al` does: directories anew, all else by links. */
function linkTree(from: string, to: string): void {
	if (lstatSync(from).isDirectory()) {
		mkdirSync(to);
		for (const name of readdirSync(from).sort()) linkTree(`${from}/${name}`, `${to}/${name}`);
	} else linkSync(from, to);
}

export const sequenceOperations: Readonly<Record<string, Operation>> = {
	/** The file goes on under its second name. */
	linkThenUnlink: operation(
		4,
		(pick) => ({ path: pick.path(), to: pick.place(), content: pick.content(), again: pick.rarely(3) }),
		(side, { path, to, content, again }) => {
			linkSync(side.at(path), side.at(to));
			unlinkSync(side.at(path));
			const told = [...describeStat(lstatSync(side.at(to), { bigint: true }))];
			if (!lstatSync(side.at(to)).isFile()) return told;
			{
				using file = new Descriptor(openFile(side, to, O_WRONLY | O_TRUNC, 0));
				writeSync(file.fd, contentOf(content));
			}
			if (again) {
				linkSync(side.at(to), side.at(path));
				unlinkSync(side.at(to));
			}
			return told;
		},
	),
	/** `cp -al`, then one side is removed. */
	linkTree: operation(
		2,
		(pick) => ({ path: pick.path(), to: pick.place(), removed: pick.oneOf("none", "from", "to", "from") }),
		(side, { path, to, removed }) => {
			// A tree copied into itself has no end.
			if (`${to}/`.startsWith(`${path}/`) || to.startsWith("@") || path.startsWith("@")) return "into itself";
			linkTree(side.at(path), side.at(to));
			if (removed !== "none") removeTree(side.at(removed === "from" ? path : to));
		},
	),
	/** Many files, each linked elsewhere before its first name goes. */
	farm: operation(
		1,
		(pick) => ({ path: pick.place(), count: pick.fileCount(), removed: pick.oneOf("first", "second") }),
		(side, { path, count, removed }) => {
			const root = side.at(path);
			mkdirSync(root);
			for (const name of ["one", "other"]) mkdirSync(`${root}/${name}`);
			for (let index = 0; index < count; index++) {
				side.showLife();
				writeFileSync(`${root}/one/${index}`, `${index}`);
				linkSync(`${root}/one/${index}`, `${root}/other/${index}`);
				if (removed === "first") unlinkSync(`${root}/one/${index}`);
			}
			if (removed === "second") removeTree(`${root}/one`);
			for (let index = 0; index < count; index++) {
				side.showLife();
				using file = open(`${root}/other/${index}`, "r+");
				if (file.text() !== `${index}`) throw new Error(`${index} has ${file.text()}`);
				writeSync(file.fd, "again");
			}
			const links = readdirSync(`${root}/other`).map((name) => lstatSync(`${root}/other/${name}`).nlink);
			removeTree(`${root}/other`);
			return links.join("");
		},
	),
	openThenTakeAway: operation(
		5,
		(pick) => ({
			slot: pick.freeSlot(),
			path: pick.path(),
			flags: pick.oneOf(O_RDONLY, O_RDWR, O_RDWR, O_WRONLY),
			how: pick.oneOf<Taking>("chmod", "chmod", "fchmod", "fchmod", "acl", "chmodParent", "chmodTwice"),
			mode: pick.oddMode(),
			isKept: pick.rarely(2),
		}),
		(side, { slot, path, flags, how, mode, isKept }) => {
			if (isSpecial(side, path)) return "special";
			const held = hold(side, slot, openFile(side, path, flags, 0));
			const fd = side.fd(slot);
			let restore = () => {};
			const taken = tried(() => {
				restore = takeAway(side, how, path, fd, mode);
			});
			const found = use(fd);
			restore();
			if (!isKept) side.release(slot);
			return { held: isKept ? held : "nothing", told: [taken, ...found] };
		},
	),
	openThenRemove: operation(
		4,
		(pick) => ({
			slot: pick.freeSlot(),
			path: pick.path(),
			flags: pick.oneOf(O_RDONLY, O_RDWR, O_RDWR, O_RDWR | O_TRUNC),
			isMapped: pick.rarely(3),
		}),
		(side, { slot, path, flags, isMapped }) => {
			if (isSpecial(side, path)) return "special";
			const held = hold(side, slot, openFile(side, path, flags, 0));
			const fd = side.fd(slot);
			const removed = tried(() =>
				held === "directory" ? rmdirSync(side.at(path)) : unlinkSync(side.at(path)),
			);
			const found = use(fd);
			if (isMapped && held === "file" && flags !== O_RDONLY && fstatSync(fd).size > 0) {
				setTimesOf(fd, "now", "now");
				using mapping = mapMemory(4096, fd);
				mapping.bytes[0] = 90;
				mapping.sync();
				setTimesOf(fd, "now", "now");
				found.push(readByte(fd));
			}
			return { held, told: [removed, ...found] };
		},
	),
	renameOverOpen: operation(
		4,
		(pick) => ({
			slot: pick.freeSlot(),
			path: pick.path(),
			to: pick.path(),
			flags: pick.oneOf(O_RDONLY, O_RDWR, O_RDWR),
		}),
		(side, { slot, path, to, flags }) => {
			if (isSpecial(side, to)) return "special";
			const held = hold(side, slot, openFile(side, to, flags, 0));
			const renamed = tried(() => rename(side, path, to, 0));
			return { held, told: [renamed, ...use(side.fd(slot))] };
		},
	),
	/** A directory in place of one that lower layers have, with rights its owner lacks, and attributes. */
	recreateDirectory: operation(
		4,
		(pick) => ({
			path: pick.path(),
			mode: pick.oneOf(pick.oddMode(), pick.mode()),
			hasAttribute: pick.rarely(2),
			isFilled: pick.rarely(3),
		}),
		(side, { path, mode, hasAttribute, isFilled }) => {
			const root = side.at(path);
			const removed = tried(() => removeTree(root));
			mkdirSync(root, { mode });
			return [
				removed,
				hasAttribute ? tried(() => setxattr(root, "user.note", "made again")) : "none",
				isFilled ? tried(() => writeFileSync(`${root}/a`, "new")) : "empty",
				...describeStat(lstatSync(root, { bigint: true })),
				tried(() => listing(root)),
			];
		},
	),
	recreateFile: operation(
		3,
		(pick) => ({ path: pick.path(), mode: pick.oddMode(), content: pick.content() }),
		(side, { path, mode, content }) => {
			const removed = tried(() => unlinkSync(side.at(path)));
			using file = open(side.at(path), O_RDWR | O_CREAT | O_EXCL, mode);
			return [
				removed,
				tried(() => writeSync(file.fd, contentOf(content))),
				tried(() => fsetxattr(file.fd, "user.open", "new")),
				...describeStat(fstatSync(file.fd, { bigint: true })),
			];
		},
	),
	/** What may not be changed by its mode gets an attribute, then the mode that allows it, then content. */
	openUp: operation(
		2,
		(pick) => ({ path: pick.path(), mode: pick.oddMode(), time: pick.number(1000) }),
		(side, { path, mode }) => {
			if (isSymlink(side, path) || isSpecial(side, path)) return "special";
			return [
				tried(() => chmodSync(side.at(path), mode)),
				tried(() => setxattr(side.at(path), "user.note", "closed")),
				tried(() => chmodSync(side.at(path), mode | 0o700)),
				tried(() => setxattr(side.at(path), "user.note", "open")),
				...describeStat(lstatSync(side.at(path), { bigint: true })),
			];
		},
	),
	/** A file that never had a name gets one. */
	nameless: operation(
		3,
		(pick) => ({
			slot: pick.freeSlot(),
			path: pick.path(),
			to: pick.place(),
			mode: pick.oneOf(pick.mode(), pick.oddMode()),
			content: pick.content(),
		}),
		(side, { slot, path, to, mode, content }) => {
			if (!side.hasNameless) return "not offered";
			const held = hold(side, slot, openSync(side.at(path), O_TMPFILE | O_RDWR, mode));
			const fd = side.fd(slot);
			const told = [
				tried(() => {
					return writeSync(fd, contentOf(content));
				}),
				tried(() => fsetxattr(fd, "user.open", "nameless")),
				...describeStat(fstatSync(fd, { bigint: true })),
				tried(() => linkDescriptor(fd, side.at(to))),
			];
			return { held, told };
		},
	),
	/** Which set-id bits are left when who has the file open changes it. */
	setIdThenChange: operation(
		3,
		(pick) => ({
			path: pick.path(),
			mode: pick.oneOf(0o4711, 0o2711, 0o6755, 0o4666, 0o6777),
			change: pick.oneOf("write", "truncate", "allocate"),
			isFirst: pick.rarely(3),
		}),
		(side, { path, mode, change, isFirst }) => {
			if (isSymlink(side, path) || isSpecial(side, path)) return "special";
			if (isFirst) chmodSync(side.at(path), mode);
			using file = new Descriptor(openFile(side, path, O_RDWR, 0));
			const { fd } = file;
			if (!isFirst) fchmodSync(fd, mode);
			if (change === "write") writeSync(fd, "w");
			else if (change === "truncate") ftruncate(fd, fstatSync(fd, { bigint: true }).size + 1n);
			else fallocate(fd, 0, 0, 10);
			return describeStat(fstatSync(fd, { bigint: true }));
		},
	),
	/** A program is written, closed, and replaced by name while a second descriptor reads the old one. */
	replaceByRename: operation(
		2,
		(pick) => ({ path: pick.path(), content: pick.content(), mode: pick.oneOf(pick.mode(), pick.oddMode()) }),
		(side, { path, content, mode }) => {
			if (isSpecial(side, path) || isSymlink(side, path)) return "special";
			const old = openFile(side, path, O_RDONLY, 0);
			try {
				const next = `${side.at(path)}.new`;
				writeFileSync(next, contentOf(content), { mode, flag: "wx" });
				try {
					renameSync(next, side.at(path));
				} catch (error) {
					unlinkSync(next);
					throw error;
				}
				return use(old);
			} finally {
				closeSync(old);
			}
		},
	),
};

function readByte(fd: number): number {
	const byte = Buffer.alloc(1);
	readSync(fd, byte, 0, 1, 0);
	return byte[0]!;
}
