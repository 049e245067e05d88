/** What the daemon may do, and what of its starter's surroundings it heeds. */

import { describe, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, truncateSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { sparseFile, type TemporaryTree, temporaryTree } from "../harness/layers.ts";
import { daemonsOf, layerOptions, runProgram, startProgram, until } from "../harness/mount.ts";
import { findMount, unmount } from "../harness/mount-table.ts";
import { mountLayers } from "../harness/overlay.ts";
import { isCompiled } from "../harness/program.ts";
import { setting } from "../harness/setting.ts";

/**
 * chown, dac_override, dac_read_search, fowner, fsetid, setgid, setuid, linux_immutable, sys_admin, sys_resource, mknod,
 * setfcap, mac_override, mac_admin
 */
const needed = [0, 1, 2, 3, 4, 6, 7, 9, 21, 24, 27, 31, 32, 33].reduce(
	(set, one) => set | (1n << BigInt(one)),
	0n,
);

interface Thread {
	readonly name: string;
	/** The sets of capabilities by their names in /proc/PID/status: CapInh, CapPrm, CapEff, CapBnd, CapAmb. */
	readonly sets: Readonly<Record<string, bigint>>;
	readonly gainsNothing: boolean;
}

function threadsOf(pid: number): Thread[] {
	return readdirSync(`/proc/${pid}/task`).map((thread) => {
		const status = readFileSync(`/proc/${pid}/task/${thread}/status`, "latin1");
		const sets = [...status.matchAll(/^(Cap\w+):\t(\w+)$/gm)].map(([, set, bits]) => [
			set,
			BigInt(`0x${bits}`),
		]);
		return {
			name: /^Name:\t(.*)$/m.exec(status)?.[1] ?? "",
			sets: Object.fromEntries(sets),
			gainsNothing: /^NoNewPrivs:\t1$/m.test(status),
		};
	});
}

function expectConfined(pid: number): void {
	const own = threadsOf(process.pid)[0]?.sets ?? {};
	for (const { name, sets, gainsNothing } of threadsOf(pid)) {
		const expected = Object.fromEntries(Object.entries(own).map(([set, bits]) => [set, bits & needed]));
		// An ordinary user can neither bound what fusermount3 may get nor would that be wanted.
		if (setting === "fusermount") expected.CapBnd = own.CapBnd ?? 0n;
		expect({ name, sets, gainsNothing }).toEqual({
			name,
			sets: expected,
			gainsNothing: setting !== "fusermount",
		});
	}
}

describe("every thread of the daemon has only the capabilities that a mount needs, and gets no others", () => {
	test("in the background, threads for long tasks included", async () => {
		await using overlay = await mountLayers([{ large: sparseFile(4 << 20, { 0: "a" }) }]);
		truncateSync(overlay.at("large"), 3 << 20);
		const [pid = 0] = overlay.mount.daemons;
		expect(threadsOf(pid).map(({ name }) => name)).toContain("Worker");
		expectConfined(pid);
	});

	test("in the foreground", async () => {
		using tree = temporaryTree();
		const layers = tree.layers([{ a: "a" }]);
		const { child, run } = startProgram(["-f", "-o", layerOptions(layers), layers.mountpoint]);
		await until(() => findMount(layers.mountpoint) !== undefined, "nothing gets mounted");
		readFileSync(`${layers.mountpoint}/a`);
		for (const pid of daemonsOf(run)) expectConfined(pid);
		unmount(layers.mountpoint);
		expect(await child.exited).toBe(0);
	});
});

/** A directory in which everything that Bun could run or read says so by making the file `trapped`. */
function layTraps(tree: TemporaryTree): { trapped: string; traps: string } {
	const trapped = tree.join("trapped");
	const trap = `require("node:fs").writeFileSync(${JSON.stringify(trapped)}, "");`;
	const traps = tree.layer("traps", {
		"trap.ts": trap,
		"bunfig.toml": 'preload = ["./trap.ts"]\n',
		".env": "FUSE_OVERLAYFS_DISABLE_OVL_WHITEOUT=1\nBUN_OPTIONS=--preload ./trap.ts\n",
		"package.json": '{ "name": "citty", "type": "commonjs", "exports": "./trap.ts" }',
		"tsconfig.json": '{ "compilerOptions": { "paths": { "*": ["./trap.ts"] } } }',
		"inside/jsconfig.json": '{ "compilerOptions": { "paths": { "*": ["../trap.ts"] } } }',
		"inside/deeper/a": "",
		"index.ts": trap,
		"node_modules/citty/index.js": trap,
		"node_modules/citty/package.json": '{ "main": "index.js" }',
		fusermount3: `#!/bin/sh\n: >${trapped}`,
	});
	return { trapped, traps };
}

/**
 * Mounts from that directory or one below, removes a file of the lower layer, unmounts; whether it was trapped, and the
 * names in the upper layer.
 */
async function mountAmongTraps(
	environment: (traps: string) => Readonly<Record<string, string>>,
	below = ".",
) {
	using tree = temporaryTree();
	const layers = tree.layers([{ a: "lower" }]);
	const { trapped, traps } = layTraps(tree);
	const { exitCode, run } = await runProgram(["-o", layerOptions(layers), layers.mountpoint], {
		cwd: join(traps, below),
		environment: environment(traps),
	});
	expect({ exitCode, trapped: existsSync(trapped) }).toEqual({ exitCode: 0, trapped: false });
	unlinkSync(`${layers.mountpoint}/a`);
	unmount(layers.mountpoint);
	await until(() => daemonsOf(run).length === 0, "the daemon stays after the unmount");
	return { trapped: existsSync(trapped), upper: readdirSync(layers.upper) };
}

const untouched = { trapped: false, upper: ["a"] };

describe("of the caller's surroundings", () => {
	test.each([".", "inside", "inside/deeper"])(
		"nothing in the current directory or above it is run or read: %s",
		async (below) => {
			expect(await mountAmongTraps(() => ({}), below)).toEqual(untouched);
		},
	);

	// Bun gives a compiled binary no way to refuse the first two; its daemon runs without them, as the next test says.
	const obeyedByBinary = [
		["BUN_OPTIONS", "--preload TRAPS/trap.ts"],
		["BUN_BE_BUN", "1"],
	] as const;
	test.each([
		...(isCompiled ? [] : obeyedByBinary),
		["BUN_INSPECT_PRELOAD", "TRAPS/trap.ts"],
		["BUN_INSTALL", "TRAPS"],
		["NODE_OPTIONS", "--require TRAPS/trap.ts"],
		["NODE_PATH", "TRAPS/node_modules"],
	])("%s in the environment has no code loaded", async (name, value) => {
		expect(await mountAmongTraps((traps) => ({ [name]: value.replace("TRAPS", traps) }))).toEqual(untouched);
	});

	test("the daemon does not inherit variables that have Bun or the linker load something", async () => {
		const environment = { BUN_X: "1", NODE_X: "1", JSC_X: "1", LD_X: "1", TOLD: "1" };
		await using overlay = await mountLayers([{ a: "a" }], { environment });
		const [pid] = overlay.mount.daemons;
		const names = readFileSync(`/proc/${pid}/environ`, "latin1")
			.split("\0")
			.map((variable) => variable.split("=")[0] ?? "");
		expect(names).toContain("TOLD");
		expect(names.filter((name) => /^(BUN|NODE|JSC|LD)_/.test(name)).sort()).toEqual([
			"BUN_JSC_forceRAMSize",
			"BUN_JSC_gcMaxHeapSize",
			"BUN_JSC_maxNumberOfWorklistThreads",
			"BUN_JSC_minEdenToOldGenerationRatio",
			"BUN_JSC_minNumberOfWorklistThreads",
			"BUN_JSC_numberOfBaselineCompilerThreads",
			"BUN_JSC_numberOfGCMarkers",
			"BUN_JSC_thresholdForFTLOptimizeAfterWarmUp",
			"BUN_JSC_thresholdForFTLOptimizeSoon",
			"BUN_JSC_useWarmUpMarkedBlocks",
			"BUN_RUNTIME_TRANSPILER_CACHE_PATH",
		]);
	});

	test("nothing is kept in the home directory, from where it could be changed", async () => {
		using home = temporaryTree();
		const environment = { HOME: home.path, XDG_CACHE_HOME: home.join("cache") };
		await using overlay = await mountLayers([{ large: sparseFile(4 << 20, { 0: "a" }) }], { environment });
		writeFileSync(overlay.at("large"), "x", { flag: "r+" });
		await overlay.unmount();
		expect(readdirSync(home.path)).toEqual([]);
	});
});
