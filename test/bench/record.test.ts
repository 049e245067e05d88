/** Kept results and what is made of them: chart, a summary in README.md, tables in docs/performance.md. */

import { describe, expect, test } from "bun:test";
import {
	existsSync,
	mkdirSync,
	mkdtempSync,
	readdirSync,
	readFileSync,
	rmSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { renderChart } from "../../bench/chart.ts";
import { latest, pages, record, serialize, withSection } from "../../bench/record.ts";
import { renderReport } from "../../bench/report.ts";
import type { Result, Sample } from "../../bench/result.ts";
import { projectDirectory } from "../harness/program.ts";

const peers = [
	{ name: "kernel", version: "overlayfs of Linux 6.18" },
	{ name: "C", version: "fuse-overlayfs: version 1.10, FUSE library version 3.14.0" },
	{ name: "ours", version: "fuse-overlayfs: version 0.1.0, FUSE library version 3.14.0" },
];

const sample = (milliseconds: number, more: Partial<Sample> = {}): Sample => ({ milliseconds, ...more });
const workload = { what: "something", operations: 10, failures: {} };
const mebibyte = 2 ** 20;

/** Two baseline workloads, of which C fails the second, and one of the group scale. */
function makeResult(changes: Partial<Result> = {}): Result {
	return {
		date: "2026-01-02T03:04:05.678Z",
		version: "0.1.0",
		commit: "abcdef0",
		machine: {
			kernel: "6.18",
			distribution: "Debian GNU/Linux 12 (bookworm)",
			architecture: "x64",
			processor: "Fast & Co",
			processors: 2,
			memoryBytes: 24 * 2 ** 30,
			fileSystem: "ext4 on /dev/vda (rw)",
			overlayfs: {},
			load: 0,
		},
		dropsCaches: true,
		dropsByOthers: 0,
		rounds: 1,
		scale: 1,
		peers,
		workloads: [
			{
				...workload,
				name: "mount_ready",
				group: "baseline",
				samples: {
					kernel: [sample(2)],
					C: [sample(8)],
					ours: [
						sample(4, { processorMilliseconds: 30, ownBytes: 9 * mebibyte, sharedBytes: 38 * mebibyte }),
					],
				},
			},
			{
				...workload,
				name: "find_cold",
				group: "baseline",
				samples: { kernel: [sample(100)], C: [], ours: [sample(800, { processorMilliseconds: 500 })] },
				failures: { C: "no such luck" },
			},
			{
				...workload,
				name: "copyup_latency",
				group: "scale",
				bytes: 100 * mebibyte,
				samples: Object.fromEntries(
					peers.map(({ name }, index) => [
						name,
						[sample(2000, { latency: { p50: 0.1, p99: 11 + index, max: 30 } })],
					]),
				),
			},
		],
		skipped: {},
		...changes,
	};
}

function temporaryProject(): Disposable & { readonly path: string } {
	const path = mkdtempSync(join(tmpdir(), "fuse-overlayfs-record-"));
	mkdirSync(join(path, "docs"));
	for (const page of pages)
		writeFileSync(join(path, page.path), readFileSync(join(projectDirectory, page.path)));
	mkdirSync(join(path, "bench/results"), { recursive: true });
	return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true }) };
}

describe("this repository", () => {
	const kept = latest(projectDirectory);

	test.each(pages)("$path shows the latest kept result", (page) => {
		const text = readFileSync(join(projectDirectory, page.path), "utf8");
		// If it does not: `bun bench/record.ts`.
		expect(withSection(page, text, kept)).toBe(text);
	});

	test.skipIf(kept === undefined)("its chart is the one beside it", () => {
		const picture = readFileSync(join(projectDirectory, `${kept?.name}.svg`), "utf8");
		expect(picture).toBe(renderChart(kept!.result));
	});
});

describe("recording", () => {
	test("keeps the file and its chart by version and date, and shows them in README.md and docs/performance.md", () => {
		using project = temporaryProject();
		const result = makeResult();
		expect(record(result, project.path)).toBe("bench/results/0.1.0_2026-01-02.json");
		const kept = latest(project.path)!;
		expect(kept.result).toEqual(result);
		expect(readFileSync(join(project.path, `${kept.name}.svg`), "utf8")).toBe(renderChart(result));
		for (const page of pages) {
			const text = readFileSync(join(project.path, page.path), "utf8");
			expect(text).toContain(`(${page.toProject}${kept.name}.svg)`);
			expect(withSection(page, text, kept)).toBe(text);
		}
		expect(readFileSync(join(project.path, "README.md"), "utf8")).toContain("## Read on");
	});

	test("the second of a version replaces the first; the one measured last is shown", () => {
		using project = temporaryProject();
		const shown = () => readFileSync(join(project.path, "docs/performance.md"), "utf8");
		record(makeResult(), project.path);
		record(makeResult({ date: "2026-02-03T00:00:00.000Z" }), project.path);
		record(makeResult({ version: "0.0.9", date: "2025-01-01T00:00:00.000Z" }), project.path);
		expect(readdirSync(join(project.path, "bench/results")).sort()).toEqual([
			"0.0.9_2025-01-01.json",
			"0.0.9_2025-01-01.svg",
			"0.1.0_2026-02-03.json",
			"0.1.0_2026-02-03.svg",
		]);
		expect(shown()).toContain("Measured on 2026-02-03");
	});

	test("a result without the kernel is refused, and nothing is written", () => {
		using project = temporaryProject();
		const result = makeResult({ peers: peers.slice(2) });
		const withoutKernel = result.workloads.map((item) => ({
			...item,
			samples: { ours: item.samples.ours! },
		}));
		expect(() => record({ ...result, workloads: withoutKernel }, project.path)).toThrow("kernel");
		expect(readdirSync(join(project.path, "bench/results"))).toEqual([]);
	});

	test("a page without a place for it is refused", () => {
		expect(() => withSection(pages[0], "# Something", undefined)).toThrow("README.md lacks");
	});
});

/** What a page shows of the result of {@link makeResult}, line by line. */
function linesOf(page: (typeof pages)[number], changes: Partial<Result> = {}): string[] {
	const text = readFileSync(join(projectDirectory, page.path), "utf8");
	const shown = withSection(page, text, { name: "bench/results/x", result: makeResult(changes) });
	return shown.slice(shown.indexOf("<!-- bench: begin")).split("\n");
}

/** The cells of the table row that begins with `start`. */
function cellsOf(lines: readonly string[], start: string): string[] {
	const row = lines.find((line) => line.startsWith(`| ${start}`))!;
	return row
		.split("|")
		.slice(1, -1)
		.map((cell) => cell.trim());
}

describe("README.md", () => {
	const lines = linesOf(pages[0]);

	test("shows ratios to the kernel: start, means, and the slowest but the start", () => {
		expect(cellsOf(lines, "times as long as")).toEqual(["times as long as kernel overlayfs", "C", "ours"]);
		expect(cellsOf(lines, "start of the program").slice(1)).toEqual(["4.00", "2.00"]);
		expect(cellsOf(lines, "single operations").slice(1)).toEqual(["4.00", "4.00"]);
		expect(cellsOf(lines, "the slowest of these").slice(1)).toEqual(["·", "8.00 (find_cold)"]);
		expect(cellsOf(lines, "many layers").slice(1)).toEqual(["1.00", "1.00"]);
		expect(lines.filter((line) => line.includes("podman"))).toEqual([]);
	});

	test("has lines for podman where that was measured", () => {
		const samples = { kernel: [sample(100)], C: [sample(300)], ours: [sample(200)] };
		const measured = { ...workload, name: "podman_run", group: "podman", samples } as const;
		const withPodman = { workloads: [measured], podman: "podman version 4.3.1" };
		expect(cellsOf(linesOf(pages[0], withPodman), "podman run").slice(1)).toEqual(["3.00", "2.00"]);
		expect(linesOf(pages[1], withPodman)).toContain("- podman version 4.3.1");
	});
});

describe("docs/performance.md", () => {
	const lines = linesOf(pages[1]);
	const cells = (start: string) => cellsOf(lines, start);

	test("has a line for each workload: times and ratios", () => {
		expect(cells("workload")).toEqual([
			"workload",
			"what it does",
			"kernel ms",
			"C ms",
			"ours ms",
			"ours daemon's processor ms",
			"C/kernel",
			"ours/kernel",
			"ours/C",
		]);
		expect(cells("mount_ready").slice(2)).toEqual(["2.00", "8.00", "4.00", "30.0", "4.00", "2.00", "0.50"]);
		expect(cells("find_cold").slice(2)).toEqual(["100", "·", "800", "500", "·", "8.00", "·"]);
		expect(cells("**geometric mean**").slice(2)).toEqual([
			"",
			"",
			"",
			"",
			"**4.00**",
			"**4.00**",
			"**0.50**",
		]);
	});

	test("tells date, version and machine, memory and latency", () => {
		const text = lines.join("\n");
		expect(text).toContain("Measured on 2026-01-02 with fuse-overlayfs 0.1.0 (abcdef0)");
		expect(text).toContain("2 × Fast & Co, 24 GiB, Linux 6.18");
		expect(text).toContain("9.00 MiB of its own, 38.0 MiB shared");
		expect(text).toContain("kernel 11.0 ms, C 12.0 ms, ours 13.0 ms");
	});
});

describe("chart", () => {
	test("has each baseline workload, each program but the kernel, date, version and machine, and is the same each time", () => {
		const svg = renderChart(makeResult());
		for (const text of [
			"mount_ready",
			"find_cold",
			"geometric mean",
			"kernel overlayfs",
			"C 1.10",
			"ours 0.1.0",
		])
			expect(svg).toContain(`>${text}</text>`);
		for (const text of ["2026-01-02", "0.1.0 (abcdef0)", "2 × Fast &amp; Co", "Linux 6.18"])
			expect(svg).toContain(text);
		expect(svg).not.toContain("copyup_latency");
		expect(renderChart(makeResult())).toBe(svg);
	});

	test("the program of its own makes it from a file", () => {
		using project = temporaryProject();
		const [from, to] = [join(project.path, "result.json"), join(project.path, "chart.svg")];
		writeFileSync(from, serialize(makeResult()));
		const program = join(projectDirectory, "bench/chart.ts");
		expect(Bun.spawnSync([process.execPath, program, from], { stderr: "ignore" }).exitCode).toBe(1);
		expect(existsSync(to)).toBe(false);
		expect(Bun.spawnSync([process.execPath, program, from, to]).exitCode).toBe(0);
		expect(readFileSync(to, "utf8")).toBe(renderChart(makeResult()));
	});
});

test("the report has throughput, of contents in MiB, and latencies", () => {
	const report = renderReport(makeResult(), (text) => text);
	expect(report).toMatch(/^find_cold +operations +100 +· +12\.5$/m);
	expect(report).toMatch(/^copyup_latency +MiB +50\.0 +50\.0 +50\.0$/m);
	expect(report).toMatch(/^copyup_latency +0\.10 +11\.0 +30\.0 +0\.10 +12\.0 +30\.0 +0\.10 +13\.0 +30\.0$/m);
});
