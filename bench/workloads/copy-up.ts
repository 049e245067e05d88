/** First changes of lower files. */

import { filesOf, largeTree, smallTree } from "./trees.ts";
import type { Stage, Workload } from "./workload.ts";

/** Half of each directory's files. */
const files = ({ merged, scale }: Stage) => filesOf(merged, smallTree.directories(scale), 50, "f");

export const copyUpWorkloads: readonly Workload[] = [
	{
		name: "copyup_small",
		group: "baseline",
		what: "append a byte to each of 2,000 lower files of 4 KiB",
		tree: smallTree,
		cache: "warm",
		operations: (scale) => smallTree.directories(scale) * 50,
		run: (stage) => ["append_each", ...files(stage)],
	},
	{
		name: "copyup_chmod",
		group: "baseline",
		what: "chmod the same",
		tree: smallTree,
		cache: "warm",
		operations: (scale) => smallTree.directories(scale) * 50,
		run: (stage) => ["chmod_each", ...files(stage)],
	},
	{
		name: "copyup_large",
		group: "baseline",
		what: "append a byte to a lower file of 256 MiB",
		tree: largeTree,
		cache: "warm",
		operations: () => 1,
		run: ({ merged }) => ["append", `${merged}/file`],
	},
];
