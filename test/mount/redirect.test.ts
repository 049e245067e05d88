/**
 * Renamed directories as kernel overlayfs leaves them with `redirect_dir=on`: a mark says where the layers below have what
 * belongs to them. They are shown as the kernel shows them; what is not to be followed, or leads nowhere, is an error to
 * whoever asks for it, and a line in the log: never an empty directory.
 */

import { describe, expect, test } from "bun:test";
import {
	appendFileSync,
	lstatSync,
	mkdirSync,
	readdirSync,
	readFileSync,
	renameSync,
	rmdirSync,
	rmSync,
	writeFileSync,
} from "node:fs";
import { type Description, directory, symlink, temporaryTree, whiteout } from "../harness/layers.ts";
import { mountOverlay, type OverlayMount } from "../harness/mount.ts";
import { codeOf, mount, setxattr } from "../harness/native.ts";
import { mountLayers } from "../harness/overlay.ts";
import { isKernel } from "../harness/program.ts";
import { inKernel, lower, numbersIn, renameAround } from "../harness/redirects.ts";
import { lacks, overlayAttributes } from "../harness/setting.ts";
import { differences, snapshot } from "../harness/snapshot.ts";

const redirect = `${overlayAttributes}.overlay.redirect`;
/** The marks of a user's namespace are believed only where asked to. */
const follow = overlayAttributes === "user" ? ["redirect_dir=follow"] : [];
const renamed = (from: string) => directory({ xattrs: { [redirect]: from } });
/** A directory that kernel overlayfs would have moved something into. */
const receiving = directory({ xattrs: { [`${overlayAttributes}.overlay.impure`]: "y" } });

/** What a directory renamed so is, to whoever asks for it: an error's code, or its names. */
function shown(mounted: OverlayMount, name: string): string {
	let names: string[] = [];
	const code = codeOf(() => {
		names = readdirSync(mounted.at(name)).sort();
	});
	return code ?? names.join(" ");
}

function linesOf(mounted: OverlayMount, name: string): string[] {
	return mounted.log.split("\n").filter((line) => line.includes(`refused /${name}:`));
}

describe.skipIf(lacks("trusted attributes") || isKernel)("directories that kernel overlayfs renamed", () => {
	test("are shown as the kernel shows them, with the same numbers", async () => {
		using tree = temporaryTree();
		const layers = tree.layers([lower]);
		inKernel(layers, () => renameAround(layers.mountpoint));
		// Otherwise nothing is proved.
		expect(readdirSync(`${layers.upper}/own/apart/sub`)).toEqual(["deep"]);
		const [kernels, kernelsNumbers] = inKernel(layers, () => [
			snapshot(layers.mountpoint),
			numbersIn(layers.mountpoint),
		]);
		for (const options of [[], ["timeout=0"], ["redirect_dir=off"], ["redirect_dir=follow"]]) {
			await using mounted = await mountOverlay({ ...layers, options });
			expect(differences(snapshot(mounted.path), kernels)).toEqual([]);
			expect(numbersIn(mounted.path)).toEqual(kernelsNumbers);
			expect(readFileSync(mounted.at("own/apart/sub/deep/f"), "utf8")).toBe("f");
		}
	});

	test("are shown so from lower layers, alone and under changes of ours", async () => {
		using tree = temporaryTree();
		const layers = tree.layers([lower]);
		inKernel(layers, () => renameAround(layers.mountpoint));
		// Once more, over what was renamed already.
		const second = {
			...layers,
			lower: [layers.upper, ...layers.lower],
			upper: tree.layer("upper2"),
			work: tree.layer("work2"),
		};
		inKernel(second, () => {
			renameSync(`${layers.mountpoint}/own/apart/sub`, `${layers.mountpoint}/sub`);
			renameSync(`${layers.mountpoint}/own`, `${layers.mountpoint}/mine`);
			renameSync(`${layers.mountpoint}/new`, `${layers.mountpoint}/newer`);
		});
		// An upper layer of its own gives the root other times.
		const look = (root: string) => snapshot(root, { ignoreTimes: true });
		const kernels = inKernel(second, () => look(layers.mountpoint));
		const stack = [second.upper, ...second.lower];
		const mountpoint = layers.mountpoint;
		{
			await using mounted = await mountOverlay({ lower: stack, mountpoint });
			expect(differences(look(mounted.path), kernels)).toEqual([]);
		}
		const third = { lower: stack, upper: tree.layer("upper3"), work: tree.layer("work3"), mountpoint };
		{
			await using mounted = await mountOverlay(third);
			expect(differences(look(mounted.path), kernels)).toEqual([]);
			appendFileSync(mounted.at("sub/deep/f"), " changed");
			writeFileSync(mounted.at("newer/mine"), "mine");
			rmSync(mounted.at("mine/apart/inner"));
			rmSync(mounted.at("old"), { recursive: true });
			mkdirSync(mounted.at("old"));
			expect(readdirSync(mounted.at("old"))).toEqual([]);
		}
		inKernel(third, () => {
			expect(readFileSync(`${mountpoint}/sub/deep/f`, "utf8")).toBe("f changed");
			expect(readdirSync(`${mountpoint}/newer`).sort()).toEqual(["inner", "mine"]);
			expect(readdirSync(`${mountpoint}/mine/apart`)).toEqual([]);
			expect(readdirSync(`${mountpoint}/old`)).toEqual([]);
		});
	});

	test("can be used and removed, and what is below their old names stays hidden", async () => {
		using tree = temporaryTree();
		const layers = tree.layers([lower]);
		inKernel(layers, () => renameAround(layers.mountpoint));
		{
			await using mounted = await mountOverlay(layers);
			// Few descriptors, or none to spare, are no reason to look elsewhere.
			rmSync(mounted.at("new"), { recursive: true });
			rmSync(mounted.at("own/apart"), { recursive: true });
			rmdirSync(mounted.at("own"));
			expect(codeOf(() => rmdirSync(mounted.at("both")))).toBe("ENOTEMPTY");
		}
		const left = ["both", "old", "other", "plain", "third"];
		inKernel(layers, () => expect(readdirSync(layers.mountpoint).sort()).toEqual(left));
		expect(readdirSync(`${layers.lower[0]}/old`).sort()).toEqual(["inner", "sub"]);
	});

	test("are refused with redirect_dir=nofollow, as by the kernel, and reported", async () => {
		using tree = temporaryTree();
		const layers = tree.layers([lower]);
		inKernel(layers, () => renameAround(layers.mountpoint));
		await using mounted = await mountOverlay({ ...layers, options: ["redirect_dir=nofollow"] });
		for (const name of ["new", "own/apart", "both"]) {
			for (const attempt of [
				() => lstatSync(mounted.at(name)),
				() => readdirSync(mounted.at(name)),
				() => writeFileSync(mounted.at(name, "x"), ""),
				() => renameSync(mounted.at(name), mounted.at("elsewhere")),
				() => rmdirSync(mounted.at(name)),
			])
				expect(codeOf(attempt)).toBe("EPERM");
			expect(linesOf(mounted, name)).toHaveLength(1);
		}
		expect(readdirSync(mounted.path).sort()).toEqual([
			"both",
			"new",
			"old",
			"other",
			"own",
			"plain",
			"third",
		]);
		writeFileSync(mounted.at("plain"), "goes on");
	});

	test("few open files are enough", async () => {
		using tree = temporaryTree();
		const deep = Array.from({ length: 40 }, (_, index) => `d${index}`).join("/");
		const layers = tree.layers([{ [`a/${deep}/f`]: "f" }, { [`a/${deep}/g`]: "g" }]);
		inKernel(layers, () => {
			renameSync(`${layers.mountpoint}/a`, `${layers.mountpoint}/b`);
			renameSync(`${layers.mountpoint}/b/d0/d1`, `${layers.mountpoint}/c`);
		});
		await using mounted = await mountOverlay({ ...layers, openFiles: 64 });
		const below = deep.slice("d0/d1/".length);
		for (let turn = 0; turn < 3; turn++) {
			expect(readdirSync(mounted.at("b/d0"))).toEqual([]);
			expect(readdirSync(mounted.at("c", below)).sort()).toEqual(["f", "g"]);
			expect(readFileSync(mounted.at("c", below, "g"), "utf8")).toBe("g");
		}
	});
});

describe.skipIf(isKernel)("a mark of a renamed directory", () => {
	const deep = { "target/f": "f", "deep/in/g": "g", afile: "a", link: symlink("deep") };

	const values: readonly (readonly [value: string, expected: string])[] = [
		["target", "f own"],
		["/target", "f own"],
		["/deep/in", "g own"],
		["deep/in", "EINVAL"],
		["/deep//in", "EINVAL"],
		["/deep/in/", "EINVAL"],
		["//deep/in", "EINVAL"],
		["", "EINVAL"],
		["/", "EINVAL"],
		[".", "EINVAL"],
		["..", "EINVAL"],
		["/..", "EINVAL"],
		["/deep/..", "EINVAL"],
		["/deep/./in", "EINVAL"],
		["../../../../etc", "EINVAL"],
		["/target\0", "EINVAL"],
		["t".repeat(256), "EINVAL"],
		["afile", "EIO"],
		["/afile/x", "EIO"],
		["link", "EIO"],
		["/link/in", "EIO"],
		["missing", "EIO"],
		["/missing", "EIO"],
		["/etc", "EIO"],
		["/d", "EIO"],
		// Few file systems of an ordinary user's take as long ones.
		...(lacks("mounting") ? [] : [["/a".repeat(2500), "EINVAL"] as const]),
	];

	test.each(
		values.map(([value, expected]) => [JSON.stringify(value).slice(0, 30), value, expected] as const),
	)("%s leads to its end or an error", async (_, value, expected) => {
		using disk = temporaryTree();
		if (!lacks("mounting")) mount("tmpfs", disk.path, "tmpfs", 0, "size=16m");
		const upper = { d: renamed(value), "d/own": "own" };
		await using overlay = await mountLayers([deep], { upper, options: follow, base: disk.path });
		expect(shown(overlay.mount, "d")).toBe(expected);
		expect(linesOf(overlay.mount, "d")).toHaveLength(expected.startsWith("E") ? 1 : 0);
		// What is around it can be used.
		expect(readdirSync(overlay.path).sort()).toEqual(["afile", "d", "deep", "link", "target"]);
		appendFileSync(overlay.at("afile"), "+");
	});

	test("of 256 bytes and more is followed, as by the kernel", async () => {
		const long = `${"a".repeat(100)}/${"b".repeat(100)}/${"c".repeat(100)}`;
		const upper = { d: renamed(`/${long}`), "d/own": "own" };
		await using overlay = await mountLayers([{ [`${long}/f`]: "f" }], { upper, options: follow });
		expect(shown(overlay.mount, "d")).toBe("f own");
	});

	test.each<readonly [string, readonly Description[], string]>([
		["a whiteout in the way hides what is below it", [{ "a/b": whiteout() }, { "a/b/low": "" }], "EIO"],
		["a file `.wh.` in the way does, too", [{ "a/b": whiteout("file") }, { "a/b/low": "" }], "EIO"],
		[
			"an opaque directory in the way does",
			[{ a: directory({ opaque: overlayAttributes }), "a/x": "" }, { "a/b/low": "" }],
			"EIO",
		],
		[
			"an opaque one at its end hides what is below",
			[{ "a/b": directory({ opaque: overlayAttributes }), "a/b/high": "" }, { "a/b/low": "" }],
			"high own",
		],
		["what is not a directory in the way does", [{ "a/b": "" }, { "a/b/low": "" }], "EIO"],
		[
			"directories of all layers are merged",
			[{ "a/b/high": "" }, { "a/x": "" }, { "a/b/low": "" }],
			"high low own",
		],
		[
			"one renamed in the way is followed below it",
			[
				{ a: renamed("z"), "a/b/high": "" },
				{ "z/b/low": "", "a/b/not": "" },
			],
			"high low own",
		],
		[
			"one renamed from the root, too",
			[
				{ "a/b": renamed("/q/r"), "a/b/high": "" },
				{ "q/r/low": "", "a/b/not": "" },
			],
			"high low own",
		],
		[
			"one renamed beside it, too",
			[
				{ "a/b": renamed("c"), "a/b/high": "" },
				{ "a/c/low": "", "a/b/not": "" },
			],
			"high low own",
		],
		[
			"what was moved out of an opaque directory is found all the same",
			[
				{ a: directory({ opaque: overlayAttributes }), "a/b": renamed("/q"), "a/b/high": "" },
				{ "q/low": "" },
			],
			"high low own",
		],
	])("%s", async (_, lowers, expected) => {
		const upper = { d: renamed("/a/b"), "d/own": "own" };
		await using overlay = await mountLayers(lowers, { upper, options: follow });
		expect(shown(overlay.mount, "d")).toBe(expected);
	});

	test.each([
		["to the directory above", { "a/b": renamed("/a") }, "a", "a/b"],
		["to another that is marked", { d: renamed("/a/b"), e: renamed("/a/b") }, "d", "e"],
	])("that leads %s makes no circle, and no second of it", async (_, upper, first, second) => {
		const inOrder = { a: receiving, ...upper };
		await using overlay = await mountLayers([{ "a/b/c": "" }], { upper: inOrder, options: follow });
		readdirSync(overlay.at(first));
		expect(codeOf(() => readdirSync(overlay.at(second)))).toBe("ESTALE");
		expect(linesOf(overlay.mount, second)).toHaveLength(1);
	});

	test("that leads to what is shown by its name keeps the second of them from being used", async () => {
		const upper = { d: renamed("a") };
		await using overlay = await mountLayers([{ "a/b": "" }], { upper, options: follow });
		expect(shown(overlay.mount, "d")).toBe("b");
		expect(shown(overlay.mount, "a")).toBe("ESTALE");
		await overlay.remount();
		expect(shown(overlay.mount, "a")).toBe("b");
		expect(shown(overlay.mount, "d")).toBe("ESTALE");
	});

	test("in the last layer means nothing, as for the kernel", async () => {
		await using overlay = await mountLayers([{ d: renamed("old"), "d/own": "own" }], { options: follow });
		expect(readdirSync(overlay.at("d"))).toEqual(["own"]);
	});

	test("of an opaque directory means nothing", async () => {
		const both = { [redirect]: "old", [`${overlayAttributes}.overlay.opaque`]: "y" };
		const described = { d: directory({ xattrs: both }), "d/own": "own" };
		await using overlay = await mountLayers([described, lower]);
		expect(readdirSync(overlay.at("d"))).toEqual(["own"]);
	});

	test("set through the mount is a user's own, and means nothing", async () => {
		await using overlay = await mountLayers([{ "d/x": "x" }], { options: follow });
		setxattr(overlay.at("d"), redirect, "elsewhere");
		await overlay.remount();
		expect(readdirSync(overlay.at("d"))).toEqual(["x"]);
	});
});

describe.skipIf(isKernel)("a mark of the user namespace, which whoever may write to a layer can set", () => {
	const upper = { d: directory({ xattrs: { "user.overlay.redirect": "/closed" } }) };

	test.each([[[]], [["redirect_dir=off"]], [["redirect_dir=nofollow"]]])(
		"is refused with options %j, and what to do is said",
		async (options) => {
			await using overlay = await mountLayers([{ "closed/secret": "" }], { upper, options });
			expect(shown(overlay.mount, "d")).toBe("EPERM");
			const lines = linesOf(overlay.mount, "d");
			expect(lines).toHaveLength(1);
			for (const part of [overlay.layers.upper, "user.overlay.redirect", "redirect_dir=follow"])
				expect(lines[0]).toContain(part);
		},
	);

	test("is followed with redirect_dir=follow", async () => {
		const options = ["redirect_dir=follow"];
		await using overlay = await mountLayers([{ "closed/secret": "" }], { upper, options });
		expect(shown(overlay.mount, "d")).toBe("secret");
	});
});
