/** The machine that figures come from. */

import { readdirSync, readFileSync } from "node:fs";
import { cpus, loadavg, release, totalmem } from "node:os";
import { basename, dirname, join } from "node:path";
import { mountTable } from "../test/harness/mount-table.ts";

export interface Machine {
	readonly kernel: string;
	readonly distribution: string;
	readonly architecture: string;
	readonly processor: string;
	readonly processors: number;
	readonly memoryBytes: number;
	/** What lower and upper lie on: type, device and mount options. */
	readonly fileSystem: string;
	/** The kernel's defaults for overlayfs: what the kernel peer ran with. */
	readonly overlayfs: Readonly<Record<string, string>>;
	/** Processes that wanted a processor before the benchmark began, on average over a minute. */
	readonly load: number;
}

/** @param directory where the layers lie */
export function describeMachine(directory: string): Machine {
	return {
		kernel: release(),
		distribution: /^PRETTY_NAME="(.*)"$/m.exec(textOf("/etc/os-release"))?.[1] ?? "unknown",
		architecture: process.arch,
		processor: cpus()[0]?.model ?? "unknown",
		processors: cpus().length,
		memoryBytes: totalmem(),
		fileSystem: fileSystemOf(directory),
		overlayfs: overlayfsParameters(),
		load: loadavg()[0] ?? 0,
	};
}

/** What a directory lies on: type, mount options, device. */
export function fileSystemOf(directory: string): string {
	const holds = (path: string) => path === "/" || directory === path || directory.startsWith(`${path}/`);
	const longest = Math.max(
		...mountTable()
			.filter(({ path }) => holds(path))
			.map(({ path }) => path.length),
	);
	const mounted = mountTable().findLast(({ path }) => path.length === longest && holds(path));
	if (mounted === undefined) return "unknown";
	const image = textOf(`/sys/block/${basename(mounted.source)}/loop/backing_file`).trim();
	const on = image === "" ? mounted.source : `an image on ${fileSystemOf(dirname(image))}`;
	return `${mounted.type} (${[...new Set(mounted.options)].join(",")}) on ${on}`;
}

function overlayfsParameters(): Record<string, string> {
	const directory = "/sys/module/overlay/parameters";
	try {
		return Object.fromEntries(
			readdirSync(directory).map((name) => [name, textOf(join(directory, name)).trim()]),
		);
	} catch {
		return {}; // The kernel has no overlayfs.
	}
}

function textOf(path: string): string {
	try {
		return readFileSync(path, "utf8");
	} catch {
		return "";
	}
}
