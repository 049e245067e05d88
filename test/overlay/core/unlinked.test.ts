/** Nodes that have lost their name: they work on as long as they are held, and leave nothing when they are not. */
import { describe, expect, test } from "bun:test";
import { directory, fifo, file, symlink } from "../../harness/layers.ts";
import { cacheModes, errnoOf, openCore } from "./core.ts";

const kinds = ["lower", "upper", "copied"];

describe.each(cacheModes)("with %s", (_, options) => {
	const open = () => {
		const described = () => file("content", { mode: 0o640, uid: 1, gid: 2, xattrs: { "user.note": "n" } });
		const lower = { "d/lower": described(), "d/copied": described() };
		const core = openCore([lower], { upper: { "d/upper": described() }, options });
		core.copyUp("d/copied");
		return core;
	};

	test.each(kinds)("of the %s layer: read, write, truncate", (kind) => {
		using core = open();
		const node = core.node(`d/${kind}`);
		core.unlink(`d/${kind}`);
		expect(core.readFrom(node)).toBe("content");
		core.writeTo(node, "CON");
		core.writeTo(node, "more", 10);
		expect(core.readFrom(node)).toBe("CONtent\0\0\0more");
		expect(core.changeNode(node, { size: 3 }).size).toBe(3);
		expect(core.readFrom(node)).toBe("CON");
		expect([core.names("d").includes(kind), core.exists(`d/${kind}`)]).toEqual([false, false]);
	});

	test.each(kinds)("of the %s layer: attributes", (kind) => {
		using core = open();
		const node = core.node(`d/${kind}`);
		const before = core.attributes(node);
		core.unlink(`d/${kind}`);
		expect(core.attributes(node)).toEqual({ ...before, links: 0 });
		expect(core.changeNode(node, { mode: 0o4711 }).mode).toBe(0o4711);
		expect(core.changeNode(node, { uid: 5, gid: 6 })).toMatchObject({ uid: 5, gid: 6, mode: 0o711 });
		expect(core.changeNode(node, { mtime: 5n }).mtime).toBe(5n);
		expect(core.attributes(node)).toMatchObject({ links: 0, inode: before.inode });
	});

	test.each(kinds)("of the %s layer: extended attributes", (kind) => {
		using core = open();
		const node = core.node(`d/${kind}`);
		core.unlink(`d/${kind}`);
		expect(core.getxattrOf(node, "user.note").toString()).toBe("n");
		core.setxattrOf(node, "user.new", "new");
		expect(core.getxattrOf(node, "user.new").toString()).toBe("new");
		expect(core.getxattrOf(node, "user.note").toString()).toBe("n");
	});

	test.each(kinds)("of the %s layer: a new file of the name is another", (kind) => {
		using core = open();
		const node = core.node(`d/${kind}`);
		core.unlink(`d/${kind}`);
		core.create(`d/${kind}`, "new");
		expect(core.node(`d/${kind}`)).not.toBe(node);
		core.writeTo(node, "OLD");
		expect([core.read(`d/${kind}`), core.readFrom(node)]).toEqual(["new", "OLDtent"]);
	});

	test("symlinks and FIFOs", () => {
		using core = openCore([{ l: symlink("target"), p: fifo({ mode: 0o600 }) }], { options });
		const [link, pipe] = [core.node("l"), core.node("p")];
		core.unlink("l");
		core.unlink("p");
		expect([core.attributes(link).size, core.attributes(pipe).mode]).toEqual([6, 0o600]);
		expect([core.attributes(link).links, core.attributes(pipe).links]).toEqual([0, 0]);
	});

	test("directories: empty, without links, and nothing can be made in them", () => {
		using core = openCore([{ "lower/x": "x" }], { upper: { upper: directory({ mode: 0o710 }) }, options });
		core.unlink("lower/x");
		for (const name of ["lower", "upper"]) {
			const node = core.node(name);
			core.rmdir(name);
			expect(core.attributes(node).links).toBe(0);
			expect(core.entries(node)).toEqual([]);
			expect(errnoOf(() => core.makeIn(node, "x", 0o100644))).toBe("ENOENT");
			expect(errnoOf(() => core.linkIn(core.create(`file-${name}`), node, "x"))).toBe("ENOENT");
		}
	});

	test("an upper directory: its mode and owner can still be changed", () => {
		using core = openCore([{}], { upper: { d: directory() }, options });
		const node = core.node("d");
		core.rmdir("d");
		expect(core.changeNode(node, { mode: 0o711 }).mode).toBe(0o711);
		expect(core.changeNode(node, { uid: 4 }).uid).toBe(4);
	});

	test("a file open when its last name is replaced", () => {
		using core = openCore([{ a: "old" }], { options });
		const node = core.node("a");
		core.create("b", "new");
		core.rename("b", "a");
		core.writeTo(node, "OLD");
		expect([core.read("a"), core.readFrom(node)]).toEqual(["new", "OLD"]);
	});
});

test("thousands of unlinked files that are held do not need a thousand names", () => {
	const many = Object.fromEntries(Array.from({ length: 500 }, (_, index) => [`f${index}`, `${index}`]));
	using core = openCore([many], { options: { largestDescriptors: 10 } });
	const nodes = Object.keys(many).map((name) => core.node(name));
	for (const name of Object.keys(many)) core.unlink(name);
	nodes.forEach((node, index) => {
		if (index % 2 === 0) core.writeTo(node, "X");
	});
	nodes.forEach((node, index) => {
		const text = `${index}`;
		expect(core.readFrom(node)).toBe(index % 2 === 0 ? `X${text.slice(1)}` : text);
	});
});
