/** Start and first look. */

import { START } from "../result.ts";
import { startFloor } from "./start-floor.ts";
import { emptyTree, fortyLayers } from "./trees.ts";
import type { Workload } from "./workload.ts";

export const mountWorkloads: readonly Workload[] = [
	{
		name: START,
		group: "baseline",
		what: "start of the program to the first answered stat",
		tree: emptyTree,
		cache: "warm",
		operations: () => 1,
		run: "mount",
	},
	startFloor,
	{
		name: "mount_ready_40",
		group: "scale",
		what: "start with 40 layers to the first answered stat",
		tree: fortyLayers,
		cache: "warm",
		operations: () => 1,
		run: "mount",
	},
];
