/** Jobs on other threads, and without them. */

import { expect, test } from "bun:test";
import { closeSync, fstatSync, openSync } from "node:fs";
import { ENOMEM } from "../../src/native/layout.ts";
import type { Fd } from "../../src/native/libc/file.ts";
import { base } from "../../src/native/memory.ts";
import { WorkerJobs } from "../../src/overlay/jobs/worker-jobs.ts";
import { file, temporaryTree } from "../harness/layers.ts";
import { until } from "../harness/mount.ts";

/** As Bun does where the limit on processes is reached. */
class RefusedWorker {
	constructor() {
		throw new TypeError("Failed to spawn worker thread");
	}
}

test("where no Worker can be started, tasks are done all the same, and a later one is tried with a Worker again", async () => {
	using tree = temporaryTree();
	const directory = tree.layer("files", { from: file("content"), to: file("") });
	const from = openSync(`${directory}/from`, "r") as Fd;
	const to = openSync(`${directory}/to`, "r+") as Fd;
	const complaints: unknown[] = [];
	const jobs = new WorkerJobs([], (error) => complaints.push(error));
	const results: [string, number][] = [];
	const done = (name: string) => (result: number) => void results.push([name, result]);
	const { Worker } = globalThis;
	globalThis.Worker = RefusedWorker as unknown as typeof Worker;
	try {
		jobs.run({ kind: "copy", from, to, length: 7, durability: "synced" }, done("copy"));
		jobs.run({ kind: "send", fd: to, address: base, length: 8 }, done("send"));
		expect(results).toEqual([]);
		jobs.collect();
		expect(results).toEqual([
			["copy", 0],
			["send", -ENOMEM],
		]);
		expect(fstatSync(to).size).toBe(7);
		expect([jobs.count, complaints.length]).toEqual([0, 1]);
	} finally {
		globalThis.Worker = Worker;
	}
	jobs.run({ kind: "sync", fd: to }, done("sync"));
	await until(() => {
		jobs.collect();
		return jobs.count === 0;
	}, "the Worker does nothing");
	expect(results.at(-1)).toEqual(["sync", 0]);
	expect(complaints).toHaveLength(1);
	jobs.close();
	closeSync(from);
	closeSync(to);
});
