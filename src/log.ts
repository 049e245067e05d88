/** Messages to people: one line each, on stderr or in the log file, after the program's name. */
import { appendFileSync, writeSync } from "node:fs";
import { createConsola, LogLevels } from "consola/core";
import type { ByteString } from "./options.ts";

/** Where a daemon's messages go. */
export interface Log {
	error(message: string): void;
	warn(message: string): void;
	/** undefined: requests are not traced. */
	debug: ((message: string) => void) | undefined;
}

const STDERR = 2;

/** @param file append to it instead of stderr */
export function createLog(file: ByteString | undefined, debug: boolean): Log {
	const path = file === undefined ? undefined : Buffer.from(file, "latin1");
	const consola = createConsola({
		level: debug ? LogLevels.debug : LogLevels.info,
		// Each message counts: none is held back because it repeats another.
		throttle: 0,
		reporters: [{ log: ({ args }) => write(path, `fuse-overlayfs: ${args.join(" ")}\n`) }],
	});
	return {
		error: (message) => consola.error(message),
		warn: (message) => consola.warn(message),
		debug: debug ? (message) => consola.debug(message) : undefined,
	};
}

function write(path: Buffer | undefined, line: string): void {
	try {
		if (path === undefined) writeSync(STDERR, line);
		else appendFileSync(path, line);
	} catch {
		// Nobody reads the messages, or the disk is full: requests must be served all the same.
	}
}
