/**
 * A lower layer that is a FUSE mount whose daemon does not answer: only those wait who ask for what is in it. The mount can
 * be ended at any time, and nothing of it is left once the layer answers, or is gone.
 */

import { describe, expect, test } from "bun:test";
import {
	appendFileSync,
	chmodSync,
	mkdirSync,
	readdirSync,
	readFileSync,
	statSync,
	writeFileSync,
} from "node:fs";
import { temporaryTree } from "../harness/layers.ts";
import { follow, hollow } from "../harness/metacopies.ts";
import { daemonsOf, layerOptions, mountOverlay, startProgram, until } from "../harness/mount.ts";
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

/** Whether a thread of a process is where the kernel lets whoever asks a FUSE mount wait for its answer. */
function waitsForLayer(pid: number): boolean {
	return readdirSync(`/proc/${pid}/task`).some((thread) => {
		const place = readFileSync(`/proc/${pid}/task/${thread}/wchan`, "latin1");
		return /^(request_wait_answer|fuse|__fuse)/.test(place);
	});
}

/** Has somebody ask the layer, and waits until the daemon waits for it. */
async function askLayer({ overlay }: Stage) {
	const asking = reader(overlay.at("d/slow"));
	await until(() => overlay.mount.daemons.some(waitsForLayer), "the daemon does not wait for the layer");
	expect(asking.child.exitCode).toBeNull();
	return asking;
}

describe.skipIf(lacks("mounting"))("a lower layer that hangs", () => {
	test.skipIf(lacks("lookups side by side"))(
		"keeps those waiting who ask it, and nobody else; and they go on with it",
		async () => {
			await using stage = await set();
			const { overlay } = stage;
			mkdirSync(overlay.at("new"));
			stage.stop();
			const asking = await askLayer(stage);
			// More than there are threads to wait: further ones must not keep others waiting either.
			const many = Array.from({ length: 40 }, (_, index) => reader(overlay.at(`d/missing${index}`)));
			// Not in this process: whoever waits for the mount cannot let the layer go on.
			const script = `cat quick known && cd new && echo made >file && cat file && mv file other && ls && rm other`;
			const other = Bun.spawnSync(["sh", "-c", `cd "$0" && ${script}`, overlay.path], {
				cwd: "/",
				timeout: 30_000,
			});
			expect(other.stderr.toString()).toBe("");
			expect(other.stdout.toString()).toBe("quickknownmade\nother\n");
			expect(asking.child.exitCode).toBeNull();
			stage.goOn();
			expect(await asking.result).toBe("slow");
			for (const { child, result } of many) {
				expect(await result).toBe("");
				expect(await child.exited).not.toBe(0);
			}
			writeFileSync(overlay.at("d/slow"), "changed");
			expect(readFileSync(overlay.at("d/slow"), "utf8")).toBe("changed");
		},
	);

	test("with nothing but data keeps those waiting who read data of it, and nobody else", async () => {
		await using data = await mountLayers([{ "12/data": "data!" }], { options: ["passthrough=off"] });
		using tree = temporaryTree();
		const layers = tree.layers([{ hollow: hollow(5, "/12/data"), quick: "quick" }], { made: "made" });
		const options = [...follow, "redirect_dir=on", "metacopy=on"];
		await using overlay = await mountOverlay({ ...layers, dataOnly: [data.path], options });
		const { mountpoint } = layers;
		const [pid = 0] = data.mount.daemons;
		process.kill(pid, "SIGSTOP");
		const asking = reader(`${mountpoint}/hollow`);
		try {
			await until(() => overlay.daemons.some(waitsForLayer), "the daemon does not wait for the layer");
			const script = "stat -c %s hollow && cat quick made && mv made new && echo more >>new && cat new";
			const other = Bun.spawnSync(["sh", "-c", `cd "$0" && ${script}`, mountpoint], {
				cwd: "/",
				timeout: 30_000,
			});
			expect(other.stderr.toString()).toBe("");
			expect(other.stdout.toString()).toBe("5\nquickmademademore\n");
			expect(asking.child.exitCode).toBeNull();
		} finally {
			process.kill(pid, "SIGCONT");
		}
		expect(await asking.result).toBe("data!");
		chmodSync(`${mountpoint}/hollow`, 0o600);
		expect(readFileSync(`${mountpoint}/hollow`, "utf8")).toBe("data!");
		appendFileSync(`${mountpoint}/hollow`, "!");
		expect(readFileSync(`${mountpoint}/hollow`, "utf8")).toBe("data!!");
	});

	test("does not keep those from being killed who wait for it", async () => {
		await using stage = await set();
		const { overlay } = stage;
		// Of those who look one name up at once, the kernel has all but one wait for that one, whatever signal they get.
		statSync(overlay.at("d"));
		stage.stop();
		const waiting = [await askLayer(stage), reader(overlay.at("d/other"))];
		const listing = Bun.spawn(["ls", overlay.at("d")], { cwd: "/", stdio: ["ignore", "ignore", "ignore"] });
		for (const child of [...waiting.map((asking) => asking.child), listing]) {
			child.kill("SIGTERM");
			await child.exited;
			expect(child.signalCode).toBe("SIGTERM");
		}
		stage.goOn();
		expect(readFileSync(overlay.at("d/slow"), "utf8")).toBe("slow");
	});

	test("does not keep those from being killed who had another signal before", async () => {
		await using stage = await set();
		const { overlay } = stage;
		statSync(overlay.at("d"));
		stage.stop();
		const script = 'trap : USR1; : <"$0"';
		const child = Bun.spawn(["sh", "-c", script, overlay.at("d/slow")], { cwd: "/" });
		await until(() => waitsForLayer(child.pid), "it does not wait for the layer");
		child.kill("SIGUSR1");
		const pending = /^ShdPnd:\s*0*200$/m;
		const hasHad = () => pending.test(readFileSync(`/proc/${child.pid}/status`, "latin1"));
		await until(hasHad, "it has not had the first signal");
		// The daemon has been told of that by then.
		expect(readFileSync(overlay.at("quick"), "utf8")).toBe("quick");
		child.kill("SIGKILL");
		await child.exited;
		expect(child.signalCode).toBe("SIGKILL");
		stage.goOn();
		expect(readFileSync(overlay.at("d/slow"), "utf8")).toBe("slow");
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
		await until(() => findMount(overlay.path) === undefined, "the mount stays");
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
