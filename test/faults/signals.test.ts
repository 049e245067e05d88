/** Signals that come while many work on the mount. */

import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { until } from "../harness/mount.ts";
import { findMount } from "../harness/mount-table.ts";
import { MNT_FORCE, umount } from "../harness/native.ts";
import { mountLayers, type Overlay } from "../harness/overlay.ts";
import { isKernel, program } from "../harness/program.ts";
import { expectNothingLeft } from "./leftovers.ts";

const workers = 3;
const rounds = 40;
const content = "0123456789".repeat(2000);

/** Copies up, writes, renames over, links and removes; ends with the first failure, or after so many rounds. */
const work = `n=0
while [ $n -lt "$2" ]; do
	n=$((n + 1))
	cat text >"new$1" && mv "new$1" "w$1" && cat "w$1" >/dev/null && chmod 600 "low$1-$((n % 20))" &&
		ln "w$1" "link$1" && rm "link$1" && mkdir "dir$1" && rmdir "dir$1" || exit 1
done`;

const lower = Object.fromEntries([
	["text", content],
	...Array.from({ length: workers * 20 }, (_, index) => [`low${index % workers}-${index % 20}`, content]),
]);

const startWork = (overlay: Overlay, most: number) =>
	Array.from({ length: workers }, (_, index) =>
		Bun.spawn(["sh", "-c", work, "sh", String(index), String(most)], {
			cwd: overlay.path,
			stdio: ["ignore", "ignore", "pipe"],
		}),
	);

/** Every worker has been through at least one round. */
const untilBusy = (overlay: Overlay) =>
	until(
		() => readdirSync(overlay.layers.upper).filter((name) => /^w\d$/.test(name)).length === workers,
		"no work is done",
	);

describe.skipIf(isKernel)("under load", () => {
	test("SIGUSR1 tells statistics; it and signals that mean nothing to the daemon disturb nobody", async () => {
		await using overlay = await mountLayers([lower]);
		const working = startWork(overlay, rounds);
		await untilBusy(overlay);
		const [pid = 0] = overlay.mount.daemons;
		const signals = [
			"SIGUSR1",
			"SIGPIPE",
			"SIGCHLD",
			"SIGWINCH",
			"SIGCONT",
			"SIGURG",
			"SIGUSR2",
			"SIGIO",
		] as const;
		while (working.some(({ exitCode }) => exitCode === null)) {
			for (const signal of signals) process.kill(pid, signal);
			await Bun.sleep(1);
		}
		for (const worker of working) {
			expect(await new Response(worker.stderr).text()).toBe("");
			expect(worker.exitCode).toBe(0);
		}
		expect(overlay.mount.log).toMatch(/^fuse-overlayfs: # NODES: \d+$/m);
		expect(overlay.mount.daemons).toEqual([pid]);
		await expectNothingLeft(overlay);
		await overlay.expectLasting();
	});

	test.each(["SIGTERM", "SIGINT", "SIGHUP"] as const)(
		"%s ends the mount, in use as it is; what was done is whole, and nothing is left over",
		async (signal) => {
			await using overlay = await mountLayers([lower]);
			const working = startWork(overlay, 100_000);
			await untilBusy(overlay);
			const [pid = 0] = overlay.mount.daemons;
			process.kill(pid, signal);
			await until(() => overlay.mount.daemons.length === 0, `the daemon stays after ${signal}`);
			expect(findMount(overlay.path)).toBeUndefined();
			for (const worker of working) expect(await worker.exited).not.toBe(0);
			expect(readdirSync(join(overlay.layers.work, "work"))).toEqual([]);
			for (const name of readdirSync(overlay.layers.upper)) {
				if (!/^(w|link|low)/.test(name)) continue;
				expect({ name, isWhole: readFileSync(overlay.inUpper(name), "utf8") === content }).toEqual({
					name,
					isWhole: true,
				});
			}
			await overlay.mount.forget();
			await overlay.mount.start();
			// Debian's counts no links of files that are hard-linked in the upper layer.
			await overlay.expectLasting({ debian: false });
		},
	);
});

test.skipIf(isKernel)(
	"SIGTERM ends the mount while the kernel writes out a file to tell where its holes are",
	async () => {
		await using overlay = await mountLayers([{}], { options: ["passthrough=off"] });
		const seeks = `
			import { openSync, writeSync } from "node:fs";
			import { lseek, SEEK_DATA } from ${JSON.stringify(join(import.meta.dir, "../harness/native.ts"))};
			const fd = openSync("file", "w+");
			const part = Buffer.alloc(1 << 20, "content ");
			for (let written = 0; written < 128; written++) writeSync(fd, part);
			console.log("written");
			console.log(lseek(fd, 0, SEEK_DATA));
		`;
		const child = Bun.spawn([process.execPath, "-e", seeks], {
			cwd: overlay.path,
			stdio: ["ignore", "pipe", "ignore"],
		});
		const output = child.stdout.getReader();
		await output.read();
		for (const pid of overlay.mount.daemons) process.kill(pid, "SIGTERM");
		try {
			await until(() => overlay.mount.daemons.length === 0, "the daemon stays after SIGTERM");
		} catch (error) {
			// Nothing else ends it, and who waits for it.
			umount(overlay.path, MNT_FORCE);
			throw error;
		}
		await child.exited;
		expect(findMount(overlay.path)).toBeUndefined();
		await overlay.mount.forget();
		await overlay.mount.start();
	},
);

/** Of a process in the background; `kill` knows the real-time ones by number only. */
const send = (pid: number, signal: string) =>
	expect(Bun.spawnSync(["kill", `-${signal}`, `${pid}`]).exitCode).toBe(0);

describe.skipIf(isKernel)("a signal that ends programs which know nothing of it", () => {
	test.each(["HUP", "INT", "QUIT", "TERM", "ALRM", "VTALRM", "PROF", "XCPU"])(
		"unmounts where it is to end one, or comes from a limit or timer: SIG%s",
		async (signal) => {
			await using overlay = await mountLayers([{ a: "a" }]);
			const [pid = 0] = overlay.mount.daemons;
			send(pid, signal);
			await until(() => overlay.mount.daemons.length === 0, `the daemon stays after ${signal}`);
			expect(findMount(overlay.path)).toBeUndefined();
			await overlay.mount.forget();
		},
	);

	test("is ignored where it means nothing to a daemon, real-time ones included", async () => {
		await using overlay = await mountLayers([{ a: "a" }]);
		const [pid = 0] = overlay.mount.daemons;
		const realTime = Array.from({ length: 31 }, (_, index) => String(34 + index));
		for (const signal of ["USR2", "STKFLT", "IO", "PIPE", "XFSZ", "PWR", ...realTime]) send(pid, signal);
		expect(readFileSync(overlay.at("a"), "utf8")).toBe("a");
		expect(overlay.mount.daemons).toEqual([pid]);
	});

	test("stays ignored where whoever started the daemon ignores it, as nohup does", async () => {
		await using overlay = await mountLayers([{ a: "a" }]);
		await overlay.unmount();
		const wrapper = overlay.tree.join("ignoring");
		writeFileSync(wrapper, `#!/bin/sh\ntrap "" HUP INT QUIT\nexec ${program} "$@"\n`, { mode: 0o755 });
		await overlay.remount({ program: wrapper });
		const [pid = 0] = overlay.mount.daemons;
		for (const signal of ["HUP", "INT", "QUIT"]) send(pid, signal);
		expect(readFileSync(overlay.at("a"), "utf8")).toBe("a");
		expect(overlay.mount.daemons).toEqual([pid]);
		send(pid, "TERM");
		await until(() => overlay.mount.daemons.length === 0, "the daemon stays after SIGTERM");
		expect(findMount(overlay.path)).toBeUndefined();
		await overlay.mount.forget();
	});
});

describe.skipIf(isKernel)("a limit on processor time", () => {
	test("unmounts before it kills", async () => {
		await using overlay = await mountLayers([{ a: "a" }]);
		const [pid = 0] = overlay.mount.daemons;
		expect(readFileSync(`/proc/${pid}/limits`, "latin1")).toMatch(/^Max cpu time +unlimited/m);
		await overlay.unmount();
		const limited = overlay.tree.join("limited");
		writeFileSync(limited, `#!/bin/sh\nulimit -t 600\nexec ${program} "$@"\n`, { mode: 0o755 });
		await overlay.remount({ program: limited });
		const [limitedPid = 0] = overlay.mount.daemons;
		expect(readFileSync(`/proc/${limitedPid}/limits`, "latin1")).toMatch(/^Max cpu time +599 +600 /m);
		send(limitedPid, "XCPU");
		await until(() => overlay.mount.daemons.length === 0, "the daemon stays");
		expect(overlay.mount.log).toContain("the limit on processor time (ulimit -t) is reached");
		await overlay.mount.forget();
	});
});
