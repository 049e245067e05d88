/** An upper layer on sshfs: no network between it and its server, else as anywhere. */

import { expect, test } from "bun:test";
import {
	existsSync,
	readdirSync,
	readFileSync,
	rmdirSync,
	symlinkSync,
	unlinkSync,
	writeFileSync,
} from "node:fs";
import { changeable, changeMuch, expectChanged } from "../harness/changes.ts";
import { open } from "../harness/descriptor.ts";
import { type MountDisk, temporaryTree } from "../harness/layers.ts";
import { until } from "../harness/mount.ts";
import { findMount } from "../harness/mount-table.ts";
import { mountLayers } from "../harness/overlay.ts";
import { isKernel } from "../harness/program.ts";

const server = "/usr/lib/openssh/sftp-server";
const possible = test.skipIf(Bun.which("sshfs") === null || !existsSync(server) || isKernel);

/** sshfs and its server talk by pipes; both end with the mount. */
const serve = `mkfifo "$1.pipe"
sshfs -f -o passive ":$2" "$1" <"$1.pipe" | ${server} >"$1.pipe"`;

async function onSshfs(use: (disk: MountDisk, served: string) => Promise<void>): Promise<void> {
	using tree = temporaryTree();
	const served = tree.layer("served");
	const disk: MountDisk = (path) => {
		Bun.spawn(["sh", "-c", serve, "sh", path, served], { stdio: ["ignore", "ignore", "inherit"] });
		for (let turn = 0; turn < 500 && findMount(path)?.type !== "fuse.sshfs"; turn++) Bun.sleepSync(10);
		expect(findMount(path)?.type).toBe("fuse.sshfs");
	};
	await use(disk, served);
}

const lasting = { kernel: false, debian: false, ignoreTimes: true };

possible("all that an overlay can write is written, and read again", async () => {
	await onSshfs(async (disk) => {
		await using overlay = await mountLayers([changeable], { disk });
		const at = overlay.at.bind(overlay);
		changeMuch(at);
		expectChanged(at);
		symlinkSync("target", at("symlink"));
		await overlay.expectLasting(lasting);
	});
});

possible(
	"a file removed while it is open is read on; nothing of its name shows, and its directory goes",
	async () => {
		await onSshfs(async (disk, served) => {
			await using overlay = await mountLayers([{}], { disk, upper: { "d/file": "content" } });
			using opened = open(overlay.at("d/file"), "r+");
			expect(opened.text()).toBe("content");
			unlinkSync(overlay.at("d/file"));
			expect(readdirSync(overlay.at("d"))).toEqual([]);
			writeFileSync(opened.fd, "CONTENT");
			rmdirSync(overlay.at("d"));
			expect(opened.text()).toBe("CONTENT");
			opened.close();
			await overlay.unmount();
			await until(() => readdirSync(`${served}/upper`).length === 0, "something is left");
			expect(readFileSync("/proc/self/mounts", "utf8")).not.toContain(overlay.path);
		});
	},
);
