/** All layers in a directory that the machine's host shares with it by 9p or virtiofs. */

import { expect, test } from "bun:test";
import { readdirSync, readFileSync, writeFileSync, writeSync } from "node:fs";
import { changeable, changeMuch, expectChanged } from "../../harness/changes.ts";
import { open } from "../../harness/descriptor.ts";
import { findMount } from "../../harness/mount-table.ts";
import { mountLayers } from "../../harness/overlay.ts";
import { layersOn } from "../../harness/setting.ts";
import { testRemovedAndLocked } from "./removed-and-locked.ts";

test("the layers lie there", () => {
	expect(findMount("/mnt")?.type).toBe(layersOn!);
});

test("all that an overlay can write is written, and read again", async () => {
	await using overlay = await mountLayers([changeable]);
	const at = overlay.at.bind(overlay);
	changeMuch(at);
	expectChanged(at);
	await overlay.expectLasting({ kernel: false, debian: false, ignoreTimes: layersOn === "9p" });
});

test("a file that is open while it is copied up", async () => {
	await using overlay = await mountLayers([{ file: "content" }]);
	using opened = open(overlay.at("file"), "r");
	using writer = open(overlay.at("file"), "r+");
	writeSync(writer.fd, "CON", 0);
	expect(opened.text()).toBe("CONtent");
	opened.close();
	writer.close();
	await overlay.remount();
	expect(readFileSync(overlay.at("file"), "utf8")).toBe("CONtent");
	await overlay.unmount();
});

test("many names", async () => {
	await using overlay = await mountLayers([{}]);
	const names = Array.from({ length: 2000 }, (_, index) => `name-${index}`);
	for (const name of names) writeFileSync(overlay.at(name), name);
	expect(readdirSync(overlay.path).sort()).toEqual(names.sort());
	await overlay.remount();
	expect(readdirSync(overlay.path).sort()).toEqual(names.sort());
	expect(names.filter((name) => readFileSync(overlay.at(name), "utf8") !== name)).toEqual([]);
	await overlay.unmount();
});

testRemovedAndLocked();
