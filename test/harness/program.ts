/**
 * Which program the mount tests run, and what else this machine can mount for comparison.
 */

import { accessSync, constants } from "node:fs";
import { join, resolve } from "node:path";

export const projectDirectory = join(import.meta.dir, "../..");

/** FUSE_OVERLAYFS_PROGRAM: the program under test, when it is not the launcher of the source tree. */
export const program = resolve(
	process.env.FUSE_OVERLAYFS_PROGRAM ?? join(projectDirectory, "src/fuse-overlayfs"),
);

/** The binary that `npm run build` makes, as against the source run by Bun. */
export const isCompiled = program.endsWith("/dist/fuse-overlayfs");

/** The C program as Debian packages it: a peer that must read what we write. */
export const debianProgram = "/usr/bin/fuse-overlayfs";

let debianVersion: readonly number[] | undefined;

/** Whether it is older than that version; false where there is none. */
export function debianIsBefore(...version: readonly [number, number, number]): boolean {
	if (!isExecutable(debianProgram)) return false;
	if (debianVersion === undefined) {
		const { stdout } = Bun.spawnSync([debianProgram, "--version"], { stderr: "ignore" });
		const told = /^fuse-overlayfs: version (\d[\d.]*)/m.exec(stdout.toString())?.[1];
		if (told === undefined) throw new Error(`${debianProgram} tells no version`);
		debianVersion = told.split(".").map(Number);
	}
	const own = debianVersion;
	const at = version.findIndex((part, index) => part !== (own[index] ?? 0));
	return at >= 0 && (own[at] ?? 0) < version[at]!;
}

/**
 * FUSE_OVERLAYFS_PROGRAM=kernel: the tests' statements are tried on kernel overlayfs itself. It is the yardstick,
 * so a statement that fails there needs a reason.
 */
export const isKernel = process.env.FUSE_OVERLAYFS_PROGRAM === "kernel";

export function isExecutable(path: string): boolean {
	try {
		accessSync(path, constants.X_OK);
		return true;
	} catch {
		return false;
	}
}
