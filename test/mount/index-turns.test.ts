/**
 * Hard links made, removed, renamed and written at random with `index=on`, by kernel overlayfs and by this program in turns, over
 * the same layers. After each turn both show the tree that was there: content, numbers, link counts, and which names are one file.
 */

import { afterAll, describe, expect, test } from "bun:test";
import {
	appendFileSync,
	chmodSync,
	linkSync,
	lstatSync,
	mkdirSync,
	readdirSync,
	renameSync,
	rmSync,
} from "node:fs";
import { type Description, hardLink, type Layers, temporaryTree } from "../harness/layers.ts";
import { mountKernelOverlay, mountOverlay } from "../harness/mount.ts";
import { codeOf, RENAME_EXCHANGE, renameat2 } from "../harness/native.ts";
import { isKernel } from "../harness/program.ts";
import { numbersIn } from "../harness/redirects.ts";
import { lacks } from "../harness/setting.ts";
import { differences, snapshot } from "../harness/snapshot.ts";
import type { Random } from "../overlay/core/random-layers.ts";
import { oneOf, randomNumbers } from "../overlay/random.ts";

const stepsInTurn = 25;
const refusals = [
	"EEXIST",
	"EISDIR",
	"ENOENT",
	"ENOTDIR",
	"EXDEV",
	"ENOTEMPTY",
	"EINVAL",
	"EPERM",
	"ERR_FS_EISDIR",
];
const directories = ["", "d/", "d/e/", "own/"];
const names = ["a", "b", "c", "l", "m"];

/** Two files with names all over the layer, and one with a single name. */
const layer: Description = {
	a: "first",
	b: hardLink("a"),
	"d/a": hardLink("a"),
	"d/e/c": hardLink("a"),
	"d/b": "second",
	m: hardLink("d/b"),
	"d/e/l": hardLink("d/b"),
	c: "single",
};

function step(random: Random, root: string): void {
	const anyName = () => `${root}/${oneOf(random, directories)}${oneOf(random, names)}`;
	const choice = random(12);
	const refused = codeOf(() => {
		if (choice < 2) linkSync(anyName(), anyName());
		else if (choice < 4) rmSync(anyName());
		else if (choice < 6) renameSync(anyName(), anyName());
		else if (choice < 7) renameat2(anyName(), anyName(), RENAME_EXCHANGE);
		else if (choice < 8) chmodSync(anyName(), 0o600 | random(0o100));
		else if (choice < 9) mkdirSync(`${root}/own`);
		else if (choice < 10) lstatSync(anyName());
		else appendFileSync(anyName(), `${random(10)}`);
	});
	if (refused !== undefined) expect(refusals).toContain(refused);
}

const look = (root: string) => [snapshot(root), numbersIn(root)] as const;
type Seen = ReturnType<typeof look>;

type User = (layers: Layers, options: string, use: (root: string) => Seen) => Promise<Seen>;
const users: Readonly<Record<"kernel" | "program", User>> = {
	kernel: async (layers, options, use) => {
		using kernels = mountKernelOverlay(layers, options);
		return use(kernels.path);
	},
	program: async (layers, options, use) => {
		await using mounted = await mountOverlay({ ...layers, options: [options] });
		return use(mounted.path);
	},
};

function expectSame([left, leftNumbers]: Seen, [right, rightNumbers]: Seen): void {
	expect(differences(left, right)).toEqual([]);
	expect(leftNumbers).toEqual(rightNumbers);
}

const alone: readonly (keyof typeof users)[] = ["program", "program"];
const both: readonly (keyof typeof users)[] = ["program", "kernel", "program", "kernel"];
const orders = [
	["this program", "index=on", alone],
	["both in turns", "index=on", both],
	["this program", "index=on,metacopy=on,redirect_dir=on", alone],
	["both in turns", "index=on,metacopy=on,redirect_dir=on", both],
] as const;

const isRefused = lacks("the machine's root") || lacks("trusted attributes");

describe.skipIf(isKernel || isRefused).each(orders)("hard links changed by %s, %s", (_, options, order) => {
	let entries = 0;
	// Otherwise nothing is proved.
	afterAll(() => expect(entries).toBeGreaterThan(0));

	test.each(Array.from({ length: 6 }, (_, index) => index + 1))("seed %d", async (seed) => {
		const random = randomNumbers(seed);
		using tree = temporaryTree();
		const layers = tree.layers([layer]);
		for (const user of order) {
			const written = await users[user](layers, options, (root) => {
				for (let count = 0; count < stepsInTurn; count++) step(random, root);
				return look(root);
			});
			entries += readdirSync(`${layers.work}/index`).length;
			expectSame(await users.program(layers, options, look), written);
			expectSame(await users.kernel(layers, options, look), written);
		}
	});
});
