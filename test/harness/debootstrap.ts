/** Debian trees, made by debootstrap from the mirror that this machine itself uses. */
import { spawnSync } from "node:child_process";

/** What an installed system looks for programs in; this process may have less. */
export const systemPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

const limit = 15 * 60_000;

function output(command: string, args: string[]): string {
	const { stdout } = spawnSync(command, args, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
	return stdout?.trim() ?? "";
}

/** The mirror that this machine's apt takes Debian from, or FUSE_OVERLAYFS_TEST_MIRROR. */
export function mirror(): string {
	const chosen = process.env.FUSE_OVERLAYFS_TEST_MIRROR;
	if (chosen) return chosen;
	const targets = output("apt-get", ["indextargets", "--format", "$(REPO_URI)", "Label: Debian"]);
	const found = targets.split("\n").find((uri) => /^(https?|file):/.test(uri));
	if (found === undefined)
		throw new Error("apt here has no mirror of Debian: set FUSE_OVERLAYFS_TEST_MIRROR to the address of one");
	return found;
}

/** The environment of programs that do not read this machine's apt settings, so that they are told of its proxy. */
function environment(): NodeJS.ProcessEnv {
	const proxy = /^proxy='(.*)'$/m.exec(output("apt-config", ["shell", "proxy", "Acquire::http::Proxy"]))?.[1];
	const env = { ...process.env, PATH: `${process.env.PATH}:${systemPath}` };
	return proxy === undefined ? env : { http_proxy: proxy, ...env };
}

/** Runs a command in a mount namespace: what it mounts is gone with it, even if it is killed. Throws if it fails. */
function run(command: readonly string[]): void {
	const { status, stdout, stderr, error } = spawnSync("unshare", ["--mount", ...command], {
		env: environment(),
		encoding: "utf8",
		timeout: limit,
		stdio: ["ignore", "pipe", "pipe"],
	});
	if (status === 0) return;
	const said = `${stdout}${stderr}`.split("\n").slice(-15).join("\n");
	throw new Error(`${command.join(" ")} failed: ${error?.message ?? `exit code ${status}`}\n${said}`);
}

/** Makes the smallest tree of a suite in the directory `target`, which must be missing. */
export function debootstrap(suite: string, target: string, options: readonly string[] = []): void {
	run(["debootstrap", "--variant=minbase", ...options, suite, target, mirror()]);
}

/** Has the tree fetch packages and what they need, to be installed later without a network. */
export function fetchPackages(tree: string, packages: readonly string[]): void {
	run(["chroot", tree, "apt-get", "clean"]);
	const install = ["apt-get", "-qq", "-y", "--no-install-recommends", "--download-only", "install"];
	run(["chroot", tree, ...install, ...packages]);
}
