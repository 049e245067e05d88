/**
 * What a machine boots: its kernel, an initramfs that finds the disks, and the disk with Debian's userland and the kernel's
 * modules. Made once per machine and kept in the cache; nothing in it is of the project.
 */

import {
	chmodSync,
	copyFileSync,
	existsSync,
	mkdirSync,
	mkdtempSync,
	readdirSync,
	readFileSync,
	renameSync,
	rmSync,
	symlinkSync,
	writeFileSync,
} from "node:fs";
import { homedir } from "node:os";
import { basename, join } from "node:path";
import type { Machine } from "./machines.ts";
import { run, unpackPackages } from "./packages.ts";

/** What the tests call, apart from the kernel and libfuse. */
const packages = [
	"?essential",
	..."fuse3 fuse-overlayfs attr acl uidmap mount util-linux e2fsprogs xfsprogs btrfs-progs kmod procps".split(
		" ",
	),
	..."iproute2 busybox-static libcap2-bin strace nfs-kernel-server nfs-common".split(" "),
];
/** What the initramfs has to load to reach the disks and to report. */
const modules = ["virtio_pci", "virtio_blk", "virtio_console", "virtio_rng", "ext4"];
/** Set-user-ID programs of packages whose scripts, which are not run, would make them that. */
const privileged = ["fusermount3", "newuidmap", "newgidmap", "mount", "umount"];

/** Of the root directory; packages have the others. */
const directories = ["project", "mnt", "opt", "srv", "media", "root"];

/** Loads the modules, mounts the system's disk and on /project that with the project, and hands over. */
const init = `#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t devtmpfs dev /dev
for module in /modules/*; do /bin/busybox insmod "$module"; done
while [ ! -b /dev/vdc ]; do /bin/busybox sleep 0.1; done
/bin/busybox mount -t ext4 /dev/vda /root
/bin/busybox mount -t ext4 /dev/vdb /root/project
/bin/busybox mount -t ext4 /dev/vdc /root/tmp
/bin/busybox mount --move /dev /root/dev
/bin/busybox umount /proc
exec /bin/busybox switch_root /root /bin/sh /project/test/machines/guest/start.sh
`;

/** Paths of what a machine boots. */
export interface System {
	readonly kernel: string;
	readonly initramfs: string;
	readonly disk: string;
}

/** Where images are kept. Anything in it may be deleted between runs. */
export function cacheFolder(name: string): string {
	const folder = join(
		process.env.XDG_CACHE_HOME || join(homedir(), ".cache"),
		"fuse-overlayfs-machines",
		name,
	);
	mkdirSync(folder, { recursive: true });
	return folder;
}

/** Makes an image of a file system with the content of a directory, owners and modes included. */
export function makeImage(image: string, directory: string, size: string): void {
	// Kernels of Debian 11 know neither of the two.
	const features = "^orphan_file,^metadata_csum_seed";
	run("mke2fs", "-q", "-t", "ext4", "-O", features, "-E", "lazy_itable_init=1", "-d", directory, image, size);
}

/** Where it is kept, and what it is made of. */
function plan({ suite, kernel, libfuse, processor, packages: further = [] }: Machine) {
	const folder = cacheFolder(`systems/${[suite, kernel, ...further].join("-")}`);
	const recipe = JSON.stringify([
		suite,
		kernel,
		libfuse,
		processor,
		packages,
		modules,
		privileged,
		directories,
		init,
		...further,
	]);
	return { folder, recipe, marker: join(folder, "recipe") };
}

/** Whether the cache has it. */
export function isMade(machine: Machine): boolean {
	const { marker, recipe } = plan(machine);
	return existsSync(marker) && readFileSync(marker, "utf8") === recipe;
}

/** What the machine boots, made if the cache has it not, or made otherwise. Machines may share it. */
export function systemOf(machine: Machine): System {
	const { folder, recipe, marker } = plan(machine);
	const system = {
		kernel: join(folder, "kernel"),
		initramfs: join(folder, "initramfs"),
		disk: join(folder, "disk"),
	};
	if (isMade(machine)) return system;
	console.log(`${machine.name}: fetching Debian ${machine.suite} and making its disk`);
	rmSync(marker, { force: true });
	const scratch = mkdtempSync(join(folder, "making-"));
	try {
		const tree = join(scratch, "tree");
		unpackUserland(machine, tree, join(scratch, "apt"));
		const version = readdirSync(join(tree, "usr/lib/modules"))[0]!;
		run("depmod", "--basedir", join(tree, "usr"), version);
		makeInitramfs(tree, version, join(scratch, "initramfs"), system.initramfs);
		moveKernel(tree, version, system.kernel);
		makeImage(`${system.disk}.partial`, tree, "3G");
		renameSync(`${system.disk}.partial`, system.disk);
		writeFileSync(marker, recipe);
	} finally {
		rmSync(scratch, { recursive: true, force: true });
	}
	return system;
}

function unpackUserland(machine: Machine, tree: string, scratch: string): void {
	for (const name of ["bin", "sbin", "lib", "lib64"]) {
		mkdirSync(join(tree, "usr", name), { recursive: true });
		symlinkSync(`usr/${name}`, join(tree, name));
	}
	unpackPackages(
		{ ...machine, packages: [...packages, machine.libfuse, machine.kernel, ...(machine.packages ?? [])] },
		tree,
		scratch,
	);
	// What the scripts of packages would have made.
	for (const name of ["passwd", "group"])
		copyFileSync(join(tree, `usr/share/base-passwd/${name}.master`), join(tree, "etc", name));
	for (const name of ["subuid", "subgid"]) writeFileSync(join(tree, "etc", name), "");
	for (const name of privileged) chmodSync(join(tree, "usr/bin", name), 0o4755);
	const links = { "bin/sh": "dash", "etc/mtab": "../proc/self/mounts" };
	for (const [name, target] of Object.entries(links))
		if (!existsSync(join(tree, name))) symlinkSync(target, join(tree, name));
	for (const name of directories) mkdirSync(join(tree, name), { recursive: true });
}

/** The kernel's file lies in /boot, or, in newer packages, with the modules. */
function moveKernel(tree: string, version: string, place: string): void {
	const found = [join(tree, `boot/vmlinuz-${version}`), join(tree, `usr/lib/modules/${version}/vmlinuz`)];
	const kernel = found.find(existsSync);
	if (kernel === undefined) throw new Error(`no kernel in ${found.join(", ")}`);
	copyFileSync(kernel, place);
}

function makeInitramfs(tree: string, version: string, scratch: string, place: string): void {
	for (const name of ["bin", "dev", "proc", "root", "modules"])
		mkdirSync(join(scratch, name), { recursive: true });
	copyFileSync(join(tree, "usr/bin/busybox"), join(scratch, "bin/busybox"));
	writeFileSync(join(scratch, "init"), init, { mode: 0o755 });
	insertions(tree, version).forEach((module, index) => {
		const copy = join(scratch, "modules", `${String(index).padStart(2, "0")}-${basename(module)}`);
		copyFileSync(module, copy);
		if (copy.endsWith(".xz")) run("xz", "--decompress", copy);
		if (copy.endsWith(".zst")) run("zstd", "--quiet", "--decompress", "--rm", copy);
	});
	run("sh", "-c", 'cd "$1" && find . | cpio --quiet --create --format=newc >"$2"', "sh", scratch, place);
}

/** The files of the {@link modules} and of what they need, in the order in which they are to be loaded. */
function insertions(tree: string, version: string): string[] {
	const options = ["--dirname", join(tree, "usr"), "--set-version", version, "--show-depends", "--all"];
	const { stdout, stderr, exitCode } = Bun.spawnSync(["modprobe", ...options, ...modules]);
	if (exitCode !== 0) throw new Error(`modprobe failed: ${stderr}`);
	const paths = [...stdout.toString().matchAll(/^insmod (\S+)/gm)].map(([, path]) => path!);
	return [...new Set(paths)];
}
