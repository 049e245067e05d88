/** Files that are removed while open, and locks, where all layers lie on a server. */

import { describe, expect, test } from "bun:test";
import {
	fchmodSync,
	fstatSync,
	fsyncSync,
	ftruncateSync,
	readdirSync,
	rmdirSync,
	unlinkSync,
	writeSync,
} from "node:fs";
import { open } from "../../harness/descriptor.ts";
import { mountLayers } from "../../harness/overlay.ts";

const locks = [
	["flock(2)", "exec 3<>$0 && flock --nonblock 3"],
	["flock(2), shared", "exec 3<>$0 && flock --nonblock --shared 3"],
] as const;

const states = [
	["of the upper layer", { "d/file": "content" }, {}],
	["of the lower layer", {}, { "d/file": "content" }],
] as const;

export function testRemovedAndLocked(): void {
	test.each(locks)("a lock, %s, of one process keeps another out", async (_, script) => {
		await using overlay = await mountLayers([{ file: "content" }]);
		const holder = Bun.spawn(["flock", overlay.at("file"), "sh", "-c", "echo held; read line"], {
			stdin: "pipe",
			stdout: "pipe",
		});
		await holder.stdout.getReader().read();
		const tryLock = () => Bun.spawnSync(["sh", "-c", script, overlay.at("file")]).exitCode;
		expect(tryLock()).toBe(1);
		holder.stdin.end();
		await holder.exited;
		expect(tryLock()).toBe(0);
		await overlay.unmount();
	});

	describe("a file removed while it is open", () => {
		test.each(states)("%s: nothing of it shows, and its directory goes", async (_, upper, lower) => {
			await using overlay = await mountLayers([lower], { upper });
			using opened = open(overlay.at("d/file"), "r+");
			expect(opened.text()).toBe("content");
			unlinkSync(overlay.at("d/file"));
			expect(readdirSync(overlay.at("d"))).toEqual([]);
			expect(fstatSync(opened.fd).nlink).toBe(0);
			expect(opened.text()).toBe("content");
			rmdirSync(overlay.at("d"));
			writeSync(opened.fd, "CON", 0);
			ftruncateSync(opened.fd, 5);
			fchmodSync(opened.fd, 0o640);
			fsyncSync(opened.fd);
			expect(opened.text()).toBe("CONte");
			const { size, mode } = fstatSync(opened.fd);
			expect([size, mode & 0o777]).toEqual([5, 0o640]);
			opened.close();
			await overlay.unmount();
			const names = readdirSync(overlay.layers.upper, { recursive: true, encoding: "utf8" });
			expect(names.filter((name) => /(^|\/)\.(nfs|fuse_hidden)/.test(name))).toEqual([]);
		});
	});
}
