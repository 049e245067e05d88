/** Writing that is told what became of it: with a write cache only fsync(2) is. */

import { closeSync, fsyncSync, openSync, writeSync } from "node:fs";

/** Throws what opening, writing or syncing does. */
export function writeSynced(path: string, text: string, flag: "w" | "a" = "w"): void {
	const fd = openSync(path, flag);
	try {
		writeSync(fd, text);
		fsyncSync(fd);
	} finally {
		closeSync(fd);
	}
}
