/** A mount with `failover=on` whose daemon ends between two steps of what its successor goes by. */

import { describe, expect, test } from "bun:test";
import { killAtEach, operations } from "../crash/each-call.ts";
import { isCompiled } from "../harness/program.ts";
import { lacks } from "../harness/setting.ts";

const each = Object.keys(operations).map((name, index): [string, number] => [name, 1 + (index % 13)]);

// The steps are those of the source, whichever program is tried.
describe.skipIf(lacks("requests sent again") || isCompiled)("where the daemon ends", () => {
	// A few of the steps here; `bun run crash --outlive` takes many of them, in all ways to mount.
	test.each(each)("while it %s, that is done once", async (name, first) => {
		const options = first % 2 === 0 ? [] : ["passthrough=off"];
		await killAtEach("step", name, options, first, 13);
	});

	test("within an exchange, neither file is without a name", async () => {
		expect(await killAtEach("step", "exchanges two files", ["passthrough=off"], 1, 2)).toBeGreaterThan(10);
	});

	test("within the copy-up of a directory, what lower layers have in it is seen", async () => {
		expect(await killAtEach("step", "creates a file in a lower directory", [], 1, 3)).toBeGreaterThan(10);
	});

	test("before a request has done anything, that is not taken for done", async () => {
		expect(await killAtEach("step", "removes an attribute", [], 1, 1)).toBeGreaterThan(1);
		expect(await killAtEach("step", "renames a file", [], 1, 2)).toBeGreaterThan(5);
	});
});
