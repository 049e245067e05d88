/** The daemon's own limits: few open files, files no larger than so. */

import { describe, expect, test } from "bun:test";
import { mkdirSync, readFileSync, readSync, rmSync, unlinkSync, writeSync } from "node:fs";
import { type Descriptor, open } from "../harness/descriptor.ts";
import { until } from "../harness/mount.ts";
import { codeOf } from "../harness/native.ts";
import { mountLayers, type Overlay } from "../harness/overlay.ts";
import { isKernel } from "../harness/program.ts";
import { expectNothingLeft, openFiles } from "./leftovers.ts";

const count = 150;
const indices = Array.from({ length: count }, (_, index) => index);
const files = Object.fromEntries(indices.map((index) => [`d${index}/file`, `content ${index}`]));

function pinnedLog({ mount }: Overlay): RegExpMatchArray | null {
	return /^fuse-overlayfs: unlink node \d+ "\/d\d+\/file": EMFILE: /m.exec(mount.log);
}

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

	test.each([64, 100, 200])(
		"%d of them: of files removed while open as many are kept as others leave room for, EMFILE then",
		async (limit) => {
			await using overlay = await mountLayers([files], { openFiles: limit, options: ["passthrough=off"] });
			const kept: [number, Descriptor][] = [];
			const opened = indices.map((index) => open(overlay.at(`d${index}/file`)));
			let refused = 0;
			for (const [index, descriptor] of opened.entries()) {
				const code = codeOf(() => unlinkSync(overlay.at(`d${index}/file`)));
				if (code === undefined) kept.push([index, descriptor]);
				else refused++;
				expect(code ?? "EMFILE").toBe("EMFILE");
			}
			expect(kept.length).toBeGreaterThan(8);
			expect(refused).toBeGreaterThan(0);
			expect(pinnedLog(overlay)).not.toBeNull();
			// Everything else goes on meanwhile.
			for (const index of indices) mkdirSync(overlay.at(`d${index}/made`));
			for (const [index, { fd }] of kept) {
				const buffer = Buffer.alloc(64);
				expect(buffer.toString("utf8", 0, readSync(fd, buffer, 0, 64, 0))).toBe(`content ${index}`);
			}
			expect(readFileSync(overlay.at(`d${count - 1}/file`), "utf8")).toBe(`content ${count - 1}`);
			for (const descriptor of opened) descriptor.close();
			// The room is free again once the kernel has told the daemon.
			await until(() => codeOf(() => unlinkSync(overlay.at(`d${count - 1}/file`))) === undefined, "no room");
			await expectNothingLeft(overlay);
			expect(openFiles(overlay).length).toBeLessThan(limit);
			await overlay.expectLasting();
		},
	);
});
