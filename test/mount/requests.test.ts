/** How many requests the kernel makes for what a user does: each costs more than the work it asks for. */

import { expect, test } from "bun:test";
import { lstatSync, writeSync } from "node:fs";
import { open } from "../harness/descriptor.ts";
import { mountLayers } from "../harness/overlay.ts";
import { requestsServed } from "../harness/requests.ts";
import { lacks } from "../harness/setting.ts";

const writes = 1000;
const small = "small ".repeat(50);

// That is: no question before a write, such as one for `security.capability`.
test.skipIf(lacks("writes without questions", "the write cache")).each([
	["passthrough, or the write cache where that is refused", "passthrough=on", 50],
	["the write cache", "passthrough=off", 50],
	["every write passed on at once", "passthrough=off,writeback=0", writes * 1.2],
])("a thousand small writes with %s", async (_, options, most) => {
	await using overlay = await mountLayers([{ a: "content" }], { options: [options] });
	for (const name of ["a", "new"]) {
		const before = await requestsServed(overlay);
		using writer = open(overlay.at(name), "a");
		for (let index = 0; index < writes; index++) writeSync(writer.fd, small);
		expect(lstatSync(overlay.at(name)).size).toBeGreaterThanOrEqual(writes * small.length);
		writer.close();
		expect((await requestsServed(overlay)) - before).toBeLessThan(most);
	}
	await overlay.expectLasting();
});
