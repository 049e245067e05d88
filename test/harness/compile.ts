/** The C programs of this directory, compiled when they are first needed and kept. */

import { existsSync, readFileSync, renameSync } from "node:fs";
import { basename, join } from "node:path";
import { cacheFolder } from "./cache.ts";

/** Runs a command that must succeed. */
export function run(...command: readonly string[]): void {
	const { exitCode, stderr } = Bun.spawnSync([...command], { stdout: "ignore" });
	if (exitCode !== 0) throw new Error(`${command.join(" ")}: ${stderr}`);
}

/** The path of a program; `source` is a file, from this directory on. */
export function compiled(source: string, ...flags: readonly string[]): string {
	const path = join(import.meta.dir, source);
	const hash = Bun.hash(readFileSync(path)).toString(16);
	const program = join(cacheFolder("programs"), `${basename(source, ".c")}-${hash}`);
	if (existsSync(program)) return program;
	const made = `${program}.${process.pid}`;
	run("gcc", "-O1", path, "-o", made, ...flags);
	renameSync(made, program);
	return program;
}
