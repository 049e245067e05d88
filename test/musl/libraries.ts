/** What the program needs of a system with musl, made of Debian's sources, as Debian has musl itself and nothing linked to it. */

import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { cacheFolder } from "../harness/cache.ts";
import { inFreshRoot } from "../release/fresh-root.ts";

const script = join(import.meta.dir, "build.sh");
const source = join(import.meta.dir, "find-object.c");

/**
 * A directory laid out like a system's root, with musl, libfuse, libstdc++ and fusermount3 and nothing else; made if the
 * cache lacks it.
 */
export function muslLibraries(): string {
	const folder = cacheFolder("musl");
	const [made, partial] = [join(folder, "libraries"), join(folder, "partial")];
	const recipe = readFileSync(script, "utf8") + readFileSync(source, "utf8");
	const marker = join(folder, "recipe");
	if (existsSync(made) && existsSync(marker) && readFileSync(marker, "utf8") === recipe) return made;
	console.log(`musl: building libfuse and libstdc++ into ${made}`);
	for (const stale of [made, partial, marker]) rmSync(stale, { recursive: true, force: true });
	mkdirSync(partial);
	inFreshRoot({ suite: "trixie", release: partial, tools: import.meta.dir }, "sh /tools/build.sh");
	renameSync(partial, made);
	writeFileSync(marker, recipe);
	return made;
}
