/**
 * Directories that lower layers contribute to, renamed with `redirect_dir=on`: in one step, with all that is in them, for
 * whoever has something open there, for a later mount, and for kernel overlayfs. (Read: redirect.test.ts.)
 */

import { describe, expect, test } from "bun:test";
import {
	appendFileSync,
	copyFileSync,
	lstatSync,
	mkdirSync,
	readdirSync,
	readFileSync,
	readlinkSync,
	renameSync,
	rmSync,
	writeFileSync,
	writeSync,
} from "node:fs";
import { open } from "../harness/descriptor.ts";
import { temporaryTree } from "../harness/layers.ts";
import { mountOverlay } from "../harness/mount.ts";
import {
	codeOf,
	getxattr,
	listxattr,
	RENAME_EXCHANGE,
	RENAME_NOREPLACE,
	renameat2,
} from "../harness/native.ts";
import { mountLayers } from "../harness/overlay.ts";
import { isKernel } from "../harness/program.ts";
import { inKernel, lower, numbersIn, renameAround } from "../harness/redirects.ts";
import { lacks, overlayAttributes } from "../harness/setting.ts";
import { snapshot } from "../harness/snapshot.ts";

const redirect = `${overlayAttributes}.overlay.redirect`;
const on = ["redirect_dir=on"];

/** The marks of renamed directories below a layer's root. */
function marksIn(layer: string): Record<string, string> {
	const directories = readdirSync(layer, { recursive: true, withFileTypes: true }).filter((entry) =>
		entry.isDirectory(),
	);
	const paths = directories.map(({ parentPath, name }) => `${parentPath}/${name}`);
	const marked = paths.filter((path) => listxattr(path).includes(redirect)).sort();
	return Object.fromEntries(
		marked.map((path) => [path.slice(layer.length), getxattr(path, redirect).toString()]),
	);
}

describe.skipIf(isKernel)("with redirect_dir=on", () => {
	test("directories are renamed as they are, and shown so by a later mount", async () => {
		await using overlay = await mountLayers([lower], { options: on });
		renameAround(overlay.path);
		expect(readdirSync(overlay.at("new"))).toEqual(["inner"]);
		expect(readdirSync(overlay.inUpper("own/apart/sub"))).toEqual(["deep"]);
		const seen = [snapshot(overlay.path), numbersIn(overlay.path)];
		for (const options of [on, ["redirect_dir=follow"], [...on, "timeout=0"]]) {
			await overlay.remount({ options });
			expect([snapshot(overlay.path), numbersIn(overlay.path)]).toEqual(seen);
		}
	});

	test.skipIf(lacks("trusted attributes"))(
		"the kernel shows the same, and would set the same marks",
		async () => {
			await using overlay = await mountLayers([lower], { options: on });
			renameAround(overlay.path);
			const seen = [snapshot(overlay.path), numbersIn(overlay.path)];
			await overlay.unmount();
			const { mountpoint } = overlay.layers;
			expect(inKernel(overlay.layers, () => [snapshot(mountpoint), numbersIn(mountpoint)])).toEqual(seen);
			const upper = overlay.tree.layer("kernelsUpper");
			inKernel({ ...overlay.layers, upper, work: overlay.tree.layer("kernelsWork") }, () =>
				renameAround(mountpoint),
			);
			expect(marksIn(overlay.layers.upper)).toEqual(marksIn(upper));
		},
	);

	test("what is open below a renamed directory goes on, and changes there last", async () => {
		await using overlay = await mountLayers([lower, { "old/sub/deep/g": "g" }], { options: on });
		using old = open(overlay.at("old"));
		using deep = open(overlay.at("old/sub/deep"));
		using file = open(overlay.at("old/sub/deep/f"), "r+");
		readdirSync(overlay.at("old/sub"));
		mkdirSync(overlay.at("own"));
		renameSync(overlay.at("old"), overlay.at("own/new"));
		const names = (fd: number) => readdirSync(`/proc/self/fd/${fd}`).sort();
		expect(names(old.fd)).toEqual(["inner", "sub"]);
		expect(names(deep.fd)).toEqual(["f", "g"]);
		expect(readFileSync(`/proc/self/fd/${deep.fd}/g`, "utf8")).toBe("g");
		expect(readlinkSync(`/proc/self/fd/${deep.fd}`)).toBe(overlay.at("own/new/sub/deep"));
		writeSync(file.fd, "F", 0);
		writeFileSync(`/proc/self/fd/${deep.fd}/made`, "made");
		rmSync(`/proc/self/fd/${deep.fd}/g`);
		for (const one of [old, deep, file]) one.close();
		const expectLasting = () => {
			expect(readdirSync(overlay.at("own/new")).sort()).toEqual(["inner", "sub"]);
			expect(readdirSync(overlay.at("own/new/sub/deep")).sort()).toEqual(["f", "made"]);
			expect(readFileSync(overlay.at("own/new/sub/deep/f"), "utf8")).toBe("F");
			expect(codeOf(() => readdirSync(overlay.at("old")))).toBe("ENOENT");
		};
		expectLasting();
		await overlay.remount();
		expectLasting();
	});

	test("exchange and renaming to a free name keep their promises", async () => {
		await using overlay = await mountLayers([lower], { options: on });
		const noReplace = () => renameat2(overlay.at("old"), overlay.at("both"), RENAME_NOREPLACE);
		expect(codeOf(noReplace)).toBe("EEXIST");
		expect(codeOf(() => renameSync(overlay.at("old"), overlay.at("both")))).toBe("ENOTEMPTY");
		renameat2(overlay.at("other"), overlay.at("free"), RENAME_NOREPLACE);
		renameat2(overlay.at("old"), overlay.at("both"), RENAME_EXCHANGE);
		renameat2(overlay.at("apart"), overlay.at("plain"), RENAME_EXCHANGE);
		renameat2(overlay.at("both/sub"), overlay.at("free"), RENAME_EXCHANGE);
		const expectExchanged = () => {
			expect(readdirSync(overlay.path).sort()).toEqual(["apart", "both", "free", "old", "plain", "third"]);
			expect(readdirSync(overlay.at("both")).sort()).toEqual(["inner", "sub"]);
			expect(readdirSync(overlay.at("both/sub"))).toEqual(["b"]);
			expect(readFileSync(overlay.at("free/deep/f"), "utf8")).toBe("f");
			expect(readdirSync(overlay.at("old"))).toEqual(["a"]);
			expect(readdirSync(overlay.at("plain"))).toEqual(["inner"]);
			expect(readFileSync(overlay.at("apart"), "utf8")).toBe("plain");
		};
		expectExchanged();
		await overlay.remount();
		expectExchanged();
	});

	test("few open files are enough", async () => {
		const deep = Array.from({ length: 40 }, (_, index) => `d${index}`).join("/");
		await using overlay = await mountLayers([{ [`a/${deep}/f`]: "f" }, { [`a/${deep}/g`]: "g" }], {
			options: on,
			openFiles: 64,
		});
		renameSync(overlay.at("a"), overlay.at("b"));
		renameSync(overlay.at("b/d0/d1"), overlay.at("c"));
		const below = deep.slice("d0/d1/".length);
		for (let turn = 0; turn < 3; turn++) {
			expect(readdirSync(overlay.at("b/d0"))).toEqual([]);
			expect(readdirSync(overlay.at("c", below)).sort()).toEqual(["f", "g"]);
			expect(readFileSync(overlay.at("c", below, "g"), "utf8")).toBe("g");
			renameSync(overlay.at("c/d2"), overlay.at(`d2.${turn}`));
			renameSync(overlay.at(`d2.${turn}`), overlay.at("c/d2"));
		}
	});

	test("a directory whose path is longer than the kernel's marks can be is copied by its caller", async () => {
		const first = "f".repeat(125);
		// With slashes 255, 256 and 257 bytes.
		const seconds = [128, 129, 130].map((length) => "s".repeat(length));
		const described = Object.fromEntries(seconds.map((second) => [`${first}/${second}/x`, "x"]));
		await using overlay = await mountLayers([{ ...described, "to/y": "y" }], { options: on });
		const tryAll = (root: string) =>
			seconds.map((second, index) =>
				codeOf(() => renameSync(`${root}/${first}/${second}`, `${root}/to/${index}`)),
			);
		expect(tryAll(overlay.path)).toEqual([undefined, undefined, "EXDEV"]);
		expect(readdirSync(overlay.inUpper(first)).sort()).toEqual(seconds.slice(0, 2));
		renameSync(overlay.at(first, seconds[2] ?? ""), overlay.at(first, "beside"));
		await overlay.remount();
		for (const path of ["to/0/x", "to/1/x", `${first}/beside/x`])
			expect(readFileSync(overlay.at(path), "utf8")).toBe("x");
		if (lacks("trusted attributes")) return;
		await overlay.unmount();
		const [upper, work] = [overlay.tree.layer("kernelsUpper"), overlay.tree.layer("kernelsWork")];
		const { mountpoint } = overlay.layers;
		const kernels = inKernel({ ...overlay.layers, upper, work }, () => tryAll(mountpoint));
		expect(kernels).toEqual([undefined, undefined, "EXDEV"]);
	});

	test.skipIf(lacks("trusted attributes")).each([
		["of the trusted namespace", on, [...on, "userxattr"]],
		["of the user namespace", [...on, "userxattr"], on],
	])("a mark %s is kept right by a mount that makes others", async (_which, first, second) => {
		await using overlay = await mountLayers([{ ...lower, "own/x": "x" }], { options: first });
		renameSync(overlay.at("old"), overlay.at("new"));
		await overlay.remount({ options: second });
		// What the directory was called in its parent is no longer true in another one.
		renameSync(overlay.at("new"), overlay.at("own/apart"));
		for (const options of [second, first]) {
			await overlay.remount({ options });
			expect(readdirSync(overlay.at("own/apart")).sort()).toEqual(["inner", "sub"]);
			expect(readFileSync(overlay.at("own/apart/inner"), "utf8")).toBe("inner");
		}
		const marks = ["trusted.overlay.redirect", "user.overlay.redirect"];
		const values = marks.map((mark) => getxattr(overlay.inUpper("own/apart"), mark).toString());
		expect(values).toEqual(["/old", "/old"]);
	});

	test("a file below a renamed directory is not taken for another that has its place in a layer above", async () => {
		// Where no handle can be noted its origin is a path, and the first layer that has it counts.
		const options = [...on, "userxattr"];
		using tree = temporaryTree();
		const layers = tree.layers([{ "old/f": "lower", "old/g": "lower" }]);
		{
			await using mounted = await mountOverlay({ ...layers, options });
			renameSync(mounted.at("old"), mounted.at("new"));
			mkdirSync(mounted.at("old"));
			writeFileSync(mounted.at("old/f"), "other");
		}
		const [upper, work] = [tree.layer("nextUpper"), tree.layer("nextWork")];
		const next = { ...layers, lower: [layers.upper, ...layers.lower], upper, work };
		await using mounted = await mountOverlay({ ...next, options });
		const numberOf = (path: string) => lstatSync(mounted.at(path), { bigint: true }).ino;
		const other = numberOf("old/f");
		const alone = numberOf("new/g");
		for (const name of ["f", "g"]) appendFileSync(mounted.at("new", name), "+");
		for (let turn = 0; turn < 2; turn++) {
			expect(numberOf("old/f")).toBe(other);
			expect(numberOf("new/f")).not.toBe(other);
			expect(numberOf("new/g")).toBe(alone);
			await mounted.remount();
		}
		copyFileSync(mounted.at("new/f"), mounted.at("old/f"));
		expect(readFileSync(mounted.at("old/f"), "utf8")).toBe("lower+");
	});

	test("with any other value they are refused, before anything is copied up", async () => {
		for (const value of ["off", "follow", "nofollow"]) {
			await using overlay = await mountLayers([lower], { options: [`redirect_dir=${value}`] });
			expect(codeOf(() => renameSync(overlay.at("old"), overlay.at("new")))).toBe("EXDEV");
			expect(codeOf(() => renameat2(overlay.at("old"), overlay.at("both"), RENAME_EXCHANGE))).toBe("EXDEV");
			expect(readdirSync(overlay.layers.upper)).toEqual([]);
		}
	});
});
