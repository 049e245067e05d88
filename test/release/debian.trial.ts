/** The Debian package beside `apt install podman`, which is what it is for. */

import { describe, expect, test } from "bun:test";
import { installing } from "./fresh-root.ts";
import { fileOf, inSystem, useMounts } from "./release.ts";

const update = "apt-get -qq update >/dev/null\n";
const install = (what: string) =>
	`apt-get -qq -y install ${what} >/tmp/apt 2>&1 || { cat /tmp/apt; exit 1; }\n`;
const own = "/release/fuse-overlayfs-bun_*_amd64.deb";
const owner = "dpkg --search /usr/bin/fuse-overlayfs | sed 's/^/owner: /'\n";

/** Without a service manager and a network of their own: podman needs these of a whole machine. */
const run = "podman run --rm --cgroups=disabled --network=none";
/** An image of one program, changed in a container, and committed. */
const usePodman = `mkdir -p /build/image/bin
cp /bin/busybox /build/image/bin/
for name in sh cat grep ls; do ln -s busybox "/build/image/bin/$name"; done
echo base >/build/image/file
mkdir -p /etc/containers
printf '[storage]\\ndriver = "overlay"\\nrunroot = "/run/containers"\\ngraphroot = "/var/lib/containers/storage"\\n[storage.options.overlay]\\nmount_program = "/usr/bin/fuse-overlayfs"\\n' >/etc/containers/storage.conf
mkdir -p /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup
podman info --format '{{index .Store.GraphOptions "overlay.mount_program"}}' | tr '\\n' ' '
tar -C /build/image -c . | podman import --quiet - localhost/base >/dev/null
${run} localhost/base grep ' / ' /proc/self/mounts | cut -d ' ' -f 1-3
podman run --name changing --cgroups=disabled --network=none localhost/base sh -c 'echo changed >file; cat file'
podman commit --quiet changing localhost/changed >/dev/null
podman rm changing >/dev/null
${run} localhost/changed cat file
podman system reset --force >/dev/null 2>&1
`;

function expectPodman(said: string): void {
	expect(said).toMatch(/\/usr\/bin\/fuse-overlayfs/);
	expect(said).toContain("fuse-overlayfs / fuse.fuse-overlayfs\n");
	expect(said).toContain("changed\nchanged\n");
}

describe("the Debian package", () => {
	test("installed after podman, it takes the place of Debian's program, and podman runs with it", () => {
		const said = inSystem(
			"bookworm",
			`${update}${install("podman crun busybox-static")}${owner}${install(own)}${owner}
fuse-overlayfs --version\n${usePodman}${useMounts}
man -w fuse-overlayfs 2>/dev/null || ls /usr/share/man/man1/fuse-overlayfs.1.gz
${install("fuse-overlayfs")}${owner}`,
		);
		const owners = [...said.matchAll(/^owner: (.*):/gm)].map(([, name]) => name);
		expect(owners).toEqual(["fuse-overlayfs", "fuse-overlayfs-bun", "fuse-overlayfs"]);
		expect(said).toMatch(/^fuse-overlayfs: version \d/m);
		expectPodman(said);
		expect(said).toContain("root: lower more \nuser: lower more \n");
	});

	test("installed before podman, Debian's program is not brought along; removed, nothing of it stays", () => {
		const said = inSystem(
			"trixie",
			`${update}${install(own)}${install("podman crun busybox-static")}${owner}${usePodman}
apt-get -qq -y purge fuse-overlayfs-bun >/dev/null 2>&1
find / -xdev -path /release -prune -o -name '*fuse-overlayfs-bun*' -print | grep -v '^/var/\\(lib/apt\\|log\\|cache\\)' || echo none
`,
		);
		expect(said).toContain("owner: fuse-overlayfs-bun:");
		expectPodman(said);
		expect(said).toEndWith("none\n");
	});

	test.each(["amd64", "arm64"])("lintian finds no error in that for %s", (architecture) => {
		const { stdout, exitCode } = Bun.spawnSync([
			...["lintian", "--allow-root", "--fail-on", "error", fileOf(`_${architecture}.deb`)],
		]);
		expect(stdout.toString()).not.toMatch(/^E:/m);
		expect(exitCode).toBe(0);
	});
});

describe("podman in a container", () => {
	test("the Containerfile is built, and a container in that container has the program for its root", () => {
		const said = inSystem(
			"bookworm",
			`${installing("podman", "crun", "buildah", "busybox-static", own)}
mkdir -p /etc/containers /build/context && mount -t cgroup2 none /sys/fs/cgroup
cp /release/Containerfile /release/storage.conf ${own} /build/context
cp /release/storage.conf /etc/containers/storage.conf
cd /build
# What would come from a registry.
tar -C / --one-file-system --exclude=./build --exclude=./release --exclude=./var/lib/containers -c . | podman import --quiet - localhost/debian >/dev/null
podman build --quiet --isolation=chroot --network=host --build-arg BASE=localhost/debian --tag outer context >/dev/null
cat >inner <<'END'
mkdir -p /tmp/image/bin && cp /bin/busybox /tmp/image/bin/ && ln -s busybox /tmp/image/bin/grep
podman info --format '{{index .Store.GraphOptions "overlay.mount_program"}}'
tar -C /tmp/image -c . | podman import --quiet - localhost/inner >/dev/null
${run} localhost/inner grep ' / ' /proc/self/mounts | cut -d ' ' -f 1-3 | sed 's/^/inner: /'
END
podman run --rm --device /dev/fuse --privileged --cgroups=disabled --network=none --volume /build/inner:/inner:ro outer sh -eu /inner
podman system reset --force >/dev/null 2>&1`,
		);
		expect(said).toContain("inner: fuse-overlayfs / fuse.fuse-overlayfs\n");
	});
});
