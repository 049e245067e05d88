/** Directories of many names: made, listed in parts while names go, compared, and left with few or none. */

import { createHash } from "node:crypto";
import { constants, lstatSync, mkdirSync, readdirSync, renameSync, rmdirSync, unlinkSync } from "node:fs";
import { open } from "../harness/descriptor.ts";
import { lseek, mknod, readDirectoryRecords, SEEK_SET } from "../harness/native.ts";
import { type Operation, operation } from "./operation.ts";
import { isSymlink, removeTree } from "./path-operations.ts";
import type { Side } from "./side.ts";

/** How many of a directory's names stay at the end of a step. */
const kept = 5;
const dots = [".", ".."];

/** A number that is the same for a name on every side, whatever the order of listings. */
function numberOf(name: string): number {
	return createHash("sha1").update(name, "latin1").digest().readUInt32LE(0);
}

/** All names, in parts of `size` bytes; `visit` may remove the one it is told. */
function walk(side: Side, path: string, size: number, visit: (name: string) => void): string[] {
	using directory = open(path, constants.O_RDONLY | constants.O_DIRECTORY);
	const names: string[] = [];
	for (;;) {
		const records = readDirectoryRecords(directory.fd, size);
		if (records.length === 0) break;
		for (const { name } of records) {
			if (dots.includes(name)) continue;
			side.showLife();
			names.push(name);
			visit(name);
		}
	}
	// The same directory from the start again, as rewinddir(3) does.
	lseek(directory.fd, 0, SEEK_SET);
	if (readDirectoryRecords(directory.fd, size).length === 0) throw new Error("empty after rewinding");
	return names;
}

/** A set of names in one word. */
function summary(names: readonly string[]): string {
	const hash = createHash("sha1")
		.update([...names].sort().join("\n"), "latin1")
		.digest("hex")
		.slice(0, 12);
	return `${names.length} names, ${new Set(names).size} of them different, ${hash}`;
}

const listingSizes = [280, 512, 4096, 65_536];

export const crowdOperations: Readonly<Record<string, Operation>> = {
	crowd: operation(
		1,
		(pick) => ({
			path: pick.place(),
			count: pick.nameCount(),
			length: pick.oneOf(1, 1, 60, 200),
			size: pick.oneOf(...listingSizes.slice(1)),
			among: pick.oneOf(1, 2, 3, 10),
			isMoved: pick.rarely(3),
		}),
		(side, { path, count, length, size, among, isMoved }) => {
			let root = side.at(path);
			mkdirSync(root);
			for (let index = 0; index < count; index++) {
				side.showLife();
				mknod(`${root}/${index}${"n".repeat(length)}`, 0o100644);
			}
			const told = [
				summary(walk(side, root, size, () => {})),
				// Some go while they are listed: what stays is seen once.
				summary(
					walk(side, root, size, (name) => {
						if (numberOf(name) % among === 0) unlinkSync(`${root}/${name}`);
					}),
				),
			];
			if (isMoved) {
				renameSync(root, `${root}.moved`);
				root = `${root}.moved`;
			}
			const left = walk(side, root, size, () => {});
			told.push(summary(left));
			for (const name of left.sort().slice(kept)) {
				side.showLife();
				unlinkSync(`${root}/${name}`);
			}
			told.push(summary(readdirSync(root)));
			if (isMoved) removeTree(root);
			return told;
		},
	),
	/** What is there, with some of it removed meanwhile. */
	thinOut: operation(
		2,
		(pick) => ({ path: pick.path(), size: pick.oneOf(...listingSizes), among: pick.oneOf(2, 3, 10) }),
		(side, { path, size, among }) => {
			if (isSymlink(side, path)) return "symlink";
			const root = side.at(path);
			const failures = new Set<unknown>();
			const seen = walk(side, root, size, (name) => {
				if (numberOf(name) % among !== 0) return;
				const isDirectory = lstatSync(`${root}/${name}`).isDirectory();
				try {
					if (isDirectory) rmdirSync(`${root}/${name}`);
					else unlinkSync(`${root}/${name}`);
				} catch (error) {
					failures.add((error as { code?: unknown }).code);
				}
			});
			return [summary(seen), [...failures].sort(), summary(walk(side, root, size, () => {}))];
		},
	),
};
