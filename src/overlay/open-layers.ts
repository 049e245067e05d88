/** Opening the layers that a mount is made of. */

import { readlinkSync } from "node:fs";
import { display } from "../display.ts";
import {
	O_DIRECTORY,
	O_RDONLY,
	RESOLVE_BENEATH,
	RESOLVE_NO_SYMLINKS,
	RESOLVE_NO_XDEV,
	statx,
} from "../native/layout.ts";
import { check, describeErrno } from "../native/libc/errno.ts";
import { close, type Fd, openAt, openResolved, WORKING_DIRECTORY } from "../native/libc/file.ts";
import { stat } from "../native/libc/metadata.ts";
import { cloneMount } from "../native/libc/process.ts";
import { fileSystemOf } from "../native/libc/stat.ts";
import { reserve, store } from "../native/memory.ts";
import type { ByteString } from "../options.ts";
import { Layer } from "./layer.ts";

const SELF = store("." as ByteString);
const STAT = reserve(statx.sizeof);

/** A layer or work directory that cannot be used, and what to do about it. */
export class LayerUnusable extends Error {
	override readonly name = "LayerUnusable";
}

/** Opens a lower layer, isolated where that is permitted. Throws LayerUnusable. */
export function openLower(index: number, path: ByteString): Layer {
	const tree = cloneMount(store(path), true);
	if (tree >= 0) {
		const root = openAt(tree, SELF, O_RDONLY | O_DIRECTORY);
		close(tree);
		if (root >= 0) return new Layer(index, path, root, true);
	}
	return new Layer(index, path, openPlain("lowerdir", path), false);
}

/** Opens the upper layer and its work directory, so that names can be moved from one to the other. */
export function openUpper(upperPath: ByteString, workPath: ByteString): { layer: Layer; work: Fd } {
	const upper = openPlain("upperdir", upperPath);
	const work = openPlain("workdir", workPath);
	try {
		checkPair(upper, upperPath, work, workPath);
	} catch (error) {
		close(upper);
		close(work);
		throw error;
	}
	const isolated = isolate(realPath(upper), realPath(work));
	if (isolated === undefined) return { layer: new Layer(0, upperPath, upper, false), work };
	close(upper);
	close(work);
	return { layer: new Layer(0, upperPath, isolated.upper, true), work: isolated.work };
}

/**
 * Both directories within one clone of the mount they share, rooted where their paths part: names cannot be moved
 * between two clones. undefined where that is not permitted or something is mounted on the way.
 */
function isolate(upperPath: ByteString, workPath: ByteString): { upper: Fd; work: Fd } | undefined {
	const shared = sharedParent(upperPath, workPath);
	const tree = cloneMount(store(shared), false);
	if (tree < 0) return undefined;
	const within = (path: ByteString): Fd => {
		const relative = path.slice(shared.length).replace(/^\/+/, "") as ByteString;
		const resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV;
		return openResolved(tree, store(relative), O_RDONLY | O_DIRECTORY, resolve);
	};
	const upper = within(upperPath);
	const work = within(workPath);
	close(tree);
	if (upper >= 0 && work >= 0) return { upper, work };
	if (upper >= 0) close(upper);
	if (work >= 0) close(work);
	return undefined;
}

function sharedParent(one: ByteString, other: ByteString): ByteString {
	const ones = one.split("/");
	const others = other.split("/");
	let count = 0;
	while (count < ones.length && ones[count] === others[count]) count++;
	const shared = ones.slice(0, count).join("/");
	return (shared === "" ? "/" : shared) as ByteString;
}

function checkPair(upper: Fd, upperPath: ByteString, work: Fd, workPath: ByteString): void {
	const [real, realWork] = [realPath(upper), realPath(work)];
	if (deviceOf(upper) !== deviceOf(work)) {
		throw new LayerUnusable(
			`workdir ${display(workPath)} is on another file system than upperdir ${display(upperPath)}: put it beside the upperdir`,
		);
	}
	if (real === realWork || real.startsWith(`${realWork}/`) || realWork.startsWith(`${real}/`)) {
		throw new LayerUnusable(
			`workdir ${display(workPath)} and upperdir ${display(upperPath)} overlap: give each a directory of its own`,
		);
	}
}

function deviceOf(fd: Fd): string {
	check(stat(fd, SELF, STAT));
	return fileSystemOf(STAT);
}

function openPlain(option: string, path: ByteString): Fd {
	const fd = openAt(WORKING_DIRECTORY, store(path), O_RDONLY | O_DIRECTORY);
	if (fd >= 0) return fd;
	throw new LayerUnusable(
		`cannot open ${option} ${display(path)}: ${describeErrno(-fd)}: it must be a directory that ${whoAmI()} can read`,
	);
}

function whoAmI(): string {
	return process.getuid?.() === 0 ? "root" : `user ${process.getuid?.()}`;
}

/** The absolute path of an open directory. */
export function realPath(fd: Fd): ByteString {
	return readlinkSync(`/proc/self/fd/${fd}`, "latin1") as ByteString;
}
