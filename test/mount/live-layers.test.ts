/**
 * Layers that others change while they are mounted with `timeout=0`: what they have now shows, after everything was looked
 * at before. What is promised of it stands in the manual page.
 */

import { describe, expect, test } from "bun:test";
import {
	appendFileSync,
	chmodSync,
	fstatSync,
	lstatSync,
	mkdirSync,
	readdirSync,
	readFileSync,
	readlinkSync,
	renameSync,
	rmSync,
	symlinkSync,
	truncateSync,
	unlinkSync,
	utimesSync,
	writeFileSync,
} from "node:fs";
import { type Descriptor, open } from "../harness/descriptor.ts";
import { type Description, symlink } from "../harness/layers.ts";
import { codeOf } from "../harness/native.ts";
import { mountLayers, type Overlay } from "../harness/overlay.ts";

const upperOne: Description = { f: "first", "d/a": "a", "d/e/x": "x", link: symlink("f") };
const lowerOne: Description = { "d/b": "b", under: "under", "m/low": "low" };

/** What a case finds: the mount, a path in the layer that is changed, and `f`, open since before. */
interface Scene {
	readonly overlay: Overlay;
	readonly inLayer: (name: string) => string;
	readonly opened: Descriptor;
}

const at = ({ overlay }: Scene, name: string) => overlay.at(name);
const read = (scene: Scene, name: string) => readFileSync(at(scene, name), "latin1");
const names = (scene: Scene, name: string) => readdirSync(at(scene, name)).sort();

/** Everything is looked at, opened and listed, twice, so that whoever keeps anything has it. */
function visit(path: string): void {
	for (const entry of readdirSync(path, { withFileTypes: true })) {
		const below = `${path}/${entry.name}`;
		lstatSync(below);
		codeOf(() => lstatSync(`${below}.absent`));
		if (entry.isDirectory()) visit(below);
		else if (entry.isSymbolicLink()) readlinkSync(below);
		else readFileSync(below);
	}
}

const cases: Readonly<Record<string, (scene: Scene) => void>> = {
	"a file is rewritten in place": (scene) => {
		writeFileSync(scene.inLayer("f"), "second, and longer");
		expect([read(scene, "f"), lstatSync(at(scene, "f")).size]).toEqual(["second, and longer", 18]);
		expect(scene.opened.text()).toBe("second, and longer");
	},
	"a file is appended to and cut": (scene) => {
		appendFileSync(scene.inLayer("f"), "+");
		expect([read(scene, "f"), scene.opened.text()]).toEqual(["first+", "first+"]);
		truncateSync(scene.inLayer("f"), 2);
		expect([read(scene, "f"), scene.opened.text()]).toEqual(["fi", "fi"]);
	},
	"a file is replaced by another of the same size and time": (scene) => {
		const { mtime, atime } = lstatSync(scene.inLayer("f"));
		writeFileSync(scene.inLayer("new"), "other");
		utimesSync(scene.inLayer("new"), atime, mtime);
		renameSync(scene.inLayer("new"), scene.inLayer("f"));
		expect(read(scene, "f")).toBe("other");
		// Who had it open goes on with what was opened.
		expect([scene.opened.text(), fstatSync(scene.opened.fd).size]).toEqual(["first", 5]);
		using later = open(at(scene, "f"));
		expect(later.text()).toBe("other");
	},
	"a file is removed and made again": (scene) => {
		unlinkSync(scene.inLayer("f"));
		expect(codeOf(() => lstatSync(at(scene, "f")))).toBe("ENOENT");
		expect(names(scene, ".")).not.toContain("f");
		expect(scene.opened.text()).toBe("first");
		writeFileSync(scene.inLayer("f"), "again");
		expect(read(scene, "f")).toBe("again");
	},
	"names appear and go": (scene) => {
		writeFileSync(scene.inLayer("d/new"), "new");
		expect([names(scene, "d"), read(scene, "d/new")]).toEqual([["a", "b", "e", "new"], "new"]);
		writeFileSync(scene.inLayer("d/a.absent"), "there");
		expect(read(scene, "d/a.absent")).toBe("there");
		unlinkSync(scene.inLayer("d/a"));
		expect(names(scene, "d")).toEqual(["a.absent", "b", "e", "new"]);
	},
	"a directory becomes a file and a directory again": (scene) => {
		rmSync(scene.inLayer("d"), { recursive: true });
		writeFileSync(scene.inLayer("d"), "file");
		expect(read(scene, "d")).toBe("file");
		unlinkSync(scene.inLayer("d"));
		mkdirSync(scene.inLayer("d"));
		writeFileSync(scene.inLayer("d/z"), "z");
		expect([names(scene, "d"), read(scene, "d/z"), read(scene, "d/b")]).toEqual([["b", "z"], "z", "b"]);
	},
	"another directory takes its place": (scene) => {
		mkdirSync(scene.inLayer("n"));
		writeFileSync(scene.inLayer("n/a"), "another a");
		renameSync(scene.inLayer("d"), scene.inLayer("old"));
		renameSync(scene.inLayer("n"), scene.inLayer("d"));
		expect([names(scene, "d"), read(scene, "d/a")]).toEqual([["a", "b"], "another a"]);
		expect([names(scene, "old"), read(scene, "old/e/x")]).toEqual([["a", "e"], "x"]);
	},
	"a symlink leads elsewhere": (scene) => {
		unlinkSync(scene.inLayer("link"));
		symlinkSync("d/b", scene.inLayer("link"));
		expect([readlinkSync(at(scene, "link")), read(scene, "link")]).toEqual(["d/b", "b"]);
	},
	"mode and times change": (scene) => {
		chmodSync(scene.inLayer("f"), 0o640);
		utimesSync(scene.inLayer("f"), 1, 2);
		const { mode, mtimeMs } = lstatSync(at(scene, "f"));
		expect([mode & 0o777, mtimeMs]).toEqual([0o640, 2000]);
		expect(fstatSync(scene.opened.fd).mtimeMs).toBe(2000);
	},
	"something comes to lie above what a lower layer has": (scene) => {
		writeFileSync(scene.inLayer("under"), "above");
		expect(read(scene, "under")).toBe("above");
		unlinkSync(scene.inLayer("under"));
		expect(read(scene, "under")).toBe("under");
		mkdirSync(scene.inLayer("m"));
		writeFileSync(scene.inLayer("m/up"), "up");
		expect([names(scene, "m"), read(scene, "m/up"), read(scene, "m/low")]).toEqual([
			["low", "up"],
			"up",
			"low",
		]);
	},
};

describe.each([
	["the topmost lower layer", false],
	["the upper layer", true],
])("in %s", (_, inUpper) => {
	test.each(Object.entries(cases))("%s", async (_title, change) => {
		const lowers = inUpper ? [lowerOne] : [upperOne, lowerOne];
		await using overlay = await mountLayers(lowers, {
			...(inUpper ? { upper: upperOne } : {}),
			options: ["timeout=0"],
		});
		for (let turn = 0; turn < 2; turn++) visit(overlay.path);
		using opened = open(overlay.at("f"));
		expect(opened.text()).toBe("first");
		const inLayer = (name: string) => (inUpper ? overlay.inUpper(name) : overlay.inLower(name));
		change({ overlay, inLayer, opened });
		// It can be changed and removed as ever.
		writeFileSync(overlay.at("d/own"), "own");
		expect(readdirSync(overlay.at("d"))).toContain("own");
		for (const name of readdirSync(overlay.path)) rmSync(overlay.at(name), { recursive: true });
		expect(readdirSync(overlay.path)).toEqual([]);
	});
});

test("a whiteout that comes to lie in a layer hides what is below it", async () => {
	await using overlay = await mountLayers([{ "d/above": "" }, { "d/gone": "x", "d/kept": "y" }], {
		options: ["timeout=0"],
	});
	for (let turn = 0; turn < 2; turn++) visit(overlay.path);
	writeFileSync(overlay.inLower("d/.wh.gone"), "");
	expect(readdirSync(overlay.at("d")).sort()).toEqual(["above", "kept"]);
	expect(codeOf(() => lstatSync(overlay.at("d/gone")))).toBe("ENOENT");
});

test("a file open for writing keeps what is written, whatever becomes of the lower one", async () => {
	await using overlay = await mountLayers([{ f: "first" }], { options: ["timeout=0"] });
	visit(overlay.path);
	using writer = open(overlay.at("f"), "r+");
	writeFileSync(overlay.inLower("f"), "changed below");
	appendFileSync(overlay.at("f"), "+");
	expect(readFileSync(overlay.at("f"), "latin1")).toBe("first+");
	expect(writer.text()).toBe("first+");
});

test("with a timeout, names are asked for again when it is over, and directories are listed anew at once", async () => {
	await using overlay = await mountLayers([{ "d/a": "a" }], { options: ["timeout=0.05"] });
	for (let turn = 0; turn < 2; turn++) visit(overlay.path);
	writeFileSync(overlay.inLower("d/b"), "b");
	expect(readdirSync(overlay.at("d")).sort()).toEqual(["a", "b"]);
	renameSync(overlay.inLower("d"), overlay.inLower("e"));
	while (codeOf(() => lstatSync(overlay.at("d"))) === undefined) await Bun.sleep(1);
	expect(readdirSync(overlay.at("e")).sort()).toEqual(["a", "b"]);
});

test("without a timeout, nothing is asked again", async () => {
	await using overlay = await mountLayers([{ f: "first" }]);
	expect(lstatSync(overlay.at("f")).size).toBe(5);
	writeFileSync(overlay.inLower("f"), "second, and longer");
	expect(lstatSync(overlay.at("f")).size).toBe(5);
});
