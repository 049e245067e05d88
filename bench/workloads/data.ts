/** Contents of large files. */

import { emptyTree, largeTree } from "./trees.ts";
import type { Scale, Workload } from "./workload.ts";

const largeBlocks = (scale: Scale) => largeTree.bytes(scale) / 131072;
const pages = (scale: Scale) => largeTree.bytes(scale) / 4096;

export const dataWorkloads: readonly Workload[] = [
	{
		name: "seq_read",
		group: "baseline",
		what: "read 256 MiB of a lower file in blocks of 128 KiB",
		tree: largeTree,
		cache: "warm",
		operations: largeBlocks,
		bytes: largeTree.bytes,
		run: ({ merged }) => ["read", `${merged}/file`],
	},
	{
		name: "seq_write",
		group: "baseline",
		what: "write 256 MiB to a new file in blocks of 128 KiB, no fsync",
		tree: emptyTree,
		cache: "warm",
		operations: largeBlocks,
		bytes: largeTree.bytes,
		run: ({ merged, scale }) => ["write", `${merged}/file`, String(largeTree.bytes(scale)), "131072"],
	},
	{
		name: "small_write",
		group: "baseline",
		what: "40,000 writes of 512 bytes to a new file",
		tree: emptyTree,
		cache: "warm",
		operations: (scale) => scale.count(40_000),
		bytes: (scale) => scale.count(40_000) * 512,
		run: ({ merged, scale }) => ["write", `${merged}/file`, String(scale.count(40_000) * 512), "512"],
	},
	{
		name: "rand_read_4k",
		group: "baseline",
		what: "20,000 reads of 4 KiB at random places of a lower file of 256 MiB",
		tree: largeTree,
		cache: "warm",
		operations: (scale) => scale.count(20_000),
		bytes: (scale) => scale.count(20_000) * 4096,
		run: ({ merged, scale }) => ["read_random", `${merged}/file`, String(scale.count(20_000))],
	},
	{
		name: "mmap_read",
		group: "baseline",
		what: "touch every page of a mapped lower file of 256 MiB",
		tree: largeTree,
		cache: "warm",
		operations: pages,
		bytes: largeTree.bytes,
		run: ({ merged }) => ["map_read", `${merged}/file`],
	},
];
