/**
 * What the layers above data-only ones say of where data is, and how such layers are named: whatever that is, it leads to a file
 * in one of them or is an error, never elsewhere, and never zeros. (How such files are used: data-only.test.ts.)
 */

import { describe, expect, test } from "bun:test";
import { appendFileSync, readFileSync, writeFileSync } from "node:fs";
import {
	kernelHas,
	makeLayers,
	refusalsIn,
	type StoreSettings,
	shown,
	stores,
} from "../harness/data-only.ts";
import { fifo, sparseFile, symlink, temporaryTree, whiteout } from "../harness/layers.ts";
import { follow, hollow, mark } from "../harness/metacopies.ts";
import { layerOptions, mountKernelOverlay, mountOverlay, runProgram } from "../harness/mount.ts";
import { codeOf, setxattr } from "../harness/native.ts";
import { isKernel } from "../harness/program.ts";
import { refusing } from "../harness/refusing.ts";
import { lacks } from "../harness/setting.ts";

describe.skipIf(isKernel)("data in data-only layers", () => {
	/** What the file `f` says, and is to be; the stores are those of all tests here, and what is added. */
	const tables: readonly (readonly [title: string, settings: StoreSettings, expected: string])[] = [
		["the first that has the file counts", {}, "12345"],
		["a directory of that name is passed over", { dataOnly: [{ "12/first/x": "" }, ...stores] }, "12345"],
		["a FIFO is passed over", { dataOnly: [{ "12/first": fifo() }, ...stores] }, "12345"],
		[
			"a symlink is not followed",
			{ dataOnly: [{ "12/first": symlink("x"), "12/x": "zzzzz" }, ...stores] },
			"12345",
		],
		["nor one on the way", { dataOnly: [{ 12: symlink("x"), "x/first": "zzzzz" }, ...stores] }, "12345"],
		["a file in place of a directory is passed over", { dataOnly: [{ 12: "" }, ...stores] }, "12345"],
		[
			"a file without data there is no data",
			{ dataOnly: [{ "12/first": hollow(5, "/12/first") }, ...stores] },
			"EIO",
		],
		["what is larger is not all shown", { dataOnly: [{ "12/first": "1234567" }] }, "12345"],
		["what is not there is an error", { dataOnly: [{}] }, "EIO"],
		[
			"a layer above may have it",
			{ lowers: [{ f: hollow(5, "/12/first") }, { "12/first": "above" }] },
			"above",
		],
		[
			"a layer above may lead on",
			{ lowers: [{ f: hollow(5, "/g") }, { g: hollow(5, "/34/second") }] },
			"54321",
		],
		["a layer above may not have it", { lowers: [{ f: hollow(5, "/12/first") }, { "12/x": "" }] }, "12345"],
		["another name leads nowhere", { lowers: [{ f: hollow(5, "secret") }] }, "EIO"],
		["the own name leads nowhere", { lowers: [{ f: hollow(5) }], dataOnly: [{ f: "12345" }] }, "EIO"],
		[
			"a further one without a path ends there",
			{ lowers: [{ f: hollow(5, "/g") }, { g: hollow(5) }] },
			"EIO",
		],
		["there is no way out", { lowers: [{ f: hollow(5, "/../store1/secret") }] }, "EINVAL"],
		["nor up", { lowers: [{ f: hollow(6, "/12/../secret") }] }, "EINVAL"],
		["the root is no file", { lowers: [{ f: hollow(5, "/") }] }, "EINVAL"],
		["long names are not there", { lowers: [{ f: hollow(5, `/${"n".repeat(255)}/x`) }] }, "EIO"],
		["the upper layer leads there by way of a lower", { upper: { f: hollow(5) } }, "12345"],
		["and not by itself", { upper: { f: hollow(5, "/secret") } }, "EIO"],
	];

	test.each(tables)("%s", async (_, settings, expected) => {
		using tree = temporaryTree();
		const layers = makeLayers(tree, { lowers: [{ f: hollow(5, "/12/first"), plain: "plain" }], ...settings });
		await using mounted = await mountOverlay(layers);
		expect(shown(mounted.at("f"))).toBe(expected);
		expect(refusalsIn(mounted.log)).toHaveLength(expected.startsWith("E") ? 1 : 0);
		// What is around it can be used.
		writeFileSync(mounted.at("new"), "new");
		expect(codeOf(() => appendFileSync(mounted.at("f"), "+"))).toBe(
			expected.startsWith("E") ? expected : undefined,
		);
		if (!expected.startsWith("E")) expect(shown(mounted.at("f"))).toBe(`${expected}+`);
	});

	test.skipIf(lacks("mounting")).each(["open_tree", "openat2,open_tree"])(
		"there is no way out without %s either",
		async (calls) => {
			using tree = temporaryTree();
			const store = {
				"12/first": "12345",
				link: symlink("12"),
				out: symlink("/etc"),
				"12/link": symlink("first"),
			};
			const paths = ["/12/first", "/link/first", "/12/link", "/out/passwd", "/12/none", "/12"];
			const lowers = [Object.fromEntries(paths.map((path, index) => [`f${index}`, hollow(5, path)]))];
			const layers = makeLayers(tree, { lowers, dataOnly: [store] });
			await using mounted = await mountOverlay({ ...layers, program: refusing("EPERM", calls) });
			const all = paths.map((_, index) => shown(mounted.at(`f${index}`)));
			expect(all).toEqual(["12345", "EIO", "EIO", "EIO", "EIO", "EIO"]);
		},
	);

	test.skipIf(lacks("devices") && lacks("kernel overlayfs"))("whiteouts there hide nothing", async () => {
		using tree = temporaryTree();
		const dataOnly = [{ "12/first": whiteout(), "12/.wh.first": "" }, ...stores];
		await using mounted = await mountOverlay(makeLayers(tree, { dataOnly }));
		expect(shown(mounted.at("etc/one"))).toBe("12345");
	});

	test("layers are named one by one, too, and every name can be written", async () => {
		using tree = temporaryTree();
		const odd = "a:b,c\\d::e";
		const lower = tree.layer("names", { f: hollow(5, "/x"), g: hollow(5, "/y") });
		tree.layer(odd, { x: "12345" });
		tree.layer("other", { y: "54321" });
		const [escaped, unsplit] = [odd.replace(/[\\:,]/g, "\\$&"), odd.replace(/[\\,]/g, "\\$&")];
		const mountpoint = tree.layer("merged");
		for (const options of [
			[`lowerdir=${lower}::${tree.join(escaped)}::${tree.join("other")}`],
			[`lowerdir+=${lower},datadir+=${tree.join(unsplit)}`, `datadir+=${tree.join("other")}`],
			["lowerdir=/nowhere", `lowerdir=${lower}::${tree.join("other")}::${tree.join(escaped)}`],
		]) {
			const all = [...options, ...follow].flatMap((option) => ["-o", option]);
			const { exitCode, stderr } = await runProgram([...all, mountpoint]);
			expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
			try {
				expect([shown(`${mountpoint}/f`), shown(`${mountpoint}/g`)]).toEqual(["12345", "54321"]);
			} finally {
				await runProgram([mountpoint], { program: "umount" });
			}
		}
	});

	describe("where only users have marked the files", () => {
		const users = (to: string) => ({ "user.overlay.metacopy": "", "user.overlay.redirect": to });
		const lowers = [
			{ f: sparseFile(6, {}, { xattrs: users("/secret") }), g: sparseFile(6, {}, { xattrs: users("h") }) },
			{ h: "merged" },
		];

		test("they are refused, unless those marks are believed", async () => {
			using tree = temporaryTree();
			const layers = { ...makeLayers(tree, { lowers }), options: [] };
			if (lacks("trusted attributes")) {
				const { exitCode, stderr } = await runProgram(["-o", layerOptions(layers), layers.mountpoint]);
				expect(exitCode).toBe(1);
				for (const part of ["data-only layers", "trusted", "metacopy=on"]) expect(stderr).toContain(part);
				return;
			}
			await using mounted = await mountOverlay(layers);
			expect([shown(mounted.at("f")), shown(mounted.at("g"))]).toEqual(["EPERM", "EPERM"]);
		});

		test.each([
			["metacopy=on", "merged"],
			["userxattr", "EPERM"],
		])("with %s they lead to these layers, and to others: %s", async (option, other) => {
			using tree = temporaryTree();
			const upper = { up: sparseFile(6, {}, { xattrs: users("/secret") }) };
			const layers = { ...makeLayers(tree, { lowers, upper }), options: [option] };
			await using mounted = await mountOverlay(layers);
			expect([shown(mounted.at("f")), shown(mounted.at("g"))]).toEqual(["secret", other]);
			expect(shown(mounted.at("up"))).toBe(option === "userxattr" ? "EPERM" : "EIO");
		});

		test.skipIf(!kernelHas([6, 16]) || lacks("kernel overlayfs"))(
			"with userxattr they are so as in the kernel",
			async () => {
				using tree = temporaryTree();
				const layers = { ...makeLayers(tree, { lowers: lowers.slice(0, 1) }), options: ["userxattr"] };
				const look = () => [shown(`${layers.mountpoint}/f`), shown(`${layers.mountpoint}/g`)];
				let kernels: string[];
				{
					using _ = mountKernelOverlay(layers, "userxattr");
					kernels = look();
				}
				expect(kernels).toEqual(["secret", "EPERM"]);
				await using _ = await mountOverlay(layers);
				expect(look()).toEqual(kernels);
			},
		);
	});

	test("a mark that is set through the mount is a user's own", async () => {
		using tree = temporaryTree();
		const layers = makeLayers(tree, { lowers: [{ f: sparseFile(6, {}) }] });
		await using mounted = await mountOverlay(layers);
		setxattr(mounted.at("f"), mark, "");
		setxattr(mounted.at("f"), mark.replace("metacopy", "redirect"), "/secret");
		await mounted.remount();
		expect(readFileSync(mounted.at("f"))).toEqual(Buffer.alloc(6));
	});

	test("a store may not be what changes are written to", async () => {
		using tree = temporaryTree();
		const layers = makeLayers(tree);
		const dataOnly = [layers.upper];
		const { exitCode, stderr } = await runProgram([
			...["-o", layerOptions({ ...layers, dataOnly }), ...follow.flatMap((option) => ["-o", option])],
			layers.mountpoint,
		]);
		expect(exitCode).toBe(1);
		expect(stderr).toContain("changes need a directory of their own");
	});
});
