/**
 * Debian roots whose libfuse is newer than the machine's: made once by debootstrap, kept in the cache, entered in
 * namespaces that take everything mounted and started in them along when they end.
 */
import { spawnSync } from "node:child_process";
import {
	appendFileSync,
	existsSync,
	mkdirSync,
	readFileSync,
	renameSync,
	rmSync,
	symlinkSync,
	writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { cacheFolder } from "../harness/cache.ts";
import { debootstrap, systemPath } from "../harness/debootstrap.ts";

/** What a root holds beyond the packages that Debian requires: libfuse, and what the tests call. */
const packages = [
	..."libfuse3-4 fuse3 fuse-overlayfs mount util-linux e2fsprogs attr acl libcap2-bin procps strace".split(
		" ",
	),
	..."gcc libc6-dev libfuse3-dev linux-libc-dev".split(" "),
];

/** What runs containers. */
const engines = "podman buildah crun busybox-static uidmap".split(" ");
/**
 * The suites there are roots of, and what is wanted only there: what libfuse3-dev needs by a name that debootstrap cannot
 * resolve, and in the stable release podman.
 */
const particular: Record<string, readonly string[]> = {
	trixie: ["libselinux1-dev", ...engines],
	sid: ["libselinux-dev"],
};

/** What an installed system has and debootstrap does not make: a user, whom fusermount3 wants by name, and mtab. */
const user = "user:x:1000:1000::/tmp:/bin/sh\n";
const mtab = "../proc/self/mounts";

export const suites = Object.keys(particular);

/** The root of a Debian suite, made if the cache lacks it. */
export function debianRoot(suite: string): string {
	const root = join(cacheFolder("roots"), suite);
	const wanted = [...packages, ...(particular[suite] ?? [])].join(",");
	const recipe = [wanted, user, mtab].join("\n");
	const marker = join(root, "recipe");
	if (existsSync(marker) && readFileSync(marker, "utf8") === recipe) return root;

	console.log(`${suite}: debootstrap into ${root}`);
	const partial = `${root}.partial`;
	for (const stale of [root, partial]) rmSync(stale, { recursive: true, force: true });
	debootstrap(suite, partial, [`--include=${wanted}`]);
	for (const downloads of ["var/cache/apt/archives", "var/lib/apt/lists"])
		rmSync(join(partial, downloads), { recursive: true, force: true });
	mkdirSync(join(partial, "project"), { recursive: true });
	appendFileSync(join(partial, "etc/passwd"), user);
	if (!existsSync(join(partial, "etc/mtab"))) symlinkSync(mtab, join(partial, "etc/mtab"));
	writeFileSync(join(partial, "recipe"), recipe);
	renameSync(partial, root);
	return root;
}

/**
 * Becomes the root, with the project read-only on /project and the folder $3 on /tmp. By pivot_root, because the
 * kernel makes no user namespaces for processes in a chroot. The shell stays to reap what daemons leave.
 */
const enter = `set -e
mount --bind "$1" "$1"
mount -t proc proc "$1/proc"
mount --rbind /sys "$1/sys"
mount --rbind /dev "$1/dev"
mount --bind "$3" "$1/tmp"
mount --bind -o ro "$2" "$1/project"
cd "$1"
pivot_root . mnt
umount --lazy /mnt
cd /project
shift 3
"$@" && exit 0 || exit $?`;

export interface EnterOptions {
	/** Shown as /project. */
	project: string;
	/** Shown as /tmp. */
	temporary: string;
	env?: Record<string, string>;
	/** Milliseconds until all that runs in the root is killed. */
	timeout: number;
	/** Return stdout instead of letting it through. */
	capture?: boolean;
}

/** Runs a command in a root, in namespaces of its own. */
export function runInRoot(
	root: string,
	command: string[],
	options: EnterOptions,
): { ok: boolean; stdout: string } {
	const { project, temporary, env = {}, timeout, capture = false } = options;
	const namespaces = ["--mount", "--pid", "--fork", "--kill-child"];
	// Whatever ends this process ends the namespaces.
	const args = [
		"--pdeathsig",
		"KILL",
		"unshare",
		...namespaces,
		"sh",
		"-c",
		enter,
		"sh",
		root,
		project,
		temporary,
		...command,
	];
	const { status, stdout } = spawnSync("setpriv", args, {
		env: { PATH: systemPath, HOME: "/tmp", LC_ALL: "C.UTF-8", TERM: process.env.TERM ?? "dumb", ...env },
		encoding: "utf8",
		timeout,
		killSignal: "SIGKILL",
		stdio: ["ignore", capture ? "pipe" : "inherit", "inherit"],
	});
	return { ok: status === 0, stdout: stdout ?? "" };
}
