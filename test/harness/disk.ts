/** File systems of their own for a test: images on loop devices, which go with the last unmount, and tmpfs. */

import { closeSync, ftruncateSync, mkdirSync, openSync } from "node:fs";
import { mount } from "./native.ts";

export type DiskKind = "ext4" | "xfs" | "btrfs" | "tmpfs";

/** Large enough for each of them; sparse. */
const imageSize = 640 * 1024 * 1024;

function run(command: readonly string[]): void {
	const { exitCode, stderr } = Bun.spawnSync([...command], { stdout: "ignore" });
	if (exitCode !== 0) throw new Error(`${command.join(" ")}: ${stderr}`);
}

export interface DiskOptions {
	/** Bytes of the file system. Default: large enough for each of them; tmpfs: 256 MiB. */
	readonly size?: number;
	/** Further words for mkfs. */
	readonly make?: readonly string[];
	/** Options of mount(8). */
	readonly options?: string;
	/** Where its image is kept. Default: beside the directory. */
	readonly image?: string;
}

/** Makes and mounts a file system on the directory `path`; unmounting it leaves nothing but its image. */
export function mountDisk(kind: DiskKind, path: string, disk: DiskOptions = {}): void {
	mkdirSync(path);
	if (kind === "tmpfs") {
		mount("tmpfs", path, "tmpfs", 0, `size=${disk.size ?? 256 * 1024 * 1024}`);
		return;
	}
	const image = disk.image ?? `${path}.${kind}`;
	const fd = openSync(image, "w");
	ftruncateSync(fd, disk.size ?? imageSize);
	closeSync(fd);
	run([`mkfs.${kind}`, "-q", ...(disk.make ?? []), image]);
	run(["mount", "-o", ["loop", ...(disk.options ? [disk.options] : [])].join(","), image, path]);
}
