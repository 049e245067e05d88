/** The tarball for musl, unpacked below /usr/local of a system that has nothing else: musl, libfuse, libstdc++ and busybox. */

import { expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { watchdog } from "../harness/watchdog-client.ts";
import { muslLibraries } from "../musl/libraries.ts";
import { fileOf, usingMounts } from "./release.ts";

/** Makes that system in the directory $1 of the libraries in $2, unpacks the tarball $3 there, does $4, and becomes it. */
const enter = `set -e
place=$1 libraries=$2 tarball=$3 prepare=$4; shift 4
mount -t tmpfs none "$place"
cp -a "$libraries/." "$place"
cd "$place"
mkdir -p usr/bin usr/local root etc dev proc mnt tmp build
for name in bin lib; do ln -s "usr/$name" "$name"; done
tar -xJf "$tarball" -C usr/local --strip-components=1
eval "$prepare"
cp "$(command -v busybox)" bin/busybox
chroot . /bin/busybox --install -s /bin
echo root:x:0:0::/root:/bin/sh >etc/passwd
ln -s ../proc/self/mounts etc/mtab
mount -t proc proc proc
mknod -m 666 dev/null c 1 3
mknod -m 666 dev/fuse c 10 229
pivot_root . mnt
umount -l /mnt
cd /build
exec "$@"`;

/** What a script prints there; `prepare` is done with this machine's programs, in its root. */
function inMuslSystem(script: string, prepare = ""): string {
	const place = mkdtempSync(join(tmpdir(), "fuse-overlayfs-musl-"));
	watchdog.tell("tree", place);
	try {
		const namespaces = ["unshare", "--mount", "--pid", "--fork", "--kill-child"];
		const { exitCode, stdout, stderr } = Bun.spawnSync(
			[
				...["setpriv", "--pdeathsig", "KILL", ...namespaces, "sh", "-c", enter, "sh"],
				...[place, muslLibraries(), fileOf("linux-x64-musl.tar.xz"), prepare, "sh", "-euc", script],
			],
			{ env: { PATH: "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", HOME: "/root" }, stdin: "ignore" },
		);
		if (exitCode !== 0) throw new Error(`exit code ${exitCode}\n${stdout}${stderr}`);
		return stdout.toString();
	} finally {
		rmSync(place, { recursive: true, force: true });
		watchdog.tell("tree-gone", place);
	}
}

/** By busybox. */
const becomeUser = `su -s /bin/sh user -c 'exec "$0" "$@"' --`;

test("unpacked below /usr/local, root and an ordinary user mount with it", () => {
	const said = inMuslSystem(`fuse-overlayfs --version\n${usingMounts(becomeUser)}`);
	expect(said).toMatch(/^fuse-overlayfs: version \d/m);
	expect(said).toMatch(/^FUSE library version:? 3\./m);
	expect(said).toContain("root: lower more \nuser: lower more \n");
});

test("a libstdc++ that is lacking is named", () => {
	expect(() => inMuslSystem("rm /usr/lib/musl/libstdc++.so.6; fuse-overlayfs --version")).toThrow(
		"Error loading shared library libstdc++.so.6",
	);
});

test("the binary is still this program after strip", () => {
	const said = inMuslSystem("fuse-overlayfs --version", "strip usr/local/bin/fuse-overlayfs");
	expect(said).toMatch(/^fuse-overlayfs: version \d/m);
});
