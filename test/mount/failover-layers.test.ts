/** What a daemon has learned of layers and must be found out again by the next one: renamed directories, data below, hard links. */

import { describe, expect, test } from "bun:test";
import {
	appendFileSync,
	chmodSync,
	linkSync,
	mkdirSync,
	readFileSync,
	renameSync,
	rmdirSync,
	statSync,
	unlinkSync,
	utimesSync,
	writeFileSync,
} from "node:fs";
import { open } from "../harness/descriptor.ts";
import { smallDisk } from "../harness/layers.ts";
import { hollow } from "../harness/metacopies.ts";
import { codeOf } from "../harness/native.ts";
import { mountLayers } from "../harness/overlay.ts";
import { lacks } from "../harness/setting.ts";

const survives = { options: ["failover=on"] };
const goesOn = "the daemon has ended: another goes on with the mount";

describe.skipIf(lacks("requests sent again"))("where the daemon is killed", () => {
	const changesDirectories = { options: ["failover=on", "redirect_dir=on", "passthrough=off"] };
	/** More than the kernel reads ahead. */
	const long = (word: string) => Buffer.alloc(1 << 20, word);

	test("removed files of lower layers are what they were, whatever the directories above are called by now", async () => {
		await using overlay = await mountLayers(
			[
				{
					"a/f": long("of a "),
					"a/stays": "",
					"b/f": long("of b "),
					"c/f": long("of c "),
					"d/f": long("of d "),
				},
			],
			changesDirectories,
		);
		await overlay.mount.settled();
		using moved = open(overlay.at("a/f"), "r");
		using gone = open(overlay.at("c/f"), "r");
		for (const name of ["a", "b", "c", "d"]) unlinkSync(overlay.at(name, "f"));
		for (const [from, to] of [
			["a", "b"],
			["c", "d"],
		] as const) {
			rmdirSync(overlay.at(to));
			renameSync(overlay.at(from), overlay.at(to));
		}
		rmdirSync(overlay.at("d"));
		overlay.mount.killDaemon();
		expect(moved.text(1 << 20)).toBe(long("of a ").toString());
		// What said where it is went with its directory.
		expect(codeOf(() => gone.text())).toBe("ESTALE");
	});

	test.skipIf(lacks("the machine's root"))(
		"files whose data is in a layer below are read, and take as much room, with their names and without",
		async () => {
			const top = { "d/marked": hollow(1 << 20), "d/removed": hollow(1 << 20) };
			const bottom = { "d/marked": long("marked "), "d/removed": long("removed "), own: long("own ") };
			await using overlay = await mountLayers([top, { ...bottom, other: long("other ") }], {
				options: [...changesDirectories.options, "metacopy=on"],
				disk: smallDisk,
			});
			await overlay.mount.settled();
			for (const name of ["own", "other"]) chmodSync(overlay.at(name), 0o600);
			const blocks = () => ["own", "d/marked"].map((name) => statSync(overlay.at(name)).blocks);
			const before = blocks();
			using other = open(overlay.at("other"), "r");
			using removed = open(overlay.at("d/removed"), "r");
			unlinkSync(overlay.at("other"));
			unlinkSync(overlay.at("d/removed"));
			overlay.mount.killDaemon();
			for (const name of ["own", "d/marked"]) utimesSync(overlay.at(name), 1, 1);
			expect(blocks()).toEqual(before);
			expect(other.text(1 << 20)).toBe(long("other ").toString());
			expect(removed.text(1 << 20)).toBe(long("removed ").toString());
		},
	);

	test("with few descriptors, hard links in many directories stay one file", async () => {
		const count = 600;
		await using overlay = await mountLayers([{ other: "" }], { ...survives, openFiles: 256 });
		await overlay.mount.settled();
		const pairs = Array.from({ length: count }, (_, index) => [`${index}/a`, `${index}/b`] as const);
		for (const [one, other] of pairs) {
			mkdirSync(overlay.at(one, ".."));
			writeFileSync(overlay.at(one), "one");
			linkSync(overlay.at(one), overlay.at(other));
		}
		overlay.mount.killDaemon();
		for (const [one, other] of pairs) {
			expect(readFileSync(overlay.at(other), "utf8")).toBe("one");
			appendFileSync(overlay.at(one), " and more");
			expect(readFileSync(overlay.at(other), "utf8")).toBe("one and more");
		}
		expect(overlay.mount.log).toContain(goesOn);
	});
});
