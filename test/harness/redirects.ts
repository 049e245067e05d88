/** Kernel overlayfs with `redirect_dir=on`, for tests of directories that it, or this program, has renamed. */

import { lstatSync, readdirSync } from "node:fs";
import { layerOptions, type MountRequest } from "./mount.ts";
import { mount, umount } from "./native.ts";

/** Mounts kernel overlayfs for as long as `use` takes. */
export function inKernel<Result>(
	layers: Pick<MountRequest, "lower" | "upper" | "work" | "mountpoint">,
	use: () => Result,
): Result {
	mount("overlay", layers.mountpoint, "overlay", 0, `redirect_dir=on,${layerOptions(layers)}`);
	try {
		return use();
	} finally {
		umount(layers.mountpoint);
	}
}

/** Paths with the inode numbers that stat(2) tells: what programs tell directories apart by. */
export function numbersIn(root: string, path = ""): string[] {
	return readdirSync(`${root}/${path}`)
		.sort()
		.flatMap((name) => {
			const { ino, mode } = lstatSync(`${root}/${path}/${name}`);
			const own = `${path}/${name} ${ino}`;
			return (mode & 0o170000) === 0o040000 ? [own, ...numbersIn(root, `${path}/${name}`)] : [own];
		});
}
