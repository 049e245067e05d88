/** The disk with the project: sources, tests, Bun for the machine's processor, and the program made for it. */

import { chmodSync, copyFileSync, cpSync, mkdirSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { makeExecutable, type Processor } from "../../packaging/executable.ts";
import { fetchRuntime } from "../../packaging/release/runtime.ts";
import { projectDirectory } from "../harness/program.ts";
import { makeImage } from "./system.ts";

/** What the program from source and the tests import. */
const parts = [
	..."package.json package-lock.json bunfig.toml tsconfig.json src test docs packaging native-headers bench".split(
		" ",
	),
	...["citty", "consola", "fast-check", "pure-rand"].map((name) => `node_modules/${name}`),
];

/** In the names of a release's files. */
const ofProcessor: Readonly<Record<Processor, RegExp>> = { x64: /x64|amd64/, arm64: /arm64/ };

/**
 * Makes the disk in the file `image`; `scratch` is an empty directory, which is used. What a release has for the processor
 * comes along, in dist/release.
 */
export function makePayload(processor: Processor, image: string, scratch: string, release?: string): void {
	const tree = join(scratch, "project");
	for (const part of parts) {
		mkdirSync(dirname(join(tree, part)), { recursive: true });
		cpSync(join(projectDirectory, part), join(tree, part), { recursive: true });
	}
	const isOwn = processor === process.arch;
	const runtime = isOwn ? process.execPath : fetchRuntime(processor, join(scratch, "runtime"));
	const bun = join(tree, "node_modules/.bin/bun");
	const binary = join(tree, "dist/fuse-overlayfs");
	for (const path of [bun, binary]) mkdirSync(dirname(path), { recursive: true });
	copyFileSync(runtime, bun);
	chmodSync(bun, 0o755);
	makeExecutable(processor, runtime, binary);
	if (release !== undefined) {
		mkdirSync(join(tree, "dist/release"));
		for (const file of readdirSync(release).filter((name) => ofProcessor[processor].test(name)))
			copyFileSync(join(release, file), join(tree, "dist/release", file));
	}
	makeImage(image, tree, "1G");
}
