/** The virtual machines there are: another one is another line. */

import type { Processor } from "../../packaging/executable.ts";

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
}

const modes = ["root", "id ranges", "fusermount"] as const;
const x64 = { processor: "x64", cpu: "max", kernel: "linux-image-cloud-amd64", modes } as const;
const arm64 = { processor: "arm64", modes } as const;

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
	{ ...x64, name: "nfs", suite: "trixie", libfuse: "libfuse3-4", modes: ["NFS 4.2", "NFS 3"] },
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
];
