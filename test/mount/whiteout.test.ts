import { describe, expect, test } from "bun:test";
import {
	existsSync,
	linkSync,
	lstatSync,
	mkdirSync,
	readdirSync,
	readFileSync,
	renameSync,
	rmSync,
	symlinkSync,
	writeFileSync,
} from "node:fs";
import { directory, file, fillLayer, kernelsOpaque, type OpaqueFormat, whiteout } from "../harness/layers.ts";
import { mountKernelOverlay, mountOverlay } from "../harness/mount.ts";
import { codeOf, getxattr, listxattr, mknod, setxattr } from "../harness/native.ts";
import { mountLayers } from "../harness/overlay.ts";
import { debianProgram, isExecutable } from "../harness/program.ts";
import { lacks, overlayAttributes } from "../harness/setting.ts";
import { differences, snapshot } from "../harness/snapshot.ts";

const below = { gone: "hidden", "d/gone": "hidden", "d/kept": "kept", "dir/x": "hidden" };
const asFiles = { FUSE_OVERLAYFS_DISABLE_OVL_WHITEOUT: "1" };

describe("whiteouts are read", () => {
	test.each(["device", "file", "xattr"] as const)("as %s, in upper and lower layers", async (format) => {
		const hiding = { gone: whiteout(format), "d/gone": whiteout(format), dir: whiteout(format) };
		for (const place of ["upper", "lower"]) {
			await using overlay = await mountLayers(place === "upper" ? [below] : [hiding, below], {
				upper: place === "upper" ? hiding : {},
			});
			expect(readdirSync(overlay.path)).toEqual(["d"]);
			expect(readdirSync(overlay.at("d"))).toEqual(["kept"]);
			expect(existsSync(overlay.at("dir/x"))).toBeFalse();
			// The kernel knows no files, and xattrs only in lower layers; Debian's 1.10 no xattrs.
			await overlay.expectLasting({
				kernel: format === "device" || (format === "xattr" && place === "lower"),
				debian: format !== "xattr",
			});
		}
	});

	test("as xattr, if they are empty", async () => {
		await using overlay = await mountLayers([
			{ d: directory(), "d/gone": whiteout("xattr"), "d/full": "" },
			below,
		]);
		const full = `${overlayAttributes}.overlay.whiteout`;
		await overlay.unmount();
		setxattr(overlay.inLower("d/full"), full, "y");
		writeFileSync(overlay.inLower("d/full"), "full");
		await overlay.remount();
		expect(existsSync(overlay.at("d/full"))).toBeTrue();
		expect(readdirSync(overlay.at("d")).sort()).toEqual(["full", "kept"]);
		await overlay.expectLasting({ debian: false });
	});

	test("of a name that no layer has, and beside the name itself, they hide only what is below", async () => {
		await using overlay = await mountLayers([{ nothing: whiteout(), old: whiteout("file") }, below], {
			upper: { ".wh.gone": "", gone: "the upper layer's own" },
		});
		expect(readdirSync(overlay.path).sort()).toEqual(["d", "dir", "gone"]);
		expect(readFileSync(overlay.at("gone"), "utf8")).toBe("the upper layer's own");
	});
});

describe("opaque directories are read", () => {
	async function expectHiding(opaque: OpaqueFormat): Promise<void> {
		const hiding = { dir: directory({ opaque }), "dir/own": "own", d: directory({ opaque }) };
		for (const place of ["upper", "lower"]) {
			await using overlay = await mountLayers(place === "upper" ? [below] : [hiding, below], {
				upper: place === "upper" ? hiding : {},
			});
			expect(readdirSync(overlay.at("dir"))).toEqual(["own"]);
			expect(readdirSync(overlay.at("d"))).toEqual([]);
			expect(listxattr(overlay.at("dir"))).toEqual([]);
			await overlay.expectLasting({ kernel: opaque === kernelsOpaque });
		}
	}
	const formats: OpaqueFormat[] = ["user", "fuseoverlayfs", "file"];
	test.each(formats)("as %s, in upper and lower layers", expectHiding);
	const privileged = test.skipIf(lacks("trusted attributes"));
	privileged("as trusted, in upper and lower layers", () => expectHiding("trusted"));

	test("a directory below an opaque one is hidden whole, however many layers follow", async () => {
		await using overlay = await mountLayers([
			{ "d/first": "1" },
			{ d: directory({ opaque: kernelsOpaque }), "d/second": "2" },
			{ "d/third": "3" },
			{ "d/fourth": "4" },
		]);
		expect(readdirSync(overlay.at("d")).sort()).toEqual(["first", "second"]);
		await overlay.expectLasting();
	});
});

describe("written", () => {
	test("a whiteout is a device 0:0, an opaque directory has the attribute overlay.opaque", async () => {
		await using overlay = await mountLayers([below]);
		rmSync(overlay.at("gone"));
		rmSync(overlay.at("dir"), { recursive: true });
		mkdirSync(overlay.at("dir"));
		renameSync(overlay.at("d/kept"), overlay.at("moved"));
		await overlay.expectLasting();
		for (const name of ["gone", "d/kept"]) {
			const stats = lstatSync(overlay.inUpper(name));
			expect([stats.isCharacterDevice(), stats.rdev]).toEqual([true, 0]);
		}
		expect(getxattr(overlay.inUpper("dir"), `${overlayAttributes}.overlay.opaque`).toString()).toBe("y");
		expect(readdirSync(overlay.inUpper("dir"))).toEqual([]);
	});

	test("with FUSE_OVERLAYFS_DISABLE_OVL_WHITEOUT a whiteout is a file .wh.NAME", async () => {
		await using overlay = await mountLayers([below], { environment: asFiles });
		rmSync(overlay.at("gone"));
		rmSync(overlay.at("dir"), { recursive: true });
		mkdirSync(overlay.at("dir"));
		renameSync(overlay.at("d/kept"), overlay.at("moved"));
		expect(readdirSync(overlay.path).sort()).toEqual(["d", "dir", "moved"]);
		expect(readdirSync(overlay.at("d"))).toEqual(["gone"]);
		await overlay.expectLasting({ kernel: false });
		expect(readdirSync(overlay.inUpper()).sort()).toEqual([".wh.gone", "d", "dir", "moved"]);
		expect(readdirSync(overlay.inUpper("d"))).toEqual([".wh.kept"]);
		expect(lstatSync(overlay.inUpper(".wh.gone")).size).toBe(0);
	});

	test.each(["device", "file", "xattr"] as const)(
		"anything can be made over a whiteout as %s",
		async (format) => {
			const makers: Record<string, (path: string, root: string) => void> = {
				file: (path) => writeFileSync(path, "back"),
				directory: (path) => mkdirSync(path),
				symlink: (path) => symlinkSync("back", path),
				link: (path, root) => linkSync(`${root}/old`, path),
				fifo: (path) => mknod(path, 0o010600),
				moved: (path, root) => renameSync(`${root}/own`, path),
				movedDirectory: (path, root) => renameSync(`${root}/ownDirectory`, path),
			};
			const names = Object.keys(makers);
			for (const isListed of [false, true]) {
				const lower = Object.fromEntries(names.map((name) => [`d/${name}/x`, "hidden"]));
				const hiding = Object.fromEntries(names.map((name) => [`d/${name}`, whiteout(format)]));
				await using overlay = await mountLayers([{ ...lower, old: "old" }], {
					upper: { ...hiding, own: "own", ownDirectory: directory() },
				});
				if (isListed) expect(readdirSync(overlay.at("d"))).toEqual([]);
				for (const [name, make] of Object.entries(makers)) make(overlay.at("d", name), overlay.path);
				expect(readdirSync(overlay.at("d")).sort()).toEqual([...names].sort());
				for (const name of ["directory", "movedDirectory"])
					expect(readdirSync(overlay.at("d", name))).toEqual([]);
				await overlay.expectLasting({ debian: format !== "xattr" });
				await overlay.remount();
				for (const name of names) rmSync(overlay.at("d", name), { recursive: true });
				expect(readdirSync(overlay.at("d"))).toEqual([]);
				await overlay.expectLasting({ kernel: format === "device", debian: format !== "xattr" });
			}
		},
	);

	test("a directory with whiteouts as xattr does not become opaque: those would show", async () => {
		await using overlay = await mountLayers([{ "taken/x": "hidden" }], {
			upper: { "own/gone": whiteout("xattr"), "own/kept": "kept" },
		});
		rmSync(overlay.at("taken"), { recursive: true });
		expect(codeOf(() => renameSync(overlay.at("own"), overlay.at("taken")))).toBe("EXDEV");
		renameSync(overlay.at("own"), overlay.at("free"));
		await overlay.remount();
		expect(readdirSync(overlay.path)).toEqual(["free"]);
		expect(readdirSync(overlay.at("free"))).toEqual(["kept"]);
	});

	test("names come back over whiteouts of either format", async () => {
		await using overlay = await mountLayers([below], {
			upper: { gone: whiteout("file"), "d/gone": whiteout("device"), dir: whiteout("file") },
		});
		writeFileSync(overlay.at("gone"), "back");
		writeFileSync(overlay.at("d/gone"), "back");
		mkdirSync(overlay.at("dir"));
		expect(readdirSync(overlay.at("dir"))).toEqual([]);
		await overlay.expectLasting();
		expect(readdirSync(overlay.inUpper()).sort()).toEqual(["d", "dir", "gone"]);
	});
});

describe("upper layers that others wrote are read", () => {
	function change(root: string): void {
		rmSync(`${root}/gone`);
		rmSync(`${root}/dir`, { recursive: true });
		mkdirSync(`${root}/dir`);
		writeFileSync(`${root}/dir/new`, "new");
		writeFileSync(`${root}/d/kept`, "changed");
		renameSync(`${root}/lower`, `${root}/renamed`);
		mkdirSync(`${root}/made/by/others`, { recursive: true });
	}
	const lower = { ...below, lower: file("x", { mode: 0o640, xattrs: { "user.note": "y" } }) };

	test.skipIf(lacks("kernel overlayfs"))("by kernel overlayfs", async () => {
		await using overlay = await mountLayers([lower]);
		await overlay.unmount();
		let seen: ReturnType<typeof snapshot>;
		{
			using kernel = mountKernelOverlay({ ...overlay.layers, mountpoint: overlay.tree.join("kernel") });
			change(kernel.path);
			seen = snapshot(kernel.path);
		}
		await overlay.remount();
		expect(differences(seen, snapshot(overlay.path))).toEqual([]);
	});

	test.skipIf(!isExecutable(debianProgram)).each(["device", "file"])(
		"by Debian's fuse-overlayfs, whiteout as %s",
		async (format) => {
			await using overlay = await mountLayers([lower]);
			await overlay.unmount();
			const environment = format === "file" ? asFiles : {};
			const request = { ...overlay.layers, mountpoint: overlay.tree.layer("debian"), program: debianProgram };
			await using debian = await mountOverlay({ ...request, environment });
			change(debian.path);
			await debian.remount();
			// It moves times when its cache is written back.
			const seen = snapshot(debian.path, { ignoreTimes: true });
			await debian.unmount();
			await overlay.remount();
			expect(differences(seen, snapshot(overlay.path, { ignoreTimes: true }))).toEqual([]);
		},
	);

	test.skipIf(lacks("kernel overlayfs"))("an upper layer that grew under the work of all three", async () => {
		await using overlay = await mountLayers([{ ...lower, "d/more": "1", "d/most": "2" }]);
		rmSync(overlay.at("d/more"));
		fillLayer(overlay.at("ours"), { a: "a" });
		await overlay.unmount();
		{
			using kernel = mountKernelOverlay({ ...overlay.layers, mountpoint: overlay.tree.join("kernel") });
			change(kernel.path);
			writeFileSync(`${kernel.path}/ours/a`, "kernel");
		}
		await overlay.remount();
		writeFileSync(overlay.at("made/by/us"), "us");
		rmSync(overlay.at("d/most"));
		expect(readFileSync(overlay.at("ours/a"), "utf8")).toBe("kernel");
		await overlay.expectLasting();
	});
});
