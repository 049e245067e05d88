import { describe, expect, test } from "bun:test";
import { chmodSync, lstatSync, readdirSync, statSync } from "node:fs";
import { mountLayers } from "../harness/overlay.ts";
import { lacks } from "../harness/setting.ts";

describe("xino and ino32_t", () => {
	test.skipIf(lacks("mounting")).each(["off", "auto", "on"])(
		"xino=%s: numbers are unique and stable while mounted",
		async (xino) => {
			await using overlay = await mountLayers([{ a: "a", "d/b": "b", "d/c": "c" }], {
				upper: { "d/u": "u" },
				onSmallDisk: true,
				options: [`xino=${xino}`],
			});
			const numbers = () =>
				["a", "d", "d/b", "d/c", "d/u", "."].map((name) => lstatSync(overlay.at(name), { bigint: true }).ino);
			const before = numbers();
			expect(new Set(before).size).toBe(before.length);
			chmodSync(overlay.at("d/b"), 0o600);
			readdirSync(overlay.at("d"));
			expect(numbers()).toEqual(before);
			await overlay.remount();
			// Without xino the numbers of several devices may change.
			if (xino !== "off") expect(numbers()).toEqual(before);
		},
	);

	test.skipIf(lacks("mounting"))("ino32_t: numbers fit into 32 bits", async () => {
		await using overlay = await mountLayers([{ a: "a", "d/b": "b" }], {
			onSmallDisk: true,
			options: ["ino32_t"],
		});
		for (const name of ["a", "d", "d/b", "."]) {
			const { ino } = statSync(overlay.at(name), { bigint: true });
			expect(ino > 0n && ino < 2n ** 32n).toBeTrue();
		}
	});
});
