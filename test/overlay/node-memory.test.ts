/** The node table gives the memory of nodes that are gone back, and nothing else. */
import { describe, expect, test } from "bun:test";
import { DT_DIR } from "../../src/native/layout.ts";
import { BUSY } from "../../src/overlay/nodes/flags.ts";
import { NO_NODE, ROOT } from "../../src/overlay/nodes/node.ts";
import { Table } from "./node-table.ts";

describe("shrinking", () => {
	/** A table of 10,000 nodes of which those that `isKept` says are left, with their generations. */
	function shrunk(isKept: (index: number) => boolean) {
		const table = new Table();
		const all = Array.from({ length: 10_000 }, (_, index) => table.make(ROOT, `n${index}`));
		const generations = new Map(all.map((node) => [node, table.generation(node)]));
		all.forEach((node, index) => void (isKept(index) || table.forget(node, 1)));
		const kept = new Map(all.entries().filter(([index]) => isKept(index)));
		table.shrink();
		return { table, kept, generations };
	}

	test.each([
		["none are left", () => false],
		["the first are left", (index: number) => index < 10],
		["the last are left", (index: number) => index >= 9_990],
		["some are left here and there", (index: number) => index % 100 === 7],
		["all are left", () => true],
	])("where %s, these stay what they are, and ids given out again have new generations", (_, isKept) => {
		const { table, kept, generations } = shrunk(isKept);
		const expectKept = () => {
			for (const [index, node] of kept) {
				expect([table.findText(ROOT, `n${index}`), table.lookupCount(node)]).toEqual([node, 1]);
				expect(table.generation(node)).toBe(generations.get(node) ?? -1);
			}
		};
		expectKept();
		expect(table.count).toBe(kept.size + 1);
		const made = Array.from({ length: 12_000 }, (_, index) => table.make(ROOT, `m${index}`));
		expect(new Set([...made, ...kept.values()]).size).toBe(12_000 + kept.size);
		expect(Math.max(...made)).toBeLessThanOrEqual(Math.max(12_001, 10_001) + kept.size);
		for (const node of made) expect(table.generation(node)).not.toBe(generations.get(node) ?? -1);
		expectKept();
		for (const [index, node] of made.entries()) expect(table.findText(ROOT, `m${index}`)).toBe(node);
		for (const node of made) table.forget(node, 1);
		table.shrink();
		expectKept();
		expect(table.count).toBe(kept.size + 1);
	});

	test("a node that a job works on, and one that only its children hold, are left", () => {
		const table = new Table();
		const nodes = Array.from({ length: 5000 }, (_, index) => table.make(ROOT, `n${index}`, DT_DIR));
		const [busy = NO_NODE, parent = NO_NODE] = nodes.slice(4000);
		const child = table.make(parent, "child");
		table.setFlag(busy, BUSY, true);
		for (const node of nodes) table.forget(node, 1);
		table.shrink();
		expect([table.findText(ROOT, "n4000"), table.findText(parent, "child")]).toEqual([busy, child]);
		table.setFlag(busy, BUSY, false);
		table.freeIfUnused(busy);
		table.forget(child, 1);
		expect(table.count).toBe(1);
	});
});
