/** A daemon that is killed and that nobody follows: it ends, and so does whoever waits for its answer. */

import { expect, test } from "bun:test";
import { file } from "../harness/layers.ts";
import { until } from "../harness/mount.ts";
import { MNT_FORCE, umount } from "../harness/native.ts";
import { mountLayers } from "../harness/overlay.ts";

const count = 100;
const size = 1 << 20;
const kills = 12;

/** Reads pages of one file after the other, each time at another place, until there is an error. */
const readsAtRandom = `
	const { openSync, readSync, closeSync } = require("node:fs");
	const page = Buffer.alloc(4096);
	console.log("begins");
	try {
		for (let turn = 0; ; turn++) {
			const fd = openSync(process.argv[1] + "/" + (turn % ${count}), "r");
			for (let read = 0; read < 12; read++) readSync(fd, page, 0, 4096, Math.floor(Math.random() * ${size / 4096}) * 4096);
			closeSync(fd);
		}
	} catch (error) {
		console.log(error.code);
	}
`;

test("while several read the same files at random", async () => {
	const content = Buffer.alloc(size, "content ");
	const lower = Object.fromEntries(Array.from({ length: count }, (_, index) => [`${index}`, file(content)]));
	await using overlay = await mountLayers([lower]);
	for (let kill = 0; kill < kills; kill++) {
		const readers = Array.from({ length: 4 }, () =>
			Bun.spawn([process.execPath, "-e", readsAtRandom, overlay.path], {
				stdio: ["ignore", "pipe", "inherit"],
			}),
		);
		const outputs = readers.map(({ stdout }) => stdout.getReader());
		await Promise.all(outputs.map((output) => output.read()));
		await Bun.sleep(Math.random() * 60);
		for (const pid of overlay.mount.daemons) process.kill(pid, "SIGKILL");
		try {
			await until(() => overlay.mount.daemons.length === 0, "the daemon is killed and does not end");
		} catch (error) {
			// Nothing else ends it, and who waits for it.
			umount(overlay.path, MNT_FORCE);
			throw error;
		}
		for (const output of outputs) {
			const { value } = await output.read();
			expect(Buffer.from(value ?? []).toString()).toMatch(/^(ENOTCONN|ECONNABORTED|EIO)\n$/);
		}
		await Promise.all(readers.map(({ exited }) => exited));
		await overlay.remount();
	}
});
