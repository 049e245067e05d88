/**
 * Files of /proc, /sys and the like, by their absolute paths. All of the daemon does without node:fs, which takes 0.6 MiB of its
 * memory and a part of its start.
 */

import type { ByteString } from "../../options.ts";
import { O_PATH, O_RDONLY, O_WRONLY, PATH_MAX } from "../layout.ts";
import { allocate, readBytes, release, reserve, store } from "../memory.ts";
import { readLink as readLinkAt } from "./directory.ts";
import { check } from "./errno.ts";
import { close, descriptorPath, type Fd, openAt, read, WORKING_DIRECTORY, write } from "./file.ts";

const TARGET_SIZE = PATH_MAX;
const TARGET = reserve(TARGET_SIZE);
const PIECE = 1 << 16;

/** Returns a descriptor or -errno. */
export function open(path: string, flags: number): Fd {
	const name = store(path as ByteString);
	const fd = openAt(WORKING_DIRECTORY, name, flags);
	release(name, path.length + 1);
	return fd;
}

/** All that is in a file. Throws what opening and reading may. */
export function readText(path: string): ByteString {
	const fd = check(open(path, O_RDONLY));
	const piece = allocate(PIECE);
	try {
		let text = "";
		for (;;) {
			const length = check(read(fd, piece, PIECE));
			if (length === 0) return text as ByteString;
			text += readBytes(piece, length);
		}
	} finally {
		release(piece, PIECE);
		close(fd);
	}
}

/** Writes all of a file that is there, in one call. Throws what opening and writing may. */
export function writeText(path: string, text: string): void {
	const fd = check(open(path, O_WRONLY));
	const name = store(text as ByteString);
	try {
		check(write(fd, name, text.length));
	} finally {
		release(name, text.length + 1);
		close(fd);
	}
}

export function exists(path: string): boolean {
	const fd = open(path, O_PATH);
	if (fd >= 0) close(fd);
	return fd >= 0;
}

/** Where a symlink leads. Throws what reading it may. */
export function readLink(path: string): ByteString {
	const name = store(path as ByteString);
	const length = readLinkAt(WORKING_DIRECTORY, name, TARGET, TARGET_SIZE);
	release(name, path.length + 1);
	return readBytes(TARGET, check(length));
}

/** The absolute path of an open directory. */
export function realPath(fd: Fd): ByteString {
	const length = readLinkAt(WORKING_DIRECTORY, descriptorPath(fd), TARGET, TARGET_SIZE);
	return readBytes(TARGET, check(length));
}
