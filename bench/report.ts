/** A result as a table for people. */

import type { PeerDescription } from "./peers.ts";
import { placements } from "./placement.ts";
import {
	meanRatio,
	medianOf,
	type Result,
	ratio,
	type Sample,
	startRatios,
	times,
	type WorkloadResult,
} from "./result.ts";
import { median, spread } from "./statistics.ts";
import { users } from "./user.ts";

/** The peers whose time the others' is compared with. */
const REFERENCES = ["kernel", "C"];
export const NOTHING = "·";

interface Column {
	readonly title: string;
	cell(workload: WorkloadResult): string;
}

/** Lines of text; `highlight` marks what must catch the eye. */
export function renderReport(result: Result, highlight: (text: string) => string): string {
	const tables = [
		renderTimes(result, highlight),
		renderRates(result),
		renderLatencies(result),
		renderDaemons(result),
		renderMeans(result),
		renderStart(result),
		renderFailures(result, highlight),
	];
	return [...tables.filter((table) => table !== ""), renderMachine(result)].join("\n\n");
}

function renderTimes(result: Result, highlight: (text: string) => string): string {
	const names = result.peers.map((peer) => peer.name);
	const timeColumns = names.map(
		(name): Column => ({
			title: `${name} ms`,
			cell: (workload) => renderTime(times(workload, name)),
		}),
	);
	const ratioColumns = comparisons(result).map(
		([name, reference]): Column => ({
			title: `${name}/${reference}`,
			cell: (workload) => {
				const value = ratio(workload, name, reference);
				const text = value === undefined ? NOTHING : value.toFixed(2);
				return value !== undefined && value > 1 && reference !== "kernel" ? highlight(text) : text;
			},
		}),
	);
	return renderTable(result.workloads, [...timeColumns, ...ratioColumns]);
}

/** MiB per second of what moves contents, and operations of what makes many; "" if nothing does. */
function renderRates(result: Result): string {
	const chosen = result.workloads.filter(
		(workload) => workload.bytes !== undefined || workload.operations > 1,
	);
	if (chosen.length === 0) return "";
	const column = ({ name }: PeerDescription): Column => ({
		title: name,
		cell: (workload) => {
			const milliseconds = medianOf(workload, name, (sample) => sample.milliseconds);
			if (milliseconds === undefined) return NOTHING;
			const amount = mebibytes(workload.bytes) ?? workload.operations;
			return renderNumber((amount / milliseconds) * 1000);
		},
	});
	const unit: Column = { title: "", cell: ({ bytes }) => (bytes === undefined ? "operations" : "MiB") };
	return `Throughput, per second\n${renderTable(chosen, [unit, ...result.peers.map(column)])}`;
}

/** How long single answers took; "" if no workload looked at them. */
function renderLatencies(result: Result): string {
	const figures = [
		["p50 ms", ({ latency }: Sample) => latency?.p50],
		["p99 ms", ({ latency }: Sample) => latency?.p99],
		["max ms", ({ latency }: Sample) => latency?.max],
	] as const;
	const chosen = result.workloads.filter((workload) =>
		result.peers.some(({ name }) => medianOf(workload, name, ({ latency }) => latency?.p50) !== undefined),
	);
	if (chosen.length === 0) return "";
	const columns = result.peers.flatMap(({ name }) =>
		figures.map(
			([title, pick]): Column => ({
				title: `${name} ${title}`,
				cell: (workload) => {
					const value = medianOf(workload, name, pick);
					return value === undefined ? NOTHING : renderNumber(value);
				},
			}),
		),
	);
	return `Answers to others meanwhile\n${renderTable(chosen, columns)}`;
}

/** Processor time and memory of those that have a daemon; "" if none has. */
function renderDaemons(result: Result): string {
	const names = result.peers
		.map((peer) => peer.name)
		.filter((name) =>
			result.workloads.some((workload) => medianOf(workload, name, processorTime) !== undefined),
		);
	if (names.length === 0) return "";
	const daemons = names.filter((name) =>
		result.workloads.some((workload) => medianOf(workload, name, ({ ownBytes }) => ownBytes) !== undefined),
	);
	const column = (title: string, name: string, pick: (sample: Sample) => number | undefined): Column => ({
		title: `${name} ${title}`,
		cell: (workload) => {
			const value = medianOf(workload, name, pick);
			return value === undefined ? NOTHING : renderNumber(value);
		},
	});
	const perOperation = (name: string): Column => ({
		title: `${name} us/op`,
		cell: (workload) => {
			const value = medianOf(workload, name, processorTime);
			return value === undefined ? NOTHING : renderNumber((value * 1000) / workload.operations);
		},
	});
	const optional = (title: string, pick: (sample: Sample) => number | undefined): Column[] =>
		result.workloads.some((workload) => daemons.some((name) => medianOf(workload, name, pick) !== undefined))
			? daemons.map((name) => column(title, name, pick))
			: [];
	return [
		"The daemons: processor time, of a start that of all stages, also per operation; memory at the end; idle: after a minute without a request; later: after the kernel's caches were then dropped",
		renderTable(result.workloads, [
			...names.map((name) => column("CPU ms", name, processorTime)),
			...names.map(perOperation),
			...daemons.map((name) => column("own MiB", name, ({ ownBytes }) => mebibytes(ownBytes))),
			...daemons.map((name) => column("shared", name, ({ sharedBytes }) => mebibytes(sharedBytes))),
			...optional("own idle", ({ ownBytesAfterIdling }) => mebibytes(ownBytesAfterIdling)),
			...optional("own later", ({ ownBytesAfterDrop }) => mebibytes(ownBytesAfterDrop)),
		]),
	].join("\n");
}

function renderMeans({ workloads, ...result }: Result): string {
	const groups = [...new Set(workloads.map((workload) => workload.group))];
	const lines = comparisons({ workloads, ...result }).map(([name, reference]) => {
		const mean = (chosen: readonly WorkloadResult[]) =>
			meanRatio(chosen, name, reference)?.toFixed(2) ?? NOTHING;
		const parts = groups.map((group) => `${group} ${mean(workloads.filter((item) => item.group === group))}`);
		return `  ${`${name}/${reference}`.padEnd(16)} all ${mean(workloads)}   ${parts.join("   ")}`;
	});
	return lines.length === 0 ? "" : ["Geometric means", ...lines].join("\n");
}

/** Our start beside what it takes at least; "" if one of them was not run. */
function renderStart(result: Result): string {
	const ratios = startRatios(result);
	if (ratios === undefined) return "";
	const [time, processor] = [ratios.time.toFixed(2), ratios.processor.toFixed(2)];
	return `Start: ours/two empty programs of Bun: time ${time}, processor time ${processor}`;
}

function renderFailures({ workloads, skipped }: Result, highlight: (text: string) => string): string {
	const failures = workloads.flatMap((workload) =>
		Object.entries(workload.failures).map(
			([peer, reason]) => `  ${workload.name}, ${peer}: ${highlight(reason)}`,
		),
	);
	const omissions = Object.entries(skipped).map(([name, reason]) => `  ${name}: left out, ${reason}`);
	const lines = [...failures, ...omissions];
	return lines.length === 0 ? "" : ["Without figures", ...lines].join("\n");
}

function renderMachine({ machine, ...result }: Result): string {
	const remarks = [
		...(result.dropsCaches ? [] : ["caches could not be dropped"]),
		...(result.dropsByOthers > 0 ? [`other programs dropped them ${result.dropsByOthers} times`] : []),
	];
	return [
		`${result.date}, fuse-overlayfs ${result.version} ${result.commit ?? ""}, ${result.rounds} rounds at scale ${result.scale}: medians, and half the range`,
		`Linux ${machine.kernel}, ${machine.distribution}, ${machine.architecture}; ${machine.processors} x ${machine.processor}, ${(machine.memoryBytes / 2 ** 30).toFixed(0)} GiB; load ${machine.load.toFixed(1)}`,
		[`Layers: ${machine.fileSystem}`, ...remarks].join("; "),
		...(result.ownDisk === undefined ? [] : [`The machine's own file system: ${result.ownDisk}`]),
		`Placement ${result.placement ?? "free"}: ${placements[result.placement ?? "free"]}`,
		`As ${result.as ?? "root"}: ${users[result.as ?? "root"]}`,
		...result.peers.map((peer) => `${peer.name}: ${peer.version}`),
		...(result.podman === undefined ? [] : [result.podman]),
	].join("\n");
}

/** Each peer with each reference that was run, but itself. */
export function comparisons(result: Result): [string, string][] {
	const names = result.peers.map((peer) => peer.name);
	return REFERENCES.filter((reference) => names.includes(reference)).flatMap((reference) =>
		names
			.filter((name) => name !== reference && name !== "kernel")
			.map((name): [string, string] => [name, reference]),
	);
}

/** Every column as wide as its widest cell; the first holds the names. */
function renderTable(workloads: readonly WorkloadResult[], columns: readonly Column[]): string {
	const rows = [
		["workload", ...columns.map((column) => column.title)],
		...workloads.map((workload) => [workload.name, ...columns.map((column) => column.cell(workload))]),
	];
	const widths = rows[0]!.map((_, index) => Math.max(...rows.map((row) => Bun.stringWidth(row[index]!))));
	const pad = (text: string, index: number) => " ".repeat(widths[index]! - Bun.stringWidth(text));
	return rows
		.map((row) =>
			row
				.map((text, index) => (index === 0 ? text + pad(text, index) : pad(text, index) + text))
				.join("  ")
				.trimEnd(),
		)
		.join("\n");
}

function renderTime(milliseconds: readonly number[]): string {
	if (milliseconds.length === 0) return NOTHING;
	const within = milliseconds.length === 1 ? "" : ` ±${(spread(milliseconds) * 100).toFixed(0)}%`.padStart(6);
	return `${renderNumber(median(milliseconds))}${within}`;
}

/** Three significant digits, no exponent. */
export function renderNumber(value: number): string {
	if (value >= 100) return value.toFixed(0);
	return value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

export function processorTime(sample: Sample): number | undefined {
	return sample.processorMilliseconds;
}

function mebibytes(bytes: number | undefined): number | undefined {
	return bytes === undefined ? undefined : bytes / 2 ** 20;
}
