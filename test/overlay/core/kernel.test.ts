/**
 * Random operations in step with kernel overlayfs on equal layers: the same answers, the same tree afterwards, and
 * layers that the kernel reads as we do.
 */

import { expect, test } from "bun:test";
import {
	closeSync,
	fchmodSync,
	fchownSync,
	fstatSync,
	ftruncateSync,
	openSync,
	readdirSync,
	readSync,
	writeSync,
} from "node:fs";
import { join } from "node:path";
import { S_IFREG } from "../../../src/native/layout.ts";
import type { NodeId } from "../../../src/overlay/nodes/node.ts";
import { temporaryTree } from "../../harness/layers.ts";
import { mountKernelOverlay } from "../../harness/mount.ts";
import { codeOf, fgetxattr, fsetxattr } from "../../harness/native.ts";
import { differences, snapshot } from "../../harness/snapshot.ts";
import { oneOf, randomNumbers } from "../random.ts";
import { type Core, errnoOf, noCaches, openCore } from "./core.ts";
import { type Random, randomLayers } from "./random-layers.ts";
import { type Operation, randomOperation } from "./random-operations.ts";
import { viewOf } from "./view.ts";

/** Times differ from run to run; those that are promised are tested one by one elsewhere. */
const untimed = { ignoreTimes: true };

/** A file held open on both sides, whatever becomes of its name. */
interface Handle {
	readonly title: string;
	readonly node: NodeId;
	readonly fd: number;
}

function openBoth(core: Core, at: (path: string) => string, path: string): Handle | undefined {
	if (core.stat(path).kind !== S_IFREG) return undefined;
	const fd = openSync(at(path), "r+");
	// As the kernel does where a file is opened for writing.
	core.copyUp(path);
	return { title: path, node: core.node(path), fd };
}

function readAll(fd: number): string {
	const buffer = Buffer.alloc(10_000);
	return buffer.toString("latin1", 0, readSync(fd, buffer, 0, buffer.length, 0));
}

/** An operation on an open file. */
function onHandle(random: Random, { title, node, fd }: Handle): Operation {
	const text = `${random(1000)}`;
	const mode = oneOf(random, [0o600, 0o4711, 0o2770]);
	const size = random(10);
	return oneOf<() => Operation>(random, [
		() => ({
			title: `write through ${title}`,
			ours: (core) => core.writeTo(node, text, size),
			kernels: () => void writeSync(fd, text, size),
		}),
		() => ({
			title: `read through ${title}`,
			ours: (core) => core.readFrom(node),
			kernels: () => readAll(fd),
		}),
		() => ({
			title: `fchmod ${title}`,
			ours: (core) => void core.changeNode(node, { mode }),
			kernels: () => fchmodSync(fd, mode),
		}),
		() => ({
			title: `fchown ${title}`,
			ours: (core) => void core.changeNode(node, { uid: size, gid: mode }),
			kernels: () => fchownSync(fd, size, mode),
		}),
		() => ({
			title: `ftruncate ${title}`,
			ours: (core) => void core.changeNode(node, { size }),
			kernels: () => ftruncateSync(fd, size),
		}),
		() => ({
			title: `fsetxattr ${title}`,
			ours: (core) => core.setxattrOf(node, "user.open", text),
			kernels: () => fsetxattr(fd, "user.open", text),
		}),
		() => ({
			title: `fgetxattr ${title}`,
			ours: (core) => core.getxattrOf(node, "user.open").toString(),
			kernels: () => fgetxattr(fd, "user.open").toString(),
		}),
		() => ({
			title: `fstat ${title}`,
			ours(core) {
				const { mode, uid, gid, size, links } = core.attributes(node);
				return [mode, uid, gid, size, links];
			},
			kernels() {
				const { mode, uid, gid, size, nlink } = fstatSync(fd);
				return [mode & 0o7777, uid, gid, size, nlink];
			},
		}),
	])();
}

/** What came of an action: what it answered, or the name of its error. */
function outcomeOf(action: () => unknown, failureOf: (action: () => unknown) => string | undefined): unknown {
	let answer: unknown;
	const failure = failureOf(() => {
		answer = action();
	});
	return failure ?? answer;
}

const steps = 150;
const seeds = Array.from(
	{ length: Number(process.env.FUSE_OVERLAYFS_TEST_SEEDS ?? 20) },
	(_, index) => index + 1,
);

test.each(seeds)("random operations, seed %i", (seed) => {
	const random = randomNumbers(seed);
	const lowers = randomLayers(random);
	const fileWhiteouts = seed % 3 === 0;
	const userAttributes = seed % 5 === 0;
	using tree = temporaryTree();
	using kernel = mountKernelOverlay(tree.layers(lowers));
	const at = (path: string) => join(kernel.path, path);
	using core = openCore(lowers, { fileWhiteouts, userAttributes, options: seed % 2 === 0 ? noCaches : {} });
	const journal: string[] = [];
	const handles: Handle[] = [];

	const compare = () => {
		const found = differences(viewOf(core, untimed), snapshot(kernel.path, untimed));
		expect({ journal, found }).toEqual({ journal, found: [] });
	};
	const withMask = <Result>(mask: number, action: () => Result) => {
		const before = process.umask(mask);
		try {
			return action();
		} finally {
			process.umask(before);
		}
	};

	compare();
	for (let step = 0; step < steps; step++) {
		const known = readdirSync(kernel.path, { recursive: true }) as string[];
		if (random(10) === 0 && known.length > 0) {
			const path = oneOf(random, known);
			const handle = openBoth(core, at, path);
			journal.push(`open ${path}`);
			if (handle !== undefined) handles.push(handle);
		}
		const useHandle = handles.length > 0 && random(4) === 0;
		const { title, ours, kernels } = useHandle
			? onHandle(random, oneOf(random, handles))
			: randomOperation(random, known);
		const expected = withMask(0o022, () => outcomeOf(() => kernels(at), codeOf));
		journal.push(`${title}: ${JSON.stringify(expected) ?? "done"}`);
		expect({ journal, answer: outcomeOf(() => ours(core), errnoOf) }).toEqual({ journal, answer: expected });
		if (step % 10 === 9) compare();
	}
	compare();
	for (const { fd } of handles) closeSync(fd);

	const shown = viewOf(core);
	core.reopen();
	expect(differences(viewOf(core), shown)).toEqual([]);
	// The kernel does not know whiteouts that are files, and these attributes only when told to.
	if (fileWhiteouts || userAttributes) return;
	using again = mountKernelOverlay(core.layers);
	expect(differences(snapshot(again.path), shown)).toEqual([]);
});
