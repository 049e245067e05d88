/**
 * FIFOs, sockets, devices, directories and symlinks where an overlay keeps something of its own. Opening a FIFO waits
 * for its other end, and opening a device does something: so none of these is ever opened.
 */

import { describe, expect, test } from "bun:test";
import {
	appendFileSync,
	chmodSync,
	existsSync,
	fsyncSync,
	lstatSync,
	mkdirSync,
	readdirSync,
	readFileSync,
	renameSync,
	rmdirSync,
	rmSync,
	truncateSync,
	unlinkSync,
	writeFileSync,
	writeSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { open } from "../harness/descriptor.ts";
import {
	type Description,
	device,
	directory,
	type Entry,
	fifo,
	file,
	fillLayer,
	type Layers,
	socket,
	symlink,
	temporaryTree,
	whiteout,
} from "../harness/layers.ts";
import { daemonsOf, layerOptions, mountOverlay, runProgram } from "../harness/mount.ts";
import { codeOf, mount, setxattr } from "../harness/native.ts";
import { mountLayers, type Overlay } from "../harness/overlay.ts";
import { lacks } from "../harness/setting.ts";
import { snapshot } from "../harness/snapshot.ts";

/** Makes, in the place of `name`, what is tried. */
type Kind = (name: string) => Description;
const one =
	(entry: Entry): Kind =>
	(name) => ({ [name]: entry });

const kinds: Readonly<Record<string, Kind>> = {
	"a FIFO": one(fifo()),
	"a socket": one(socket()),
	...(lacks("devices")
		? {}
		: {
				"a character device": one(device("char", 1, 5)),
				"a block device 0:0": one(device("block", 0, 0)),
			}),
	"a whiteout": one(device("char", 0, 0)),
	"a directory": one(directory()),
	"a directory with something in it": (name) => ({ [`${name}/deeper/x`]: "x" }),
	"a file with content": one(file("content")),
	"a symlink to nowhere": one(symlink("/nowhere/at/all")),
	"a symlink to itself": (name) => ({ [name]: symlink(name.split("/").at(-1) ?? "") }),
};
const kindNames = Object.keys(kinds);

function of(kind: string, name: string): Description {
	return (kinds[kind] as Kind)(name);
}

/** Each way to keep whiteouts, and a file system that takes no attributes for opaque directories. */
const devices = {};
const files = { environment: { FUSE_OVERLAYFS_DISABLE_OVL_WHITEOUT: "1" } };

function change(overlay: Overlay): void {
	for (const name of ["gone", "shown", "dir"]) {
		expect(existsSync(overlay.at(name))).toBe(name === "shown");
	}
	// Made where it is hidden, and hidden again.
	writeFileSync(overlay.at("gone"), "new");
	mkdirSync(overlay.at("dir"));
	expect(readdirSync(overlay.at("dir"))).toEqual([]);
	rmdirSync(overlay.at("dir"));
	mkdirSync(overlay.at("dir"));
	unlinkSync(overlay.at("gone"));
	expect(existsSync(overlay.at("gone"))).toBeFalse();
	writeFileSync(overlay.at("gone"), "newer");
	writeFileSync(overlay.at("other"), "other");
	unlinkSync(overlay.at("shown"));
	expect(existsSync(overlay.at("shown"))).toBeFalse();
	renameSync(overlay.at("other"), overlay.at("shown"));
	renameSync(overlay.at("shown"), overlay.at("moved"));
	unlinkSync(overlay.at("only"));
}

function expectChanged(overlay: Overlay): void {
	expect(readdirSync(overlay.path).sort()).toEqual(["dir", "gone", "moved"]);
	expect(readdirSync(overlay.at("dir"))).toEqual([]);
	expect(readFileSync(overlay.at("gone"), "utf8")).toBe("newer");
	expect(readFileSync(overlay.at("moved"), "utf8")).toBe("other");
}

describe.each([
	["devices", devices],
	["files", files],
] as const)("where whiteouts are made as %s", (_, settings) => {
	test.each(kindNames)(
		"%s called `.wh.NAME` hides that name, and lets it be made and removed",
		async (kind) => {
			const lower = { gone: "lower", shown: "lower", only: "lower", "dir/x": "lower" };
			const marks = (name: string) => Object.entries(of(kind, name));
			const upper = Object.fromEntries([
				...marks(".wh.gone"),
				...marks(".wh.dir"),
				// Beside the name itself: it hides what is below only.
				...marks(".wh.shown"),
				["shown", "upper"],
				...marks(".wh.only"),
				["only", "upper"],
			]);
			await using overlay = await mountLayers([lower], { ...settings, upper });
			expect(readFileSync(overlay.at("shown"), "utf8")).toBe("upper");
			change(overlay);
			expectChanged(overlay);
			await overlay.remount();
			expectChanged(overlay);
		},
	);
});

describe("markers of opaque directories", () => {
	test.each(kindNames)(
		"%s called `.wh..wh..opq` makes its directory opaque, and is not seen",
		async (kind) => {
			const marked = (layer: string) => ({ ...of(kind, "d/.wh..wh..opq"), "d/own": layer });
			await using overlay = await mountLayers(
				[marked("middle"), { "d/below": "below", "e/below": "below" }],
				{
					upper: { "d/upper": "upper", ...of(kind, "e/.wh..wh..opq"), "e/own": "upper" },
				},
			);
			const see = () => {
				expect(readdirSync(overlay.at("d")).sort()).toEqual(["own", "upper"]);
				expect(readdirSync(overlay.at("e"))).toEqual(["own"]);
				expect(existsSync(overlay.at("e/below"))).toBeFalse();
				expect(existsSync(overlay.at("d/.wh..wh..opq"))).toBeFalse();
			};
			see();
			await overlay.remount();
			see();
			for (const name of ["d", "e"]) rmSync(overlay.at(name), { recursive: true });
			expect(readdirSync(overlay.path)).toEqual([]);
			mkdirSync(overlay.at("e"));
			expect(readdirSync(overlay.at("e"))).toEqual([]);
			await overlay.remount();
			expect(readdirSync(overlay.path)).toEqual(["e"]);
		},
	);

	test.skipIf(lacks("mounting")).each(kindNames)(
		"%s called `.wh..wh..opq` serves where a directory must be opaque and no attribute can be set",
		async (kind) => {
			using tree = temporaryTree();
			// ramfs has no extended attributes.
			mount("ramfs", tree.layer("disk"), "ramfs", 0, "");
			const upper = tree.layer("disk/upper", {
				"d/own": "own",
				...of(kind, "d/.wh..wh..opq"),
				gone: whiteout(),
			});
			const request = {
				lower: [tree.layer("lower", { "gone/below": "below" })],
				upper,
				work: tree.layer("disk/work"),
				mountpoint: tree.layer("merged"),
			};
			await using merged = await mountOverlay(request);
			renameSync(merged.at("d"), merged.at("gone"));
			expect(readdirSync(merged.at("gone"))).toEqual(["own"]);
			await merged.remount();
			expect(readdirSync(merged.at("gone"))).toEqual(["own"]);
			rmSync(merged.at("gone"), { recursive: true });
			expect(readdirSync(merged.path)).toEqual([]);
		},
	);
});

describe("in the work directory", () => {
	test("whatever a crash or somebody else left is cleared away by the next mount, unopened", async () => {
		using tree = temporaryTree();
		const layers = tree.layers([{ a: "lower", b: "lower", "d/x": "x" }]);
		const outside = tree.layer("outside", { kept: "kept" });
		const rubbish = kindNames.flatMap((kind, index) => [
			...Object.entries(of(kind, `work/#${index + 1}`)),
			...Object.entries(of(kind, `work/some/where/${index}`)),
		]);
		fillLayer(layers.work, [
			...rubbish,
			...Object.entries(of("a directory with something in it", "work/#whiteout")),
			["work/link", symlink(outside)],
			["work/some/link", symlink("../../../outside")],
		]);
		await using merged = await mountOverlay({ ...layers, lower: layers.lower });
		expect(readdirSync(join(layers.work, "work")).filter((name) => name !== "#whiteout")).toEqual([]);
		unlinkSync(merged.at("a"));
		writeFileSync(merged.at("b"), "changed");
		rmSync(merged.at("d"), { recursive: true });
		expect(readdirSync(merged.path)).toEqual(["b"]);
		expect(readFileSync(join(outside, "kept"), "utf8")).toBe("kept");
	});

	test.each(kindNames)(
		"%s called `#N` while mounted is not touched, and harms one change at most",
		async (kind) => {
			const names = Array.from({ length: 8 }, (_, index) => `f${index}`);
			const lower = Object.fromEntries(names.map((name) => [name, `lower ${name}`]));
			await using overlay = await mountLayers([lower]);
			const serials = Array.from({ length: 3 }, (_, index) => `#${(index + 5).toString(16)}`);
			for (const serial of serials) fillLayer(overlay.layers.work, of(kind, `work/${serial}`));
			const before = snapshot(overlay.layers.work, { ignoreTimes: true });
			const failed = names.filter(
				(name) => codeOf(() => appendFileSync(overlay.at(name), "+")) !== undefined,
			);
			expect(failed.length).toBeLessThanOrEqual(serials.length);
			for (const name of names) {
				const expected = `lower ${name}${failed.includes(name) ? "" : "+"}`;
				expect(readFileSync(overlay.at(name), "utf8")).toBe(expected);
			}
			expect(snapshot(overlay.layers.work, { ignoreTimes: true })).toEqual(before);
		},
	);

	test.each(kindNames.filter((kind) => !kind.includes("directory")))(
		"%s called `work` is refused with one line, and stays",
		async (kind) => {
			using tree = temporaryTree();
			const layers = tree.layers([{ a: "a" }]);
			fillLayer(layers.work, of(kind, "work"));
			await expectRefused(layers, layers.work);
		},
	);

	test("a symlink called `work` is not followed: what it leads to is not emptied", async () => {
		using tree = temporaryTree();
		const layers = tree.layers([{ a: "a" }]);
		tree.layer("outside", { kept: "kept" });
		for (const target of [tree.join("outside"), "../outside", layers.upper, "."]) {
			fillLayer(layers.work, { work: symlink(target) });
			await expectRefused(layers, layers.work);
			unlinkSync(join(layers.work, "work"));
		}
	});
});

/** The program says why in one line, ends, and has changed nothing. */
async function expectRefused(layers: Layers, named: string): Promise<void> {
	const before = snapshot(dirname(layers.mountpoint));
	const { exitCode, stdout, stderr, run } = await runProgram(["-o", layerOptions(layers), layers.mountpoint]);
	expect(stderr).toMatch(/^fuse-overlayfs: .+\n$/);
	expect(stderr).toContain(named);
	expect({ exitCode, stdout, daemons: daemonsOf(run) }).toEqual({ exitCode: 1, stdout: "", daemons: [] });
	expect(snapshot(dirname(layers.mountpoint))).toEqual(before);
}

describe("as a directory of the mount", () => {
	const roles = ["lower", "upper", "work", "mountpoint"] as const;
	test.each(kindNames.filter((kind) => !kind.includes("directory")))(
		"%s is refused with one line, in every role",
		async (kind) => {
			for (const role of roles) {
				using tree = temporaryTree();
				const layers = tree.layers([{ a: "a" }]);
				fillLayer(tree.path, of(kind, "odd"));
				const odd = tree.join("odd");
				await expectRefused({ ...layers, [role]: role === "lower" ? [odd] : odd }, odd);
			}
		},
	);
});

describe("a file of a layer that becomes something else while mounted", () => {
	test.each(kindNames)("%s in its place is neither waited for nor read", async (kind) => {
		const names = ["read", "written", "cut", "known", "attributes"];
		const described = Object.fromEntries(names.map((name) => [name, "content"]));
		const upper = Object.fromEntries(names.map((name) => [`in-upper-${name}`, "content"]));
		// The kernel asks each time.
		const options = ["timeout=0"];
		await using overlay = await mountLayers([described], { upper, options });
		for (const [layer, prefix] of [
			[overlay.layers.lower[0] ?? "", ""],
			[overlay.layers.upper, "in-upper-"],
		] as const) {
			for (const name of names) {
				readFileSync(overlay.at(prefix + name));
				using held = open(overlay.at(prefix + name), "r+");
				rmSync(join(layer, prefix + name));
				fillLayer(layer, of(kind, prefix + name));
				// Through what was open before, and by name: any answer will do, if it is one.
				codeOf(() => held.text());
				codeOf(() => writeSync(held.fd, "x"));
				codeOf(() => fsyncSync(held.fd));
				codeOf(() => truncateSync(overlay.at(prefix + name), 3));
				codeOf(() => chmodSync(overlay.at(prefix + name), 0o640));
				codeOf(() => setxattr(overlay.at(prefix + name), "user.x", "x"));
				codeOf(() => lstatSync(overlay.at(prefix + name)));
			}
		}
		writeFileSync(overlay.at("new"), "goes on");
		expect(readFileSync(overlay.at("new"), "utf8")).toBe("goes on");
	});
});
