/** Nothing that users do not have open any more is kept open for writing. */
import { describe, expect, test } from "bun:test";
import { chmodSync, copyFileSync, existsSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { open } from "../harness/descriptor.ts";
import { smallDisk } from "../harness/layers.ts";
import { until } from "../harness/mount.ts";
import { codeOf, mount } from "../harness/native.ts";
import { mountLayers, type Overlay, type OverlaySettings } from "../harness/overlay.ts";
import { lacks } from "../harness/setting.ts";

const kinds: readonly (readonly [string, OverlaySettings])[] = [
	["passthrough, where that is permitted", {}],
	["the write cache", { options: ["passthrough=off"] }],
	["neither", { options: ["passthrough=off", "writeback=0"] }],
];

const MS_RDONLY = 1;
const MS_REMOUNT = 32;

/** "ETXTBSY" where somebody has the program open for writing. */
function run(path: string): string {
	try {
		return Bun.spawnSync([path]).exitCode === 0 ? "ran" : "failed";
	} catch (error) {
		return (error as NodeJS.ErrnoException).code ?? String(error);
	}
}

async function expectToRun(path: string): Promise<void> {
	let last = "";
	await until(() => {
		last = run(path);
		return last !== "ETXTBSY";
	}, `${path} cannot be run`);
	expect(last).toBe("ran");
}

function install(overlay: Overlay, name: string): void {
	copyFileSync("/bin/true", overlay.at(name));
	chmodSync(overlay.at(name), 0o755);
}

describe.each(kinds)("with %s", (_, settings) => {
	test("a program that was just written can be run from the mount and from the upper layer", async () => {
		await using overlay = await mountLayers([{ a: "a" }], settings);
		install(overlay, "program");
		expect(run(overlay.at("program"))).toBe("ran");
		await expectToRun(overlay.inUpper("program"));
	});

	test("also while somebody reads it, and while others are written", async () => {
		await using overlay = await mountLayers([{ a: "a" }], settings);
		install(overlay, "program");
		using reader = open(overlay.at("program"));
		using writer = open(overlay.at("other"), "w");
		writeFileSync(writer.fd, "x");
		expect(reader.text(4)).toBe("\x7fELF");
		await expectToRun(overlay.inUpper("program"));
		expect(existsSync(overlay.at("other"))).toBeTrue();
	});

	test("a program that was made with no right to write to it can be run from the upper layer", async () => {
		await using overlay = await mountLayers([{ a: "a" }], settings);
		install(overlay, "program");
		chmodSync(overlay.at("program"), 0o555);
		await expectToRun(overlay.inUpper("program"));
	});

	test.skipIf(lacks("mounting"))("the upper layer's file system can be made read-only", async () => {
		await using overlay = await mountLayers([{ a: "a" }], { ...settings, disk: smallDisk });
		const disk = dirname(overlay.layers.upper);
		const remount = (flags: number) => codeOf(() => mount("none", disk, "", MS_REMOUNT | flags, ""));
		install(overlay, "program");
		writeFileSync(overlay.at("a"), "changed");
		await until(() => remount(MS_RDONLY) === undefined, "the file system is busy");
		expect(() => mkdirSync(overlay.at("made"))).toThrow("EROFS");
		expect(remount(0)).toBeUndefined();
		writeFileSync(overlay.at("a"), "again");
		await overlay.expectLasting();
	});
});
