/** The thread that serves shares the processor with a caller that waits for its answers; no other thread of the daemon does. */
import { describe, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { compiled } from "../harness/compile.ts";
import { temporaryTree } from "../harness/layers.ts";
import { until } from "../harness/mount.ts";
import { mountLayers, type Overlay } from "../harness/overlay.ts";
import { program } from "../harness/program.ts";
import { traced } from "../harness/strace.ts";

/** The processors that a thread of a process may use, as the kernel lists them. */
function allowed(pid: number | "self", thread: number | "self" = pid): string {
	const path = thread === "self" ? "/proc/self/status" : `/proc/${pid}/task/${thread}/status`;
	const [, list = ""] = /^Cpus_allowed_list:\t(.*)$/m.exec(readFileSync(path, "latin1")) ?? [];
	return list;
}

/** The numbers in such a list. */
function processors(list: string): number[] {
	return list.split(",").flatMap((range) => {
		const [first = 0, last = first] = range.split("-").map(Number);
		return Array.from({ length: last - first + 1 }, (_, index) => first + index);
	});
}

/** Where a process ran last (proc_pid_stat(5), field 39). */
function processorOf(pid: number): number {
	const [, fields = ""] = readFileSync(`/proc/${pid}/stat`, "latin1").split(") ");
	return Number(fields.split(" ")[36]);
}

/** Looks in a row after which the scheduler itself leaves the daemon with its caller, as where others compute. */
const SETTLED = 500;

/** Resolves when the daemon shares a processor with the caller that is held there. */
async function comesTo(processor: number, daemon: number): Promise<void> {
	let together = 0;
	await until(() => {
		together = processorOf(daemon) === processor ? together + 1 : 0;
		return together === SETTLED || allowed(daemon) === String(processor);
	}, `it never comes to processor ${processor}`);
}

const own = allowed("self");
const [one = 0, another = 0] = processors(own);
/** Looks up new names for as long as it lives, held on a processor. */
const caller = (overlay: Overlay, processor: number) =>
	Bun.spawn(
		[
			"taskset",
			"--cpu-list",
			String(processor),
			"sh",
			"-c",
			'i=0; while :; do i=$((i+1)); [ -e "$0/no-$i" ]; done',
			overlay.path,
		],
		{ stdio: ["ignore", "ignore", "ignore"] },
	);

const hasOne = availableParallelism() < 2;

test.skipIf(hasOne)("the daemon goes where its caller is held, with the one thread that serves", async () => {
	await using overlay = await mountLayers([{ a: "a" }]);
	const [daemon = 0] = overlay.mount.daemons;
	for (const processor of [one, another]) {
		const asking = caller(overlay, processor);
		try {
			await comesTo(processor, daemon);
		} finally {
			asking.kill("SIGKILL");
			await asking.exited;
		}
	}
	const others = readdirSync(`/proc/${daemon}/task`).map(Number);
	for (const thread of others) if (thread !== daemon) expect(allowed(daemon, thread)).toBe(own);
});

test.skipIf(hasOne)("it gives the processors back when there are several callers", async () => {
	await using overlay = await mountLayers([{ a: "a" }]);
	const [daemon = 0] = overlay.mount.daemons;
	const first = caller(overlay, one);
	let second: ReturnType<typeof caller> | undefined;
	try {
		await comesTo(one, daemon);
		second = caller(overlay, another);
		await until(() => allowed(daemon) === own, "it stays with one of its callers");
	} finally {
		for (const process of [first, second]) {
			process?.kill("SIGKILL");
			await process?.exited;
		}
	}
});

test.skipIf(hasOne)("a daemon that was started on one processor stays there", async () => {
	await using overlay = await mountLayers([{ a: "a" }], { processors: String(one) });
	const [daemon = 0] = overlay.mount.daemons;
	const asking = caller(overlay, another);
	try {
		await until(() => requests(overlay) > 1000, "it does not answer");
	} finally {
		asking.kill("SIGKILL");
		await asking.exited;
	}
	expect(allowed(daemon)).toBe(String(one));
});

test.skipIf(hasOne)(
	"a caller that executes a program, and has mapped files written back for it, does not hang the daemon",
	async () => {
		await using overlay = await mountLayers([{ a: "a" }], {
			options: ["passthrough=off"],
			upper: { mapped: "old" },
		});
		const command = [compiled("execute-mapped.c"), overlay.path, "mapped", "500"];
		const executing = Bun.spawn(["taskset", "--cpu-list", String(one), ...command], {
			stdio: ["ignore", "ignore", "inherit"],
			timeout: 20_000,
			killSignal: "SIGKILL",
		});
		expect(await executing.exited).toBe(0);
	},
);

describe.skipIf(Bun.which("strace") === null)("between two requests", () => {
	/** How often the daemon gives up the processor to ask again for a request, while it serves a few with pauses between. */
	async function asksAgain(overlay: Overlay): Promise<number> {
		const lookUp = async () => {
			for (let index = 0; index < 30; index++) {
				existsSync(overlay.at(`no-${index}`));
				await Bun.sleep(2);
			}
		};
		return (await traced(overlay, ["trace=sched_yield"], lookUp)).length;
	}

	test.skipIf(hasOne)("it asks again for some time before it sleeps", async () => {
		await using overlay = await mountLayers([{ a: "a" }]);
		expect(await asksAgain(overlay)).toBeGreaterThan(0);
	});

	test("it does not where there is one processor only, which that would take from the caller", async () => {
		using tree = temporaryTree();
		const held = tree.join("held");
		writeFileSync(held, `#!/bin/sh\nexec taskset --cpu-list ${one} ${program} "$@"\n`, { mode: 0o755 });
		await using overlay = await mountLayers([{ a: "a" }], { program: held });
		expect(await asksAgain(overlay)).toBe(0);
	});
});

/** How many the daemon has served, as it says itself. */
function requests(overlay: Overlay): number {
	for (const pid of overlay.mount.daemons) process.kill(pid, "SIGUSR1");
	return Number([...overlay.mount.log.matchAll(/# REQUESTS: (\d+)/g)].at(-1)?.[1] ?? 0);
}
