/** The program where users other than root can start it: a checkout in root's home is closed to them. */
import { chmodSync, existsSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { program, projectDirectory } from "./program.ts";

const searchableByAll = 0o001;

/** What the program and the tests of it consist of. */
const parts = ["package.json", "bunfig.toml", "tsconfig.json", "src", "test", "node_modules", "dist"];

export interface ReachableProject extends Disposable {
	/** The checkout, or a copy of its {@link parts}. */
	readonly path: string;
}

/** The checkout itself where all users can reach it, else a copy below the directory for temporary files. */
export function reachableProject(): ReachableProject {
	if (isReachable(projectDirectory)) return { path: projectDirectory, [Symbol.dispose]() {} };
	const path = mkdtempSync(join(tmpdir(), "fuse-overlayfs-program-"));
	chmodSync(path, 0o755);
	for (const part of parts.filter((part) => existsSync(join(projectDirectory, part)))) {
		linkOrCopy(join(projectDirectory, part), path);
	}
	return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

/** The program under test as users other than root reach it in `project`. */
export function programIn(project: string): string {
	const inProject = relative(projectDirectory, program);
	return inProject.startsWith("..") ? program : join(project, inProject);
}

function isReachable(directory: string): boolean {
	if ((statSync(directory).mode & searchableByAll) === 0) return false;
	const parent = dirname(directory);
	return parent === directory || isReachable(parent);
}

/** By hard links, because some are large; by copying where the two are on different file systems. */
export function linkOrCopy(from: string, to: string): void {
	for (const how of ["-al", "-a"]) {
		if (Bun.spawnSync(["cp", how, from, to], { stderr: "ignore" }).exitCode === 0) return;
	}
	throw new Error(`cannot copy ${from} to ${to}`);
}
