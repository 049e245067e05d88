/** Making, removing and renaming. */

import { emptyTree, walkTree } from "./trees.ts";
import type { Scale, Stage, Tree, Workload } from "./workload.ts";

const directory = ({ merged }: Stage) => `${merged}/d0000`;

/** An archive of 50 directories with 40 files of 3,000 bytes in each. */
const archiveTree: Tree & { files(scale: Scale): number } = {
	name: "archive",
	layers: 1,
	files: (scale) => scale.count(50) * 40,
	async build(site) {
		const source = `${site.directory}/source`;
		await site.execute("mkdir", source);
		await site.client.run(["tree", source, String(site.scale.count(50)), "40", "f", "3000"]);
		await site.execute("tar", "--create", "--file=archive.tar", "--directory=source", ".");
		await site.execute("rm", "-r", source);
	},
};

export const namesWorkloads: readonly Workload[] = [
	{
		name: "create_unlink",
		group: "baseline",
		what: "create 3,000 files of 1 KiB in a merged directory, then unlink them",
		tree: emptyTree,
		cache: "warm",
		operations: (scale) => scale.count(3000),
		run: (stage) => ["create_unlink", directory(stage), String(stage.scale.count(3000)), "1024"],
	},
	{
		name: "mkdir_rmdir",
		group: "baseline",
		what: "make 1,500 directories, then remove them",
		tree: emptyTree,
		cache: "warm",
		operations: (scale) => scale.count(1500),
		run: (stage) => ["mkdir_rmdir", directory(stage), String(stage.scale.count(1500))],
	},
	{
		name: "rename_new",
		group: "baseline",
		what: "rename a new file 3,000 times",
		tree: emptyTree,
		cache: "warm",
		operations: (scale) => scale.count(3000),
		prepare: (stage) => [["create", `${directory(stage)}/one`]],
		run: (stage) => {
			const at = directory(stage);
			return ["rename", `${at}/one`, `${at}/two`, String(stage.scale.count(3000))];
		},
	},
	{
		name: "untar",
		group: "baseline",
		what: "unpack 2,000 files of 3 KB in 50 directories",
		tree: archiveTree,
		cache: "warm",
		operations: (scale) => archiveTree.files(scale),
		run: ({ merged, tree }) => ["run", merged, "tar", "--extract", `--file=${tree}/archive.tar`],
	},
	{
		name: "rm_rf_lower",
		group: "baseline",
		what: "rm -rf of 12,000 lower files in 100 directories",
		tree: walkTree,
		cache: "warm",
		operations: (scale) => walkTree.files(scale),
		run: ({ merged }) => ["run", merged, "sh", "-c", "rm -rf d*"],
	},
];
