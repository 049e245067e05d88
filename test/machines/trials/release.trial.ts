/** What a release has for this processor, installed as its users do, and used. */

import { expect, test } from "bun:test";
import { mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { temporaryTree } from "../../harness/layers.ts";
import { projectDirectory } from "../../harness/program.ts";

const release = join(projectDirectory, "dist/release");
const path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** The path of the one file whose name ends so. */
function fileOf(end: string): string {
	const [name] = readdirSync(release).filter((name) => name.endsWith(end));
	if (name === undefined) throw new Error(`${release} has no ${end}`);
	return join(release, name);
}

/** What a shell script prints; it must succeed. */
function run(script: string): string {
	using tree = temporaryTree();
	mkdirSync("/var/lib/containers", { recursive: true });
	const { exitCode, stdout, stderr } = Bun.spawnSync(["sh", "-euc", script], {
		cwd: tree.path,
		env: { PATH: path, HOME: "/root", LC_ALL: "C.UTF-8", TMPDIR: tree.path },
	});
	expect(exitCode, `${stdout}${stderr}`).toBe(0);
	return stdout.toString();
}

const use = `mkdir lower upper work merged
echo lower >lower/file
fuse-overlayfs -o lowerdir=lower,upperdir=upper,workdir=work merged
echo more >>merged/file
umount merged
tr '\\n' ' ' <upper/file
`;

test("the tarball: unpacked below /usr/local, it mounts, and man formats its page", () => {
	// Made by a script of base-files.
	const said = run(`mkdir -p /usr/local
		tar -xJf ${fileOf(".tar.xz")} -C /usr/local --strip-components=1
		command -v fuse-overlayfs
		fuse-overlayfs --version
		${use}
		man -l /usr/local/share/man/man1/fuse-overlayfs.1 | grep -m1 NAME
		rm -r /usr/local/bin/fuse-overlayfs /usr/local/share/man/man1`);
	expect(said).toStartWith("/usr/local/bin/fuse-overlayfs\n");
	expect(said).toMatch(/^fuse-overlayfs: version \d/m);
	expect(said).toContain("lower more ");
	expect(said).toContain("NAME\n");
});

test("the Debian package: it takes the place of Debian's, and mounts", () => {
	const said = run(`dpkg --search /usr/bin/fuse-overlayfs
		dpkg --install ${fileOf(".deb")}
		dpkg --search /usr/bin/fuse-overlayfs
		dpkg-query --show --showformat='\${Package} \${Status}\\n' fuse-overlayfs fuse-overlayfs-bun 2>&1 || true
		/usr/bin/fuse-overlayfs --version
		${use}`);
	expect(said).toContain("fuse-overlayfs: /usr/bin/fuse-overlayfs\n");
	expect(said).toContain("fuse-overlayfs-bun: /usr/bin/fuse-overlayfs\n");
	expect(said).toContain("fuse-overlayfs-bun install ok installed\n");
	expect(said).toMatch(/^fuse-overlayfs: version \d/m);
	expect(said).toContain("lower more ");
});

test("podman runs a container with the package's program", () => {
	const said = run(`mkdir -p image/bin graph
		cp /bin/busybox image/bin/
		for name in sh cat grep; do ln -s busybox "image/bin/$name"; done
		printf '[storage]\\ndriver = "overlay"\\nrunroot = "/run/containers"\\ngraphroot = "%s"\\n[storage.options.overlay]\\nmount_program = "/usr/bin/fuse-overlayfs"\\n' "$PWD/graph" >storage.conf
		export CONTAINERS_STORAGE_CONF=$PWD/storage.conf
		mountpoint -q /sys/fs/cgroup || mount -t cgroup2 none /sys/fs/cgroup
		tar -C image -c . | podman import --quiet - localhost/base >/dev/null
		podman run --rm --cgroups=disabled --network=none localhost/base sh -c "echo changed >file; cat file; grep ' / ' /proc/self/mounts"
		podman system reset --force >/dev/null`);
	expect(said).toContain("changed\nfuse-overlayfs / fuse.fuse-overlayfs ");
});
