/** The daemon's own limits: few open files, files no larger than so. */

import { describe, expect, test } from "bun:test";
import { fstatSync, mkdirSync, rmSync, unlinkSync, writeSync } from "node:fs";
import { open } from "../harness/descriptor.ts";
import { mountLayers } from "../harness/overlay.ts";
import { isKernel } from "../harness/program.ts";
import { expectNothingLeft, openFiles } from "./leftovers.ts";

const count = 150;
const indices = Array.from({ length: count }, (_, index) => index);
const files = Object.fromEntries(indices.map((index) => [`d${index}/file`, `content ${index}`]));

describe.skipIf(isKernel)("a daemon that may open few files", () => {
	test.each([64, 100, 200])("%d of them serve any number of open ones", async (openFiles) => {
		await using overlay = await mountLayers([files], { openFiles, options: ["passthrough=off"] });
		const opened = indices.map((index) => open(overlay.at(`d${index}/file`), "r+"));
		for (const { fd } of opened) writeSync(fd, "CONTENT");
		for (const [index, descriptor] of opened.entries()) expect(descriptor.text()).toBe(`CONTENT ${index}`);
		for (const descriptor of opened) descriptor.close();
		rmSync(overlay.at("d0"), { recursive: true });
		expect(Bun.spawnSync(["sh", "-c", "rm -r d*"], { cwd: overlay.path }).stderr.toString()).toBe("");
		await overlay.expectLasting();
	});

	test.each([64, 100, 200])("%d of them: any number of files is removed while open", async (limit) => {
		await using overlay = await mountLayers([files], { openFiles: limit, options: ["passthrough=off"] });
		const opened = indices.map((index) => open(overlay.at(`d${index}/file`), "r+"));
		for (const { fd } of opened) writeSync(fd, "CONTENT");
		for (const index of indices) unlinkSync(overlay.at(`d${index}/file`));
		// Everything else goes on meanwhile.
		for (const index of indices) mkdirSync(overlay.at(`d${index}/made`));
		for (const [index, descriptor] of opened.entries()) {
			expect(descriptor.text()).toBe(`CONTENT ${index}`);
			expect(fstatSync(descriptor.fd).nlink).toBe(0);
		}
		for (const descriptor of opened) descriptor.close();
		await expectNothingLeft(overlay);
		expect(openFiles(overlay).length).toBeLessThan(limit);
		await overlay.expectLasting();
	});
});
