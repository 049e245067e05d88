/** Messages to people: one line each, on stderr or in the log file, after the program's name. */
import { type ConsolaInstance, createConsola, LogLevels } from "consola/core";
import { display } from "./display.ts";
import type { ByteString } from "./options.ts";

/** Where a daemon's messages go. */
export interface Log {
	error(message: string): void;
	warn(message: string): void;
	/** undefined: requests are not traced. */
	debug: ((message: string) => void) | undefined;
}

const STDERR = 2;

/** @param file append to it instead of stderr. Throws LogUnusable where that cannot be. */
export function createLog(file: ByteString | undefined, debug: boolean): Log {
	// Open from the start: a process with too many open files must be able to say so.
	const target = openTarget(file);
	let made: ConsolaInstance | undefined;
	const consola = () => {
		made ??= createConsola({
			level: debug ? LogLevels.debug : LogLevels.info,
			// Each message counts: none is held back because it repeats another.
			throttle: 0,
			reporters: [{ log: ({ args }) => write(target, `fuse-overlayfs: ${args.join(" ")}\n`) }],
		});
		return made;
	};
	return {
		error: (message) => consola().error(message),
		warn: (message) => consola().warn(message),
		debug: debug ? (message) => consola().debug(message) : undefined,
	};
}

/** A log that was asked for and cannot be had, and what to do about it. */
export class LogUnusable extends Error {
	override readonly name = "LogUnusable";
}

/** Loaded when there is something to write: few daemons ever have, and it takes 0.6 MiB. */
const fileSystem = () => process.getBuiltinModule("node:fs");

function openTarget(file: ByteString | undefined): number {
	if (file === undefined) return STDERR;
	const { constants, openSync } = fileSystem();
	const { O_WRONLY, O_APPEND, O_CREAT, O_NONBLOCK, O_NOCTTY } = constants;
	try {
		// A FIFO that nobody reads is an error rather than waited for, now and later.
		const flags = O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK | O_NOCTTY;
		return openSync(Buffer.from(file, "latin1"), flags, 0o666);
	} catch (error) {
		const { code } = error as NodeJS.ErrnoException;
		throw new LogUnusable(
			`cannot write to the log ${display(file)}: ${code}: FUSE_OVERLAYFS_DEBUG_LOG must name a file that can be written to, or not be set`,
		);
	}
}

function write(target: number, line: string): void {
	try {
		fileSystem().writeSync(target, line);
	} catch {
		// Nobody reads the messages, or the disk is full: requests must be served all the same.
	}
}
