/** What a daemon leaves to the next one, damaged in any way: refused, or a node table that holds together. */

import { beforeAll, expect, test } from "bun:test";
import fc from "fast-check";
import { reserveScratch, store } from "../../src/native/memory.ts";
import type { ByteString } from "../../src/options.ts";
import { measure } from "../../src/overlay/nodes/name.ts";
import { type NodeId, NodeTable, ROOT } from "../../src/overlay/nodes/node.ts";
import { StateUnusable } from "../../src/overlay/nodes/shared-columns.ts";
import { State } from "../../src/overlay/nodes/state.ts";

const messageSize = (1 << 20) + (1 << 16);
const depth = 40;
let state: State;
const columns = () => [
	state.columns.arrays.parents,
	state.columns.arrays.names,
	state.columns.arrays.inodesLow,
	state.columns.arrays.generations,
];

/** A chain of directories, each with a file. */
function fill(): void {
	const nodes = new NodeTable(() => {}, state.columns);
	let parent = ROOT;
	for (let index = 0; index < depth; index++) {
		for (const [name, kind] of [
			[`f${index}`, 8],
			[`d${index}`, 4],
		] as const) {
			const at = store(name as ByteString);
			const node = nodes.add(kind, 0);
			nodes.attach(node, parent, at, measure(at));
			nodes.reference(node);
			if (kind === 4) parent = node;
		}
	}
}

beforeAll(() => {
	state = State.create(reserveScratch(messageSize));
	fill();
});

const damage = fc.array(
	fc.record({
		column: fc.nat(3),
		node: fc.integer({ min: 2, max: 2 * depth + 1 }),
		value: fc.oneof(fc.nat(200), fc.integer({ min: 0, max: 2 ** 32 - 1 })),
	}),
	{ minLength: 1, maxLength: 8 },
);

test("a damaged node table is refused, or every path in it comes to an end", () => {
	const before = columns().map((column) => column.slice());
	fc.assert(
		fc.property(damage, (places) => {
			for (const { column, node, value } of places) columns()[column]![node] = value;
			try {
				state.columns.check();
				const nodes = new NodeTable(() => {}, state.columns);
				nodes.restore();
				for (let node = 2; node < nodes.end; node++)
					if (nodes.has(node)) expect(nodes.path(node as NodeId).length).toBeLessThan(depth * 8);
			} catch (error) {
				if (!(error instanceof StateUnusable)) throw error;
			} finally {
				for (const [index, column] of columns().entries()) column.set(before[index]!);
			}
		}),
		{ numRuns: 500 },
	);
});
