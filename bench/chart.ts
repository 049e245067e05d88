/**
 * `bun bench/chart.ts RESULT.json OUT.svg`: a result as a picture. Each baseline workload is a line, each program a mark
 * on it: how many times as long as kernel overlayfs it takes, on a logarithmic scale.
 */

import { ScatterChart } from "echarts/charts";
import { GridComponent, LegendComponent, MarkLineComponent, TitleComponent } from "echarts/components";
import { type EChartsCoreOption, init, use } from "echarts/core";
import { SVGRenderer } from "echarts/renderers";
import { meanRatio, type Result, ratio, type WorkloadResult } from "./result.ts";

const WIDTH = 860;
const LINE_HEIGHT = 24;
const TOP = 132;
const BOTTOM = 44;
/**
 * Told apart in colour and in shape, on white: the picture brings its own ground, whatever page it is shown on. The first
 * is ours, the others are taken in turn.
 */
const marks = [
	{ color: "#0072b2", symbol: "circle" },
	{ color: "#d55e00", symbol: "diamond" },
	{ color: "#009e73", symbol: "triangle" },
	{ color: "#aa4499", symbol: "rect" },
	{ color: "#555555", symbol: "pin" },
];
const INK = "#24292f";
const PALE_INK = "#57606a";
const LINES = "#d8dee4";
const FONT = "Helvetica, Arial, 'DejaVu Sans', sans-serif";
const KERNEL = "kernel";
const OURS = "ours";
const MEAN = "geometric mean";

use([GridComponent, LegendComponent, MarkLineComponent, ScatterChart, SVGRenderer, TitleComponent]);

/** The same text for the same result. Throws an Error where nothing can be compared with the kernel. */
export function renderChart(result: Result): string {
	const workloads = result.workloads.filter(({ group }) => group === "baseline");
	const peers = result.peers.filter(({ name }) => name !== KERNEL);
	const others = peers.filter(({ name }) => name !== OURS);
	const series = peers
		.map(({ name, version }) => ({
			name: describe(name, version),
			points: pointsOf(workloads, name),
			mark: marks[
				name === OURS ? 0 : 1 + (others.findIndex((peer) => peer.name === name) % (marks.length - 1))
			]!,
		}))
		.filter(({ points }) => points.length > 0);
	if (series.length === 0) throw new Error("the result has no ratios to kernel overlayfs");
	// What only one of them can run is compared with nothing.
	const compared = workloads.filter(({ name }) =>
		series.some(({ points }) => points.some(([, line]) => line === name)),
	);
	const lines = [...compared.map(({ name }) => name), MEAN];
	const height = TOP + lines.length * LINE_HEIGHT + BOTTOM;
	const chart = init(null, null, { renderer: "svg", ssr: true, width: WIDTH, height });
	try {
		chart.setOption(optionsOf(result, lines, series));
		return `${withoutInteraction(chart.renderToSVGString())}\n`;
	} finally {
		chart.dispose();
	}
}

/** Without what only a page with a script would use; it has numbers in it that go on from chart to chart. */
function withoutInteraction(svg: string): string {
	return svg
		.replaceAll(/<style ?>.*?<\/style>\n?/gs, "")
		.replaceAll(/ (class|ecmeta_\w+|pointer-events)="[^"]*"/g, "");
}

interface Series {
	readonly name: string;
	/** Ratio, and the line that it stands on. */
	readonly points: readonly (readonly [number, string])[];
	readonly mark: (typeof marks)[number];
}

function pointsOf(workloads: readonly WorkloadResult[], peer: string): [number, string][] {
	const points = workloads.flatMap((workload): [number, string][] => {
		const value = ratio(workload, peer, KERNEL);
		return value === undefined ? [] : [[value, workload.name]];
	});
	const mean = meanRatio(workloads, peer, KERNEL);
	return mean === undefined ? points : [...points, [mean, MEAN]];
}

function optionsOf(result: Result, lines: readonly string[], series: readonly Series[]): EChartsCoreOption {
	const ratios = series.flatMap(({ points }) => points.map(([value]) => value));
	return {
		animation: false,
		backgroundColor: "#ffffff",
		textStyle: { fontFamily: FONT, color: INK },
		title: titleOf(result),
		legend: {
			top: 78,
			left: 16,
			itemGap: 24,
			itemWidth: 12,
			itemHeight: 12,
			textStyle: { fontSize: 13, color: INK },
		},
		grid: { top: TOP, bottom: BOTTOM, left: 128, right: 28 },
		xAxis: {
			type: "log",
			logBase: 2,
			min: powerOfTwo(Math.floor, Math.min(1, ...ratios)),
			max: powerOfTwo(Math.ceil, Math.max(2, ...ratios)),
			axisLabel: { formatter: (value: number) => `${value}×`, color: PALE_INK },
			splitLine: { lineStyle: { color: LINES } },
		},
		yAxis: {
			type: "category",
			inverse: true,
			data: lines.map((line) =>
				line === MEAN ? { value: line, textStyle: { fontWeight: "bold" } } : { value: line },
			),
			axisLabel: { interval: 0, color: INK },
			axisTick: { show: false },
			axisLine: { show: false },
			splitLine: { show: true, lineStyle: { color: LINES, type: "dotted" } },
		},
		series: series.map(({ name, points, mark }, index) => ({
			type: "scatter",
			name,
			symbolSize: 11,
			symbol: mark.symbol,
			itemStyle: { color: mark.color },
			data: points,
			...(index === 0 ? { markLine: kernelLine } : {}),
		})),
	};
}

const kernelLine = {
	symbol: "none",
	silent: true,
	lineStyle: { color: INK, type: "solid", width: 1.5 },
	label: { formatter: "kernel overlayfs", position: "start", distance: 8, color: INK },
	data: [{ xAxis: 1 }],
};

function titleOf({ date, machine, commit, version, rounds, scale }: Result): object {
	const source = `fuse-overlayfs ${version}${commit === undefined ? "" : ` (${commit})`}`;
	const extent = `median of ${rounds} rounds${scale === 1 ? "" : `, scale ${scale}`}`;
	const fileSystem = machine.fileSystem.split(" ")[0];
	return {
		text: "Time in multiples of kernel overlayfs: less is faster",
		subtext: [
			`${date.slice(0, 10)}, ${source}, ${extent}`,
			`${machine.processors} × ${machine.processor}, Linux ${machine.kernel}, ${machine.distribution}, layers on ${fileSystem}`,
		].join("\n"),
		left: 16,
		top: 14,
		textStyle: { fontFamily: FONT, fontSize: 16, color: INK },
		subtextStyle: { fontFamily: FONT, fontSize: 12, color: PALE_INK, lineHeight: 16 },
	};
}

function powerOfTwo(round: (value: number) => number, value: number): number {
	return 2 ** round(Math.log2(value));
}

/** "ours 0.1.0" of the peer `ours` with "fuse-overlayfs: version 0.1.0, FUSE library version 3.14.0". */
function describe(name: string, version: string): string {
	const number = /\d+\.\d[\w.-]*/.exec(version.split(",")[0] ?? "")?.[0];
	return number === undefined ? name : `${name} ${number}`;
}

if (import.meta.main) {
	const [from, to, ...rest] = process.argv.slice(2);
	if (from === undefined || to === undefined || rest.length > 0) {
		console.error("usage: bun bench/chart.ts RESULT.json OUT.svg");
		process.exitCode = 1;
	} else {
		await Bun.write(to, renderChart(await Bun.file(from).json()));
	}
}
