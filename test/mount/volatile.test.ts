/**
 * `volatile`: kernel overlayfs's mark in the workdir, left and heeded; and a workdir with other marks. (What is synced and what
 * not: docs/decisions/durable-copy-up.md, and `bun run crash`.)
 */

import { describe, expect, test } from "bun:test";
import {
	chmodSync,
	existsSync,
	mkdirSync,
	readdirSync,
	readFileSync,
	rmSync,
	statSync,
	writeFileSync,
} from "node:fs";
import { directory, file, type Layers, type TemporaryTree, temporaryTree } from "../harness/layers.ts";
import { mountKernelOverlay, mountOverlay, until } from "../harness/mount.ts";
import { codeOf, mknod, mount as mountCall } from "../harness/native.ts";
import { isKernel } from "../harness/program.ts";
import { lacks, setting } from "../harness/setting.ts";

/** Messages go to stderr, not to the log. */
const onStderr = { environment: { FUSE_OVERLAYFS_DEBUG_LOG: "" } };
const volatile = { ...onStderr, options: ["volatile"] };
const thisBoot = readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim();
const otherBoot = "00000000-0000-4000-8000-000000000000";

const layersIn = (tree: TemporaryTree) => tree.layers([{ lower: "lower" }], { upper: "upper" });
const marked = ({ work }: Layers) => `${work}/work/incompat/volatile`;

/** A mark in the workdir as somebody else leaves it. */
function leave({ work }: Layers, content: string, feature = "volatile"): void {
	mkdirSync(`${work}/work/incompat/${feature}`, { recursive: true });
	writeFileSync(`${work}/work/incompat/${feature}/dirty`, content);
}

/** What is in the workdir, and how much of it. */
function contentOf({ work }: Layers): string[] {
	const paths = readdirSync(work, { recursive: true, encoding: "latin1" });
	return paths.map((path) => `${path} ${statSync(`${work}/${path}`).size}`).sort();
}

const damaged =
	/^.*: workdir .*\/work was used with volatile: if the machine has crashed since, upperdir .*\/upper may be damaged: look at it with ro, and give a new upperdir and workdir; or, if it has not, remove .*\/work\/work\/incompat\/volatile\n$/s;

describe.skipIf(isKernel)("a volatile mount", () => {
	test("leaves the kernel's mark, with this boot in it", async () => {
		using tree = temporaryTree();
		const layers = layersIn(tree);
		await using mount = await mountOverlay({ ...layers, ...volatile });
		expect(readFileSync(`${marked(layers)}/dirty`, "latin1")).toBe(thisBoot);
		writeFileSync(mount.at("lower"), "changed");
		await mount.unmount();
		expect(readFileSync(`${marked(layers)}/dirty`, "latin1")).toBe(thisBoot);
		expect(readFileSync(`${layers.upper}/lower`, "latin1")).toBe("changed");
	});

	test.each(["fsync=0", "fsync=1", "volatile=0", "fsync=strict", "volatile,ro", "volatile,fsync=auto"])(
		"is none with %s, which leaves no mark",
		async (option) => {
			using tree = temporaryTree();
			const layers = layersIn(tree);
			await using mount = await mountOverlay({ ...layers, options: [option] });
			await mount.unmount();
			expect(existsSync(`${layers.work}/work/incompat`)).toBe(false);
		},
	);

	test("may come again and again while the machine runs, and so may fsync=volatile", async () => {
		using tree = temporaryTree();
		const layers = layersIn(tree);
		await using mount = await mountOverlay({ ...layers, ...volatile });
		writeFileSync(mount.at("new"), "new");
		await mount.remount();
		expect(readFileSync(mount.at("new"), "latin1")).toBe("new");
		await mount.remount({ options: ["fsync=volatile"] });
		expect([readFileSync(mount.at("new"), "latin1"), existsSync(marked(layers))]).toEqual(["new", true]);
	});

	test("whose daemon was killed refuses none after it", async () => {
		using tree = temporaryTree();
		const layers = layersIn(tree);
		await using mount = await mountOverlay({ ...layers, ...volatile });
		writeFileSync(mount.at("new"), "new");
		for (const pid of mount.daemons) process.kill(pid, "SIGKILL");
		await until(() => mount.daemons.length === 0, "the daemon survives SIGKILL");
		await mount.forget();
		await mount.start();
		expect([readdirSync(mount.path).sort(), mount.stderr]).toEqual([["lower", "new", "upper"], ""]);
	});

	test("is followed by one that is not: what is there is synced, and the mark goes", async () => {
		using tree = temporaryTree();
		const layers = layersIn(tree);
		await using mount = await mountOverlay({ ...layers, ...volatile });
		await mount.remount({ options: [] });
		expect(contentOf(layers)).not.toContainEqual(expect.stringContaining("incompat"));
	});

	test("beside another on the same layers keeps its mark", async () => {
		using tree = temporaryTree();
		const layers = layersIn(tree);
		await using mount = await mountOverlay({ ...layers, ...volatile });
		await using second = await mountOverlay({ ...layers, mountpoint: tree.layer("second") });
		await second.unmount();
		expect(existsSync(`${marked(layers)}/dirty`)).toBe(true);
		await mount.unmount();
	});

	test("as podman makes it, which removes the mark before, is one of many", async () => {
		using tree = temporaryTree();
		const layers = layersIn(tree);
		for (const _ of [1, 2, 3]) {
			// Of an earlier boot, as after a crash: the container's content is podman's business.
			leave(layers, otherBoot);
			rmSync(marked(layers), { recursive: true });
			await using mount = await mountOverlay({ ...layers, ...volatile });
			rmSync(marked(layers), { recursive: true });
			await mount.unmount();
			expect(mount.stderr).toBe("");
		}
	});
});

describe.skipIf(isKernel)("a workdir that was used with volatile", () => {
	test.each([
		["in an earlier boot", otherBoot],
		["by the kernel, which notes no boot", ""],
		["in a boot that was not written down to its end", thisBoot.slice(0, -1)],
	])("%s is refused, and stays as it is", async (_, content) => {
		using tree = temporaryTree();
		const layers = layersIn(tree);
		leave(layers, content);
		writeFileSync(`${layers.work}/work/#1`, "left");
		const before = contentOf(layers);
		for (const options of [[], ["volatile"], ["fsync=strict"]]) {
			expect(mountOverlay({ ...layers, options })).rejects.toThrow(damaged);
		}
		expect(contentOf(layers)).toEqual(before);
	});

	test("can be looked at with ro, and is used once the mark is removed", async () => {
		using tree = temporaryTree();
		const layers = layersIn(tree);
		leave(layers, otherBoot);
		await using mount = await mountOverlay({ ...layers, options: ["ro"] });
		expect(readFileSync(mount.at("upper"), "latin1")).toBe("upper");
		await mount.unmount();
		rmSync(marked(layers), { recursive: true });
		await mount.remount({ options: [] });
		writeFileSync(mount.at("lower"), "changed");
	});

	test("is refused although its directories are closed, as the kernel's are", async () => {
		using tree = temporaryTree();
		const layers = layersIn(tree);
		leave(layers, "");
		const closed = [marked(layers), `${layers.work}/work/incompat`, `${layers.work}/work`];
		for (const path of closed) chmodSync(path, 0);
		expect(mountOverlay(layers)).rejects.toThrow(damaged);
		for (const path of closed.toReversed()) {
			expect(statSync(path).mode & 0o7777).toBe(0);
			chmodSync(path, 0o700);
		}
		rmSync(marked(layers), { recursive: true });
		chmodSync(`${layers.work}/work/incompat`, 0);
		chmodSync(`${layers.work}/work`, 0);
		await using mount = await mountOverlay(layers);
		writeFileSync(mount.at("lower"), "changed");
		expect(existsSync(`${layers.work}/work/incompat`)).toBe(false);
	});

	test.skipIf(lacks("kernel overlayfs"))(
		"is refused by the kernel, too, and the other way round",
		async () => {
			using tree = temporaryTree();
			const layers = layersIn(tree);
			await using mount = await mountOverlay({ ...layers, ...volatile });
			await mount.unmount();
			const kernels = { ...layers, mountpoint: tree.layer("kernel") };
			expect(codeOf(() => mountKernelOverlay(kernels))).toBe("EINVAL");
			expect(codeOf(() => mountKernelOverlay(kernels, "volatile"))).toBe("EINVAL");
			rmSync(marked(layers), { recursive: true });
			mountKernelOverlay(kernels, "volatile")[Symbol.dispose]();
			expect(mountOverlay(layers)).rejects.toThrow(damaged);
			rmSync(marked(layers), { recursive: true });
			await mount.remount({ options: [] });
		},
	);
});

describe.skipIf(isKernel)("marks in the workdir that are none", () => {
	test("of a feature unknown here are refused, whatever else is there", async () => {
		using tree = temporaryTree();
		const layers = layersIn(tree);
		leave(layers, thisBoot);
		leave(layers, "", "fea\nture");
		expect(mountOverlay({ ...layers, ...volatile })).rejects.toThrow(
			/: workdir .*\/work needs the feature fea\\nture \(.*\/work\/work\/incompat\), which this program does not have: mount it with what made it, or give a new upperdir and workdir\n$/,
		);
		expect(existsSync(marked(layers))).toBe(true);
	});

	test.each([
		["a file", file("")],
		["an empty directory", directory()],
	])("%s in their place is left-over junk", async (_, made) => {
		using tree = temporaryTree();
		const layers = tree.layers([{ lower: "lower" }]);
		tree.layer("work", { "work/incompat": made });
		await using mount = await mountOverlay({ ...layers, ...volatile });
		expect(mount.stderr).toBe("");
		expect(existsSync(`${marked(layers)}/dirty`)).toBe(true);
	});

	test("a FIFO for the boot is waited for by nobody", async () => {
		using tree = temporaryTree();
		const layers = layersIn(tree);
		mkdirSync(marked(layers), { recursive: true });
		mknod(`${marked(layers)}/dirty`, 0o010600);
		expect(mountOverlay(layers)).rejects.toThrow(damaged);
	});
});

const fullDisks = [
	["that takes no further file", "size=1m,nr_inodes=7"],
	["that takes no further byte", "size=4k"],
] as const;
test.skipIf(isKernel || setting !== "root").each(fullDisks)(
	"a full disk, %s, is mounted again and again, and told of where it cannot be marked",
	async (_, options) => {
		using tree = temporaryTree();
		const layers = tree.layers([{ lower: "lower" }], {}, (path) =>
			mountCall("tmpfs", path, "tmpfs", 0, options),
		);
		mkdirSync(`${layers.work}/work`);
		writeFileSync(`${layers.upper}/full`, options.startsWith("size=4k") ? "all there is room for" : "");
		for (let mounts = 0; mounts < 2; mounts++) {
			await using mount = await mountOverlay({ ...layers, ...volatile });
			expect(mount.stderr).toMatch(/: workdir .* cannot be marked as volatile, as the disk is full: /);
			expect(readdirSync(`${layers.work}/work`)).not.toContain("incompat");
			if (mounts === 1) rmSync(mount.at("full"));
		}
	},
);
