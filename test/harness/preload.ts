/** For every test file: what programs under test start with, and clean-up after tests that ended without theirs. */

import { dlopen } from "bun:ffi";
import { afterEach } from "bun:test";
import { constants } from "node:os";
import { releaseOpenMounts } from "./mount.ts";

const { signal } = dlopen("libc.so.6", { signal: { args: ["i32", "u64"], returns: "u64" } }).symbols;

// A shell has what it starts in the background ignore some, and programs under test would do so as well.
for (const name of ["SIGHUP", "SIGINT", "SIGQUIT"] as const) signal(constants.signals[name], 0n);

afterEach(releaseOpenMounts);
