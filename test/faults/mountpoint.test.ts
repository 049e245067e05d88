/** The mountpoint or /proc taken from under the mount. */

import { describe, expect, test } from "bun:test";
import {
	existsSync,
	mkdirSync,
	readdirSync,
	readFileSync,
	renameSync,
	writeFileSync,
	writeSync,
} from "node:fs";
import { open } from "../harness/descriptor.ts";
import { temporaryTree } from "../harness/layers.ts";
import { daemonsOf, layerOptions, mountOverlay, runProgram, until } from "../harness/mount.ts";
import { findMount, unmount } from "../harness/mount-table.ts";
import { MNT_DETACH } from "../harness/native.ts";
import { mountLayers, Overlay } from "../harness/overlay.ts";
import { isKernel, program } from "../harness/program.ts";
import { lacks } from "../harness/setting.ts";
import { expectNothingLeft } from "./leftovers.ts";

const read = (path: string) => readFileSync(path, "utf8");

describe.skipIf(isKernel)("a mount that is unmounted lazily while it is busy", () => {
	test("serves those who have files open, and ends with the last of them", async () => {
		await using overlay = await mountLayers([{ low: "low", "d/x": "x" }]);
		using lower = open(overlay.at("low"), "r+");
		using made = open(overlay.at("made"), "w+");
		const inside = Bun.spawn(["sh", "-c", "read go; echo more >>x; mkdir y; cat x ../low"], {
			cwd: overlay.at("d"),
			stdio: ["pipe", "pipe", "ignore"],
		});
		unmount(overlay.path, MNT_DETACH);
		expect(findMount(overlay.path)).toBeUndefined();
		writeSync(lower.fd, "LOW");
		writeSync(made.fd, "made");
		expect([lower.text(), made.text()]).toEqual(["LOW", "made"]);
		inside.stdin.write("go\n");
		inside.stdin.end();
		expect(await new Response(inside.stdout).text()).toBe("xmore\nLOW");
		expect(await inside.exited).toBe(0);
		await expectNothingLeft(overlay);
		expect(overlay.mount.daemons.length).toBe(1);
		lower.close();
		made.close();
		await until(() => overlay.mount.daemons.length === 0, "the daemon stays after the last file was closed");
		expect([read(overlay.inUpper("low")), read(overlay.inUpper("made"))]).toEqual(["LOW", "made"]);
		await overlay.mount.forget();
		await overlay.mount.start();
		expect(read(overlay.at("d/x"))).toBe("xmore\n");
		await overlay.expectLasting();
	});
});

describe.skipIf(isKernel)("a mountpoint whose parent is renamed", () => {
	test("goes with it, and can be unmounted there", async () => {
		using tree = temporaryTree();
		mkdirSync(tree.join("parent"));
		const layers = { ...tree.layers([{ a: "a" }]), mountpoint: tree.layer("parent/merged") };
		const mounted = await mountOverlay(layers);
		const overlay = new Overlay(tree, layers, mounted, false);
		renameSync(tree.join("parent"), tree.join("renamed"));
		const moved = tree.join("renamed/merged");
		writeFileSync(`${moved}/a`, "changed");
		expect(read(overlay.inUpper("a"))).toBe("changed");
		unmount(moved);
		await until(() => mounted.daemons.length === 0, "the daemon stays after the unmount");
		await mounted.forget();
	});
});

describe.skipIf(lacks("mounting") || isKernel)(
	"a mountpoint that is removed where the mount is not seen",
	() => {
		test("takes the mount with it: the daemon ends", async () => {
			using tree = temporaryTree();
			const layers = tree.layers([{ a: "a" }]);
			const elsewhere = Bun.spawn(
				[
					"unshare",
					"-m",
					"--propagation",
					"private",
					"sh",
					"-c",
					'echo; read go; rm -r "$0"',
					layers.mountpoint,
				],
				{ stdio: ["pipe", "pipe", "inherit"] },
			);
			await elsewhere.stdout.getReader().read();
			const mounted = await mountOverlay(layers);
			writeFileSync(mounted.at("new"), "new");
			elsewhere.stdin.write("go\n");
			elsewhere.stdin.end();
			expect(await elsewhere.exited).toBe(0);
			await until(() => mounted.daemons.length === 0, "the daemon stays after its mountpoint went");
			expect(findMount(layers.mountpoint)).toBeUndefined();
			expect(read(`${layers.upper}/new`)).toBe("new");
			await mounted.forget();
		});
	},
);

describe.skipIf(lacks("the machine's root") || isKernel)("without /proc", () => {
	/** In a mount namespace of its own, so that only those started in it miss anything. */
	const run = async (tree: { join(name: string): string }, script: string) =>
		await runProgram(["-m", "--propagation", "private", "sh", "-c", script], {
			program: "unshare",
			environment: { FUSE_OVERLAYFS_DEBUG_LOG: tree.join("log") },
		});

	test("nothing is mounted: the program says so by its exit status, and leaves no process", async () => {
		using tree = temporaryTree();
		const layers = tree.layers([{ a: "a" }]);
		const command = `${program} -o ${layerOptions(layers)} ${layers.mountpoint}`;
		const { stdout, run: id } = await run(
			tree,
			`umount -l /proc; ${command}; [ $? -ne 0 ] && echo refused; ls ${layers.mountpoint}`,
		);
		expect(stdout).toBe("refused\n");
		expect(daemonsOf(id)).toEqual([]);
		expect(readdirSync(layers.upper)).toEqual([]);
	});

	test("that goes later, what needs it answers EIO and changes nothing; all else goes on", async () => {
		using tree = temporaryTree();
		const layers = tree.layers([{ a: "a", b: "b" }]);
		const { mountpoint } = layers;
		const { stdout, run: id } = await run(
			tree,
			`${program} -o ${layerOptions(layers)} ${mountpoint} || exit 1
			cd ${mountpoint}
			umount -l /proc
			cat a; chmod 600 a 2>&1; echo new >new; cat new; rm b; mkdir made; ls
			cd /; umount ${mountpoint}`,
		);
		expect(stdout).toBe("achmod: changing permissions of 'a': Input/output error\nnew\na\nmade\nnew\n");
		await until(() => daemonsOf(id).length === 0, "the daemon stays after the unmount");
		expect(read(tree.join("log"))).toMatch(/^fuse-overlayfs: setattr node \d+ "\/a": EIO: /m);
		expect(existsSync(`${layers.upper}/a`)).toBeFalse();
		expect(readdirSync(`${layers.work}/work`)).toEqual([]);
	});
});
