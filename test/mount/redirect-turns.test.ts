/**
 * Directories renamed at random with `redirect_dir=on`, by kernel overlayfs and by this program, over layers at random; what
 * was written becomes a lower layer of the next turn. After each turn both show the tree that was there, with its numbers.
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
import { mountOverlay, until } from "../harness/mount.ts";
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

const look = (root: string) => [snapshot(root), numbersIn(root)] as const;
type Seen = ReturnType<typeof look>;

/** Does the steps of a turn; what is seen at its end. */
type Writer = (layers: Layers, steps: (root: string) => void) => Promise<Seen>;

const writers: Readonly<Record<"kernel" | "program", Writer>> = {
	kernel: async (layers, steps) =>
		inKernel(layers, () => {
			steps(layers.mountpoint);
			return look(layers.mountpoint);
		}),
	program: async (layers, steps) => {
		await using mounted = await mountOverlay({ ...layers, options: ["redirect_dir=on"] });
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

function expectSame([left, leftNumbers]: Seen, [right, rightNumbers]: Seen): void {
	expect(differences(left, right)).toEqual([]);
	expect(leftNumbers).toEqual(rightNumbers);
}

const orders: Readonly<Record<string, readonly (keyof typeof writers)[]>> = {
	"the kernel": ["kernel", "kernel", "kernel"],
	"this program": ["program", "program", "program"],
	"both in turns": ["program", "kernel", "program", "kernel"],
};

describe.skipIf(lacks("trusted attributes") || isKernel).each(Object.entries(orders))(
	"what %s renamed is shown by both",
	(_, order) => {
		let renamed = 0;
		// Otherwise nothing is proved.
		afterAll(() => expect(renamed).toBeGreaterThan(0));

		test.each(Array.from({ length: 15 }, (_, index) => index + 1))("seed %d", async (seed) => {
			const random = randomNumbers(seed);
			using tree = temporaryTree();
			let layers: Layers = tree.layers(randomLayers(random));
			for (const [turn, writer] of order.entries()) {
				const written = await writers[writer](layers, (root) => {
					for (let count = 0; count < stepsInTurn; count++) step(random, root);
				});
				renamed += renamedIn(layers.upper);
				const kernels = inKernel(layers, () => look(layers.mountpoint));
				expectSame(written, kernels);
				{
					await using mounted = await mountOverlay(layers);
					expectSame(look(mounted.path), kernels);
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
