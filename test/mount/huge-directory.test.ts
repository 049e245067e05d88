/** Directories of so many names that their listing is larger than all that are kept otherwise, and reading it takes long. */

import { describe, expect, test } from "bun:test";
import { mkdirSync, readdirSync, statSync, unlinkSync, writeFileSync } from "node:fs";
import { mknod } from "../harness/native.ts";
import { mountLayers, type Overlay } from "../harness/overlay.ts";
import { lacks } from "../harness/setting.ts";
import { traced } from "../harness/strace.ts";

const regular = 0o100644;
/** Bytes of a directory entry as getdents64 gives it: its head, a name of 240 bytes, and what aligns it. */
const entrySize = 264;
const readAtOnce = 32768;
const mebibyte = 2 ** 20;

const nameOf = (index: number) => `${"long".repeat(58)}-${String(index).padStart(7, "0")}`;

/** Makes files without content in a directory outside of any mount. */
function fill(directory: string, first: number, count: number): void {
	mkdirSync(directory, { recursive: true });
	for (let index = first; index < first + count; index++) mknod(`${directory}/${nameOf(index)}`, regular);
}

function expectEachOnce(names: readonly string[], count: number): void {
	expect(names.length).toBe(count);
	const seen = new Set(names);
	expect(seen.size).toBe(count);
	for (let index = 0; index < count; index++)
		if (!seen.has(nameOf(index))) expect(nameOf(index)).toBe("listed");
}

function mountEmpty(lowers = 1): Promise<Overlay> {
	return mountLayers(
		Array.from({ length: lowers }, () => ({})),
		{ base: "/dev/shm" },
	);
}

describe("a directory of 130,000 long names, whose listing takes more memory than is kept for others", () => {
	const count = 130_000;

	test.each([
		["in a lower layer", [1, 0, 0]],
		["in the upper layer", [0, 0, 1]],
		["merged of two lower layers and the upper one", [0.4, 0.4, 0.2]],
	] as const)(
		"%s is listed completely, each name once, and read once for that",
		async (_, [one, two, own]) => {
			await using overlay = await mountEmpty(2);
			const [first = "", second = ""] = overlay.layers.lower;
			const parts: [string, number][] = [
				[first, one],
				[second, two],
				[overlay.layers.upper, own],
			];
			let made = 0;
			for (const [layer, share] of parts) {
				if (share > 0) fill(`${layer}/d`, made, share * count);
				made += share * count;
			}
			expect(count * entrySize).toBeGreaterThan(32 * mebibyte);
			let names: string[] = [];
			const list = () => {
				names = readdirSync(overlay.at("d"));
			};
			if (lacks("the machine's root")) {
				list();
			} else {
				const calls = await traced(overlay, ["trace=getdents64"], list);
				const perCall = Math.floor(readAtOnce / entrySize);
				expect(calls.length).toBeLessThan(1.1 * (count / perCall) + 20);
			}
			expectEachOnce(names, count);
			// What is made and removed now shows, whether the listing is still there or not.
			unlinkSync(overlay.at("d", nameOf(7)));
			writeFileSync(overlay.at("d", "new"), "");
			const after = readdirSync(overlay.at("d"));
			expect([after.length, after.includes("new"), after.includes(nameOf(7))]).toEqual([count, true, false]);
		},
	);
});

test.skipIf(lacks("the machine's root"))(
	"while a directory of 50,000 names is read for one, others make files and look at them",
	async () => {
		await using overlay = await mountEmpty();
		fill(overlay.inLower("d"), 0, 50_000);
		let made = 0;
		const calls = await traced(overlay, ["trace=getdents64,openat"], async () => {
			const child = Bun.spawn(["ls", "-U", overlay.at("d")], { stdout: "ignore", stderr: "inherit" });
			for (; child.exitCode === null; await Bun.sleep(0)) {
				writeFileSync(overlay.at(`made${made}`), "");
				expect(statSync(overlay.at(`made${made++}`)).size).toBe(0);
			}
			expect(child.exitCode).toBe(0);
		});
		const kinds = calls
			.filter((call) => call.startsWith("getdents64(") || call.includes("O_CREAT"))
			.map((call) => (call.startsWith("getdents64(") ? "read" : "made"));
		const reading = kinds.slice(kinds.indexOf("read"), kinds.lastIndexOf("read"));
		expect(reading).toContain("made");
		expect(made).toBeGreaterThan(0);
	},
);
