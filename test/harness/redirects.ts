/** Renames of directories with lower content, by kernel overlayfs or this program, and what tests look at after them. */

import { appendFileSync, lstatSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { open } from "./descriptor.ts";
import type { Description } from "./layers.ts";
import { type MountRequest, mountKernelOverlay } from "./mount.ts";
import { readDirectoryRecords } from "./native.ts";

/** A lower layer for {@link renameAround}. */
export const lower: Description = {
	"old/inner": "inner",
	"old/sub/deep/f": "f",
	"apart/inner": "apart",
	"both/a": "a",
	"other/b": "b",
	"third/hidden": "hidden",
	plain: "plain",
};

/** Renames of every kind. */
export function renameAround(root: string): void {
	renameSync(`${root}/old`, `${root}/new`);
	mkdirSync(`${root}/own`);
	renameSync(`${root}/apart`, `${root}/own/apart`);
	renameSync(`${root}/new/sub`, `${root}/own/apart/sub`);
	writeFileSync(`${root}/own/apart/sub/deep/made`, "made");
	renameSync(`${root}/both`, `${root}/spare`);
	renameSync(`${root}/other`, `${root}/both`);
	renameSync(`${root}/spare`, `${root}/other`);
	rmSync(`${root}/other/a`);
	appendFileSync(`${root}/own/apart/inner`, "+");
	// What has the old name then is opaque, also where it is moved to the place of another.
	mkdirSync(`${root}/old`);
	writeFileSync(`${root}/old/anew`, "anew");
	rmSync(`${root}/third`, { recursive: true });
	mkdirSync(`${root}/fresh`);
	writeFileSync(`${root}/fresh/own`, "own");
	renameSync(`${root}/fresh`, `${root}/third`);
}

/** Mounts kernel overlayfs for as long as `use` takes. */
export function inKernel<Result>(layers: MountRequest, use: () => Result): Result {
	using _ = mountKernelOverlay(layers, "redirect_dir=on");
	return use();
}

/** Paths with the inode numbers of stat(2), and of readdir where that tells others: programs know directories by them. */
export function numbersIn(root: string, path = ""): string[] {
	using directory = open(`${root}/${path}`);
	return readDirectoryRecords(directory.fd)
		.filter(({ name }) => name !== "." && name !== "..")
		.sort((left, right) => (left.name < right.name ? -1 : 1))
		.flatMap(({ name, ino: listed }) => {
			const { ino, mode } = lstatSync(`${root}/${path}/${name}`, { bigint: true });
			const own = `${path}/${name} ${ino}${listed === ino ? "" : `, listed as ${listed}`}`;
			return (mode & 0o170000n) === 0o040000n ? [own, ...numbersIn(root, `${path}/${name}`)] : [own];
		});
}
