/** Messages to people: one line each, on stderr or in the log file, after the program's name. */
import { openSync, writeSync } from "node:fs";
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
	// Open from the start: a process with too many open files must be able to say so.
	const target = openTarget(file);
	const consola = createConsola({
		level: debug ? LogLevels.debug : LogLevels.info,
		// Each message counts: none is held back because it repeats another.
		throttle: 0,
		reporters: [{ log: ({ args }) => write(target, `fuse-overlayfs: ${args.join(" ")}\n`) }],
	});
	return {
		error: (message) => consola.error(message),
		warn: (message) => consola.warn(message),
		debug: debug ? (message) => consola.debug(message) : undefined,
	};
}

/** A file that cannot be written to does not keep anybody from mounting. */
function openTarget(file: ByteString | undefined): number {
	try {
		return file === undefined ? STDERR : openSync(Buffer.from(file, "latin1"), "a");
	} catch {
		return STDERR;
	}
}

function write(target: number, line: string): void {
	try {
		writeSync(target, line);
	} catch {
		// Nobody reads the messages, or the disk is full: requests must be served all the same.
	}
}
