/** The node table: ids, names, lookup counts; and what is freed when, against a model of maps. */
import { describe, expect, test } from "bun:test";
import { DT_DIR, DT_REG } from "../../src/native/layout.ts";
import { readString } from "../../src/native/memory.ts";
import type { ByteString } from "../../src/options.ts";
import { BUSY, LINKED, PURE } from "../../src/overlay/nodes/flags.ts";
import { NO_NODE, type NodeId, ROOT } from "../../src/overlay/nodes/node.ts";
import { named, Table } from "./node-table.ts";
import { oneOf, randomNumbers } from "./random.ts";

describe("ids", () => {
	test("begin with the root's and are dense", () => {
		const table = new Table();
		expect([table.count, table.has(ROOT), table.isNamed(ROOT)]).toEqual([1, true, true]);
		const made = Array.from({ length: 5000 }, (_, index) => table.make(ROOT, `n${index}`));
		expect(made).toEqual(Array.from({ length: 5000 }, (_, index) => (index + 2) as NodeId));
		expect(table.count).toBe(5001);
	});

	test("are used again once freed, with another generation", () => {
		const table = new Table();
		const first = table.make(ROOT, "a");
		const other = table.make(ROOT, "b");
		const generation = table.generation(first);
		table.forget(first, 1);
		expect(table.freed).toEqual([first]);
		const second = table.make(ROOT, "c");
		expect(second).toBe(first);
		expect(table.generation(second)).not.toBe(generation);
		expect(table.findText(ROOT, "a")).toBe(NO_NODE);
		expect([table.findText(ROOT, "b"), table.findText(ROOT, "c")]).toEqual([other, second]);
	});

	test.each([-1, 0, 2, 3, 4.5, 1e9, 2 ** 40, Number.NaN])("%d was never given out", (id) => {
		const table = new Table();
		expect(table.has(id)).toBeFalse();
		table.forget(id as NodeId, 1);
		expect([table.count, table.freed]).toEqual([1, []]);
	});

	test("of a freed node are unknown", () => {
		const table = new Table();
		const node = table.make(ROOT, "a");
		table.forget(node, 1);
		expect(table.has(node)).toBeFalse();
		table.forget(node, 1);
		expect([table.count, table.freed]).toEqual([1, [node]]);
	});
});

describe("a node", () => {
	test("keeps what is said of it, and a new one with its id knows nothing of that", () => {
		const table = new Table();
		const node = table.make(ROOT, "a", DT_DIR);
		table.setLayer(node, 499);
		table.setKind(node, DT_REG);
		table.setInode(node, 0xffffffff, 0x80000001);
		for (const flag of [LINKED, PURE, BUSY]) table.setFlag(node, flag, true);
		table.setFlag(node, PURE, false);
		expect([table.layer(node), table.kind(node)]).toEqual([499, DT_REG]);
		expect([table.inodeLow(node), table.inodeHigh(node)]).toEqual([0xffffffff, 0x80000001]);
		expect([LINKED, PURE, BUSY].map((flag) => table.flag(node, flag))).toEqual([true, false, true]);
		table.setFlag(node, BUSY, false);
		table.forget(node, 1);
		const next = table.add(DT_DIR, 3);
		expect([next, table.layer(next), table.kind(next)]).toEqual([node, 3, DT_DIR]);
		expect([LINKED, PURE, BUSY].some((flag) => table.flag(next, flag))).toBeFalse();
		expect([table.isNamed(next), table.lookupCount(next)]).toEqual([false, 0]);
	});

	test("is found under its parent and name only, of any bytes", () => {
		const table = new Table();
		const directory = table.make(ROOT, "d", DT_DIR);
		const names = ["a", "A", "aa", "\xff", "\xfe\xff", "\n", " ", "n".repeat(255), `${"n".repeat(254)}m`];
		const nodes = names.map((name) => table.make(directory, name));
		names.forEach((name, index) => {
			const node = nodes[index]!;
			expect(table.findText(directory, name)).toBe(node);
			expect(table.findText(ROOT, name)).toBe(NO_NODE);
			expect([readString(table.name(node)), table.nameLength(node)]).toEqual([
				name as ByteString,
				name.length,
			]);
			expect(table.parent(node)).toBe(directory);
		});
		expect(table.findText(directory, "")).toBe(NO_NODE);
	});

	test("has its own copy of the name", () => {
		const table = new Table();
		const node = table.make(ROOT, "name");
		named("xxxx", () => expect(readString(table.name(node))).toBe("name" as ByteString));
	});

	test("may lose its name and get another", () => {
		const table = new Table();
		const directory = table.make(ROOT, "d", DT_DIR);
		const node = table.make(directory, "a");
		table.detach(node);
		expect([table.isNamed(node), table.has(node), table.findText(directory, "a")]).toEqual([
			false,
			true,
			NO_NODE,
		]);
		table.detach(node);
		table.attachText(node, ROOT, "b");
		expect([table.findText(ROOT, "b"), table.parent(node)]).toEqual([node, ROOT]);
		expect(table.freed).toEqual([]);
	});
});

describe("a node is freed", () => {
	test("when the last reference is given back, not before", () => {
		const table = new Table();
		const node = table.make(ROOT, "a");
		table.reference(node);
		table.reference(node);
		table.forget(node, 2);
		expect([table.lookupCount(node), table.freed]).toEqual([1, []]);
		table.forget(node, 1);
		expect([table.freed, table.count, table.findText(ROOT, "a")]).toEqual([[node], 1, NO_NODE]);
	});

	test("also when more is given back than there was", () => {
		const table = new Table();
		const node = table.make(ROOT, "a");
		table.forget(node, 1000);
		expect([table.freed, table.count]).toEqual([[node], 1]);
	});

	test("after its children, and its parents with it", () => {
		const table = new Table();
		const outer = table.make(ROOT, "outer", DT_DIR);
		const inner = table.make(outer, "inner", DT_DIR);
		const leaf = table.make(inner, "leaf");
		const other = table.make(outer, "other");
		table.forget(outer, 1);
		table.forget(inner, 1);
		expect([table.freed, table.has(outer), table.has(inner)]).toEqual([[], true, true]);
		table.forget(leaf, 1);
		expect(table.freed).toEqual([leaf, inner]);
		table.forget(other, 1);
		expect(table.freed).toEqual([leaf, inner, other, outer]);
		expect(table.count).toBe(1);
	});

	test("when its last child loses its name", () => {
		const table = new Table();
		const directory = table.make(ROOT, "d", DT_DIR);
		const child = table.make(directory, "a");
		table.forget(directory, 1);
		table.detach(child);
		expect([table.freed, table.has(child)]).toEqual([[directory], true]);
		table.forget(child, 1);
		expect([table.freed, table.count]).toEqual([[directory, child], 1]);
	});

	test("not while a job works on it, but right after", () => {
		const table = new Table();
		const node = table.make(ROOT, "a");
		table.setFlag(node, BUSY, true);
		table.forget(node, 1);
		expect(table.freed).toEqual([]);
		table.setFlag(node, BUSY, false);
		table.freeIfUnused(node);
		expect(table.freed).toEqual([node]);
	});

	test("never, if it is the root", () => {
		const table = new Table();
		table.forget(ROOT, 1e6);
		table.freeIfUnused(ROOT);
		expect([table.has(ROOT), table.count, table.freed]).toEqual([true, 1, []]);
		expect(table.has(table.make(ROOT, "a"))).toBeTrue();
	});

	test("without recursion: a chain of 100,000 directories", () => {
		const table = new Table();
		let deepest: NodeId = ROOT;
		for (let depth = 0; depth < 100_000; depth++) {
			const node = table.make(deepest, "d", DT_DIR);
			if (deepest !== ROOT) table.forget(deepest, 1);
			deepest = node;
		}
		expect([table.count, table.freed.length]).toEqual([100_001, 0]);
		table.forget(deepest, 1);
		expect([table.count, table.freed.length]).toEqual([1, 100_000]);
	});
});

/** What the table says it is, in maps. */
class Model {
	readonly nodes = new Map<NodeId, { parent: NodeId; name: string; lookups: number; children: number }>();
	readonly index = new Map<string, NodeId>();
	readonly freed: NodeId[] = [];

	constructor() {
		this.nodes.set(ROOT, { parent: NO_NODE, name: "", lookups: 1, children: 0 });
	}

	attach(node: NodeId, parent: NodeId, name: string): void {
		const record = this.nodes.get(node)!;
		record.parent = parent;
		record.name = name;
		this.nodes.get(parent)!.children++;
		this.index.set(`${parent}/${name}`, node);
	}

	detach(node: NodeId): void {
		const record = this.nodes.get(node)!;
		if (record.name === "") return;
		const { parent } = record;
		this.index.delete(`${parent}/${record.name}`);
		record.parent = NO_NODE;
		record.name = "";
		this.nodes.get(parent)!.children--;
		this.free(parent);
	}

	free(node: NodeId): void {
		const record = this.nodes.get(node)!;
		if (node === ROOT || record.lookups > 0 || record.children > 0) return;
		this.freed.push(node);
		this.detach(node);
		this.nodes.delete(node);
	}
}

test("100,000 nodes under random operations are what a model of maps says", () => {
	const random = randomNumbers(7);
	const table = new Table();
	const model = new Model();
	const held: NodeId[] = [ROOT];
	let peak = 0;
	let largest: NodeId = ROOT;

	const freshName = (parent: NodeId) => {
		for (;;) {
			const name = random(100) === 0 ? `long${random(1e6)}`.padEnd(255, "\xff") : `name${random(1e6)}`;
			if (!model.index.has(`${parent}/${name}`)) return name;
		}
	};
	const isAbove = (node: NodeId, other: NodeId) => {
		for (let at = other; at !== NO_NODE; at = model.nodes.get(at)?.parent ?? NO_NODE)
			if (at === node) return true;
		return false;
	};
	const make = () => {
		const parent = oneOf(random, held);
		const name = freshName(parent);
		const node = table.make(parent, name);
		if (model.nodes.has(node)) throw new Error(`id ${node} is in use`);
		model.nodes.set(node, { parent: NO_NODE, name: "", lookups: 1, children: 0 });
		model.attach(node, parent, name);
		held.push(node);
		if (node > largest) largest = node;
	};
	const forget = () => {
		const place = 1 + random(held.length - 1);
		const node = held[place]!;
		const record = model.nodes.get(node)!;
		const count = 1 + random(record.lookups);
		table.forget(node, count);
		record.lookups -= count;
		model.free(node);
		if (record.lookups > 0) return;
		held[place] = held.at(-1)!;
		held.pop();
	};
	const move = () => {
		const node = held[1 + random(held.length - 1)]!;
		const parent = oneOf(random, held);
		if (isAbove(node, parent)) return;
		const name = freshName(parent);
		table.detach(node);
		model.detach(node);
		table.attachText(node, parent, name);
		model.attach(node, parent, name);
	};
	const unlink = () => {
		const node = held[1 + random(held.length - 1)]!;
		table.detach(node);
		model.detach(node);
	};
	const reference = () => {
		const node = oneOf(random, held);
		table.reference(node);
		model.nodes.get(node)!.lookups++;
	};

	for (let round = 0; peak < 100_000; round++) {
		// Grows by far more than it shrinks, with times of shrinking in between.
		const shrinks = round % 40_000 > 34_000;
		if (held.length < 2 || random(10) < (shrinks ? 2 : 7)) make();
		else [forget, forget, move, unlink, reference][random(5)]!();
		peak = Math.max(peak, model.nodes.size);
	}
	expect(table.count).toBe(model.nodes.size);
	expect(table.freed).toEqual(model.freed);
	const wrong = [...model.nodes].filter(
		([node, { parent, name, lookups }]) =>
			!table.has(node) ||
			table.lookupCount(node) !== lookups ||
			(node !== ROOT &&
				(table.parent(node) !== parent ||
					(name === ""
						? table.isNamed(node)
						: readString(table.name(node)) !== name || table.findText(parent, name) !== node))),
	);
	expect(wrong).toEqual([]);
	// Dense: one id for each node there was at once.
	expect(largest).toBe(peak as NodeId);

	for (const node of held.slice(1)) {
		const record = model.nodes.get(node)!;
		table.forget(node, record.lookups);
		record.lookups = 0;
		model.free(node);
	}
	expect(table.freed.length).toBe(model.freed.length);
	expect(table.count).toBe(1);
});
