/** Files without their data, as kernel overlayfs makes them with `metacopy=on`. */

import {
	chmodSync,
	chownSync,
	linkSync,
	lstatSync,
	mkdirSync,
	readdirSync,
	renameSync,
	utimesSync,
} from "node:fs";
import { type Description, type Entry, file, sparseFile } from "./layers.ts";
import { type MountRequest, mountKernelOverlay } from "./mount.ts";
import { codeOf, getxattr, setxattr } from "./native.ts";
import { overlayAttributes } from "./setting.ts";

/** The attribute. */
export const mark = `${overlayAttributes}.overlay.metacopy`;
/** The marks of a user's namespace are believed only where asked to. */
export const follow = overlayAttributes === "user" ? ["metacopy=on"] : [];

/** A file of a size, without its data; `to`: where that is, if not under its name. `value` of the mark: empty as a rule. */
export function hollow(size: number, to?: string, value: string | Buffer = ""): Entry {
	const elsewhere = to === undefined ? {} : { [`${overlayAttributes}.overlay.redirect`]: to };
	return sparseFile(size, {}, { xattrs: { [mark]: value, ...elsewhere } });
}

/** Whether a file of a layer has the mark. */
export function lacksData(path: string): boolean {
	return codeOf(() => getxattr(path, mark)) === undefined;
}

export const large = Buffer.alloc(3 << 20, "large ");

/** A lower layer for {@link changeAround}. */
export const lower: Description = {
	program: file("#!/bin/sh\necho run\n", { mode: 0o755 }),
	owned: "owned",
	timed: "timed",
	marked: "marked",
	moved: "moved",
	"d/away": "away",
	"d/inner": "inner",
	"d/sub/deep": "deep",
	linked: "linked",
	large: file(large),
	sparse: sparseFile(1 << 20, { 0: "begin", 500000: "middle" }),
	empty: "",
	plain: "plain",
};

/** Every way in which the kernel leaves the data below. */
export function changeAround(root: string): void {
	chmodSync(`${root}/program`, 0o750);
	chownSync(`${root}/owned`, 12, 34);
	utimesSync(`${root}/timed`, 1000, 2000);
	setxattr(`${root}/marked`, "user.word", "word");
	renameSync(`${root}/moved`, `${root}/other`);
	renameSync(`${root}/d/away`, `${root}/away`);
	chmodSync(`${root}/d/inner`, 0o600);
	linkSync(`${root}/linked`, `${root}/second`);
	chmodSync(`${root}/large`, 0o600);
	chmodSync(`${root}/sparse`, 0o600);
	chmodSync(`${root}/empty`, 0o600);
	chmodSync(`${root}/d/sub/deep`, 0o640);
	renameSync(`${root}/d`, `${root}/e`);
	mkdirSync(`${root}/made`);
	renameSync(`${root}/e/sub/deep`, `${root}/made/deep`);
}

/** Mounts kernel overlayfs, which makes and follows them, for as long as `use` takes. */
export function inKernel<Result>(layers: MountRequest, use: () => Result): Result {
	using _ = mountKernelOverlay(layers, "metacopy=on,redirect_dir=on");
	return use();
}

/** Paths of files with the blocks that du(1) adds up. */
export function blocksIn(root: string, path = ""): string[] {
	return readdirSync(`${root}${path}`, { withFileTypes: true })
		.sort((left, right) => (left.name < right.name ? -1 : 1))
		.flatMap((entry) => {
			const inner = `${path}/${entry.name}`;
			if (entry.isDirectory()) return blocksIn(root, inner);
			return [`${inner} ${lstatSync(`${root}${inner}`).blocks}`];
		});
}
