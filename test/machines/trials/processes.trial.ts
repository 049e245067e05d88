/**
 * How many processes and threads a daemon needs: pids.max of a control group. Where Bun is refused a thread of its own it
 * ends itself, at any time, and nothing of that can be caught.
 */

import { expect, test } from "bun:test";
import { readFileSync, unlinkSync } from "node:fs";
import { changeable, changeMuch, expectChanged } from "../../harness/changes.ts";
import { temporaryTree } from "../../harness/layers.ts";
import { layerOptions, mountOverlay, runProgram } from "../../harness/mount.ts";
import { findMount } from "../../harness/mount-table.ts";
import { program } from "../../harness/program.ts";
import { ControlGroup } from "./control-group.ts";
import { writeSynced } from "./synced.ts";

const large = Buffer.alloc(8 << 20, "large");

test("24 are enough to start, for long copies and for all changes", async () => {
	using group = new ControlGroup("daemon", { "pids.max": 24 });
	using tree = temporaryTree();
	const layers = tree.layers([{ ...changeable, large }]);
	await using overlay = await mountOverlay({ ...layers, program: group.wrap(program, tree.join("limited")) });
	writeSynced(overlay.at("large"), "more", "a");
	expect(readFileSync(overlay.at("large")).equals(Buffer.concat([large, Buffer.from("more")]))).toBe(true);
	unlinkSync(overlay.at("large"));
	changeMuch(overlay.at.bind(overlay));
	expectChanged(overlay.at.bind(overlay));
	expect(group.count("pids.events", "max")).toBe(0);
	await overlay.unmount();
});

test("too few to start: it ends with an error, and nothing is mounted", async () => {
	using group = new ControlGroup("daemon", { "pids.max": 6 });
	using tree = temporaryTree();
	const layers = tree.layers([{ file: "content" }]);
	const limited = group.wrap(program, tree.join("limited"));
	const { exitCode, stderr } = await runProgram(["-o", layerOptions(layers), layers.mountpoint], {
		program: limited,
	});
	expect(exitCode).not.toBe(0);
	// Bun's own report, or the program's line, depending on which thread it is that cannot be had.
	expect(stderr).not.toBe("");
	expect(findMount(layers.mountpoint)?.type.startsWith("fuse") ?? false).toBe(false);
});
