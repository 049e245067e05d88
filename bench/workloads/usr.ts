/** Programs that walk, read and unpack trees as they are found on machines. */

import type { ClientCommand } from "../client.ts";
import { imageTree, usrTree } from "./trees.ts";
import type { MountedWorkload, Stage } from "./workload.ts";

function walk(name: string, what: string, command: readonly string[]): MountedWorkload {
	return {
		name,
		group: "daily",
		what: `${what} of 10,000 files of /usr in 2 layers`,
		tree: usrTree,
		cache: "cold",
		operations: (scale) => usrTree.files(scale),
		run: ({ merged }: Stage): ClientCommand => ["run", merged, ...command],
		needs: [command[0]!],
	};
}

export const usrWorkloads: readonly MountedWorkload[] = [
	walk("find_usr", "find -type f", ["find", ".", "-type", "f"]),
	walk("du_usr", "du -s", ["du", "-s", "."]),
	walk("ls_usr", "ls -lR", ["ls", "-lR", "."]),
	// 1 from grep: nothing matches.
	walk("grep_usr", "grep -r", ["sh", "-c", "grep -rc overlayfs .; [ $? -le 1 ]"]),
	{
		name: "chown_image",
		group: "daily",
		what: "chown -R of 13,000 files of /usr",
		tree: imageTree,
		cache: "warm",
		operations: (scale) => imageTree.files(scale),
		run: ({ merged }) => ["run", merged, "chown", "-R", "12:34", "."],
	},
	{
		...walk("untar_usr", "tar --extract", ["tar"]),
		cache: "warm",
		run: ({ merged, tree }) => [
			"run",
			merged,
			"tar",
			"--extract",
			"--one-top-level=new",
			`--file=${tree}/usr.tar`,
		],
	},
];
