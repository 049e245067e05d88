/** Symlinks where directories and files are expected, from the start or put there while somebody walks by. */

import { describe, expect, test } from "bun:test";
import {
	appendFileSync,
	mkdirSync,
	readdirSync,
	readFileSync,
	realpathSync,
	rmSync,
	symlinkSync,
} from "node:fs";
import { join } from "node:path";
import { directory, symlink, type TemporaryTree, temporaryTree } from "../harness/layers.ts";
import { mountOverlay } from "../harness/mount.ts";
import { codeOf } from "../harness/native.ts";
import { lacks } from "../harness/setting.ts";
import { snapshot } from "../harness/snapshot.ts";
import type { Walk } from "./walker.ts";

/** Nobody may see any of this through a mount, or change it. */
const secret = "secret";
function outside(tree: TemporaryTree): string {
	return tree.layer("outside", { f: secret, g: secret, "deep/f": secret, [`${secret}-name`]: secret });
}

/** Targets of symlinks, from a layer's root, that lead out of the layer. */
function waysOut(tree: string): Readonly<Record<string, string>> {
	return {
		"an absolute one": `${tree}/outside`,
		"one that climbs": "../outside",
		"one that climbs from the root of all": `${"../".repeat(40)}${tree}/outside`,
		"one through /proc": `/proc/self/root${tree}/outside`,
		"one into another layer": "../lower1",
		"one into the work directory": "../work/work",
		"one into the mount itself": `${tree}/merged`,
	};
}

describe("a symlink in place of a directory", () => {
	test.each(Object.keys(waysOut("")))("%s merges with nothing and takes no changes", async (way) => {
		using tree = temporaryTree();
		const target = waysOut(tree.path)[way] ?? "";
		const kept = outside(tree);
		const layers = tree.layers(
			[
				{ top: symlink(target), "in/middle": symlink(target), "e/below": "below" },
				{ "top/below": "below", "in/middle/below": "below", "d/below": "below", "e/deep/x": "x" },
			],
			{ d: symlink(target), "e/deep": symlink(target) },
		);
		await using merged = await mountOverlay({ ...layers });
		const before = snapshot(kept);
		for (const name of ["top", "in/middle", "d", "e/deep"]) {
			const own = merged.at(name);
			// The mount shows a symlink, and whoever follows it does so for themselves.
			rmSync(own);
			mkdirSync(own);
			expect({ name, content: readdirSync(own) }).toEqual({ name, content: [] });
			appendFileSync(join(own, "f"), "ours");
		}
		await merged.remount();
		for (const name of ["top", "in/middle", "d", "e/deep"])
			expect(readdirSync(merged.at(name))).toEqual(["f"]);
		expect(snapshot(kept)).toEqual(before);
	});

	test("into the mount itself is followed by its users only, as often as they like", async () => {
		using tree = temporaryTree();
		const layers = tree.layers([{ a: "a", self: symlink(tree.join("merged")), "d/up": symlink("../d") }]);
		await using merged = await mountOverlay({ ...layers });
		expect(readFileSync(`${merged.path}/self/self/self/d/up/up/../a`, "utf8")).toBe("a");
		expect(realpathSync(merged.at("self/self/d/up"))).toBe(merged.at("d"));
		expect(codeOf(() => readFileSync(merged.at(`${"self/".repeat(50)}a`)))).toBe("ELOOP");
		appendFileSync(merged.at("self/self/a"), "+");
		expect(readFileSync(merged.at("a"), "utf8")).toBe("a+");
		rmSync(merged.at("self"), { recursive: true });
		expect(readdirSync(merged.path).sort()).toEqual(["a", "d"]);
	});

	test("in the path of a layer is followed once: whither it leads later does not matter", async () => {
		using tree = temporaryTree();
		const layers = tree.layers([{ a: "a" }], { u: "u" });
		outside(tree);
		const paths = Object.fromEntries(
			["lower1", "upper", "work"].map((name) => {
				symlinkSync(name, tree.join(`${name}-link`));
				return [name, tree.join(`${name}-link`)];
			}),
		) as Record<"lower1" | "upper" | "work", string>;
		const { mountpoint } = layers;
		await using merged = await mountOverlay({
			lower: [paths.lower1],
			upper: paths.upper,
			work: paths.work,
			mountpoint,
		});
		const before = snapshot(tree.join("outside"));
		for (const path of Object.values(paths)) {
			rmSync(path);
			symlinkSync("outside", path);
		}
		expect(readdirSync(merged.path).sort()).toEqual(["a", "u"]);
		for (const name of ["a", "u"]) appendFileSync(merged.at(name), "+");
		expect(readFileSync(join(layers.upper, "a"), "utf8")).toBe("a+");
		expect(snapshot(tree.join("outside"))).toEqual(before);
	});
});

describe.skipIf(lacks("mounting"))(
	"files and directories of the layers, swapped for symlinks while used",
	() => {
		const enough = 100;

		test.each([["timeout=0"], ["timeout=0,passthrough=off"], ["timeout=0,xattr_permissions=2"]])(
			"let nobody see or touch anything outside of them, with %s",
			async (options) => {
				using tree = temporaryTree();
				const kept = outside(tree);
				const inside = (layer: string) => ({
					[`${layer}-d/f`]: "inside",
					[`${layer}-d/deep/f`]: "inside",
					[`${layer}-d/g`]: "inside",
					[`${layer}-e/f`]: "inside",
					[`${layer}-e/deep/f`]: "inside",
					[`${layer}-f`]: "inside",
					// What they are swapped with.
					[`${layer}-d.link`]: symlink(kept),
					[`${layer}-e/f.link`]: symlink("../../outside/f"),
					[`${layer}-e/deep.link`]: symlink(join(kept, "deep")),
					[`${layer}-f.link`]: symlink("../outside/f"),
				});
				const layers = tree.layers(
					[inside("lower"), { "upper-d": directory(), "lower-d/below": "inside" }],
					inside("upper"),
				);
				await using merged = await mountOverlay({ ...layers, options: [options] });
				const before = snapshot(kept);
				// Of what is copied up from the lower layer, the copy as well.
				const swapped = [
					[layers.lower[0], "lower"],
					[layers.upper, "upper"],
					[layers.upper, "lower"],
				].flatMap(([root = "", layer]) =>
					["d", "e/deep", "e/f", "f"].map((name) => join(root, `${layer}-${name}`)),
				);
				const pairs = swapped.flatMap((path) => [path, `${path}.link`]);
				const bun = process.execPath;
				const swapper = Bun.spawn([bun, join(import.meta.dir, "swapper.ts"), ...pairs], { cwd: "/" });
				let walk: Walk;
				try {
					const walker = Bun.spawn([bun, join(import.meta.dir, "walker.ts"), merged.path, String(enough)], {
						cwd: "/",
						stdio: ["ignore", "pipe", "inherit"],
					});
					walk = JSON.parse(await new Response(walker.stdout).text());
				} finally {
					swapper.kill("SIGKILL");
					await swapper.exited;
				}
				// Whether it was a race at all.
				expect(Math.min(walk.asSymlink, walk.asItself)).toBeGreaterThanOrEqual(enough);
				expect(walk.seen.some((text) => text.startsWith("inside"))).toBeTrue();
				expect(walk.seen.filter((text) => text.includes(secret))).toEqual([]);
				expect(snapshot(kept)).toEqual(before);
				expect(merged.daemons).toHaveLength(1);
				expect(merged.log.split("\n").filter((line) => /Error|at /.test(line))).toEqual([]);
			},
		);
	},
);
