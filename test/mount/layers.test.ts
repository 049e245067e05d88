import { describe, expect, test } from "bun:test";
import {
	appendFileSync,
	chmodSync,
	existsSync,
	lstatSync,
	mkdirSync,
	readdirSync,
	readFileSync,
	renameSync,
	rmSync,
	symlinkSync,
	writeFileSync,
} from "node:fs";
import { type Description, whiteout } from "../harness/layers.ts";
import { mountLayers } from "../harness/overlay.ts";
import { snapshot } from "../harness/snapshot.ts";

const read = (path: string) => readFileSync(path, "utf8");

/** Layer `index` of `count`: some names in all layers, some in every third, one of its own, and a whiteout. */
function describedLayer(index: number, count: number): Description {
	return {
		all: `layer ${index}`,
		"deep/er/all": `layer ${index}`,
		[`own${index}`]: `layer ${index}`,
		[`deep/er/own${index}`]: `layer ${index}`,
		...(index % 3 === 0 ? { third: `layer ${index}` } : {}),
		// Hides the own name of the layer below.
		...(index + 1 < count ? { [`own${index + 1}`]: whiteout() } : {}),
	};
}

describe.each([1, 2, 40])("%i lower layers", (count) => {
	const described = Array.from({ length: count }, (_, index) => describedLayer(index, count));

	test("merge, the topmost winning", async () => {
		await using overlay = await mountLayers(described);
		expect(readdirSync(overlay.path).sort()).toEqual(["all", "deep", "own0", "third"]);
		expect([read(overlay.at("all")), read(overlay.at("third"))]).toEqual(["layer 0", "layer 0"]);
		expect(readdirSync(overlay.at("deep/er")).length).toBe(count + 1);
		for (let index = 0; index < count; index++) {
			expect(read(overlay.at(`deep/er/own${index}`))).toBe(`layer ${index}`);
		}
		await overlay.expectLasting();
	});

	test("take changes in the upper layer, and none themselves", async () => {
		await using overlay = await mountLayers(described);
		const before = overlay.layers.lower.map((lower) => snapshot(lower));
		appendFileSync(overlay.at(`deep/er/own${count - 1}`), " changed");
		chmodSync(overlay.at("all"), 0o600);
		rmSync(overlay.at("third"));
		writeFileSync(overlay.at(`own${count}`), "new");
		mkdirSync(overlay.at("deep/new"));
		expect(existsSync(overlay.at("third"))).toBeFalse();
		await overlay.expectLasting();
		expect(overlay.layers.lower.map((lower) => snapshot(lower))).toEqual(before);
	});

	test("merge without an upper layer", async () => {
		await using overlay = await mountLayers(described, { readOnly: true });
		expect(read(overlay.at("all"))).toBe("layer 0");
		expect(readdirSync(overlay.at("deep/er")).length).toBe(count + 1);
		await overlay.expectLasting();
	});
});

describe("layers in unusual places", () => {
	test("one directory may be several layers' parent, or reached through a symlink", async () => {
		await using overlay = await mountLayers([{ a: "first" }, { a: "second", b: "second" }]);
		const [first = "", second = ""] = overlay.layers.lower;
		symlinkSync(second, overlay.tree.join("link"));
		await overlay.remount({ lower: [first, overlay.tree.join("link")] });
		expect([read(overlay.at("a")), read(overlay.at("b"))]).toEqual(["first", "second"]);
		await overlay.remount({ lower: [`${first}/`, `${second}/.`] });
		expect([read(overlay.at("a")), read(overlay.at("b"))]).toEqual(["first", "second"]);
	});

	test("paths may be relative to the current directory", async () => {
		await using overlay = await mountLayers([{ "d/a": "lower" }]);
		await overlay.remount({ cwd: overlay.tree.path, lower: ["lower1"], upper: "upper", work: "work" });
		writeFileSync(overlay.at("d/a"), "changed");
		await overlay.unmount();
		expect(read(overlay.inUpper("d/a"))).toBe("changed");
	});

	test("colons, commas and backslashes in paths are escaped with a backslash", async () => {
		await using overlay = await mountLayers([{ a: "plain" }]);
		await overlay.unmount();
		const odd = "a:b,c\\d";
		const layers = overlay.tree.layer(odd, { "lower/a": "odd", "upper/u": "u", "work/.keep": "" });
		rmSync(`${layers}/work/.keep`);
		for (const beforeColon of ["\\", "\\\\"]) {
			const escaped = overlay.tree.join(
				odd.replaceAll("\\", "\\\\").replaceAll(",", "\\,").replaceAll(":", `${beforeColon}:`),
			);
			await overlay.remount({
				lower: [`${escaped}/lower`],
				upper: `${escaped}/upper`,
				work: `${escaped}/work`,
			});
			expect(readdirSync(overlay.path).sort()).toEqual(["a", "u"]);
			expect(read(overlay.at("a"))).toBe("odd");
		}
	});

	test("an overlay may be a layer of another", async () => {
		await using inner = await mountLayers([{ a: "a", "d/b": "b" }]);
		await using outer = await mountLayers([{ c: "c" }]);
		rmSync(inner.at("d/b"));
		await outer.remount({ lower: [outer.inLower(), inner.path] });
		expect(readdirSync(outer.path).sort()).toEqual(["a", "c", "d"]);
		expect(readdirSync(outer.at("d"))).toEqual([]);
		writeFileSync(outer.at("a"), "outer");
		rmSync(outer.at("d"), { recursive: true });
		mkdirSync(outer.at("d"));
		expect([read(outer.at("a")), read(inner.at("a"))]).toEqual(["outer", "a"]);
		await outer.remount();
		expect(read(outer.at("a"))).toBe("outer");
		expect(readdirSync(outer.at("d"))).toEqual([]);
		await outer.unmount();
	});
});

describe("more layers than there may be open files for", () => {
	/** Below `d` each layer has a directory `e`, and in both a name of its own. */
	const described = (count: number): Description[] =>
		Array.from({ length: count }, (_, index) => ({ [`d/f${index}`]: "f", [`d/e/g${index}`]: `${index}` }));

	test.each([
		[480, 1024],
		[100, 150],
	])("%i of which each has a part of every directory, with %i", async (count, openFiles) => {
		await using overlay = await mountLayers(described(count), { openFiles });
		expect(readdirSync(overlay.at("d")).length).toBe(count + 1);
		for (let index = 0; index < count; index += 7)
			expect(read(overlay.at(`d/e/g${index}`))).toBe(String(index));
		for (const name of readdirSync(overlay.at("d/e"))) lstatSync(overlay.at("d/e", name));
		appendFileSync(overlay.at("d/e/g50"), " changed");
		renameSync(overlay.at("d/e/g60"), overlay.at("d/moved"));
		expect(read(overlay.at("d/moved"))).toBe("60");
		rmSync(overlay.at("d/e"), { recursive: true });
		expect(readdirSync(overlay.at("d")).length).toBe(count + 1);
	});

	test("a mount that could not have their roots open is refused, with what is lacking", async () => {
		const mounting = mountLayers(described(70), { openFiles: 100 });
		expect(mounting).rejects.toThrow("71 layers need 111 open files, and the limit is 100: raise it");
	});
});
