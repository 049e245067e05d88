/** Workloads on the machine's own file system: where their layers lie, and who writes meanwhile. */

import { expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { runBenchmark } from "../../bench/bench.ts";
import { Client } from "../../bench/client.ts";
import { kernelPeer } from "../../bench/peers.ts";
import { renderReport } from "../../bench/report.ts";
import { Scratch } from "../../bench/scratch.ts";
import { chooseWorkloads } from "../../bench/workloads/index.ts";
import { type MountedWorkload, Scale } from "../../bench/workloads/workload.ts";

const never = new AbortController().signal;

test("their layers lie in the directory that is named, and nothing stays there", async () => {
	await using scratch = new Scratch(tmpdir());
	const ownDisk = mkdtempSync(join(tmpdir(), "own-disk-"));
	try {
		const look: MountedWorkload = {
			...(chooseWorkloads(["own_disk_copyup_small"])[0] as MountedWorkload),
			// The file comes up in an upper layer there, and the lower ones are there.
			run: ({ merged, tree }) => [
				...[
					"run",
					merged,
					"sh",
					"-c",
					`touch new && find "$0" -path '*/upper/new' | grep . && ls -d "$0"/*/trees/"$1"`,
				],
				...[ownDisk, basename(tree)],
			],
		};
		const settings = { workloads: [look], peers: [kernelPeer], rounds: 1, scale: 0.01, ownDisk };
		const silent = { begin() {}, end() {} };
		const result = await runBenchmark({ ...settings, placement: "free" }, scratch, never, silent);
		expect(result.workloads[0]!.failures).toEqual({});
		expect(renderReport(result, (text) => text)).toContain("The machine's own file system: ");
		expect(readdirSync(ownDisk)).toEqual([]);
	} finally {
		rmSync(ownDisk, { recursive: true });
	}
});

test("those of busy_disk run beside a process that writes there", async () => {
	await using scratch = new Scratch(tmpdir());
	const client = await Client.compile(scratch.path, never);
	const file = join(scratch.path, "busy");
	const [workload] = chooseWorkloads(["busy_disk_copyup_small"]) as MountedWorkload[];
	const run = workload!.run as Exclude<MountedWorkload["run"], "mount">;
	const stage = { merged: scratch.path, tree: scratch.path, scale: new Scale(1) };
	expect(run(stage).slice(0, 2)).toEqual(["beside_writer", file]);
	// Ends when that has written.
	await client.run(["beside_writer", file, "run", "/", "sh", "-c", 'until [ -s "$0" ]; do :; done', file]);
	await expect(client.run(["beside_writer", join(file, "below"), "run", "/", "true"])).rejects.toThrow(
		"open",
	);
});
