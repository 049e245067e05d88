/** First changes on the machine's own file system, as it has become in use; and while somebody else makes it wait. */

import { join } from "node:path";
import { copyUpWorkloads } from "./copy-up.ts";
import type { MountedWorkload } from "./workload.ts";

const changes = copyUpWorkloads.filter(({ group }) => group === "baseline");

export const ownDiskWorkloads: readonly MountedWorkload[] = [
	...changes.map(
		(workload): MountedWorkload => ({
			...workload,
			name: `own_disk_${workload.name}`,
			group: "own_disk",
			what: `${workload.what}, on the machine's own file system`,
			disk: "own",
		}),
	),
	...changes.map(
		(workload): MountedWorkload => ({
			...workload,
			name: `busy_disk_${workload.name}`,
			group: "busy_disk",
			what: `${workload.what}, there, while another process writes and syncs a file`,
			disk: "own",
			run: (stage) => ["beside_writer", join(stage.tree, "busy"), ...workload.run(stage)],
		}),
	),
];
