/** Reading without changing: names, attributes, small files. */

import {
	bigTree,
	filesOf,
	hugeDirectoryTree,
	mergedHugeDirectoryTree,
	smallTree,
	walkTree,
} from "./trees.ts";
import type { Stage, Workload } from "./workload.ts";

/** Looks at the attributes of each file and finds none. */
const find = ({ merged }: Stage) => ["run", merged, "find", ".", "-size", "+1000000G"];
const bigDirectory = ({ merged }: Stage) => `${merged}/d0000`;

export const lookupWorkloads: readonly Workload[] = [
	{
		name: "find_cold",
		group: "baseline",
		what: "find: walk and stat 12,000 files in 100 directories merged from 3 layers",
		tree: walkTree,
		cache: "cold",
		operations: (scale) => walkTree.files(scale),
		run: find,
	},
	{
		name: "find_warm",
		group: "baseline",
		what: "the same again",
		tree: walkTree,
		cache: "warm",
		operations: (scale) => walkTree.files(scale),
		prepare: (stage) => [find(stage)],
		run: find,
	},
	{
		name: "readdir_big",
		group: "baseline",
		what: "list a directory of 20,000 names",
		tree: bigTree,
		cache: "cold",
		operations: (scale) => bigTree.files(scale),
		run: (stage) => ["list", bigDirectory(stage)],
	},
	{
		name: "ls_l_big",
		group: "baseline",
		what: "list and stat the same",
		tree: bigTree,
		cache: "cold",
		operations: (scale) => bigTree.files(scale),
		run: (stage) => ["list_stat", bigDirectory(stage)],
	},
	{
		name: "readdir_million",
		group: "scale",
		what: "list a directory of a million names",
		tree: hugeDirectoryTree,
		cache: "warm",
		operations: (scale) => hugeDirectoryTree.files(scale),
		run: (stage) => ["list", bigDirectory(stage)],
		onRequest: true,
	},
	{
		name: "readdir_million_merged",
		group: "scale",
		what: "the same, merged from two layers",
		tree: mergedHugeDirectoryTree,
		cache: "warm",
		operations: (scale) => mergedHugeDirectoryTree.files(scale),
		run: (stage) => ["list", bigDirectory(stage)],
		onRequest: true,
	},
	{
		name: "readdir_million_latency",
		group: "scale",
		what: "the same; meanwhile another process makes, stats and removes files",
		tree: mergedHugeDirectoryTree,
		cache: "warm",
		operations: (scale) => mergedHugeDirectoryTree.files(scale),
		run: (stage) => ["probe_beside", stage.merged, "list", bigDirectory(stage)],
		onRequest: true,
	},
	{
		name: "stat_missing",
		group: "baseline",
		what: "stat 5,000 names that do not exist, in 100 directories merged from 3 layers",
		tree: walkTree,
		cache: "warm",
		operations: (scale) => walkTree.directories(scale) * 50,
		run: ({ merged, scale }) => [
			"stat_missing",
			...filesOf(merged, walkTree.directories(scale), 50, "missing"),
		],
	},
	{
		name: "open_read_close",
		group: "baseline",
		what: "open, read and close 4,000 lower files of 4 KiB, for the first time",
		tree: smallTree,
		cache: "warm",
		operations: (scale) => smallTree.directories(scale) * 100,
		run: ({ merged, scale }) => [
			"open_read_close",
			...filesOf(merged, smallTree.directories(scale), 100, "f"),
		],
	},
];
