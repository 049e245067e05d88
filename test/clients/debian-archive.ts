/** A Debian tree for images to be based on. */
import { spawnSync } from "node:child_process";
import { existsSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { cacheFolder } from "../harness/cache.ts";
import { debootstrap, fetchPackages } from "../harness/debootstrap.ts";
import { open } from "../harness/descriptor.ts";
import { flock, LOCK_EX } from "../harness/native.ts";

const suite = "bookworm";
/** What the tree can install without a network: about twenty packages, with scripts and diversions among them. */
export const packageToInstall = "git";

/**
 * A tar archive of the tree, made once and kept in the cache. FUSE_OVERLAYFS_TEST_DEBIAN names one for users who could
 * not make it.
 */
export function debianArchive(): string {
	const given = process.env.FUSE_OVERLAYFS_TEST_DEBIAN;
	if (given) return given;
	const archive = join(cacheFolder("archives"), `${suite}-${packageToInstall}.tar`);
	if (existsSync(archive)) return archive;
	const [tree, partial] = [`${archive}.tree`, `${archive}.partial`];
	// Of test files that run at the same time one makes it, and the others wait.
	using lock = open(`${archive}.lock`, "w");
	flock(lock.fd, LOCK_EX);
	try {
		if (existsSync(archive)) return archive;
		rmSync(tree, { recursive: true, force: true });
		console.log(`${suite}: debootstrap for ${archive}`);
		debootstrap(suite, tree);
		fetchPackages(tree, [packageToInstall]);
		// Users cannot make devices, and every container gets its own.
		const left = ["--exclude=./dev/*", "--exclude=./proc/*", "--exclude=./sys/*"];
		const { status } = spawnSync("tar", ["-C", tree, "--numeric-owner", ...left, "-cf", partial, "."]);
		if (status !== 0) throw new Error(`tar of ${tree} failed`);
		renameSync(partial, archive);
		return archive;
	} finally {
		for (const rest of [tree, partial]) rmSync(rest, { recursive: true, force: true });
	}
}
