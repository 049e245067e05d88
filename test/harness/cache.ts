/** Where tests keep what takes long to fetch. Anything in it may be deleted at any time between runs. */
import { mkdirSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

/** A folder of the cache, made if need be. FUSE_OVERLAYFS_TEST_CACHE names the whole cache's place. */
export function cacheFolder(name: string): string {
	const place = process.env.FUSE_OVERLAYFS_TEST_CACHE;
	const home = process.env.XDG_CACHE_HOME || join(homedir(), ".cache");
	const folder = join(place || join(home, "fuse-overlayfs-test"), name);
	mkdirSync(folder, { recursive: true });
	return folder;
}
