/**
 * Data-only layers (`lowerdir=A::B`), as composefs and container engines lay them out: files of the layers above have names,
 * owners and sizes there, and their data in these, of which nothing else is ever seen.
 */

import { describe, expect, test } from "bun:test";
import {
	appendFileSync,
	chmodSync,
	closeSync,
	fstatSync,
	linkSync,
	lstatSync,
	openSync,
	readdirSync,
	readFileSync,
	readSync,
	renameSync,
	truncateSync,
	unlinkSync,
	utimesSync,
	writeFileSync,
} from "node:fs";
import {
	inKernel,
	kernelHasStores,
	large,
	makeLayers,
	names,
	refusalsIn,
	shown,
	stores,
} from "../harness/data-only.ts";
import { directory, temporaryTree } from "../harness/layers.ts";
import { blocksIn, follow, hollow, lacksData } from "../harness/metacopies.ts";
import { mountOverlay } from "../harness/mount.ts";
import { codeOf } from "../harness/native.ts";
import { isKernel } from "../harness/program.ts";
import { lacks } from "../harness/setting.ts";
import { differences, snapshot } from "../harness/snapshot.ts";

/** Kernel overlayfs does not know these, and so does not hide them. */
const notOfKernel = { ignoreAttributes: /^user\.fuseoverlayfs\./ };

describe.skipIf(isKernel)("files whose data lies in data-only layers", () => {
	describe.skipIf(lacks("kernel overlayfs", "mounting") || !kernelHasStores)(
		"beside the kernel's overlay",
		() => {
			test.each([true, false])("are shown as there, read-only: %j", async (isReadOnly) => {
				using tree = temporaryTree();
				const { upper, work, ...lowers } = makeLayers(tree);
				const layers = isReadOnly ? lowers : { ...lowers, upper, work };
				const { mountpoint } = layers;
				const look = () => [blocksIn(mountpoint), snapshot(mountpoint), blocksIn(mountpoint)] as const;
				const kernels = inKernel(layers, look);
				for (const options of [
					[],
					["timeout=0"],
					["passthrough=off"],
					["passthrough=on"],
					["redirect_dir=nofollow"],
				]) {
					await using _ = await mountOverlay({ ...layers, options: [...follow, ...options] });
					const [before, all, after] = look();
					expect(differences(all, kernels[1])).toEqual([]);
					expect(before).toEqual(kernels[0]);
					expect(after).toEqual(kernels[2]);
				}
			});

			/** Changes through the mount. */
			const changes: Readonly<Record<string, (root: string) => void>> = {
				chmod: (root) => chmodSync(`${root}/etc/one`, 0o700),
				"setting times": (root) => utimesSync(`${root}/etc/one`, 5, 6),
				append: (root) => appendFileSync(`${root}/etc/one`, "+"),
				"append to a large one": (root) => appendFileSync(`${root}/large`, "+"),
				truncate: (root) => truncateSync(`${root}/etc/one`, 0),
				"truncate to a part": (root) => truncateSync(`${root}/large`, 2_000_000),
				overwriting: (root) => writeFileSync(`${root}/etc/one`, "new"),
				rename: (root) => renameSync(`${root}/etc/one`, `${root}/three`),
				"replacing another": (root) => renameSync(`${root}/etc/one`, `${root}/etc/two`),
				link: (root) => linkSync(`${root}/etc/one`, `${root}/three`),
				removing: (root) => unlinkSync(`${root}/etc/one`),
				"a file of a name that a store has": (root) => writeFileSync(`${root}/secret`, "own"),
			};

			const leaving = ["metacopy=on", "redirect_dir=on"];
			const modes = lacks("trusted attributes") ? [follow] : [follow, leaving];
			const cases = modes.flatMap((options) =>
				Object.entries(changes).map(([name, change]) => [name, options, change] as const),
			);

			test.each(cases)("%s leaves what the kernel reads, with %j", async (_, options, change) => {
				using tree = temporaryTree();
				const layers = { ...makeLayers(tree), options };
				const below = [...layers.lower, ...layers.dataOnly];
				const untouched = below.map((path) => snapshot(path));
				const look = (root: string) => snapshot(root, notOfKernel);
				let ours: ReturnType<typeof snapshot>;
				{
					await using mounted = await mountOverlay(layers);
					change(mounted.path);
					ours = look(mounted.path);
				}
				inKernel(layers, () => expect(differences(ours, look(layers.mountpoint))).toEqual([]));
				await using again = await mountOverlay(layers);
				expect(differences(look(again.path), ours)).toEqual([]);
				expect(below.map((path) => snapshot(path))).toEqual(untouched);
			});

			test.skipIf(lacks("trusted attributes"))(
				"are followed from what the kernel has copied up of them",
				async () => {
					using tree = temporaryTree();
					const layers = makeLayers(tree);
					const kernels = inKernel(layers, () => {
						chmodSync(`${layers.mountpoint}/etc/one`, 0o700);
						renameSync(`${layers.mountpoint}/etc/two`, `${layers.mountpoint}/moved`);
						renameSync(`${layers.mountpoint}/etc`, `${layers.mountpoint}/lib`);
						return snapshot(layers.mountpoint);
					});
					expect(lacksData(`${layers.upper}/moved`)).toBe(true);
					await using mounted = await mountOverlay(layers);
					expect(differences(snapshot(mounted.path), kernels)).toEqual([]);
					appendFileSync(mounted.at("moved"), "+");
					expect(shown(mounted.at("moved"))).toBe("54321+");
					expect(readFileSync(`${layers.upper}/moved`, "utf8")).toBe("54321+");
				},
			);
		},
	);

	test("stay where they are with metacopy=on, under whatever name, until they are written to", async () => {
		using tree = temporaryTree();
		const layers = { ...makeLayers(tree), options: ["metacopy=on", "redirect_dir=on"] };
		await using mounted = await mountOverlay(layers);
		chmodSync(mounted.at("etc/one"), 0o600);
		renameSync(mounted.at("etc/two"), mounted.at("two"));
		linkSync(mounted.at("large"), mounted.at("etc/large"));
		renameSync(mounted.at("etc"), mounted.at("lib"));
		for (const name of ["lib/one", "two", "large", "lib/large"])
			expect(lacksData(`${layers.upper}/${name}`)).toBe(true);
		const check = () => {
			for (const [name, expected] of Object.entries({
				"lib/one": "12345",
				two: "54321",
				"lib/large": `${large}`,
			}))
				expect(shown(mounted.at(name)) === expected).toBe(true);
		};
		check();
		await mounted.remount();
		check();
		for (const name of ["lib/one", "two", "large"]) {
			appendFileSync(mounted.at(name), "+");
			expect(lacksData(`${layers.upper}/${name}`)).toBe(false);
		}
		expect(shown(mounted.at("two"))).toBe("54321+");
		expect(lstatSync(mounted.at("lib/large")).size).toBe(large.length + 1);
	});

	test("nothing of these layers is seen by name", async () => {
		using tree = temporaryTree();
		const layers = makeLayers(tree, {
			dataOnly: [...stores, { etc: directory({ mode: 0o700 }), "etc/hidden": "hidden" }],
		});
		await using mounted = await mountOverlay(layers);
		expect(readdirSync(mounted.path).sort()).toEqual(["etc", "large", "link", "plain", "sparse"]);
		expect(readdirSync(mounted.at("etc")).sort()).toEqual(["again", "one", "two"]);
		for (const name of ["12", "12/first", "secret", "etc/hidden"])
			expect(codeOf(() => lstatSync(mounted.at(name)))).toBe("ENOENT");
		writeFileSync(mounted.at("secret"), "own");
		unlinkSync(mounted.at("secret"));
		expect(readdirSync(layers.upper)).toEqual([]);
	});

	test("are not looked for before somebody reads them", async () => {
		using tree = temporaryTree();
		const layers = makeLayers(tree, {
			lowers: [{ ...names, lost: hollow(5, "/56/lost"), short: hollow(9, "/12/first") }],
		});
		await using mounted = await mountOverlay(layers);
		for (const name of ["lost", "short"]) {
			expect(lstatSync(mounted.at(name)).blocks).toBe(8);
			expect(refusalsIn(mounted.log)).toEqual([]);
			for (const action of [
				() => readFileSync(mounted.at(name)),
				() => readFileSync(mounted.at(name)),
				() => truncateSync(mounted.at(name), 1),
				() => appendFileSync(mounted.at(name), "+"),
			])
				expect(codeOf(action)).toBe("EIO");
			const [line, ...others] = refusalsIn(mounted.log);
			expect(others).toEqual([]);
			for (const part of [`/${name}`, layers.lower[0]!, "no data-only layer"]) expect(line).toContain(part);
			writeFileSync(tree.join("merged.log"), "");
		}
		expect(shown(mounted.at("etc/one"))).toBe("12345");
		expect(codeOf(() => unlinkSync(mounted.at("lost")))).toBeUndefined();
	});

	test("can be used while they are open, whatever becomes of their names", async () => {
		for (const option of ["passthrough=off", "passthrough=on"]) {
			using tree = temporaryTree();
			const layers = makeLayers(tree);
			await using mounted = await mountOverlay({ ...layers, options: [...follow, option] });
			const buffer = Buffer.alloc(100);
			const opened = openSync(mounted.at("etc/one"), "r");
			const removed = openSync(mounted.at("etc/two"), "r+");
			unlinkSync(mounted.at("etc/two"));
			appendFileSync(mounted.at("etc/one"), "+");
			expect(buffer.toString("utf8", 0, readSync(opened, buffer, 0, 100, 0))).toBe("12345+");
			expect(buffer.toString("utf8", 0, readSync(removed, buffer, 0, 100, 0))).toBe("54321");
			expect(fstatSync(removed).nlink).toBe(0);
			for (const fd of [opened, removed]) closeSync(fd);
			expect(readFileSync(mounted.at("large")).equals(large)).toBe(true);
			renameSync(mounted.at("large"), mounted.at("etc/larger"));
			expect(readFileSync(mounted.at("etc/larger")).equals(large)).toBe(true);
		}
	});

	test("there may be hundreds, the same one several times, and one that is merged, too", async () => {
		using tree = temporaryTree();
		const many = Array.from({ length: 300 }, (_, index) => ({ [`only${index}`]: `${index}`.padStart(5) }));
		const shownAs = many.map((_, index) => [`f${index}`, hollow(5, `/only${index}`)] as const);
		const layers = makeLayers(tree, {
			lowers: [Object.fromEntries(shownAs), { only0: "above" }],
			dataOnly: many,
		});
		const dataOnly = [...layers.dataOnly, ...layers.dataOnly.slice(0, 5), ...layers.lower];
		await using mounted = await mountOverlay({ ...layers, dataOnly, openFiles: 1024 });
		for (let turn = 0; turn < 2; turn++)
			for (const [index] of many.entries())
				expect(shown(mounted.at(`f${index}`))).toBe(index === 0 ? "above" : `${index}`.padStart(5));
		expect(readdirSync(mounted.path)).toHaveLength(many.length + 1);
	});

	test("few open files are enough", async () => {
		using tree = temporaryTree();
		const all = Array.from({ length: 100 }, (_, index) => `f${index}`);
		const lowers = [Object.fromEntries(all.map((name) => [name, hollow(name.length, `/x/${name}`)]))];
		const dataOnly = [Object.fromEntries(all.map((name) => [`x/${name}`, name]))];
		await using mounted = await mountOverlay({ ...makeLayers(tree, { lowers, dataOnly }), openFiles: 64 });
		for (let turn = 0; turn < 3; turn++) for (const name of all) expect(shown(mounted.at(name))).toBe(name);
		for (const name of all) appendFileSync(mounted.at(name), "+");
		for (const name of all) expect(shown(mounted.at(name))).toBe(`${name}+`);
	});
});
