/** The program under a seccomp filter. */

import { chmodSync, existsSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { cacheFolder } from "./cache.ts";
import { compiled } from "./compile.ts";
import { program } from "./program.ts";

/** A program to be started in place of the one under test: that, with `calls` (`openat2,statx`) answered by `error`. */
export function refusing(error: "EPERM" | "ENOSYS", calls: string): string {
	const words = [compiled("refuse-calls.c"), error, calls, program].map((word) => `'${word}'`).join(" ");
	const script = `#!/bin/sh\nexec ${words} "$@"\n`;
	const path = join(cacheFolder("programs"), `refusing-${Bun.hash(script).toString(16)}`);
	if (existsSync(path)) return path;
	const made = `${path}.${process.pid}`;
	writeFileSync(made, script);
	chmodSync(made, 0o755);
	renameSync(made, path);
	return path;
}
