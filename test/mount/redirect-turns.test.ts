/**
 * Directories renamed at random by kernel overlayfs with `redirect_dir=on`, over layers at random; what it wrote becomes a
 * lower layer of the next turn. After each turn the mount shows the tree that the kernel shows.
 */

import { afterAll, describe, expect, test } from "bun:test";
import {
	closeSync,
	constants,
	mkdirSync,
	openSync,
	readdirSync,
	renameSync,
	rmSync,
	writeSync,
} from "node:fs";
import { type Layers, temporaryTree } from "../harness/layers.ts";
import { mountOverlay } from "../harness/mount.ts";
import { codeOf, listxattr, RENAME_EXCHANGE, renameat2 } from "../harness/native.ts";
import { isKernel } from "../harness/program.ts";
import { inKernel, numbersIn } from "../harness/redirects.ts";
import { lacks } from "../harness/setting.ts";
import { differences, snapshot } from "../harness/snapshot.ts";
import { names, type Random, randomLayers } from "../overlay/core/random-layers.ts";
import { oneOf, randomNumbers } from "../overlay/random.ts";

const { O_APPEND, O_CREAT, O_NONBLOCK, O_WRONLY } = constants;

/** Of names that are taken, or free, or lie below what is to be moved; of a FIFO, and of a link that leads nowhere. */
const refusals = "EBUSY EEXIST EINVAL EISDIR ENOENT ENOTDIR ENOTEMPTY ENXIO EACCES EIO ERR_FS_EISDIR".split(
	" ",
);
const turns = 3;
const stepsInTurn = 25;

/** Paths of all directories, the root's is empty. */
function directoriesIn(root: string, path = ""): string[] {
	const below = readdirSync(`${root}/${path}`, { withFileTypes: true }).filter((entry) =>
		entry.isDirectory(),
	);
	return [path, ...below.flatMap(({ name }) => directoriesIn(root, `${path}${name}/`))];
}

/** To a file, which is made where there is none; to a FIFO without waiting for a reader. */
function append(path: string, content: string): void {
	const fd = openSync(path, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK);
	try {
		writeSync(fd, content);
	} finally {
		closeSync(fd);
	}
}

/** Does something, or is refused. */
function step(random: Random, root: string): void {
	const directories = directoriesIn(root);
	const anyName = () => `${root}/${oneOf(random, directories)}${oneOf(random, names)}`;
	// Not the root, which is where the mount is.
	const anyDirectory = () => `${root}/${oneOf(random, directories.slice(1)) ?? names[0]}`.replace(/\/$/, "");
	const choice = random(10);
	const refused = codeOf(() => {
		if (choice < 5) renameSync(anyDirectory(), anyName());
		else if (choice < 6) renameat2(anyDirectory(), anyDirectory(), RENAME_EXCHANGE);
		else if (choice < 7) mkdirSync(anyName());
		else if (choice < 8) renameat2(anyName(), anyName(), RENAME_EXCHANGE);
		else if (choice < 9) append(anyName(), `${random(1000)}`);
		else rmSync(anyName(), { recursive: random(2) === 0 });
	});
	if (refused !== undefined) expect(refusals).toContain(refused);
}

/** How many directories of a layer have the mark of a renamed one. */
function renamedIn(layer: string): number {
	const marks = directoriesIn(layer).flatMap((path) => listxattr(`${layer}/${path}`));
	return marks.filter((name) => name === "trusted.overlay.redirect").length;
}

describe.skipIf(lacks("trusted attributes") || isKernel)(
	"renames at random are shown as by the kernel",
	() => {
		let renamed = 0;
		// Otherwise nothing is proved.
		afterAll(() => expect(renamed).toBeGreaterThan(0));

		test.each(Array.from({ length: 20 }, (_, index) => index + 1))("seed %d", async (seed) => {
			const random = randomNumbers(seed);
			using tree = temporaryTree();
			let layers: Layers = tree.layers(randomLayers(random));
			for (let turn = 0; turn < turns; turn++) {
				inKernel(layers, () => {
					for (let count = 0; count < stepsInTurn; count++) step(random, layers.mountpoint);
				});
				renamed += renamedIn(layers.upper);
				const look = () => [snapshot(layers.mountpoint), numbersIn(layers.mountpoint)] as const;
				const [kernels, kernelsNumbers] = inKernel(layers, look);
				{
					await using _ = await mountOverlay(layers);
					const [ours, numbers] = look();
					expect(differences(ours, kernels)).toEqual([]);
					expect(numbers).toEqual(kernelsNumbers);
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
