/** A result in Markdown: its chart and a summary for README.md, all of its tables for docs/performance.md. */

import { placements } from "./placement.ts";
import { comparisons, NOTHING, processorTime, renderNumber } from "./report.ts";
import {
	meanRatio,
	medianOf,
	type Result,
	ratio,
	type Sample,
	START,
	startRatios,
	type WorkloadResult,
} from "./result.ts";
import { users } from "./user.ts";
import type { Group } from "./workloads/workload.ts";

const folded: readonly (readonly [Group, string])[] = [
	["daily", "What people do: find, grep, tar, git, make, python, npm, apt, SQLite"],
	["scale", "Many layers, files and clients"],
	["small", "Small files, one after the other, in a new mount"],
	["own_disk", "First changes on the machine's own file system"],
	["busy_disk", "The same while another process writes and syncs there"],
	["podman", "podman as root"],
	["podman_rootless", "podman as an ordinary user"],
];

/** Shown in the summary where they were run. */
const further: readonly (readonly [Group, string])[] = [
	["own_disk", "first changes on the machine's own file system"],
	["busy_disk", "the same while another process writes and syncs there"],
	["podman", "podman run, diff, commit and build as root"],
	["podman_rootless", "podman run, diff, commit and build as an ordinary user"],
];

/**
 * Chart and ratios in a few lines: what starting takes, the means of each group, and the slowest but starting.
 * @param picture the path of the chart, relative to the page
 */
export function renderSummary(result: Result, picture: string): string {
	const names = result.peers.map((peer) => peer.name).filter((name) => name !== "kernel");
	const cells = (render: (name: string) => string) => names.map(render);
	const ratioText = (value: number | undefined) => value?.toFixed(2) ?? NOTHING;
	const mean = (group: Group) => (name: string) =>
		ratioText(
			meanRatio(
				result.workloads.filter((workload) => workload.group === group),
				name,
				"kernel",
			),
		);
	const start = result.workloads.find(({ name }) => name === START);
	const table = renderTable(
		[
			["times as long as kernel overlayfs", ...names],
			[
				"start of the program to the first answer",
				...cells((name) => ratioText(start && ratio(start, name, "kernel"))),
			],
			["single operations, geometric mean", ...cells(mean("baseline"))],
			["the slowest of these", ...cells((name) => slowest(result, name))],
			["git, make, npm, apt, SQLite and the like, geometric mean", ...cells(mean("daily"))],
			["many layers, files and clients, geometric mean", ...cells(mean("scale"))],
			...further
				.filter(([group]) => result.workloads.some((workload) => workload.group === group))
				.map(([group, what]) => [`${what}, geometric mean`, ...cells(mean(group))]),
		],
		1,
	);
	return [renderChartLink(picture), table].join("\n\n");
}

/** Of the single operations but starting, the one that takes most compared with the kernel. */
function slowest(result: Result, peer: string): string {
	const ratios = result.workloads
		.filter(({ group, name }) => group === "baseline" && name !== START)
		.flatMap((workload) => {
			const value = ratio(workload, peer, "kernel");
			return value === undefined ? [] : [{ name: workload.name, value }];
		})
		.sort((left, right) => right.value - left.value);
	const [worst] = ratios;
	return worst === undefined ? NOTHING : `${worst.value.toFixed(2)} (${worst.name})`;
}

function renderChartLink(picture: string): string {
	return `![How many times as long as kernel overlayfs each workload takes](${picture})`;
}

/**
 * Everything: where the figures come from, and the tables of all workloads.
 * @param picture the path of the chart, relative to the page
 */
export function renderTables(result: Result, picture: string): string {
	const parts = [
		renderChartLink(picture),
		renderOrigin(result),
		renderGroup(result, "baseline"),
		...folded
			.map(([group, title]) => [renderGroup(result, group), title] as const)
			.filter(([table]) => table !== "")
			.map(([table, title]) => `<details><summary>${title}</summary>\n\n${table}\n\n</details>`),
		[...renderStart(result), ...renderLatencies(result), ...renderMemory(result)].join("\n"),
	];
	return parts.filter((part) => part !== "").join("\n\n");
}

function renderOrigin({ machine, ...result }: Result): string {
	const source = `fuse-overlayfs ${result.version}${result.commit === undefined ? "" : ` (${result.commit})`}`;
	const scale = result.scale === 1 ? "" : ` at scale ${result.scale}`;
	const memory = `${(machine.memoryBytes / 2 ** 30).toFixed(0)} GiB`;
	const placement =
		result.placement === undefined
			? []
			: [`Placement "${result.placement}": ${placements[result.placement]}.`];
	const peers = result.peers.map((peer) => `- ${peer.name}: ${peer.version}`);
	return [
		`Measured on ${result.date.slice(0, 10)} with ${source}, all in turn in one run: medians of ${result.rounds} rounds${scale}.`,
		`The machine: ${machine.processors} × ${machine.processor}, ${memory}, Linux ${machine.kernel}, ${machine.distribution};`,
		`layers on ${machine.fileSystem}.`,
		...(result.ownDisk === undefined ? [] : [`Its own file system: ${result.ownDisk}.`]),
		...placement,
		...(result.as === undefined ? [] : [`Who mounts: ${users[result.as]}.`]),
		"",
		...peers,
		...(result.podman === undefined ? [] : [`- ${result.podman}`]),
	].join("\n");
}

/** "" where none of the group was run. */
function renderGroup(result: Result, group: Group): string {
	const workloads = result.workloads.filter((workload) => workload.group === group);
	if (workloads.length === 0) return "";
	const names = result.peers.map((peer) => peer.name);
	const pairs = comparisons(result);
	// Of the kernel there are no figures but of starting, by mount(8).
	const daemons = names.filter(
		(name) =>
			workloads.filter((workload) => medianOf(workload, name, processorTime) !== undefined).length * 2 >
			workloads.length,
	);
	const ratioText = (value: number | undefined) => value?.toFixed(2) ?? NOTHING;
	const rows = workloads.map((workload) => [
		workload.name,
		workload.what,
		...names.map((name) => figure(workload, name, ({ milliseconds }) => milliseconds)),
		...daemons.map((name) => figure(workload, name, processorTime)),
		...pairs.map(([name, reference]) => ratioText(ratio(workload, name, reference))),
	]);
	const means = pairs.map(([name, reference]) => `**${ratioText(meanRatio(workloads, name, reference))}**`);
	return renderTable(
		[
			[
				"workload",
				"what it does",
				...names.map((name) => `${name} ms`),
				...daemons.map((name) => `${name} daemon's processor ms`),
				...pairs.map((pair) => pair.join("/")),
			],
			...rows,
			["**geometric mean**", "", ...names.map(() => ""), ...daemons.map(() => ""), ...means],
		],
		2,
	);
}

/** The first `words` columns to the left, numbers to the right. */
function renderTable(rows: readonly (readonly string[])[], words: number): string {
	const widths = rows[0]!.map((_, index) => Math.max(...rows.map((row) => Bun.stringWidth(row[index]!))));
	const lines = rows.map((row) => {
		const cells = row.map((text, index) => {
			const padding = " ".repeat(widths[index]! - Bun.stringWidth(text));
			return index < words ? text + padding : padding + text;
		});
		return `| ${cells.join(" | ")} |`;
	});
	const rule = widths.map((width, index) =>
		index < words ? "-".repeat(width) : `${"-".repeat(width - 1)}:`,
	);
	return [lines[0], `| ${rule.join(" | ")} |`, ...lines.slice(1)].join("\n");
}

function renderStart(result: Result): string[] {
	const ratios = startRatios(result);
	if (ratios === undefined) return [];
	const [time, processor] = [ratios.time.toFixed(2), ratios.processor.toFixed(2)];
	return [
		`- Our start beside that of two empty programs of Bun: ${time} times the time, ${processor} times the processor time.`,
	];
}

function renderLatencies({ workloads, peers }: Result): string[] {
	return workloads
		.filter((workload) => peers.some(({ name }) => medianOf(workload, name, p99) !== undefined))
		.map((workload) => {
			const figures = peers.map(({ name }) => `${name} ${figure(workload, name, p99)} ms`);
			return `- Answers to others during ${workload.name}, 99 in 100 of them within: ${figures.join(", ")}.`;
		});
}

const p99 = ({ latency }: Sample) => latency?.p99;

/** Of our daemon: when it has just started, and at its largest. */
function renderMemory({ workloads }: Result): string[] {
	const find = (wanted: string) => workloads.find(({ name }) => name === wanted);
	const mebibytes = (
		workload: WorkloadResult | undefined,
		pick: (sample: Sample) => number | undefined,
	): string | undefined => {
		const bytes = workload === undefined ? undefined : medianOf(workload, "ours", pick);
		return bytes === undefined ? undefined : `${renderNumber(bytes / 2 ** 20)} MiB`;
	};
	const [start, million] = [find(START), find("million_files")];
	const own = mebibytes(start, (sample) => sample.ownBytes);
	const shared = mebibytes(start, (sample) => sample.sharedBytes);
	const most = mebibytes(million, (sample) => sample.ownBytes);
	const idle = mebibytes(million, (sample) => sample.ownBytesAfterIdling);
	const later = mebibytes(million, (sample) => sample.ownBytesAfterDrop);
	const crowds = [20, 100].map((count) => [count, find(`mounts_${count}`)] as const);
	return [
		...(own === undefined
			? []
			: [`- Memory of our daemon after its start: ${own} of its own, ${shared} shared.`]),
		...(most === undefined ? [] : [`- Its own after a walk over a million files: ${most}.`]),
		...(idle === undefined ? [] : [`- The same after a minute without a request: ${idle}.`]),
		...crowds.flatMap(([count, crowd]) => {
			const all = mebibytes(crowd, (sample) => sample.ownBytes);
			return all === undefined ? [] : [`- Of ${count} idle daemons together: ${all} of their own.`];
		}),
		...(later === undefined ? [] : [`- The same after the kernel has dropped its caches: ${later}.`]),
	];
}

function figure(
	workload: WorkloadResult,
	peer: string,
	pick: (sample: Sample) => number | undefined,
): string {
	const value = medianOf(workload, peer, pick);
	return value === undefined ? NOTHING : renderNumber(value);
}
