/**
 * Everything a benchmark leaves on disk lies in one directory, which goes away with it, mounts included. Unless told
 * otherwise it is on a file system of its own: what was written and removed on another before can cost more than what
 * is measured, as when ext4 without a journal looks for inodes that were not in use lately.
 */

import { chmodSync, mkdirSync, mkdtempSync, realpathSync } from "node:fs";
import { join } from "node:path";
import { mountDisk } from "../test/harness/disk.ts";
import { detachMountsUnder } from "../test/harness/mount-table.ts";
import { daemonsOf, endProcesses, haveLeft, programsBelow } from "./daemon.ts";

const IMAGES = "/var/tmp";
/** The image is sparse. */
const DISK = { size: 32 * 2 ** 30, make: ["-E", "lazy_itable_init=0,lazy_journal_init=0"] };

export class Scratch implements AsyncDisposable {
	/** Also what marks the daemons of this benchmark, see daemon.ts. */
	readonly path: string;
	private readonly outermost: string;

	/** In the directory `base`, or on a new ext4 file system. */
	constructor(base: string | undefined) {
		mkdirSync(base ?? IMAGES, { recursive: true });
		this.outermost = mkdtempSync(join(realpathSync(base ?? IMAGES), "fuse-overlayfs-bench-"));
		// Users whose podman is measured go through here to its storage.
		chmodSync(this.outermost, 0o711);
		this.path = base === undefined ? join(this.outermost, "disk") : this.outermost;
		if (base === undefined) mountDisk("ext4", this.path, DISK);
	}

	/** A directory in it, made if need be. */
	directory(...names: string[]): string {
		const path = join(this.path, ...names);
		mkdirSync(path, { recursive: true });
		return path;
	}

	async [Symbol.asyncDispose](): Promise<void> {
		// First the daemons: of a mount whose daemon hangs, nothing can be asked.
		await endProcesses(daemonsOf(this.path));
		// Steps that an interruption has killed, and what they had started: until now they may have waited for a daemon.
		await haveLeft(programsBelow(this.path));
		detachMountsUnder(this.outermost);
		await removeTree(this.outermost);
	}
}

/** The caller sees to it that nothing is mounted below. */
export async function removeTree(path: string): Promise<void> {
	// The program is several times as fast as node:fs, and stays out of mounts.
	await Bun.spawn(["rm", "-rf", "--one-file-system", path], { stdio: ["ignore", "ignore", "inherit"] })
		.exited;
}
