/**
 * `verity`: whether the data of files that have it in another layer must have the fs-verity digest that these name. Digests
 * that are true need a kernel with fs-verity; whatever else a mark names is refused everywhere.
 */

import { describe, expect, test } from "bun:test";
import { appendFileSync, chmodSync, lstatSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { type Description, fillLayer, type TemporaryTree, temporaryTree } from "../harness/layers.ts";
import { follow, hollow, mark } from "../harness/metacopies.ts";
import { type MountRequest, mountKernelOverlay, mountOverlay, runProgram } from "../harness/mount.ts";
import { codeOf, getxattr } from "../harness/native.ts";
import { isKernel } from "../harness/program.ts";
import { lacks, overlayAttributes } from "../harness/setting.ts";
import { hasVerity, markValue, mountVerityDisk, SHA512, seal } from "../harness/verity.ts";

const content = "12345";

function shown(path: string): string {
	let read = "";
	const code = codeOf(() => {
		read = readFileSync(path, "utf8");
	});
	return code ?? read;
}

function refusalsOf(log: string, name: string): string[] {
	return log.split("\n").filter((line) => line.includes(`refused /${name}:`));
}

describe.skipIf(isKernel)("verity", () => {
	const digest = Buffer.alloc(32, 7);

	test.each([
		["off", content, content, content],
		["on", content, "EIO", "EIO"],
		["require", "EIO", "EIO", "EIO"],
	])("%s, where data has no digest", async (mode, ofNone, ofOne, ofAnother) => {
		using tree = temporaryTree();
		const lowers: Description[] = [
			{
				none: hollow(5, "/a"),
				unknown: hollow(5, "/a", Buffer.from([0, 4, 0, 0])),
				one: hollow(5, "/a", markValue(digest)),
				strange: hollow(5, "/a", markValue(digest.subarray(0, 3), 9)),
				own: "54321",
			},
		];
		const layers = { ...tree.layers(lowers), dataOnly: [tree.layer("store", { a: content })] };
		await using mounted = await mountOverlay({ ...layers, options: [...follow, `verity=${mode}`] });
		const expected = { none: ofNone, unknown: ofNone, one: ofOne, strange: ofAnother, own: "54321" };
		for (const [name, what] of Object.entries(expected)) {
			expect(lstatSync(mounted.at(name)).size).toBe(5);
			expect({ name, what: shown(mounted.at(name)) }).toEqual({ name, what });
			const isRefused = what === "EIO";
			expect(refusalsOf(mounted.log, name)).toHaveLength(isRefused ? 1 : 0);
			if (isRefused) expect(refusalsOf(mounted.log, name)[0]).toContain("fs-verity");
			for (const change of [
				() => truncateSync(mounted.at(name), 0),
				() => appendFileSync(mounted.at(name), "+"),
			])
				expect(codeOf(change)).toBe(isRefused ? "EIO" : undefined);
		}
	});

	test.each(["", "yes", "1"])("%j is no value of it", async (value) => {
		using tree = temporaryTree();
		const { lower, mountpoint } = tree.layers([{}]);
		const { exitCode, stderr } = await runProgram(["-o", `lowerdir=${lower},verity=${value}`, mountpoint]);
		expect(exitCode).toBe(1);
		expect(stderr).toContain("verity=off or verity=on or verity=require");
	});

	test.skipIf(!lacks("trusted attributes"))("needs marks that can be seen", async () => {
		using tree = temporaryTree();
		const { lower, mountpoint } = tree.layers([{}]);
		const { exitCode, stderr } = await runProgram(["-o", `lowerdir=${lower},verity=on`, mountpoint]);
		expect(exitCode).toBe(1);
		expect(stderr).toContain("metacopy=on");
	});

	describe.skipIf(!hasVerity || lacks("the machine's root") || overlayAttributes === "user")(
		"of sealed data",
		() => {
			/** Sealed data in a data-only layer and in a lower one, and files that name its digest, rightly and not. */
			function makeLayers(tree: TemporaryTree) {
				mountVerityDisk(tree.join("disk"));
				const store = tree.join("disk/store");
				const below = tree.join("disk/below");
				fillLayer(store, { a: content, b: content, open: content });
				fillLayer(below, { merged: content, changed: content });
				const [ofA, ofB] = [seal(`${store}/a`), seal(`${store}/b`, SHA512)];
				const ofMerged = seal(`${below}/merged`);
				const wrong = Buffer.from(ofA);
				wrong[31]! ^= 1;
				const names: Description = {
					right: hollow(5, "/a", markValue(ofA)),
					right512: hollow(5, "/b", markValue(ofB, SHA512)),
					unnamed: hollow(5, "/a"),
					wrong: hollow(5, "/a", markValue(wrong)),
					"wrong-kind": hollow(5, "/a", markValue(ofA, SHA512)),
					"too-short": hollow(5, "/a", markValue(ofA.subarray(0, 31))),
					"too-long": hollow(5, "/a", markValue(Buffer.concat([ofA, Buffer.alloc(1)]))),
					unsealed: hollow(5, "/open", markValue(ofA)),
					merged: hollow(5, undefined, markValue(ofMerged)),
					changed: hollow(5, undefined, markValue(ofMerged)),
				};
				const { lower, ...layers } = tree.layers([names]);
				return { ...layers, lower: [...lower, below], dataOnly: [store] };
			}

			const right = { right: content, right512: content, merged: content };
			const refused = "wrong wrong-kind too-short too-long unsealed changed".split(" ");

			test.each(["off", "on", "require"])("%s is as in the kernel", async (mode) => {
				using tree = temporaryTree();
				const layers: MountRequest = makeLayers(tree);
				const wrong = mode === "off" ? content : "EIO";
				const expected: Record<string, string> = {
					...right,
					unnamed: mode === "require" ? "EIO" : content,
					...Object.fromEntries(refused.map((name) => [name, wrong])),
				};
				const look = () =>
					Object.fromEntries(
						Object.keys(expected).map((name) => [name, shown(`${layers.mountpoint}/${name}`)]),
					);
				{
					using _ = mountKernelOverlay(layers, "metacopy=on", "redirect_dir=on", `verity=${mode}`);
					expect(look()).toEqual(expected);
				}
				// Changed at the end.
				for (const passthrough of ["off", "on"]) {
					const options = [`verity=${mode}`, `passthrough=${passthrough}`];
					await using mounted = await mountOverlay({ ...layers, options });
					expect(look()).toEqual(expected);
					for (const [name, what] of Object.entries(expected)) {
						const isRefused = what === "EIO";
						expect(refusalsOf(mounted.log, name).length > 0).toBe(isRefused);
						if (passthrough === "off") continue;
						expect(codeOf(() => appendFileSync(mounted.at(name), "+"))).toBe(isRefused ? "EIO" : undefined);
						if (!isRefused) expect(shown(mounted.at(name))).toBe(`${content}+`);
					}
				}
			});

			test.each(["on", "require"])("%s is kept of what is copied up without its data", async (mode) => {
				using tree = temporaryTree();
				const layers: MountRequest = makeLayers(tree);
				const options = ["metacopy=on", "redirect_dir=on"];
				const sealed = `${tree.path}/disk/below/alone`;
				writeFileSync(sealed, content);
				seal(sealed);
				{
					await using mounted = await mountOverlay({ ...layers, options: [...options, `verity=${mode}`] });
					for (const name of [...Object.keys(right), "alone"]) chmodSync(mounted.at(name), 0o600);
					for (const name of [...Object.keys(right), "alone"]) expect(shown(mounted.at(name))).toBe(content);
					for (const name of refused)
						expect(codeOf(() => chmodSync(mounted.at(name), 0o600))).toBe(undefined);
					for (const name of refused) expect(shown(mounted.at(name))).toBe("EIO");
				}
				expect(getxattr(`${layers.upper}/alone`, mark).length).toBe(4 + 32);
				const names = [...Object.keys(right), "alone"];
				const look = () => names.map((name) => shown(`${layers.mountpoint}/${name}`));
				{
					using _ = mountKernelOverlay(layers, ...options, "verity=require");
					expect(look()).toEqual(names.map(() => content));
				}
				await using _ = await mountOverlay({ ...layers, options: ["verity=require"] });
				expect(look()).toEqual(names.map(() => content));
			});

			test("is checked of what kernel overlayfs has copied up, too", async () => {
				using tree = temporaryTree();
				const layers: MountRequest = makeLayers(tree);
				{
					using _ = mountKernelOverlay(layers, "metacopy=on", "redirect_dir=on", "verity=on");
					for (const name of Object.keys(right)) chmodSync(`${layers.mountpoint}/${name}`, 0o600);
				}
				await using mounted = await mountOverlay({ ...layers, options: ["verity=require"] });
				for (const name of Object.keys(right)) expect(shown(mounted.at(name))).toBe(content);
			});
		},
	);
});
