/** Start and first look. */

import { emptyTree } from "./trees.ts";
import type { Workload } from "./workload.ts";

export const mountWorkloads: readonly Workload[] = [
	{
		name: "mount_ready",
		group: "baseline",
		what: "start of the program to the first answered stat",
		tree: emptyTree,
		cache: "warm",
		operations: () => 1,
		run: "mount",
	},
];
