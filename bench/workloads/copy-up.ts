/** First changes of lower files. */

import type { ClientCommand } from "../client.ts";
import { filesOf, hugeTree, largeTree, smallTree } from "./trees.ts";
import type { MountedWorkload, Stage } from "./workload.ts";

/** Half of each directory's files. */
const files = ({ merged, scale }: Stage) => filesOf(merged, smallTree.directories(scale), 50, "f");

export const copyUpWorkloads: readonly (MountedWorkload & { run(stage: Stage): ClientCommand })[] = [
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
		what: "chmod 2,000 lower files of 4 KiB",
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
		bytes: (scale) => largeTree.bytes(scale),
		run: ({ merged }) => ["append", `${merged}/file`],
	},
	{
		name: "copyup_latency",
		group: "scale",
		what: "append a byte to a lower file of 2 GiB; meanwhile another process stats and reads small files",
		tree: hugeTree,
		cache: "warm",
		operations: () => 1,
		bytes: (scale) => hugeTree.bytes(scale),
		run: ({ merged, scale }) => [
			"append_and_probe",
			`${merged}/file`,
			...filesOf(merged, hugeTree.directories(scale), 100, "f"),
		],
	},
];
