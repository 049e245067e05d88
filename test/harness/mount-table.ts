/** The kernel's table of mounts, as far as tests ask for it. */

import { readFileSync } from "node:fs";
import { MNT_DETACH, umount } from "./native.ts";
import { lacks } from "./setting.ts";

export interface MountedPath {
	readonly path: string;
	readonly type: string;
	readonly source: string;
	/** Per-mount and per-file-system options. */
	readonly options: readonly string[];
	/** The minor device number, which is also the number of a FUSE connection. */
	readonly minor: number;
}

/** Of a process, in the order in which they were mounted: of several on one path the last is seen. */
export function mountTable(pid: number | "self" = "self"): MountedPath[] {
	const decode = (text: string) =>
		Buffer.from(
			text.replace(/\\([0-7]{3})/g, (_, octal) => String.fromCharCode(Number.parseInt(octal, 8))),
			"latin1",
		).toString();
	return readFileSync(`/proc/${pid}/mountinfo`, "latin1")
		.split("\n")
		.filter((line) => line !== "")
		.map((line) => {
			const [before = "", after = ""] = line.split(" - ");
			const [, , device = "", , path = "", options = ""] = before.split(" ");
			const [type = "", source = "", superOptions = ""] = after.split(" ");
			return {
				path: decode(path),
				type,
				source: decode(source),
				options: [...options.split(","), ...superOptions.split(",")],
				minor: Number(device.split(":")[1]),
			};
		});
}

export function findMount(path: string, pid: number | "self" = "self"): MountedPath | undefined {
	return mountTable(pid).findLast((mounted) => mounted.path === path);
}

/** As umount(2), which an ordinary user has fusermount3 call. */
export function unmount(path: string, flags = 0): void {
	if (!lacks("mounting")) {
		umount(path, flags);
		return;
	}
	const lazily = flags === MNT_DETACH ? ["-z"] : [];
	const { exitCode, stderr } = Bun.spawnSync(["fusermount3", "-u", ...lazily, path]);
	if (exitCode !== 0) throw new Error(`fusermount3: ${stderr}`);
}

/** Lazily unmounts all at and below `directory`, so that removing it cannot reach into a mount. */
export function detachMountsUnder(directory: string): void {
	for (const { path } of mountTable().reverse()) {
		if (path === directory || path.startsWith(`${directory}/`)) unmount(path, MNT_DETACH);
	}
}
