/** Directories of a mount that are mount points, or lie behind some: each is the one that its path names. */

import { describe, expect, test } from "bun:test";
import {
	existsSync,
	mkdirSync,
	readdirSync,
	readFileSync,
	rmSync,
	symlinkSync,
	writeFileSync,
} from "node:fs";
import { open } from "../harness/descriptor.ts";
import { type TemporaryTree, temporaryTree } from "../harness/layers.ts";
import { layerOptions, mountOverlay, type RunOptions, runProgram } from "../harness/mount.ts";
import { findMount, mountTable } from "../harness/mount-table.ts";
import { mount } from "../harness/native.ts";
import { mountLayers } from "../harness/overlay.ts";
import { isKernel, program } from "../harness/program.ts";
import { lacks } from "../harness/setting.ts";

const MS_BIND = 4096;
const read = (path: string) => readFileSync(path, "utf8");
const bind = (from: string, to: string) => mount(from, to, "", MS_BIND, "");

/** Layers with a file each, on places of their own that tests mount at others. */
function volumes(tree: TemporaryTree) {
	return {
		volume: tree.layer("volume", { "u/up": "up", "w/.keep": "", "l/low": "low" }),
		below: tree.layer("below", { "u/hidden": "hidden", "w/.keep": "", "l/hidden": "hidden" }),
		mountpoint: tree.layer("merged"),
	};
}

/** Mounts what `paths` name, and expects to see the volume's files and changes to land there. */
async function expectVolume(
	tree: TemporaryTree,
	volume: string,
	paths: { readonly lower: string; readonly upper: string; readonly work: string },
	options: RunOptions = {},
): Promise<void> {
	const request = { ...paths, lower: [paths.lower], mountpoint: tree.join("merged"), ...options };
	await using overlay = await mountOverlay(request);
	expect(readdirSync(overlay.path).sort()).toEqual(["low", "up"]);
	writeFileSync(overlay.at("new"), "new");
	writeFileSync(overlay.at("low"), "changed");
	rmSync(overlay.at("up"));
	await overlay.unmount();
	expect(readdirSync(`${volume}/u`).sort()).toEqual(["low", "new"]);
	expect([read(`${volume}/u/new`), read(`${volume}/u/low`), read(`${volume}/l/low`)]).toEqual([
		"new",
		"changed",
		"low",
	]);
}

describe.skipIf(lacks("mounting") || isKernel)(
	"a mount point on the way to upperdir, workdir and lowerdir",
	() => {
		test("over what they share is the place where changes land", async () => {
			using tree = temporaryTree();
			const { volume, below } = volumes(tree);
			bind(volume, below);
			await expectVolume(tree, volume, { lower: `${below}/l`, upper: `${below}/u`, work: `${below}/w` });
		});

		test("of another file system is one, too", async () => {
			using tree = temporaryTree();
			const { below } = volumes(tree);
			mount("tmpfs", below, "tmpfs", 0, "size=1m");
			for (const name of ["u", "w", "l"]) mkdirSync(`${below}/${name}`);
			for (const name of ["u/up", "l/low"]) writeFileSync(`${below}/${name}`, name.slice(2));
			await expectVolume(tree, below, { lower: `${below}/l`, upper: `${below}/u`, work: `${below}/w` });
		});

		test("is followed through symlinks", async () => {
			using tree = temporaryTree();
			const { volume, below } = volumes(tree);
			bind(volume, below);
			for (const name of ["u", "w", "l"]) symlinkSync(`below/${name}`, tree.join(name));
			await expectVolume(tree, volume, {
				lower: tree.join("l"),
				upper: tree.join("u"),
				work: tree.join("w"),
			});
		});

		test("does not count for who is already behind it: in the working directory", async () => {
			using tree = temporaryTree();
			const { volume, below } = volumes(tree);
			const script = `mount --bind "${below}" "${volume}" && exec "$0" -o lowerdir=l,upperdir=u,workdir=w "${tree.join("merged")}"`;
			const { exitCode, stderr } = await runProgram(["-c", script, program], { program: "sh", cwd: volume });
			expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
			writeFileSync(tree.join("merged/new"), "new");
			expect(readdirSync(tree.join("merged")).sort()).toEqual(["low", "new", "up"]);
			expect(readdirSync(`${below}/u`)).toEqual(["hidden"]);
		});

		test("does not count for descriptors opened before", async () => {
			using tree = temporaryTree();
			const { volume, below } = volumes(tree);
			using lower = open(`${volume}/l`);
			using upper = open(`${volume}/u`);
			using work = open(`${volume}/w`);
			bind(below, volume);
			const [l, u, w] = [3, 4, 5].map((fd) => `/proc/self/fd/${fd}`) as [string, string, string];
			const request = { lower: [l], upper: u, work: w, mountpoint: tree.join("merged") };
			await using overlay = await mountOverlay({ ...request, inherit: [lower.fd, upper.fd, work.fd] });
			writeFileSync(overlay.at("new"), "new");
			expect(readdirSync(overlay.path).sort()).toEqual(["low", "new", "up"]);
			expect(readdirSync(`${below}/u`)).toEqual(["hidden"]);
		});
	},
);

describe.skipIf(lacks("mounting") || isKernel)("a directory that is itself a mount point", () => {
	test.each([
		["upperdir and workdir", ["u", "w"]],
		["upperdir", ["u"]],
		["workdir", ["w"]],
	] as const)(
		"as %s, in a mount of its own: refused, as nothing can be moved there, and unchanged",
		async (_, own) => {
			using tree = temporaryTree();
			const { volume, below, mountpoint } = volumes(tree);
			for (const name of own) bind(`${volume}/${name}`, `${below}/${name}`);
			const layers = { lower: [`${below}/l`], upper: `${below}/u`, work: `${below}/w` };
			const { exitCode, stderr } = await runProgram(["-o", layerOptions(layers), mountpoint]);
			expect(stderr).toMatch(/^fuse-overlayfs: .*another mount.*\n$/);
			expect(stderr).toContain(layers.upper);
			expect(stderr).toContain(layers.work);
			expect(exitCode).toBe(1);
			expect(findMount(mountpoint)).toBeUndefined();
			for (const path of [volume, below]) expect(readdirSync(`${path}/w`)).toEqual([".keep"]);
			// Kernel overlayfs refuses it for the same reason.
			expect(() => mount("overlay", mountpoint, "overlay", 0, layerOptions(layers))).toThrow();
		},
	);

	test.each(["bind", "tmpfs", "overlay", "FUSE"])(
		"as lowerdir shows what is mounted there: %s",
		async (kind) => {
			await using inner = await mountLayers([{ low: "low" }]);
			using tree = temporaryTree();
			const { volume, below } = volumes(tree);
			const lower = `${below}/l`;
			if (kind === "bind") bind(`${volume}/l`, lower);
			if (kind === "FUSE") bind(inner.path, lower);
			if (kind === "overlay") {
				const lowers = { lower: [`${volume}/l`, `${volume}/w`] };
				mount("overlay", lower, "overlay", 0, layerOptions(lowers));
			}
			if (kind === "tmpfs") {
				mount("tmpfs", lower, "tmpfs", 0, "size=1m");
				writeFileSync(`${lower}/low`, "low");
			}
			const request = { lower: [lower], upper: `${volume}/u`, work: `${volume}/w` };
			await using overlay = await mountOverlay({ ...request, mountpoint: tree.join("merged") });
			expect(readdirSync(overlay.path)).toContain("low");
			expect(read(overlay.at("low"))).toBe("low");
			writeFileSync(overlay.at("low"), "changed");
			expect([read(`${lower}/low`), read(`${volume}/u/low`)]).toEqual(["low", "changed"]);
			await overlay.unmount();
		},
	);
});

describe.skipIf(isKernel)("a mountpoint that is a layer", () => {
	// Each layer is opened before the mount hides it, and is there again after it. The kernel and C allow it as well.
	test.each(["lower", "upper", "work"] as const)("the %s one: it is whole below the mount", async (name) => {
		using tree = temporaryTree();
		const layers = tree.layers([{ low: "low", gone: "gone" }], { up: "up" });
		const mountpoint = name === "lower" ? (layers.lower[0] as string) : layers[name];
		await using overlay = await mountOverlay({ ...layers, mountpoint });
		expect(readdirSync(overlay.path).sort()).toEqual(["gone", "low", "up"]);
		writeFileSync(overlay.at("low"), "changed");
		rmSync(overlay.at("gone"));
		writeFileSync(overlay.at("new"), "new");
		await overlay.unmount();
		expect(mountTable().filter(({ path }) => path.startsWith(tree.path))).toEqual([]);
		expect([read(`${layers.upper}/low`), read(`${layers.upper}/new`), read(`${layers.upper}/up`)]).toEqual([
			"changed",
			"new",
			"up",
		]);
		expect(read(`${layers.lower[0]}/low`)).toBe("low");
		expect(existsSync(`${layers.lower[0]}/gone`)).toBeTrue();
		await overlay.start();
		expect(readdirSync(overlay.path).sort()).toEqual(["low", "new", "up"]);
	});
});
