/**
 * Fresh systems of Debian to install and use a release in: the smallest root of a suite, made once by debootstrap and kept in
 * the cache, with a layer over it that is thrown away, entered in namespaces that take everything along when they end.
 */

import { existsSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cacheFolder } from "../harness/cache.ts";
import { debootstrap, systemPath } from "../harness/debootstrap.ts";
import { watchdog } from "../harness/watchdog-client.ts";

export type Suite = "bookworm" | "trixie";

/** The root of a suite, made if the cache lacks it. */
export function pristineRoot(suite: Suite): string {
	const root = join(cacheFolder("roots"), `${suite}-minimal`);
	if (existsSync(root)) return root;
	console.log(`${suite}: debootstrap into ${root}`);
	const partial = `${root}.partial`;
	rmSync(partial, { recursive: true, force: true });
	debootstrap(suite, partial, ["--include=ca-certificates"]);
	renameSync(partial, root);
	return root;
}

/**
 * Becomes the root $1 with a layer in the directory $2, and a /dev/fuse that users may open. $3 is seen as /release, and $4,
 * read-only, as /tools. The certificates are those of this machine, which may trust a registry of its own.
 * What containers are kept in must not be an overlay itself.
 */
const enter = `set -e
root=$1 place=$2 release=$3 tools=$4; shift 4
for name in upper work root containers build devices; do mkdir "$place/$name"; done
mount -t overlay -o "lowerdir=$root,upperdir=$place/upper,workdir=$place/work" none "$place/root"
cd "$place/root"
mkdir -p release tools var/lib/containers build run
mount --bind "$release" release
mount --bind -o ro "$tools" tools
mount --bind "$place/containers" var/lib/containers
mount --bind "$place/build" build
mount -t tmpfs none run
mount -t proc proc proc
mount --rbind /sys sys
mount --rbind /dev dev
mount -t tmpfs -o mode=755 none "$place/devices"
mknod -m 666 "$place/devices/null" c 1 3
mknod -m 666 "$place/devices/fuse" c 10 229
for name in null fuse; do mount --bind "$place/devices/$name" "dev/$name"; done
cp /etc/resolv.conf etc/resolv.conf
if [ -e /etc/ssl/certs/ca-certificates.crt ]; then
	cp /etc/ssl/certs/ca-certificates.crt etc/ssl/certs/ca-certificates.crt
fi
ln -sf ../proc/self/mounts etc/mtab
# Nothing of it need survive.
echo force-unsafe-io >etc/dpkg/dpkg.cfg.d/unsafe-io
# No service is started.
printf '#!/bin/sh\\nexit 101\\n' >usr/sbin/policy-rc.d
chmod 755 usr/sbin/policy-rc.d
pivot_root . mnt
umount --lazy /mnt
cd /
exec "$@"`;

export interface Entry {
	readonly suite: Suite;
	/** A directory that is seen as /release, and can be written to. */
	readonly release: string;
	/** One that is seen as /tools. */
	readonly tools?: string;
	readonly environment?: Readonly<Record<string, string>>;
}

/** Runs a shell script in a fresh root; what it prints. Throws, with all that it said, if it fails. */
export function inFreshRoot(
	{ suite, release, tools = release, environment = {} }: Entry,
	script: string,
): string {
	const root = pristineRoot(suite);
	const place = mkdtempSync(join(tmpdir(), "fuse-overlayfs-root-"));
	watchdog.tell("tree", place);
	try {
		const namespaces = ["unshare", "--mount", "--pid", "--fork", "--kill-child"];
		const { exitCode, stdout, stderr } = Bun.spawnSync(
			[
				...["setpriv", "--pdeathsig", "KILL", ...namespaces, "sh", "-c", enter, "sh"],
				...[root, place, release, tools, "sh", "-euc", script],
			],
			{
				env: {
					PATH: `/usr/local/sbin:/usr/local/bin:${systemPath}`,
					HOME: "/root",
					LC_ALL: "C.UTF-8",
					DEBIAN_FRONTEND: "noninteractive",
					NODE_EXTRA_CA_CERTS: "/etc/ssl/certs/ca-certificates.crt",
					npm_config_cafile: "/etc/ssl/certs/ca-certificates.crt",
					...environment,
				},
				stdin: "ignore",
			},
		);
		if (exitCode !== 0) throw new Error(`exit code ${exitCode}\n${stdout}${stderr}`);
		return stdout.toString();
	} finally {
		rmSync(place, { recursive: true, force: true });
		watchdog.tell("tree-gone", place);
	}
}

/** For a script: packages of Debian, with nothing that they only recommend. */
export function installing(...packages: readonly string[]): string {
	return `apt-get -qq update >/dev/null
apt-get -qq -y install --no-install-recommends ${packages.join(" ")} >/tmp/apt 2>&1 || { cat /tmp/apt; exit 1; }
`;
}
