/** Many who work in a mount with `failover=on` while daemons end. For long, and with more options: `bun run crash --outlive N`. */

import { describe, expect, test } from "bun:test";
import { existsSync, opendirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { outlive } from "../crash/outlive.ts";
import { file, temporaryTree } from "../harness/layers.ts";
import { mountLayers } from "../harness/overlay.ts";
import { lacks } from "../harness/setting.ts";

describe.skipIf(lacks("requests sent again"))("nobody notices", () => {
	test.each(["kill", "replace"] as const)("where daemons end under load: %s", async (end) => {
		using tree = temporaryTree();
		const { kills, wrong } = await outlive(tree, 1, [], end, 0.1, 200);
		expect(wrong).toEqual([]);
		expect(kills).toBeGreaterThan(0);
	});

	test("of a hundred thousand names while they are listed", async () => {
		const count = 100_000;
		await using overlay = await mountLayers(
			[
				Object.fromEntries(
					Array.from({ length: count / 2 }, (_, index) => [`names/lower ${index}`, file("")]),
				),
				{ "names/below": "below" },
			],
			{ options: ["failover=on"] },
		);
		for (let index = 0; index < count / 2; index++) writeFileSync(overlay.at(`names/upper ${index}`), "");
		const listing = opendirSync(overlay.at("names"), { bufferSize: 1000 });
		const seen = new Set<string>();
		let read = 0;
		for (let entry = listing.readSync(); entry !== null; entry = listing.readSync(), read++) {
			seen.add(entry.name);
			if (read % (count / 5) !== 7) continue;
			process.kill(await overlay.mount.settled(), "SIGKILL");
			expect(statSync(overlay.at(`names/${entry.name}`)).isFile()).toBeTrue();
		}
		listing.closeSync();
		expect([read, seen.size]).toEqual([count + 1, count + 1]);
		expect(readFileSync(overlay.at("names/below"), "utf8")).toBe("below");
		expect(existsSync(overlay.at("names/none"))).toBeFalse();
	});
});
