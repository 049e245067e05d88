/** A mount that outlives its daemon: who works in it notices nothing of kills. */

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { file, fillLayer, type TemporaryTree } from "../harness/layers.ts";
import { mountOverlay, type OverlayMount, until } from "../harness/mount.ts";
import { MS_REMOUNT, mount as mountCall } from "../harness/native.ts";
import { lacks } from "../harness/setting.ts";
import { differences, snapshot } from "../harness/snapshot.ts";
import { randomNumbers } from "../overlay/random.ts";

const survivor = join(import.meta.dir, "survivor.ts");
/** What is done at the same time, and how often: as long as each other, about. */
export const tasks: Readonly<Record<string, number>> = {
	git: 40,
	build: 12,
	sqlite: 200,
	blocks: 20000,
	names: 400,
	holes: 3000,
	appends: 2000,
	mapping: 3000,
	nameless: 500,
	locks: 3000,
};

/** What some of them need. */
const programs: Readonly<Record<string, readonly string[]>> = {
	git: ["git"],
	build: ["make", "cc"],
	sqlite: ["sqlite3"],
};

/** Those that can be done here; of others it is said why not. */
function possibleTasks(): [task: string, rounds: number][] {
	return Object.entries(tasks).filter(([task]) => {
		const missing = programs[task]?.find((program) => Bun.which(program) === null);
		if (missing !== undefined) console.log(`without the task ${task}: ${missing} is not installed`);
		return missing === undefined;
	});
}

export interface OutliveResult {
	readonly kills: number;
	/** The longest that looking at a name took, in milliseconds. */
	readonly longestWait: number;
	readonly wrong: readonly string[];
}

export type End = "kill" | "replace";

/** How a daemon ends: killed, or told to have its program go on anew. */
const signals = { kill: "SIGKILL", replace: "SIGUSR2" } as const;

/**
 * All tasks at once in one mount, whose daemon ends again and again at moments that the seed chooses, until they are done.
 * @param share how much of the tasks is done
 * @param seldom milliseconds between two ends, on average
 */
export async function outlive(
	tree: TemporaryTree,
	seed: number,
	options: readonly string[],
	end: End = "kill",
	share = 1,
	seldom = 600,
): Promise<OutliveResult> {
	const random = randomNumbers(seed);
	const at = (name: string) => tree.layer(`${seed}/${name}`);
	const lower = at("lower");
	fillLayer(
		lower,
		Object.fromEntries(Object.keys(tasks).map((task) => [`${task}/lower`, file("the lower one\n")])),
	);
	const before = snapshot(lower);
	const request = { lower: [lower], upper: at("upper"), work: at("work"), mountpoint: at("merged") };
	await using mount = await mountOverlay({ ...request, options: ["failover=on", ...options] });
	await mount.settled();
	const working = possibleTasks().map(([task, rounds]) => ({
		task,
		process: Bun.spawn(
			[process.execPath, survivor, task, mount.at(task), String(seed), String(Math.ceil(rounds * share))],
			{
				cwd: "/",
				stdio: ["ignore", "inherit", "pipe"],
			},
		),
	}));
	let kills = 0;
	let longestWait = 0;
	const isWorking = () => working.some(({ process }) => process.exitCode === null);
	while (isWorking()) {
		await Bun.sleep(random(seldom * 2));
		if (!isWorking()) break;
		const [pid] = mount.serving;
		if (pid === undefined) continue;
		process.kill(pid, signals[end]);
		kills++;
		const start = Bun.nanoseconds();
		await Bun.spawn(["stat", mount.at(`${kills}`)], { stdio: ["ignore", "ignore", "ignore"] }).exited;
		longestWait = Math.max(longestWait, (Bun.nanoseconds() - start) / 1e6);
	}
	const wrong: string[] = [];
	for (const { task, process } of working) {
		if (process.exitCode !== 0) wrong.push(`${task}: ${await new Response(process.stderr).text()}`);
	}
	wrong.push(...(await leftovers(mount, request.work)));
	const seen = snapshot(mount.path, { ignoreTimes: true });
	await mount.remount();
	wrong.push(
		...differences(snapshot(mount.path, { ignoreTimes: true }), seen).map(
			(line) => `after remounting: ${line}`,
		),
	);
	wrong.push(...differences(snapshot(lower), before).map((line) => `in the lower layer: ${line}`));
	return { kills, longestWait, wrong };
}

/** What stays behind once the kernel has forgotten all: nodes, names in the workdir, keepers. */
async function leftovers(mount: OverlayMount, work: string): Promise<string[]> {
	await until(() => mount.serving.length === 1, "no daemon goes on");
	const nodes = () => {
		for (const pid of mount.serving) process.kill(pid, "SIGUSR1");
		return [...mount.log.matchAll(/# NODES: (\d+)/g)].at(-1)?.[1];
	};
	const wrong: string[] = [];
	const keepers = () => mount.daemons.filter((pid) => !mount.serving.includes(pid)).map(commandLine);
	// A former one may be ending.
	await until(
		() => keepers().length === 1,
		() => `${keepers().length} keepers: ${keepers().join("; ")}`,
	);
	// Then the kernel keeps what it likes.
	if (lacks("mounting")) return wrong;
	const forgets = Date.now() + 10_000;
	while (nodes() !== "1" && Date.now() < forgets) {
		// Drops what nobody uses, of this mount alone.
		mountCall("", mount.path, "", MS_REMOUNT, "");
		await Bun.sleep(100);
	}
	if (nodes() !== "1") wrong.push(`${nodes()} nodes are left`);
	const parked = readdirSync(join(work, "work")).filter((name) => name.startsWith("#n"));
	if (parked.length > 0) wrong.push(`left in the workdir: ${parked.join(" ")}`);
	return wrong;
}

function commandLine(pid: number): string {
	return readFileSync(`/proc/${pid}/cmdline`, "latin1").replaceAll("\0", " ").slice(0, 100);
}
