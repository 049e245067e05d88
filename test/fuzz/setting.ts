/** The fuzzer in settings other than root's. */

import { join } from "node:path";
import { temporaryTree } from "../harness/layers.ts";
import { usableFuseDevice } from "../harness/user.ts";
import { runInSetting } from "../rootless/run.ts";

const main = "test/fuzz/main.ts";

/**
 * Kernel overlayfs, with which an ordinary user's mount is compared, is root's to mount: so the fuzzer is, and only
 * its actors and the program are the user's.
 */
function runWithUser(args: readonly string[]): boolean {
	using tree = temporaryTree();
	const script = `mount --bind "${usableFuseDevice(tree)}" /dev/fuse && exec "$@"`;
	const command = [
		"unshare",
		"--mount",
		"sh",
		"-c",
		script,
		"sh",
		process.execPath,
		join(import.meta.dir, "main.ts"),
	];
	const { exitCode } = Bun.spawnSync([...command, ...args], {
		env: { ...process.env, FUSE_OVERLAYFS_TEST_SETTING: "fusermount" },
		stdio: ["ignore", "inherit", "inherit"],
	});
	return exitCode === 0;
}

/** Runs the fuzzer with `args` in that setting; whether it found nothing. */
export function runAs(setting: string, args: readonly string[]): boolean {
	if (setting === "fusermount") return runWithUser(args);
	if (setting === "id ranges" || setting === "one id") return runInSetting(setting, [main, ...args]);
	throw new Error(`nobody mounts as "${setting}"`);
}
