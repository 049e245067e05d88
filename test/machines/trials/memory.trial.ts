/** A daemon whose memory is limited: by a control group, with swap and without. */

import { describe, expect, test } from "bun:test";
import { lstatSync, readdirSync, readFileSync } from "node:fs";
import { changeable, changeMuch, expectChanged } from "../../harness/changes.ts";
import { type Description, temporaryTree } from "../../harness/layers.ts";
import { mountOverlay, until } from "../../harness/mount.ts";
import { codeOf } from "../../harness/native.ts";
import { program } from "../../harness/program.ts";
import { ControlGroup, type Limits } from "./control-group.ts";
import { writeSynced } from "./synced.ts";

const mebibyte = 2 ** 20;
const large = Buffer.alloc(160 * mebibyte, "0123456789abcde\n");

function scene(lower: Description, limits: Limits) {
	const group = new ControlGroup("daemon", limits);
	const tree = temporaryTree();
	const layers = tree.layers([lower]);
	const request = { ...layers, program: group.wrap(program, tree.join("limited")) };
	const stack = new DisposableStack();
	stack.use(group);
	stack.use(tree);
	return { group, tree, request, [Symbol.dispose]: () => stack.dispose() };
}

describe("memory.max", () => {
	test("a file larger than the daemon may be is copied up, read and synced", async () => {
		using stage = scene({ large }, { "memory.max": 128 * mebibyte, "memory.swap.max": 0 });
		await using overlay = await mountOverlay(stage.request);
		writeSynced(overlay.at("large"), "more", "a");
		const content = readFileSync(overlay.at("large"));
		expect(content.subarray(0, large.length).equals(large)).toBe(true);
		expect(content.subarray(large.length).toString()).toBe("more");
		expect(stage.group.count("memory.events", "oom_kill")).toBe(0);
		await overlay.unmount();
	});

	test("with swap the daemon works from there", async () => {
		using stage = scene(changeable, {});
		const swap = stage.tree.join("swap");
		const make = `dd if=/dev/zero of=${swap} bs=1M count=256 && chmod 600 ${swap} && mkswap ${swap} && swapon ${swap}`;
		const made = Bun.spawnSync(["sh", "-c", make]);
		expect(made.exitCode, made.stderr.toString()).toBe(0);
		try {
			await using overlay = await mountOverlay(stage.request);
			stage.group.limit({ "memory.max": 8 * mebibyte });
			changeMuch(overlay.at.bind(overlay));
			expectChanged(overlay.at.bind(overlay));
			expect(Number(stage.group.read("memory.swap.current"))).toBeGreaterThan(mebibyte);
			expect(stage.group.count("memory.events", "oom_kill")).toBe(0);
			await overlay.unmount();
		} finally {
			expect(Bun.spawnSync(["swapoff", swap]).exitCode).toBe(0);
		}
	});

	test("killed by the kernel in the middle of a copy-up: ENOTCONN, and all is whole at the next mount", async () => {
		using stage = scene({ large, small: "lower" }, { "memory.swap.max": 0 });
		const { group, request } = stage;
		await using overlay = await mountOverlay(request);
		writeSynced(overlay.at("synced"), "synced");
		writeSynced(overlay.at("small"), "changed");
		const writer = Bun.spawn(["sh", "-c", `echo more >>${overlay.at("large")}`], { stderr: "pipe" });
		await until(() => readdirSync(`${request.work}/work`).length > 0 || writer.exitCode !== null, "no copy");
		group.limit({ "memory.max": mebibyte });
		await until(() => group.count("memory.events", "oom_kill") > 0, "not killed");
		await writer.exited;
		await until(() => overlay.daemons.length === 0, "its daemon stays");
		expect(codeOf(() => lstatSync(overlay.at("small")))).toBe("ENOTCONN");
		expect(Bun.spawnSync(["umount", overlay.path]).exitCode).toBe(0);
		await overlay.forget();

		const { program: _, ...again } = request;
		await using after = await mountOverlay(again);
		const rest = readdirSync(`${request.work}/work`);
		expect(rest.filter((name) => name !== "#whiteout")).toEqual([]);
		expect(readFileSync(after.at("small"), "utf8")).toBe("changed");
		expect(readFileSync(after.at("synced"), "utf8")).toBe("synced");
		const content = readFileSync(after.at("large"));
		expect(content.subarray(0, large.length).equals(large)).toBe(true);
		expect(["", "more\n"]).toContain(content.subarray(large.length).toString());
		await after.unmount();
	});
});
