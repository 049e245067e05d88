/** Several processes that work on the same names at the same moment. */

import { expect } from "bun:test";
import { lstatSync, readdirSync, rmSync } from "node:fs";
import { directory, whiteout } from "../../harness/layers.ts";
import { contendedDirectories, contendedFiles, contentOf } from "../contention.ts";
import { type Answer, neighbours, type Request } from "../neighbours.ts";
import { namesIn, textOf } from "../observe.ts";
import { type ByLayer, changing, type Subject } from "../statement.ts";

const writers = [1, 2, 3];
const wholeContents = [0, ...writers].map(contentOf);
/** Some names in each layer, some hidden. */
const contended: ByLayer = [
	{ d: directory(), "d/f0": contentOf(0), "d/f4": whiteout(), "d/d1": whiteout() },
	{ "d/f1": contentOf(0), "d/f2": contentOf(0), "d/f4": contentOf(0), "d/d0/x": contentOf(0) },
	{ "d/f2": contentOf(0), "d/f3": contentOf(0), "d/d1/x": contentOf(0), "d/d2": directory() },
];

/** All of them at once. */
function each(request: (index: number) => Request): Promise<Answer[]> {
	return Promise.all(neighbours(writers.length).map((neighbour, index) => neighbour.ask(request(index))));
}

/** Every name that is listed is there, and every file whole. */
function expectConsistent(path: string): void {
	for (const name of readdirSync(path)) {
		const isDirectory = lstatSync(`${path}/${name}`).isDirectory();
		expect([...(isDirectory ? contendedDirectories : contendedFiles), "x"]).toContain(name);
		if (isDirectory) expectConsistent(`${path}/${name}`);
		else
			expect({ name, isWhole: wholeContents.includes(textOf(`${path}/${name}`)) }).toEqual({
				name,
				isWhole: true,
			});
	}
}

export const concurrency: Subject = {
	"names made, changed, moved and removed by several end consistent, with no error but what that explains":
		changing(contended, async ({ at }) => {
			const answers = await each((index) => ({
				do: "contend",
				directory: at("d"),
				seed: writers[index] ?? 0,
				steps: 200,
			}));
			expect(answers.flatMap(({ told }) => told ?? ["no answer"])).toEqual([]);
			expectConsistent(at("d"));
		}),

	"what several have worked on can be removed": changing(contended, async ({ path, at }) => {
		await each((index) => ({ do: "contend", directory: at("d"), seed: 10 + index, steps: 50 }));
		rmSync(at("d"), { recursive: true });
		expect(namesIn(path)).toEqual([]);
	}),

	"a name is made by one of them only": changing(contended, async ({ at }) => {
		const answers = await each(() => ({ do: "make", directory: at("d"), count: 50 }));
		expect(answers.map(({ code }) => code)).toEqual([undefined, undefined, undefined]);
		const made = answers.flatMap(({ told }) => told ?? []).sort();
		expect(made).toEqual(Array.from({ length: 50 }, (_, index) => String(index)).sort());
		expect(namesIn(at("d")).filter((name) => /^\d/.test(name))).toEqual(made);
	}),

	"a file that several rename new ones over is always there, and in the end whole": changing(
		{ f: contentOf(0), d: directory() },
		async ({ at }) => {
			const answers = await each((index) => ({
				do: "replace",
				path: at("f"),
				own: at(`d/new${index}`),
				times: 20,
			}));
			expect(answers).toEqual([{}, {}, {}]);
			expect(textOf(at("f"))).toBe(contentOf(19));
			expect(namesIn(at("d"))).toEqual([]);
		},
	),
};
