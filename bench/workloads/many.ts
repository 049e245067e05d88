/** Many clients, many layers, many files. */

import { availableParallelism } from "node:os";
import { filesOf, fortyLayers, millionTree, smallTree, twoLayers, walkTree } from "./trees.ts";
import type { Scale, Tree, Workload } from "./workload.ts";

const CLIENTS = 4;

function layersWorkloads(tree: Tree & { files(scale: Scale): number }): Workload[] {
	const files = (scale: Scale) => tree.files(scale) * tree.layers;
	return [
		{
			name: `layers_${tree.layers}_lookup`,
			group: "scale",
			what: `stat 4,000 files in 10 directories merged from ${tree.layers} layers`,
			tree,
			cache: "warm",
			operations: (scale) => 10 * files(scale),
			run: ({ merged, scale }) => {
				// The files of one layer after the other.
				const command = ["stat_each", ...filesOf(merged, 10, tree.files(scale), "l%c-")];
				return ["turns", String(tree.layers), ...command];
			},
		},
		{
			name: `layers_${tree.layers}_missing`,
			group: "scale",
			what: `stat 4,000 names that do not exist in the same`,
			tree,
			cache: "warm",
			operations: (scale) => 10 * files(scale),
			run: ({ merged, scale }) => ["stat_missing", ...filesOf(merged, 10, files(scale), "missing")],
		},
	];
}

export const manyWorkloads: readonly Workload[] = [
	{
		name: "parallel_4",
		group: "baseline",
		what: "four processes: create a file, read a lower one, stat both, unlink; 500 times each",
		tree: smallTree,
		cache: "warm",
		operations: (scale) => CLIENTS * scale.count(5) * 100,
		run: ({ merged, scale }) => [
			"clients",
			String(CLIENTS),
			"mix",
			...filesOf(merged, scale.count(5), 100, "f"),
			"own%c",
		],
	},
	{
		name: "find_4",
		group: "scale",
		what: "four processes walk the tree of find_cold at the same time",
		tree: walkTree,
		cache: "cold",
		operations: (scale) => CLIENTS * walkTree.files(scale),
		run: ({ merged }) => ["clients", String(CLIENTS), "run", merged, "find", ".", "-size", "+1000000G"],
	},
	{
		name: "stat_busy",
		group: "scale",
		what: "stat 4,000 lower files for the first time, beside a process that computes on each processor",
		tree: smallTree,
		cache: "warm",
		operations: (scale) => smallTree.directories(scale) * 100,
		run: ({ merged, scale }) => [
			"beside",
			String(availableParallelism()),
			"stat_each",
			...filesOf(merged, smallTree.directories(scale), 100, "f"),
		],
	},
	...layersWorkloads(twoLayers),
	...layersWorkloads(fortyLayers),
	{
		name: "million_files",
		group: "scale",
		what: "find: walk and stat a million files in 1,000 directories",
		tree: millionTree,
		cache: "cold",
		operations: (scale) => millionTree.directories(scale) * 1000,
		run: ({ merged }) => ["run", merged, "find", ".", "-size", "+1000000G"],
		restsAfterwards: true,
		onRequest: true,
	},
];
