/** Hard links: of files of every layer, and the one node behind several names. */
import { describe, expect, test } from "bun:test";
import { lstatSync, statSync } from "node:fs";
import { directory, fifo, file, hardLink, symlink, whiteout } from "../../harness/layers.ts";
import { type CoreSettings, cacheModes, errnoOf, openCore } from "./core.ts";

const formats: readonly (readonly [string, CoreSettings])[] = [
	["devices", {}],
	["`.wh.` files", { fileWhiteouts: true }],
];

describe.each(cacheModes)("with %s", (_, options) => {
	test("of a file of either layer is one node, one inode, one content", () => {
		using core = openCore([{ lower: file("x", { mode: 0o640 }), "d/x": "x" }], {
			upper: { own: "x" },
			options,
		});
		for (const name of ["lower", "own"]) {
			const before = core.stat(name);
			core.link(name, `d/${name}2`);
			core.link(`d/${name}2`, `${name}3`);
			const node = core.node(name);
			expect([core.node(`d/${name}2`), core.node(`${name}3`)]).toEqual([node, node]);
			expect(core.stat(name)).toEqual({ ...before, links: 3 });
			core.write(`${name}3`, "changed");
			expect([core.read(name), core.read(`d/${name}2`)]).toEqual(["changed", "changed"]);
			expect(statSync(core.inUpper(name)).ino).toBe(statSync(core.inUpper(`d/${name}2`)).ino);
		}
		core.reopen();
		expect(core.node("lower")).toBe(core.node("d/lower2"));
		expect([core.stat("lower").links, core.stat("own").links]).toEqual([3, 3]);
	});

	test("of symlinks and FIFOs", () => {
		using core = openCore([{ l: symlink("target"), p: fifo() }], { options });
		core.link("l", "l2");
		core.link("p", "p2");
		expect([core.readlink("l2"), core.stat("l").links]).toEqual(["target", 2]);
		expect([lstatSync(core.inUpper("p2")).isFIFO(), core.node("p2")]).toEqual([true, core.node("p")]);
	});

	test.each(formats)("over whiteouts as %s", (_title, settings) => {
		using core = openCore([{ gone: "x", "d/gone": "x", f: "f" }], { ...settings, options });
		core.unlink("gone");
		core.unlink("d/gone");
		core.link("f", "gone");
		core.link("f", "d/gone");
		expect([core.read("gone"), core.read("d/gone"), core.stat("f").links]).toEqual(["f", "f", 3]);
		core.reopen();
		expect([core.read("gone"), core.read("d/gone"), core.stat("f").links]).toEqual(["f", "f", 3]);
	});

	test("refusals", () => {
		const upper = { own: "own", hidden: whiteout() };
		using core = openCore([{ f: "f", d: directory(), hidden: "x", other: "x" }], { upper, options });
		for (const name of ["own", "d", "other"]) expect(errnoOf(() => core.link("f", name))).toBe("EEXIST");
		expect(errnoOf(() => core.link("d", "new"))).toBe("EPERM");
		expect(errnoOf(() => core.link("hidden", "new"))).toBe("ENOENT");
		expect(errnoOf(() => core.link("f", "missing/new"))).toBe("ENOENT");
		expect(core.upperNames()).toEqual(["hidden", "own"]);
		const node = core.node("d");
		core.rmdir("d");
		expect(errnoOf(() => core.linkIn(core.node("f"), node, "new"))).toBe("ENOENT");
	});

	test("a name less is a link less, and the file stays by the others", () => {
		using core = openCore([{}], { upper: { a: "a", b: hardLink("a"), c: hardLink("a") }, options });
		const node = core.node("a");
		core.unlink("a");
		expect([core.node("b"), core.stat("b").links, core.attributes(node).links]).toEqual([node, 2, 2]);
		core.unlink("c");
		expect([core.read("b"), core.stat("b").links]).toEqual(["a", 1]);
	});

	test("the last name found late is still the file that is held", () => {
		using core = openCore([{}], { upper: { a: "a", b: hardLink("a") }, options });
		const node = core.node("a");
		core.unlink("a");
		expect(core.node("b")).toBe(node);
		core.writeTo(node, "A");
		expect(core.read("b")).toBe("A");
	});

	test("a replaced name leaves the other", () => {
		using core = openCore([{}], { upper: { a: "a", b: hardLink("a"), c: "c" }, options });
		const node = core.node("b");
		core.rename("c", "a");
		expect([core.read("a"), core.read("b"), core.node("b")]).toEqual(["c", "a", node]);
	});

	test("links of a lower layer break at copy-up, as in the kernel, and no name loses its content", () => {
		using core = openCore([{ a: "abc", b: hardLink("a") }], { options });
		expect([core.stat("a").links, core.stat("a").inode === core.stat("b").inode]).toEqual([2, true]);
		core.write("b", "X");
		expect([core.read("a"), core.read("b")]).toEqual(["abc", "Xbc"]);
		expect([core.stat("b").links, core.stat("a").inode === core.stat("b").inode]).toEqual([1, false]);
		core.reopen();
		expect([core.read("a"), core.read("b"), core.upperNames()]).toEqual(["abc", "Xbc", ["b"]]);
	});

	test("the number readdir tells is the one stat tells, also after a link has broken", () => {
		using core = openCore([{ a: "a", b: hardLink("a"), c: "c" }], { options });
		core.names();
		core.write("b", "X");
		core.write("c", "X");
		core.forgetAll();
		const told = Object.fromEntries(core.entries(core.node("")).map(({ name, inode }) => [name, inode]));
		for (const name of ["a", "b", "c"])
			expect({ name, inode: told[name] }).toEqual({ name, inode: core.stat(name).inode });
	});
});
