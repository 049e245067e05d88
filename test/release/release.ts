/** The release that is tried, told by run.ts. */

import { readdirSync } from "node:fs";
import { join } from "node:path";
import { inFreshRoot, type Suite } from "./fresh-root.ts";

function told(variable: string): string {
	const value = process.env[variable];
	if (!value) throw new Error(`${variable} is not set: use npm run test:release`);
	return value;
}

export const release = told("FUSE_OVERLAYFS_TEST_RELEASE");
export const tools = told("FUSE_OVERLAYFS_TEST_TOOLS");

/** The path of the one file whose name ends so. */
export function fileOf(end: string): string {
	const found = readdirSync(release).filter((name) => name.endsWith(end));
	if (found.length !== 1) throw new Error(`the release has ${found.length} files that end in ${end}`);
	return join(release, found[0]!);
}

/** What a script prints in a fresh system that has the release in /release. */
export function inSystem(suite: Suite, script: string): string {
	return inFreshRoot({ suite, release, tools }, script);
}

/**
 * For a script: mounts as root and as an ordinary user, changes what is seen, and shows the upper layer. `become` is a command of
 * the shell before that which the user `user` runs.
 */
export function usingMounts(become: string): string {
	return `echo 'user:x:1000:1000::/tmp:/bin/sh' >>/etc/passwd
cat >/build/use <<'END'
mkdir lower upper work merged
echo lower >lower/file
fuse-overlayfs -o lowerdir=lower,upperdir=upper,workdir=work merged
echo more >>merged/file
fusermount3 -u merged
echo "$1: $(tr '\\n' ' ' <upper/file)"
END
for name in root user; do mkdir "/build/$name"; done
chown 1000:1000 /build/user
(cd /build/root && sh -eu /build/use root)
(cd /build/user && ${become} sh -eu /build/use user)
`;
}

export const useMounts = usingMounts("setpriv --reuid=1000 --regid=1000 --clear-groups");
