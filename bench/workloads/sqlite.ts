/** A database with a transaction for each insert. */

import { join } from "node:path";
import { emptyTree } from "./trees.ts";
import type { Workload } from "./workload.ts";

export const sqliteWorkloads: readonly Workload[] = [
	{
		name: "sqlite_insert",
		group: "daily",
		what: "300 SQLite transactions of one insert, each made durable by fsync",
		tree: emptyTree,
		cache: "warm",
		operations: (scale) => scale.count(300),
		run: ({ merged, scale }) => {
			const script = join(import.meta.dir, "sqlite-client.ts");
			return ["run", merged, process.execPath, script, `${merged}/database`, String(scale.count(300))];
		},
	},
];
