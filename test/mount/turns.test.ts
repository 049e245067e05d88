/**
 * Changes at random, with each combination of `redirect_dir`, `metacopy`, `index` and `userxattr`, by kernel overlayfs and by
 * this program, over layers at random; what was written becomes a lower layer of the next turn. After each turn both show the
 * tree that was there, with its numbers.
 */

import { afterAll, describe, expect, test } from "bun:test";
import { type Layers, temporaryTree } from "../harness/layers.ts";
import { type MountRequest, mountKernelOverlay, mountOverlay, until } from "../harness/mount.ts";
import { listxattr } from "../harness/native.ts";
import { isKernel } from "../harness/program.ts";
import { changeAtRandom, directoriesIn, filesIn } from "../harness/random-changes.ts";
import { numbersIn } from "../harness/redirects.ts";
import { lacks } from "../harness/setting.ts";
import { differences, snapshot } from "../harness/snapshot.ts";
import { type LayerStyle, plainStyle, randomLayers } from "../overlay/core/random-layers.ts";
import { randomNumbers } from "../overlay/random.ts";

const stepsInTurn = 30;

/** How many objects of a layer have a mark, an attribute. */
function markedIn(layer: string, mark: string): number {
	const directories = directoriesIn(layer);
	const marks = [...directories, ...filesIn(layer, directories)].flatMap((path) =>
		listxattr(`${layer}/${path}`),
	);
	return marks.filter((name) => name === mark).length;
}

/** Without our own attributes of users, which the kernel shows. */
const look = (root: string) =>
	[snapshot(root, { ignoreAttributes: /^user\.fuseoverlayfs\./ }), numbersIn(root)] as const;
type Seen = ReturnType<typeof look>;

function inKernel<Result>(layers: MountRequest, options: readonly string[], use: () => Result): Result {
	using _ = mountKernelOverlay(layers, ...options);
	return use();
}

/** Does the steps of a turn; what is seen at its end. */
type Writer = (layers: Layers, options: readonly string[], steps: (root: string) => void) => Promise<Seen>;

const writers: Readonly<Record<"kernel" | "program", Writer>> = {
	kernel: async (layers, options, steps) =>
		inKernel(layers, options, () => {
			steps(layers.mountpoint);
			const [tree, numbers] = look(layers.mountpoint);
			// A further name of a file it may list by another number until the next mount.
			return [tree, numbers.map((line) => line.replace(/, listed as .*/, ""))] as const;
		}),
	program: async (layers, options, steps) => {
		await using mounted = await mountOverlay({ ...layers, options });
		steps(mounted.path);
		// Of a file that copy-up has parted from its other names the kernel is told a moment later how it is to be listed.
		const strange = () => numbersIn(mounted.path).filter((line) => line.includes("listed as"));
		await until(
			() => strange().length === 0,
			() => strange().join("\n"),
		);
		return look(mounted.path);
	},
};

/** With `userxattr` an origin is noted in a form of our own, so that the kernel does not keep the numbers. */
function expectSame([left, leftNumbers]: Seen, [right, rightNumbers]: Seen, numbersLast: boolean): void {
	expect(differences(left, right)).toEqual([]);
	if (numbersLast) expect(leftNumbers).toEqual(rightNumbers);
}

const orders: Readonly<Record<string, readonly (keyof typeof writers)[]>> = {
	"the kernel": ["kernel", "kernel", "kernel"],
	"this program": ["program", "program", "program"],
	"both in turns": ["program", "kernel", "program", "kernel"],
};

/** With the marks that must come of it, lest nothing is proved, and how many seeds. The kernel refuses other combinations. */
const settings: readonly (readonly [options: readonly string[], marks: readonly string[], seeds: number])[] =
	[
		[["redirect_dir=on"], ["trusted.overlay.redirect"], 10],
		[["redirect_dir=on", "metacopy=on"], ["trusted.overlay.redirect", "trusted.overlay.metacopy"], 10],
		[["redirect_dir=off"], ["trusted.overlay.origin"], 3],
		[["userxattr"], ["user.overlay.impure"], 3],
		[["index=on"], ["trusted.overlay.origin"], 3],
		[["redirect_dir=on", "index=on"], ["trusted.overlay.redirect"], 3],
		[["redirect_dir=on", "metacopy=on", "index=on"], ["trusted.overlay.metacopy"], 3],
	];
const cases = Object.entries(orders).flatMap(([who, order]) =>
	settings.map(([options, marks, seeds]) => [who, options.join(), order, options, marks, seeds] as const),
);

/** What is needed to read the layers; marks of the trusted namespace are always followed. */
function readingOf(options: readonly string[]): readonly string[] {
	return options.filter((option) => option === "userxattr" || option === "index=on");
}

describe.skipIf(lacks("trusted attributes") || isKernel).each(cases)(
	"what %s changed with %s is shown by both",
	(_who, _how, order, options, marks, seeds) => {
		const moves = options.includes("redirect_dir=on");
		const numbersLast = !options.includes("userxattr");
		const style: LayerStyle = numbersLast ? plainStyle : { ...plainStyle, opaque: "user" };
		const found = marks.map(() => 0);
		afterAll(() => {
			for (const count of found) expect(count).toBeGreaterThan(0);
		});

		test.each(Array.from({ length: seeds }, (_, index) => index + 1))("seed %d", async (seed) => {
			const random = randomNumbers(seed);
			using tree = temporaryTree();
			let layers: Layers = tree.layers(randomLayers(random, style));
			for (const [turn, writer] of order.entries()) {
				const written = await writers[writer](layers, options, (root) => {
					for (let count = 0; count < stepsInTurn; count++) changeAtRandom(random, root, moves);
				});
				for (const [index, mark] of marks.entries()) found[index]! += markedIn(layers.upper, mark);
				const kernels = inKernel(layers, options, () => look(layers.mountpoint));
				expectSame(written, kernels, numbersLast);
				{
					await using mounted = await mountOverlay({ ...layers, options: readingOf(options) });
					expectSame(look(mounted.path), kernels, numbersLast);
				}
				layers = {
					lower: [layers.upper, ...layers.lower],
					upper: tree.layer(`upper${turn}`),
					work: tree.layer(`work${turn}`),
					mountpoint: layers.mountpoint,
				};
			}
		});
	},
);
