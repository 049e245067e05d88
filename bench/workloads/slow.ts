/** Layers that answer each request after a while, as those on other machines do: one client, and eight at once. */

import type { ClientCommand } from "../client.ts";
import { filesOf, slowTree } from "./trees.ts";
import type { MountedWorkload, Stage } from "./workload.ts";

const { clients, directories, files } = slowTree;
const find = (path: string): ClientCommand => ["run", path, "find", ".", "-size", "+1000000G"];
const CLIENT = "client%c";
const LARGE = 8 << 20;

interface Work {
	readonly name: string;
	readonly what: string;
	/** Of one client, `%c` standing for its number. */
	readonly command: (merged: string) => ClientCommand;
	readonly operations: number;
	readonly bytes?: number;
}

const reading: Work = {
	name: "read",
	what: "open, read and close 60 files of 4 KiB each",
	command: (merged) => ["open_read_close", ...filesOf(`${merged}/${CLIENT}`, directories, files, "f")],
	operations: directories * files,
};
const works: readonly Work[] = [
	{
		name: "find",
		what: "walk and stat 63 files each",
		command: (merged) => find(`${merged}/${CLIENT}`),
		operations: directories * (files + 1),
	},
	reading,
	{
		name: "large",
		what: "read a file of 8 MiB each",
		command: (merged) => ["read", `${merged}/large%c`],
		operations: 1,
		bytes: LARGE,
	},
];

function slow(delay: number): MountedWorkload[] {
	const common = { group: "slow", tree: slowTree, cache: "warm", delay } as const;
	const layer = `over a layer that answers after ${delay} ms`;
	const rest = delay === 2 ? {} : { onRequest: true };
	const parties = [
		{ suffix: "1", who: `as often as for ${clients} clients, one after the other`, how: "turns" },
		{ suffix: "8", who: `${clients} processes at once`, how: "clients" },
	];
	const known = works.flatMap(({ name, what, command, operations, bytes }) =>
		parties.map(
			({ suffix, who, how }): MountedWorkload => ({
				...common,
				name: `slow_${delay}ms_${name}_${suffix}`,
				what: `${what}, ${who}, ${layer}`,
				operations: () => clients * operations,
				...(bytes === undefined ? {} : { bytes: () => clients * bytes }),
				run: ({ merged }) => [how, String(clients), ...command(merged)],
				...rest,
			}),
		),
	);
	const others: MountedWorkload = {
		...common,
		name: `slow_${delay}ms_others`,
		what: `${clients} processes read 60 files of 4 KiB each ${layer}; meanwhile another makes, stats and removes files in a directory of the upper layer`,
		operations: () => clients * directories * files,
		prepare: ({ merged }: Stage) => [["run", merged, "mkdir", "own"]],
		run: ({ merged }) => [
			...["probe_beside", `${merged}/own`, "clients", String(clients)],
			...reading.command(merged),
		],
		...rest,
	};
	return [...known, others];
}

export const slowWorkloads: readonly MountedWorkload[] = [...slow(2), ...slow(20)];
