/**
 * Opening the layers that a mount is made of. Each is the directory that its path named when it was opened, by device,
 * inode and mount: whatever is reached later starts from that descriptor and is compared with it, never from the path.
 */

import { display } from "../../display.ts";
import { ENOENT, O_DIRECTORY, O_NOFOLLOW, O_PATH, O_RDONLY, statx } from "../../native/layout.ts";
import { realPath } from "../../native/libc/by-path.ts";
import { check, describeErrno, errnoName } from "../../native/libc/errno.ts";
import { close, type Fd, NO_FD, openAt, WORKING_DIRECTORY } from "../../native/libc/file.ts";
import { mountId, statDescriptor } from "../../native/libc/metadata.ts";
import { readMountTable } from "../../native/libc/mount-table.ts";
import { cloneMount } from "../../native/libc/process.ts";
import { fileSystemOf, linkCount } from "../../native/libc/stat.ts";
import { reserve, store, view } from "../../native/memory.ts";
import type { ByteString } from "../../options.ts";
import { remedyFor } from "../../remedy.ts";
import { Layer } from "./layer.ts";

const SELF = store("." as ByteString);
const STAT = reserve(statx.sizeof);

/** A layer or work directory that cannot be used, and what to do about it. */
export class LayerUnusable extends Error {
	override readonly name = "LayerUnusable";
}

/** A directory as a path named it. */
interface Named {
	/** The path, for messages. */
	readonly path: ByteString;
	readonly fd: Fd;
	/** Identifies the file system, as statx(2) gives it. */
	readonly device: string;
	readonly inode: bigint;
}

export interface OpenedLayers {
	readonly layers: Layer[];
	/** Those which are not merged. */
	readonly dataOnly: Layer[];
	/** The work directory, and where it is: an absolute path without symlinks. */
	readonly work: { readonly fd: Fd; readonly path: ByteString } | undefined;
}

/**
 * Opens the layers, topmost first, and the work directory where there is an upper layer, isolated where that is permitted.
 * `dataPaths`: of those which are not merged, and numbered behind the others. Throws LayerUnusable.
 */
export function openLayers(
	lowerPaths: readonly ByteString[],
	writable: { readonly upper: ByteString; readonly work: ByteString } | undefined,
	dataPaths: readonly ByteString[] = [],
): OpenedLayers {
	const on9p = devicesOf9p();
	const isolate = (all: readonly Named[], first: number) =>
		all.map((lower, index) => isolateLower(first + index, lower, on9p));
	if (writable === undefined) {
		const lowers = lowerPaths.map((path) => openNamed("lowerdir", path));
		const stores = dataPaths.map((path) => openNamed("data-only lowerdir", path));
		return { layers: isolate(lowers, 0), dataOnly: isolate(stores, lowers.length), work: undefined };
	}
	const upper = openNamed("upperdir", writable.upper);
	const work = openNamed("workdir", writable.work);
	checkPair(upper, work);
	const lowers = lowerPaths.map((path) => openNamed("lowerdir", path));
	const stores = dataPaths.map((path) => openNamed("data-only lowerdir", path));
	for (const lower of [...lowers, ...stores]) checkLower(lower, upper, work);
	// Of a clone no path can be had.
	const path = realPath(work.fd);
	const pair = isolatePair(upper, work, on9p);
	const layers = [pair.layer, ...isolate(lowers, 1)];
	return { layers, dataOnly: isolate(stores, layers.length), work: { fd: pair.work, path } };
}

/** The devices of file systems of 9p; none where /proc does not tell. */
export function devicesOf9p(): Set<string> {
	try {
		return new Set(readMountTable("9p").map(({ device }) => device));
	} catch {
		return new Set();
	}
}

/** A layer that is reached through a private clone of its mount, read-only, or in place where that is not permitted. */
function isolateLower(index: number, { path, fd }: Named, on9p: ReadonlySet<string>): Layer {
	const tree = cloneMount(fd, true);
	if (tree < 0) return new Layer(index, path, fd, false, on9p);
	const root = openAt(tree, SELF, O_RDONLY | O_DIRECTORY);
	close(tree);
	if (root < 0) return new Layer(index, path, fd, false, on9p);
	close(fd);
	return new Layer(index, path, root, true, on9p);
}

/** The upper layer and the work directory, so that names can be moved from one to the other. */
function isolatePair(upper: Named, work: Named, on9p: ReadonlySet<string>): { layer: Layer; work: Fd } {
	const clones = clonePair(upper, work);
	if (clones === undefined) return { layer: new Layer(0, upper.path, upper.fd, false, on9p), work: work.fd };
	close(upper.fd);
	close(work.fd);
	return { layer: new Layer(0, upper.path, clones.upper, true, on9p), work: clones.work };
}

/**
 * Both directories within one clone of the mount they share, rooted where their paths part: names cannot be moved
 * between two clones. undefined where that is not permitted, or where the way to them has changed meanwhile.
 */
function clonePair(upper: Named, work: Named): { upper: Fd; work: Fd } | undefined {
	const way = partings(realPath(upper.fd), realPath(work.fd));
	const shared = openAt(upper.fd, store(way.up), O_PATH | O_DIRECTORY);
	if (shared < 0) return undefined;
	// On the way up, too, something may be mounted by now.
	const tree = mountId(shared) === mountId(upper.fd) ? cloneMount(shared, false) : NO_FD;
	close(shared);
	if (tree < 0) return undefined;
	const [clonedUpper, clonedWork] = [openSame(tree, way.upper, upper), openSame(tree, way.work, work)];
	close(tree);
	if (clonedUpper >= 0 && clonedWork >= 0) return { upper: clonedUpper, work: clonedWork };
	for (const fd of [clonedUpper, clonedWork]) if (fd >= 0) close(fd);
	return undefined;
}

/** The way from the upper directory up to where two absolute paths part, and from there down to each. */
function partings(upperPath: ByteString, workPath: ByteString): Record<"up" | "upper" | "work", ByteString> {
	const [uppers, works] = [upperPath.split("/"), workPath.split("/")];
	let count = 0;
	while (count < uppers.length && uppers[count] === works[count]) count++;
	const [upper, work] = [uppers.slice(count), works.slice(count)];
	return {
		up: (upper.map(() => "..").join("/") || ".") as ByteString,
		upper: upper.join("/") as ByteString,
		work: work.join("/") as ByteString,
	};
}

/** Opens what `names` lead to within a clone, if that is the same directory; negative if not. */
function openSame(tree: Fd, names: ByteString, wanted: Named): Fd {
	const fd = openAt(tree, store(names), O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
	if (fd < 0) return fd;
	if (isSame(identify(wanted.path, fd), wanted) && mountId(fd) === mountId(tree)) return fd;
	close(fd);
	return NO_FD;
}

function isSame(one: Named, other: Named): boolean {
	return one.device === other.device && one.inode === other.inode;
}

/** Throws LayerUnusable where names could not be moved between the two, or one would be changed through the other. */
function checkPair(upper: Named, work: Named): void {
	const [upperName, workName] = [display(upper.path), display(work.path)];
	if (upper.device !== work.device) {
		throw new LayerUnusable(
			`workdir ${workName} is on another file system than upperdir ${upperName}: put it beside the upperdir`,
		);
	}
	if (mountId(upper.fd) !== mountId(work.fd)) {
		throw new LayerUnusable(
			`workdir ${workName} is in another mount than upperdir ${upperName}, and nothing can be moved from one mount to the other: make both of them directories of one mount or volume`,
		);
	}
	if (isWithin(upper, work) || isWithin(work, upper)) {
		throw new LayerUnusable(
			`workdir ${workName} and upperdir ${upperName} overlap: give each a directory of its own`,
		);
	}
}

/**
 * Throws LayerUnusable where a lower layer is what changes are written to: whiteouts would be left in it, and what lies
 * in a workdir is removed.
 */
function checkLower(lower: Named, upper: Named, work: Named): void {
	const name = display(lower.path);
	if (isSame(lower, upper)) {
		throw new LayerUnusable(
			`lowerdir ${name} is the upperdir ${display(upper.path)}, too: changes need a directory of their own`,
		);
	}
	if (isWithin(lower, work)) {
		throw new LayerUnusable(
			`lowerdir ${name} is in the workdir ${display(work.path)}, which is emptied: give the workdir a directory of its own`,
		);
	}
}

/** Whether a directory is another or lies in it. */
function isWithin(inner: Named, outer: Named): boolean {
	return isSame(inner, outer) || realPath(inner.fd).startsWith(`${realPath(outer.fd)}/`);
}

/** Throws LayerUnusable. */
function openNamed(option: string, path: ByteString): Named {
	const fd = openAt(WORKING_DIRECTORY, store(path), O_RDONLY | O_DIRECTORY);
	if (fd < 0) throw cannotOpen(option, path, -fd);
	const named = identify(path, fd);
	// A descriptor or the working directory may name what is not there any more.
	if (linkCount(STAT) === 0) throw cannotOpen(option, path, ENOENT);
	return named;
}

/** Leaves the attributes in STAT. */
function identify(path: ByteString, fd: Fd): Named {
	check(statDescriptor(fd, STAT));
	return { path, fd, device: fileSystemOf(STAT), inode: view.getBigUint64(STAT + statx.stxIno, true) };
}

function cannotOpen(option: string, path: ByteString, code: number): LayerUnusable {
	const remedy =
		remedyFor(errnoName(code), path) ??
		(code === ENOENT ? remedyForAbsent(path) : `it must be a directory that ${whoAmI()} can read`);
	return new LayerUnusable(`cannot open ${option} ${display(path)}: ${describeErrno(code)}: ${remedy}`);
}

/** A name that does not exist may be a part of one, or one and more. */
function remedyForAbsent(path: ByteString): string {
	if (path !== path.trim()) return "its name begins or ends with a blank: write none after commas and colons";
	return "create it, or if its name has a comma or colon, write \\, or \\: for that";
}

function whoAmI(): string {
	return process.getuid?.() === 0 ? "root" : `user ${process.getuid?.()}`;
}
