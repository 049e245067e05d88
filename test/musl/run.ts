/**
 * `npm run test:musl [-- PATH...]`: mount tests, and others that start the program, of the program compiled for musl. It runs
 * with Debian's musl and what is built for that, which are there beside glibc, by which all else runs.
 */

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { makeExecutable } from "../../packaging/executable.ts";
import { fetchRuntime } from "../../packaging/release/runtime.ts";
import { type Run, runAll } from "../harness/lanes.ts";
import { temporaryTree } from "../harness/layers.ts";
import { conclude } from "../harness/report.ts";
import { rootRun } from "../harness/root-run.ts";
import { muslLibraries } from "./libraries.ts";

const defaultTests = ["test/mount", "test/hostile"];

/** Shows below /usr/lib and /etc what a directory has of these, and goes on with the other arguments. */
const besideGlibc = `set -e
for place in /usr/lib /etc; do mount -t overlay -o "ro,lowerdir=$1$place:$place" none "$place"; done
shift
exec "$@"`;

function muslRun(paths: readonly string[], program: string, libraries: string): Run {
	const plain = rootRun("musl", paths, program);
	const enter = [
		"unshare",
		"--mount",
		"--propagation",
		"private",
		"--",
		"sh",
		"-c",
		besideGlibc,
		"sh",
		libraries,
	];
	return {
		...plain,
		enter(...place) {
			const surroundings = plain.enter(...place);
			return { ...surroundings, starter: [...enter, ...surroundings.starter] };
		},
	};
}

/** Compiled, below the directory; by this path tests know that it is. */
function program(scratch: string): string {
	const runtime = fetchRuntime("x64-musl", scratch);
	mkdirSync(join(scratch, "dist"));
	const binary = join(scratch, "dist/fuse-overlayfs");
	makeExecutable("x64-musl", runtime, binary);
	return binary;
}

async function main(paths: readonly string[]): Promise<void> {
	if (process.getuid?.() !== 0) throw new Error("must be run as root: it enters other systems");
	if (process.arch !== "x64") throw new Error("it is for x86-64");
	if (Bun.which("debootstrap") === null)
		throw new Error("debootstrap is missing: apt-get install debootstrap");
	const libraries = muslLibraries();
	using tree = temporaryTree();
	const tests = paths.length > 0 ? paths : defaultTests;
	conclude(await runAll([muslRun(tests, program(tree.path), libraries)]));
}

try {
	await main(process.argv.slice(2));
} catch (error) {
	console.error(`test:musl: ${error instanceof Error ? error.message : error}`);
	process.exitCode = 1;
}
