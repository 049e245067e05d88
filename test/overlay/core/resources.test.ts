/** What is held is given back: nodes after forget, descriptors and memory within their limits. */
import { describe, expect, test } from "bun:test";
import { ENOMEM, S_IFREG } from "../../../src/native/layout.ts";
import { fail } from "../../../src/native/libc/errno.ts";
import { bytes, reserve } from "../../../src/native/memory.ts";
import { NO_NODE, ROOT } from "../../../src/overlay/nodes/node.ts";
import { directory, hardLink } from "../../harness/layers.ts";
import { cacheModes, countDescriptors, errnoOf, openCore } from "./core.ts";

const tree = (width: number, depth: number, prefix = ""): Record<string, string> =>
	Object.assign(
		{},
		...Array.from({ length: width }, (_, index) =>
			depth === 1 ? { [`${prefix}f${index}`]: `${index}` } : tree(width, depth - 1, `${prefix}d${index}/`),
		),
	);

describe.each(cacheModes)("with %s", (_, options) => {
	test("every node is freed once it is forgotten, in whatever order", () => {
		using core = openCore([tree(4, 4)], { options });
		const visit = (path: string): void => {
			for (const name of core.names(path)) {
				const below = path === "" ? name : `${path}/${name}`;
				if (name.startsWith("d")) visit(below);
				else core.read(below);
			}
		};
		visit("");
		expect(core.overlay.nodes.count).toBe(1 + 4 + 16 + 64 + 256);
		core.forgetAll();
		expect(core.overlay.nodes.count).toBe(1);
		visit("");
		// Parents first, as the kernel does when it drops its caches.
		for (let node = 2; node < 400; node++) {
			const id = node as typeof ROOT;
			const count = core.overlay.nodes.lookupCount(id);
			if (count > 0) core.forget(id, count);
		}
		expect(core.overlay.nodes.count).toBe(1);
	});

	test("what fails, fails without a trace", () => {
		const upper = { "own/x": "x", a: "a", b: hardLink("a"), "empty/.wh.x": "" };
		using core = openCore([{ "d/x": "x", f: "f", "merged/x": "x" }], { upper, options });
		core.node("d");
		core.node("f");
		const before = core.overlay.nodes.count;
		for (const [action, code] of [
			[() => core.makeIn(ROOT, "f", S_IFREG | 0o644), "EEXIST"],
			[() => core.unlinkIn(ROOT, "missing"), "ENOENT"],
			[() => core.unlinkIn(ROOT, "merged"), "EISDIR"],
			[() => core.rmdirIn(ROOT, "missing"), "ENOENT"],
			[() => core.rmdirIn(ROOT, "a"), "ENOTDIR"],
			[() => core.rmdirIn(ROOT, "own"), "ENOTEMPTY"],
			[() => core.rmdirIn(ROOT, "merged"), "ENOTEMPTY"],
			[() => core.renameIn(ROOT, "merged", ROOT, "new"), "EXDEV"],
			[() => core.renameIn(ROOT, "a", ROOT, "merged"), "EISDIR"],
			[() => core.renameIn(ROOT, "own", ROOT, "a"), "ENOTDIR"],
			[() => core.renameIn(ROOT, "own", ROOT, "merged"), "ENOTEMPTY"],
			[() => core.renameIn(ROOT, "missing", ROOT, "a"), "ENOENT"],
		] as const) {
			expect(errnoOf(action)).toBe(code);
			expect({ code, nodes: core.overlay.nodes.count }).toEqual({ code, nodes: before });
		}
	});

	test("where there is no room for a further node, nothing is made", () => {
		using core = openCore([{ d: directory() }], { options });
		core.node("d");
		const { nodes } = core.overlay;
		const add = nodes.add.bind(nodes);
		nodes.add = () => fail(ENOMEM);
		const attempts = [
			() => core.create("d/new"),
			() => core.mkdir("d/new"),
			() => core.symlink("target", "d/new"),
			() => core.createNameless("d"),
		];
		expect(attempts.map(errnoOf)).toEqual(attempts.map(() => "ENOMEM"));
		nodes.add = add;
		expect(core.names("d")).toEqual([]);
		core.create("d/new");
	});

	test("names that the kernel does not hold can be changed, and are not kept", () => {
		using core = openCore([{ "x/y": "y", f: "f" }], {
			upper: { a: "a", d: directory(), b: "b", c: hardLink("b") },
			options,
		});
		core.renameIn(ROOT, "a", ROOT, "a2");
		core.renameIn(ROOT, "d", ROOT, "d2");
		core.renameIn(ROOT, "b", ROOT, "c2");
		core.renameIn(ROOT, "f", ROOT, "a2");
		core.unlinkIn(ROOT, "c");
		core.rmdirIn(ROOT, "d2");
		expect(core.overlay.nodes.count).toBe(1);
		expect(core.names()).toEqual(["a2", "c2", "x"]);
	});
});

describe("descriptors", () => {
	test("stay within the limit, between requests", () => {
		const largestDescriptors = 30;
		using core = openCore([tree(8, 3), tree(8, 3)], { options: { largestDescriptors } });
		const before = countDescriptors();
		let most = 0;
		for (const path of Object.keys(tree(8, 3))) {
			core.write(path, "X");
			most = Math.max(most, countDescriptors() - before);
		}
		for (const path of Object.keys(tree(8, 3))) {
			expect(core.read(path)[0]).toBe("X");
			most = Math.max(most, countDescriptors() - before);
		}
		expect(most).toBeLessThanOrEqual(largestDescriptors + 4);
	});

	test("every operation, many times, leaves none open", () => {
		using core = openCore([tree(5, 2)]);
		const round = (turn: number) => {
			core.create(`n${turn}`, "x");
			core.mkdir(`m${turn}`);
			core.symlink("x", `s${turn}`);
			core.link(`n${turn}`, `m${turn}/l`);
			core.rename(`n${turn}`, `m${turn}/r`);
			core.exchange(`m${turn}/l`, `s${turn}`);
			core.setxattr(`m${turn}`, "user.x", "y");
			core.read(`m${turn}/r`);
			core.entries(core.node(`m${turn}`));
			for (const name of [`m${turn}/l`, `m${turn}/r`, `s${turn}`]) core.unlink(name);
			core.rmdir(`m${turn}`);
			core.forget(core.createNameless(""));
			errnoOf(() => core.rmdir("d0"));
			errnoOf(() => core.rename("d0", "moved"));
			errnoOf(() => core.create("d0"));
			core.forgetAll();
		};
		round(0);
		const before = countDescriptors();
		for (let turn = 1; turn < 100; turn++) round(turn);
		expect(countDescriptors()).toBe(before);
		expect(core.overlay.nodes.count).toBe(1);
	});
});

test("memory for names is used again", () => {
	using core = openCore([tree(40, 2)]);
	const visit = () => {
		for (const directoryName of core.names())
			for (const name of core.names(directoryName)) core.read(`${directoryName}/${name}`);
		core.forgetAll();
	};
	visit();
	core.reopen({ largestListings: 10_000 });
	visit();
	const before = reserve(16);
	for (let turn = 0; turn < 3; turn++) visit();
	expect(reserve(16) - before).toBeLessThan(1 << 18);
	expect(before).toBeLessThan(bytes.length);
});

test("an id that was never given out, or is forgotten, is unknown", () => {
	using core = openCore([{ "d/x": "x" }]);
	const node = core.node("d");
	core.forget(node);
	for (const id of [node, 0, 7, 2 ** 40]) {
		expect(errnoOf(() => core.look(id as typeof ROOT, "x"))).toBe("ESTALE");
	}
	expect(core.look(ROOT, "x")).toBe(NO_NODE);
});
