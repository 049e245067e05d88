import { expect, test } from "bun:test";
import { chmodSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { mountLayers } from "../harness/overlay.ts";
import { lacks } from "../harness/setting.ts";

/** Resident memory of a process in bytes. */
function residentMemory(pid: number): number {
	const kilobytes = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1];
	return Number(kilobytes) * 1024;
}

test.skipIf(lacks("the machine's root"))(
	"walking a tree again and again, the kernel forgetting it in between, does not grow the daemon",
	async () => {
		const files: Record<string, string> = {};
		for (let directory = 0; directory < 50; directory++) {
			for (let file = 0; file < 300; file++) files[`d${directory}/file with a name ${file}`] = "";
		}
		await using overlay = await mountLayers([files], { base: "/dev/shm" });
		const [daemon = 0] = overlay.mount.daemons;
		const sizes: number[] = [];
		for (let walk = 0; walk < 8; walk++) {
			expect(Bun.spawnSync(["find", overlay.path, "-ls"], { stdout: "ignore" }).exitCode).toBe(0);
			writeFileSync("/proc/sys/vm/drop_caches", "2");
			sizes.push(residentMemory(daemon));
		}
		// The first walks fill what is kept for good.
		expect((sizes.at(-1) ?? 0) - (sizes[2] ?? 0)).toBeLessThan(32 << 20);
	},
);

test("what requests leave behind as garbage does not grow the daemon", async () => {
	await using overlay = await mountLayers([{ file: "" }]);
	const [daemon = 0] = overlay.mount.daemons;
	const [path, other] = [`${overlay.path}/file`, `${overlay.path}/other`];
	const change = async (times: number) => {
		for (let round = 0; round < times; round++) {
			chmodSync(path, round % 2 === 0 ? 0o600 : 0o640);
			renameSync(path, other);
			renameSync(other, path);
			// A sign of life goes out meanwhile.
			if (round % 100 === 0) await Bun.sleep(0);
		}
	};
	await change(5_000);
	const before = residentMemory(daemon);
	await change(20_000);
	expect(residentMemory(daemon) - before).toBeLessThan(32 << 20);
});
