/** `npm run build [-- FILE]`: the program for this machine as one binary, Bun included, in dist/fuse-overlayfs or FILE. */
import { mkdirSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { makeExecutable, platformOf } from "./executable.ts";

const outfile = resolve(process.argv[2] ?? join(import.meta.dir, "../dist/fuse-overlayfs"));
mkdirSync(dirname(outfile), { recursive: true });
makeExecutable(platformOf(process.execPath), process.execPath, outfile);
