/** The virtual machines there are: another one is another line. */

import type { Processor } from "../../packaging/executable.ts";

import { planned } from "./planned.ts";
import type { Mode } from "./report.ts";

export interface Machine {
	readonly name: string;
	/** The release of Debian whose packages it is made of, its kernel included. */
	readonly suite: string;
	readonly kernel: string;
	/** libfuse's package is named after the library's version. */
	readonly libfuse: "libfuse3-3" | "libfuse3-4";
	readonly processor: Processor;
	/** What qemu emulates. */
	readonly cpu: string;
	readonly modes: readonly Mode[];
	/** What is tried there, in this order. */
	readonly files: readonly string[];
	/** Packages beyond those of all machines; its disk is one of its own then. */
	readonly packages?: readonly string[];
	/** For the kernel. */
	readonly parameters?: string;
	/** The host shares a directory with it, by 9p and by virtiofs. */
	readonly sharesDirectory?: true;
	/** It tries what a release has for its processor, and stays off without one. */
	readonly needsRelease?: true;
}

/** What cannot be had but in a machine of one's own. */
const trials = (...names: readonly string[]) => names.map((name) => `test/machines/trials/${name}.trial.ts`);

const modes = ["root", "id ranges", "fusermount"] as const;
/** Nehalem has SSE4.2, which is required, and no AVX, which takes qemu twice as long. */
const x64 = {
	processor: "x64",
	cpu: "Nehalem",
	kernel: "linux-image-cloud-amd64",
	modes,
	files: planned,
} as const;
const arm64 = { processor: "arm64", modes, files: planned } as const;
/** Of one release, as they share a disk. */
const confined = {
	...x64,
	suite: "trixie",
	libfuse: "libfuse3-4",
	modes: ["root"],
	packages: ["apparmor", "dmsetup", "secilc"],
} as const;

export const machines: readonly Machine[] = [
	{
		...x64,
		name: "debian-11",
		suite: "bullseye",
		libfuse: "libfuse3-3",
		// Its unshare(1) makes no namespaces with ranges of ids.
		modes: ["root", "one id", "fusermount"],
	},
	{ ...x64, name: "debian-12", suite: "bookworm", libfuse: "libfuse3-3" },
	{ ...x64, name: "debian-13", suite: "trixie", libfuse: "libfuse3-4" },
	{ ...x64, name: "debian-sid", suite: "sid", libfuse: "libfuse3-4" },
	{
		...x64,
		name: "nfs",
		suite: "trixie",
		libfuse: "libfuse3-4",
		modes: ["NFS 4.2", "NFS 3"],
		files: [...trials("nfs"), ...planned],
	},
	{
		...x64,
		name: "shared",
		suite: "trixie",
		// That for clouds has no 9p.
		kernel: "linux-image-amd64",
		libfuse: "libfuse3-4",
		modes: ["9p", "virtiofs"],
		files: [...trials("shared"), ...planned],
		sharesDirectory: true,
	},
	{
		...confined,
		name: "limits",
		files: trials("memory", "processes", "device-mapper", "apparmor"),
	},
	{ ...confined, name: "selinux", files: trials("selinux"), parameters: "security=selinux" },
	{
		...arm64,
		name: "arm64-4k",
		// Simple, and so started five times as fast as qemu's `max`.
		cpu: "cortex-a53",
		suite: "bookworm",
		kernel: "linux-image-cloud-arm64",
		libfuse: "libfuse3-3",
	},
	{
		...arm64,
		name: "arm64-16k",
		// Older ones have no pages of 16 KiB.
		cpu: "cortex-a76",
		suite: "trixie",
		kernel: "linux-image-arm64-16k",
		libfuse: "libfuse3-4",
	},
	{
		...arm64,
		name: "arm64-release",
		cpu: "cortex-a53",
		suite: "bookworm",
		kernel: "linux-image-cloud-arm64",
		libfuse: "libfuse3-3",
		modes: ["root"],
		packages: ["podman", "crun", "man-db", "xz-utils"],
		files: trials("release"),
		needsRelease: true,
	},
];
