/** What a daemon holds: read from /proc, and asked of it by SIGUSR1. */

import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import type { OverlayMount } from "../harness/mount.ts";
import { countNodes } from "../harness/requests.ts";

/** An epoll descriptor, and one to wake it. */
const DESCRIPTORS_OF_WORKER = 2;

export interface Held {
	/** What the kernel can name: 1 is the root alone. */
	readonly nodes: number;
	/** But for those by which Bun runs the threads for long tasks. */
	readonly descriptors: number;
	/** Threads for long tasks. */
	readonly workers: number;
	/** Memory of its own, without what is mapped from files, in MiB. */
	readonly memory: number;
}

/** What the daemon holds now. */
export async function measure(mount: OverlayMount): Promise<Held> {
	const [pid = 0] = mount.daemons;
	return { nodes: await countNodes({ mount }), ...measureProcess(pid) };
}

function measureProcess(pid: number): Omit<Held, "nodes"> {
	const status = readFileSync(`/proc/${pid}/status`, "latin1");
	const field = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(status)?.[1]);
	const workers = threadNames(pid).filter((name) => name === "Worker").length;
	return {
		descriptors: readdirSync(`/proc/${pid}/fd`).length - workers * DESCRIPTORS_OF_WORKER,
		workers,
		memory: Math.round(field("RssAnon") / 1024),
	};
}

function threadNames(pid: number): string[] {
	const threads = readdirSync(`/proc/${pid}/task`);
	return threads.map((thread) => readFileSync(`/proc/${pid}/task/${thread}/comm`, "latin1").trim());
}

/** Has the kernel forget all that nobody uses, and measures once only the root remains or patience ends. */
export async function measureForgotten(mount: OverlayMount): Promise<Held> {
	const attempts = 50;
	for (let attempt = 1; ; attempt++) {
		Bun.spawnSync(["sync", "-f", mount.path]);
		writeFileSync("/proc/sys/vm/drop_caches", "3");
		const held = await measure(mount);
		if (held.nodes === 1 || attempt === attempts) return held;
		await Bun.sleep(20);
	}
}
