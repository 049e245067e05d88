/** The mountpoint or /proc taken from under the mount. */

import { describe, expect, test } from "bun:test";
import {
	existsSync,
	lstatSync,
	mkdirSync,
	readdirSync,
	readFileSync,
	renameSync,
	writeFileSync,
	writeSync,
} from "node:fs";
import { release } from "node:os";
import { open } from "../harness/descriptor.ts";
import { type TemporaryTree, temporaryTree } from "../harness/layers.ts";
import {
	daemonsOf,
	layerOptions,
	mountOverlay,
	type OverlayMount,
	runProgram,
	until,
} from "../harness/mount.ts";
import { findMount, mountTable, unmount } from "../harness/mount-table.ts";
import { MNT_DETACH, mount } from "../harness/native.ts";
import { mountLayers, Overlay } from "../harness/overlay.ts";
import { isKernel, program } from "../harness/program.ts";
import { refusing } from "../harness/refusing.ts";
import { lacks } from "../harness/setting.ts";
import { traced } from "../harness/strace.ts";
import { expectNothingLeft } from "./leftovers.ts";

const MS_BIND = 4096;
const MS_MOVE = 8192;
const MS_PRIVATE = 1 << 18;
const [major = 0, minor = 0] = release().split(".").map(Number);
/** getxattrat(2) and the like, Linux 6.13. */
const hasCallsOnNames = major > 6 || (major === 6 && minor >= 13);

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

/** A mount below a directory of its own. */
class MountBelow implements AsyncDisposable {
	readonly tree = temporaryTree();
	readonly parent = this.tree.layer("parent");
	readonly layers = { ...this.tree.layers([{ a: "a" }]), mountpoint: this.tree.layer("parent/merged") };
	mounted!: OverlayMount;

	static async make(): Promise<MountBelow> {
		const made = new MountBelow();
		// Not in the parent, which a test may cover.
		const environment = { FUSE_OVERLAYFS_DEBUG_LOG: made.tree.join("log") };
		made.mounted = await mountOverlay({ ...made.layers, environment });
		return made;
	}

	get log(): string {
		return read(this.tree.join("log"));
	}

	/** The types of what is mounted in the tree. */
	get types(): string[] {
		return mountTable()
			.filter(({ path }) => path.startsWith(`${this.tree.path}/`))
			.map(({ type }) => type);
	}

	signal(): void {
		for (const pid of this.mounted.daemons) process.kill(pid, "SIGTERM");
	}

	async ended(): Promise<void> {
		await until(() => this.mounted.daemons.length === 0, "the daemon stays after SIGTERM");
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.tree[Symbol.dispose]();
		await this.mounted.forget();
	}
}

const makeTmpfs = (path: string) => mount("tmpfs", path, "tmpfs", 0, "size=1m");

describe.skipIf(isKernel)("SIGTERM unmounts wherever the mount is by then", () => {
	test("with its parent renamed, and another directory in the place of that", async () => {
		await using below = await MountBelow.make();
		renameSync(below.parent, below.tree.join("renamed"));
		below.tree.layer("parent/merged", { other: "other" });
		below.signal();
		await below.ended();
		expect(below.types).toEqual([]);
		expect(readdirSync(below.mounted.path)).toEqual(["other"]);
	});

	test.skipIf(lacks("mounting"))("and leaves another mount alone that is in its place", async () => {
		await using below = await MountBelow.make();
		renameSync(below.parent, below.tree.join("renamed"));
		makeTmpfs(below.tree.layer("parent/merged"));
		below.signal();
		await below.ended();
		expect(below.types).toEqual(["tmpfs"]);
	});

	test.skipIf(lacks("mounting"))("with its mount moved", async () => {
		await using below = await MountBelow.make();
		await below.mounted.unmount();
		// Nothing can be moved out of a shared mount.
		makeTmpfs(below.parent);
		mount("none", below.parent, "", MS_PRIVATE, "");
		for (const name of ["merged", "elsewhere"]) mkdirSync(`${below.parent}/${name}`);
		await below.mounted.start();
		mount(below.mounted.path, `${below.parent}/elsewhere`, "", MS_MOVE, "");
		expect(read(`${below.parent}/elsewhere/a`)).toBe("a");
		below.signal();
		await below.ended();
		expect(below.types).toEqual(["tmpfs"]);
	});

	test.skipIf(lacks("mounting"))("and what shows it elsewhere, too, which nobody would answer", async () => {
		await using below = await MountBelow.make();
		mount(below.mounted.path, below.tree.layer("elsewhere"), "", MS_BIND, "");
		below.signal();
		await below.ended();
		expect(below.types).toEqual([]);
	});

	test.skipIf(lacks("mounting")).each(["it", "its parent"])(
		"with another mount over %s: not before that is gone, and until then all is answered",
		async (over) => {
			await using below = await MountBelow.make();
			using file = open(below.mounted.at("a"));
			const cover = over === "it" ? below.mounted.path : below.parent;
			makeTmpfs(cover);
			below.signal();
			await until(() => /^fuse-overlayfs: something else is mounted over /m.test(below.log), "no word of it");
			expect(file.text()).toBe("a");
			expect(below.types).toEqual(["fuse.fuse-overlayfs", "tmpfs"]);
			file.close();
			unmount(cover);
			await below.ended();
			expect(below.types).toEqual([]);
		},
	);

	test.skipIf(lacks("mounting") || Bun.which("strace") === null)(
		"with another mount over it, which goes just when that has been seen",
		async () => {
			await using below = await MountBelow.make();
			makeTmpfs(below.mounted.path);
			const traceable = { mount: below.mounted, tree: below.tree };
			// The daemon is slow between its looks at the table of mounts.
			await traced(traceable, ["trace=openat", "inject=openat:delay_enter=300000"], async () => {
				below.signal();
				await until(
					() => /^fuse-overlayfs: something else is mounted over /m.test(below.log),
					"no word of it",
				);
				unmount(below.mounted.path);
				await below.ended();
			});
			expect(below.types).toEqual([]);
		},
	);

	test.skipIf(lacks("mounting"))("of two mounts on one place, whichever is told first", async () => {
		await using below = await MountBelow.make();
		const second = { ...below.layers, upper: below.tree.layer("upper2"), work: below.tree.layer("work2") };
		await using upon = await mountOverlay(second);
		below.signal();
		expect(read(upon.at("a"))).toBe("a");
		for (const pid of upon.daemons) process.kill(pid, "SIGTERM");
		await below.ended();
		await until(() => upon.daemons.length === 0, "the second daemon stays after SIGTERM");
		expect(below.types).toEqual([]);
		await upon.forget();
	});

	test.skipIf(lacks("mounting"))("at once, and leaves the other mount, if it comes again", async () => {
		await using below = await MountBelow.make();
		makeTmpfs(below.mounted.path);
		below.signal();
		await until(() => below.log !== "", "no word of it");
		below.signal();
		await below.ended();
		expect(below.types.at(-1)).toBe("tmpfs");
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

	/** On a mount whose /proc goes; returns what is printed. */
	const workWithout = async (tree: TemporaryTree, command: string) => {
		const layers = tree.layers([{ a: "a", b: "b" }]);
		const { mountpoint } = layers;
		const { stdout, run: id } = await run(
			tree,
			`${command} -o ${layerOptions(layers)} ${mountpoint} || exit 1
			cd ${mountpoint}
			umount -l /proc
			cat a; chmod 600 a 2>&1; echo new >new; cat new; rm b; mkdir made; ls
			cd /; umount ${mountpoint}`,
		);
		await until(() => daemonsOf(id).length === 0, "the daemon stays after the unmount");
		expect(readdirSync(`${layers.work}/work`)).toEqual([]);
		return { stdout, upper: layers.upper };
	};

	test("that goes later, what needs it answers EIO and changes nothing; all else goes on", async () => {
		using tree = temporaryTree();
		const older = refusing("ENOSYS", "getxattrat,setxattrat,listxattrat,removexattrat");
		const { stdout, upper } = await workWithout(tree, older);
		expect(stdout).toBe("achmod: changing permissions of 'a': Input/output error\nnew\na\nmade\nnew\n");
		expect(read(tree.join("log"))).toMatch(/^fuse-overlayfs: setattr node \d+ "\/a": EIO: /m);
		expect(existsSync(`${upper}/a`)).toBeFalse();
	});

	test.skipIf(!hasCallsOnNames)("that goes later, copy-up does without it", async () => {
		using tree = temporaryTree();
		const { stdout, upper } = await workWithout(tree, program);
		expect(stdout).toBe("anew\na\nmade\nnew\n");
		expect(lstatSync(`${upper}/a`).mode & 0o777).toBe(0o600);
	});
});
