/** Jobs on other threads, and without them. */

import { expect, test } from "bun:test";
import { closeSync, fstatSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import { EINVAL, ENOMEM, POLLIN, pollfd, SEEK_SET, SYS_lseek } from "../../src/native/layout.ts";
import { close, type Fd, read } from "../../src/native/libc/file.ts";
import { openPipe, poll } from "../../src/native/libc/process.ts";
import { base, type Int64, reserve, view } from "../../src/native/memory.ts";
import { WorkerJobs } from "../../src/overlay/jobs/worker-jobs.ts";
import { file, temporaryTree } from "../harness/layers.ts";
import { until } from "../harness/mount.ts";

const POLLED = reserve(pollfd.sizeof);
/** One that the kernel's threads are not asked for. */
const SYS_READ = process.arch === "arm64" ? 63 : 0;

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
		jobs.run({ kind: "copy", from, to, length: 7 }, done("copy"));
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
	jobs.run({ kind: "copy", from, to, length: 7 }, done("copy again"));
	await until(() => {
		jobs.collect();
		return jobs.count === 0;
	}, "the Worker does nothing");
	expect(results.at(-1)).toEqual(["copy again", 0]);
	expect(complaints).toHaveLength(1);
	jobs.close();
	closeSync(from);
	closeSync(to);
});

test("however much there is to do, who hands it over does not wait for Workers that wait", async () => {
	using tree = temporaryTree();
	const directory = tree.layer("files", { from: file("content"), to: file("") });
	const from = openSync(`${directory}/from`, "r") as Fd;
	const to = openSync(`${directory}/to`, "r+") as Fd;
	const jobs = new WorkerJobs([], (error) => expect(error).toBeUndefined());
	const [reading, writing] = openPipe(false);
	const length = 1 << 20;
	const message = reserve(length);
	let count = 0;
	const done = (result: number) => {
		expect(result).toBe(0);
		count++;
	};
	jobs.run({ kind: "send", fd: writing, address: base + message, length }, done);
	for (let index = 0; index < 3000; index++) jobs.run({ kind: "copy", from, to, length: 7 }, done);
	for (let taken = 0; taken < length; ) {
		const more = read(reading, message, length);
		expect(more).toBeGreaterThan(0);
		taken += more;
	}
	await until(() => {
		jobs.collect();
		return jobs.count === 0;
	}, "the Workers come to no end");
	expect([count, fstatSync(to).size]).toEqual([3001, 7]);
	jobs.close();
	for (const fd of [from, to, reading, writing]) close(fd);
});

test("syncs of many files are under way at once without a Worker, and each is told of once", async () => {
	using tree = temporaryTree();
	const directory = tree.layer("files", {});
	// More than are under way at most: the others are left to Workers.
	const fds = Array.from({ length: 80 }, (_, index) => openSync(`${directory}/${index}`, "wx") as Fd);
	for (const fd of fds) writeSync(fd, "content");
	const jobs = new WorkerJobs([], (error) => expect(error).toBeUndefined());
	const ended: string[] = [];
	expect([jobs.shareSyncs, jobs.hasOthers]).toEqual([true, false]);
	for (const [index, fd] of fds.entries()) {
		const kind = index % 2 === 0 ? "sync" : "dataSync";
		jobs.run({ kind, fd }, (result) => ended.push(`${index} ${result}`));
		// It goes on without the descriptor.
		if (index < 40) closeSync(fd);
	}
	expect(jobs.hasOthers).toBeTrue();
	view.setInt32(POLLED + pollfd.fd, jobs.syncsEnded, true);
	view.setInt16(POLLED + pollfd.events, POLLIN, true);
	expect(poll(POLLED, 1, 10_000)).toBe(1);
	await until(() => {
		jobs.collect();
		return jobs.count === 0;
	}, "syncs do not end");
	expect(ended.sort()).toEqual(fds.map((_, index) => `${index} 0`).sort());
	for (const fd of fds.slice(40)) closeSync(fd);
	jobs.close();
});

test("what cannot be synced is told so", async () => {
	const [end, other] = openPipe(true);
	const jobs = new WorkerJobs([], (error) => expect(error).toBeUndefined());
	const results: number[] = [];
	jobs.run({ kind: "sync", fd: end }, (result) => results.push(result));
	await until(() => {
		jobs.collect();
		return jobs.count === 0;
	}, "the sync does not end");
	expect(results).toEqual([-EINVAL]);
	jobs.close();
	close(end);
	close(other);
});

test("where too few files may be open to hear of the kernel's syncs, they are done in another way", async () => {
	const syncs = join(import.meta.dir, "../../src/overlay/jobs/syncs.ts");
	const script = `
		import { openSync } from "node:fs";
		import { Syncs } from ${JSON.stringify(syncs)};
		const syncs = new Syncs();
		try {
			for (;;) openSync("/dev/null", "r");
		} catch (error) {
			console.log(error.code, syncs.isPossible(), syncs.start(0, true, 1));
		}`;
	// The runtime raises the soft limit to the hard one.
	const command = 'ulimit -n 128; exec "$0" -e "$1"';
	const { stdout } = Bun.spawnSync(["sh", "-c", command, process.execPath, script]);
	expect(stdout.toString()).toBe("EMFILE false false\n");
});

test("what waits behind a call that hangs gets a Worker of its own, once it has waited", async () => {
	using tree = temporaryTree();
	const fd = openSync(`${tree.layer("files", { file: "" })}/file`, "r") as Fd;
	const [reading, writing] = openPipe(false);
	const jobs = new WorkerJobs([], (error) => expect(error).toBeUndefined());
	const answers: [string, Int64][] = [];
	const collect = () => {
		jobs.collect();
		jobs.rest(Bun.nanoseconds());
	};
	jobs.call(1, { number: SYS_READ, args: [reading, base + reserve(8), 1] }, (result) =>
		answers.push(["hanging", result]),
	);
	jobs.call(2, { number: SYS_lseek, args: [fd, 5, SEEK_SET] }, (result) => answers.push(["other", result]));
	await until(() => {
		collect();
		return answers.length > 0;
	}, "the other call waits for the one that hangs");
	expect(answers).toEqual([["other", 5]]);
	writeSync(writing, "x");
	await until(() => {
		collect();
		return answers.length > 1;
	}, "the call does not end");
	expect(answers.at(-1)).toEqual(["hanging", 1]);
	expect(jobs.isActive).toBeFalse();
	jobs.close();
	for (const one of [reading, writing, fd]) close(one);
});
