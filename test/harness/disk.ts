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

/** Makes and mounts a file system on the directory `path`; unmounting it leaves nothing but its image. */
export function mountDisk(kind: DiskKind, path: string): void {
	mkdirSync(path);
	if (kind === "tmpfs") {
		mount("tmpfs", path, "tmpfs", 0, "size=256m");
		return;
	}
	const image = `${path}.${kind}`;
	const fd = openSync(image, "w");
	ftruncateSync(fd, imageSize);
	closeSync(fd);
	run([`mkfs.${kind}`, "-q", image]);
	run(["mount", "-o", "loop", image, path]);
}
