/** All workloads, in the order in which they run. */

import { copyUpWorkloads } from "./copy-up.ts";
import { dataWorkloads } from "./data.ts";
import { developWorkloads } from "./develop.ts";
import { lookupWorkloads } from "./lookup.ts";
import { manyWorkloads } from "./many.ts";
import { mountWorkloads } from "./mount.ts";
import { mountsWorkloads } from "./mounts.ts";
import { namesWorkloads } from "./names.ts";
import { ownDiskWorkloads } from "./own-disk.ts";
import { packagesWorkloads } from "./packages.ts";
import { podmanWorkloads } from "./podman.ts";
import { slowWorkloads } from "./slow.ts";
import { smallWorkloads } from "./small.ts";
import { sqliteWorkloads } from "./sqlite.ts";
import { usrWorkloads } from "./usr.ts";
import type { Workload } from "./workload.ts";

export const workloads: readonly Workload[] = [
	...mountWorkloads,
	...mountsWorkloads,
	...lookupWorkloads,
	...copyUpWorkloads,
	...namesWorkloads,
	...dataWorkloads,
	...manyWorkloads,
	...usrWorkloads,
	...smallWorkloads,
	...developWorkloads,
	...packagesWorkloads,
	...sqliteWorkloads,
	...ownDiskWorkloads,
	...slowWorkloads,
	...podmanWorkloads,
];

/**
 * Those that `names` names, by their own name or their group's; without names all but those on request.
 * Throws an Error that says which name is unknown.
 */
export function chooseWorkloads(names: readonly string[]): readonly Workload[] {
	if (names.length === 0) return workloads.filter((workload) => workload.onRequest !== true);
	for (const name of names) {
		if (!workloads.some((workload) => workload.name === name || workload.group === name))
			throw new Error(`there is no workload ${name}, see --list`);
	}
	return workloads.filter(
		(workload) =>
			names.includes(workload.name) || (names.includes(workload.group) && workload.onRequest !== true),
	);
}

/** The programs that a workload needs and this machine lacks. */
export function missingPrograms(workload: Workload): string[] {
	return (workload.needs ?? []).filter((program) => Bun.which(program) === null);
}
