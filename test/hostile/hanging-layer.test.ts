/**
 * A lower layer that is a FUSE mount whose daemon does not answer. One thread serves all requests, so that all who ask
 * something new wait, whichever layer they ask of; what the kernel keeps is served all the same. The mount can be ended
 * at any time, and nothing of it is left once the layer answers, or is gone.
 */

import { describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { temporaryTree } from "../harness/layers.ts";
import { daemonsOf, layerOptions, startProgram, until } from "../harness/mount.ts";
import { findMount, unmount } from "../harness/mount-table.ts";
import { codeOf, MNT_DETACH, mount } from "../harness/native.ts";
import { mountLayers, type Overlay } from "../harness/overlay.ts";
import { lacks } from "../harness/setting.ts";

interface Stage extends AsyncDisposable {
	/** With the mount `layer` as one of its lower layers. */
	readonly overlay: Overlay;
	readonly layer: Overlay;
	/** The layer's daemon answers nothing from now on. */
	stop(): void;
	goOn(): void;
}

async function set(): Promise<Stage> {
	const layer = await mountLayers([{ slow: "slow", "d/slow": "slow" }], { options: ["passthrough=off"] });
	const overlay = await mountLayers([{ quick: "quick", known: "known" }]);
	const { lower } = overlay.layers;
	// The kernel asks for what it has not seen lately.
	await overlay.remount({ lower: [...lower, layer.path] });
	const [pid = 0] = layer.mount.daemons;
	const signal = (name: "SIGSTOP" | "SIGCONT") => {
		if (layer.mount.daemons.includes(pid)) process.kill(pid, name);
	};
	return {
		overlay,
		layer,
		stop: () => signal("SIGSTOP"),
		goOn: () => signal("SIGCONT"),
		async [Symbol.asyncDispose]() {
			signal("SIGCONT");
			await overlay[Symbol.asyncDispose]();
			await layer[Symbol.asyncDispose]();
		},
	};
}

/** Another process that reads a file; what it got, once it gets it. */
function reader(path: string) {
	const child = Bun.spawn(["cat", path], { cwd: "/", stdio: ["ignore", "pipe", "pipe"] });
	return { child, result: new Response(child.stdout).text() };
}

/** Whether a process is where the kernel lets whoever asks a FUSE mount wait for its answer. */
function waitsForLayer(pid: number): boolean {
	return /^(request_wait_answer|fuse|__fuse)/.test(readFileSync(`/proc/${pid}/wchan`, "latin1"));
}

/** Has somebody ask the layer, and waits until the daemon waits for it. */
async function askLayer({ overlay }: Stage) {
	const asking = reader(overlay.at("d/slow"));
	await until(() => overlay.mount.daemons.some(waitsForLayer), "the daemon does not wait for the layer");
	expect(asking.child.exitCode).toBeNull();
	return asking;
}

describe.skipIf(lacks("mounting"))("a lower layer that hangs", () => {
	test("keeps those waiting who ask, but not those whom the kernel can serve; and all goes on with it", async () => {
		await using stage = await set();
		const { overlay } = stage;
		expect(readFileSync(overlay.at("known"), "utf8")).toBe("known");
		stage.stop();
		const asking = await askLayer(stage);
		// Not in this process: whoever waits for the mount cannot let the layer go on.
		const cached = Bun.spawnSync(["stat", "-c", "%s", overlay.at("known")], { cwd: "/", timeout: 10_000 });
		expect(cached.stdout.toString()).toBe("5\n");
		const other = reader(overlay.at("quick"));
		stage.goOn();
		expect(await asking.result).toBe("slow");
		expect(await other.result).toBe("quick");
		writeFileSync(overlay.at("d/slow"), "changed");
		expect(readFileSync(overlay.at("d/slow"), "utf8")).toBe("changed");
	});

	test("whose daemon dies is an error to those who ask it, and to nobody else", async () => {
		await using stage = await set();
		const { overlay, layer } = stage;
		stage.stop();
		const asking = await askLayer(stage);
		for (const pid of layer.mount.daemons) process.kill(pid, "SIGKILL");
		expect(await asking.result).toBe("");
		expect(await asking.child.exited).not.toBe(0);
		expect(readFileSync(overlay.at("quick"), "utf8")).toBe("quick");
		writeFileSync(overlay.at("quick"), "changed");
		expect(readFileSync(overlay.at("quick"), "utf8")).toBe("changed");
		expect(codeOf(() => readFileSync(overlay.at("d/slow")))).toMatch(/^(ENOTCONN|ECONNABORTED|EIO)$/);
		await layer.mount.forget();
	});

	const endings: Readonly<Record<string, (overlay: Overlay) => void>> = {
		"umount -l": ({ path }) => unmount(path, MNT_DETACH),
		"its connection aborted": ({ path, tree }) => {
			// Not mounted everywhere.
			const control = tree.layer("control");
			mount("fusectl", control, "fusectl", 0, "");
			writeFileSync(`${control}/${findMount(path)?.minor}/abort`, "1");
			unmount(path, MNT_DETACH);
		},
		SIGTERM: ({ mount }) => {
			for (const pid of mount.daemons) process.kill(pid, "SIGTERM");
		},
		SIGKILL: ({ mount, path }) => {
			for (const pid of mount.daemons) process.kill(pid, "SIGKILL");
			unmount(path, MNT_DETACH);
		},
	};
	const permitted = Object.keys(endings).filter(
		(ending) => ending !== "its connection aborted" || !lacks("the machine's root"),
	);
	test.each(permitted)("does not keep the mount: %s, and nothing is left once it answers", async (ending) => {
		await using stage = await set();
		const { overlay } = stage;
		stage.stop();
		const asking = await askLayer(stage);
		const daemons = overlay.mount.daemons;
		endings[ending]?.(overlay);
		stage.goOn();
		await asking.child.exited;
		await until(
			() => overlay.mount.daemons.length === 0,
			() => `daemons left: ${daemons}\n${overlay.mount.log}`,
		);
		await until(() => findMount(overlay.path) === undefined, "the mount is left");
		await overlay.mount.forget();
	});

	test("does not keep the mount: umount -l, and nothing is left once its daemon has died", async () => {
		await using stage = await set();
		const { overlay, layer } = stage;
		stage.stop();
		const asking = await askLayer(stage);
		unmount(overlay.path, MNT_DETACH);
		expect(findMount(overlay.path)).toBeUndefined();
		for (const pid of layer.mount.daemons) process.kill(pid, "SIGKILL");
		await asking.child.exited;
		await until(() => overlay.mount.daemons.length === 0, "the daemon stays");
		await overlay.mount.forget();
		await layer.mount.forget();
	});

	test.each(["SIGTERM", "SIGKILL"] as const)(
		"while the mount is made: who ends the program by %s finds nothing mounted later",
		async (signal) => {
			await using layer = await mountLayers([{ slow: "slow" }], { options: ["passthrough=off,timeout=0"] });
			using tree = temporaryTree();
			const { mountpoint, ...layers } = tree.layers([{ a: "a" }]);
			const lower = [...layers.lower, layer.path];
			const [pid = 0] = layer.mount.daemons;
			process.kill(pid, "SIGSTOP");
			const { child, run } = startProgram(["-o", layerOptions({ ...layers, lower }), mountpoint]);
			try {
				await until(() => daemonsOf(run).some(waitsForLayer), "the program does not wait for the layer");
				child.kill(signal);
				await child.exited;
			} finally {
				process.kill(pid, "SIGCONT");
			}
			await until(() => daemonsOf(run).length === 0, "the daemon stays");
			expect(findMount(mountpoint)).toBeUndefined();
		},
	);
});
