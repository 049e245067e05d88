/**
 * Modification times of what the kernel has gathered and writes by itself. It tells them in the name of a user of the machine,
 * and tells nothing where that user does not exist: in a mount of a user namespace (Linux fs/fuse/dev.c, fuse_get_req).
 */

import { expect, test } from "bun:test";
import { lstatSync, renameSync, utimesSync, writeSync } from "node:fs";
import { open } from "../harness/descriptor.ts";
import { file } from "../harness/layers.ts";
import { mountLayers } from "../harness/overlay.ts";
import { lacks } from "../harness/setting.ts";

const time = 1_111_111_111_987_654_321n;
const second = 1_000_000_000n;
const timeOf = (path: string) => lstatSync(path, { bigint: true }).mtimeNs;

/** A process that has the kernel write to the mount what it has gathered, by a thread of its own, once it is told to. */
function writerBack(path: string) {
	// Started before files are opened: one that ended with them open would have their times told by closing them.
	const child = Bun.spawn(["sh", "-c", 'read line; exec sync --file-system "$0"', path], { stdin: "pipe" });
	return async () => {
		child.stdin.write("\n");
		child.stdin.end();
		expect(await child.exited).toBe(0);
	};
}

/** Else it may be the time at which the change was written. */
function expectKept(kept: bigint, changed: bigint): void {
	if (!lacks("exact times")) expect(kept).toBe(changed);
	expect(kept).toBeGreaterThanOrEqual(changed);
	expect(kept).toBeLessThan(changed + 3600n * second);
}

const layers = ["upper", "lower"] as const;

test.each(layers)("of a file of the %s layer: not those from before the change", async (layer) => {
	const described = { f: file("content", { time }) };
	const lowers = layer === "lower" ? [described] : [{}];
	const upper = layer === "upper" ? described : {};
	await using overlay = await mountLayers(lowers, { upper, options: ["passthrough=off"] });
	const writeBack = writerBack(overlay.path);
	using opened = open(overlay.at("f"), "r+");
	writeSync(opened.fd, "CON", 0);
	const changed = timeOf(overlay.at("f"));
	await writeBack();
	opened.close();
	const kept = timeOf(overlay.inUpper("f"));
	expectKept(kept, changed);
	await overlay.remount();
	expect(timeOf(overlay.at("f"))).toBe(kept);
});

test("of a file that was renamed meanwhile", async () => {
	await using overlay = await mountLayers([{}], {
		upper: { f: file("content", { time }) },
		options: ["passthrough=off"],
	});
	using opened = open(overlay.at("f"), "r+");
	writeSync(opened.fd, "CON", 0);
	// Tells the time, but writes no data.
	renameSync(overlay.at("f"), overlay.at("g"));
	const changed = timeOf(overlay.at("g"));
	opened.close();
	expectKept(timeOf(overlay.inUpper("g")), changed);
	await overlay.unmount();
});

test("that a user sets stay", async () => {
	await using overlay = await mountLayers([{ f: "content" }], { options: ["passthrough=off"] });
	const writeBack = writerBack(overlay.path);
	using opened = open(overlay.at("f"), "r+");
	writeSync(opened.fd, "CON", 0);
	utimesSync(overlay.at("f"), 1, 1);
	await writeBack();
	opened.close();
	expect(timeOf(overlay.inUpper("f"))).toBe(second);
	await overlay.expectLasting();
});
