/** Programs that read the small files of one directory after the other, in a new mount. */

import type { ClientCommand } from "../client.ts";
import { manySmallTree } from "./trees.ts";
import type { MountedWorkload, Stage } from "./workload.ts";

function read(name: string, what: string, command: string): MountedWorkload {
	return {
		name,
		group: "small",
		what: `${what} of 10,000 files of 4 KiB in 100 directories`,
		tree: manySmallTree,
		cache: "cold",
		operations: (scale) => manySmallTree.directories(scale) * 100,
		run: ({ merged }: Stage): ClientCommand => ["run", merged, "sh", "-c", command],
	};
}

export const smallWorkloads: readonly MountedWorkload[] = [
	// 1 from grep: nothing matches.
	read("grep_small", "grep -r", "grep -r overlayfs .; [ $? -eq 1 ]"),
	// The copy goes to memory.
	read("cp_small", "cp -a", 'copy=$(mktemp -d -p /dev/shm) && cp -a . "$copy" && rm -r "$copy"'),
	// To /dev/null itself tar writes nothing, and reads nothing for it.
	read("tar_small", "tar --create", "tar --create . | cat >/dev/null"),
];
