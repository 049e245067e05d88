/**
 * The program's second stage, which mounts and serves, and how the first starts it: in the background or in its own place,
 * with the signals a daemon minds blocked in all threads and a clean environment.
 */
import { closeSync, openSync, readFileSync, readSync, writeSync } from "node:fs";
import { SIGNALS } from "./fuse/session.ts";
import { createLog } from "./log.ts";
import { mount } from "./mount.ts";
import { describeErrno } from "./native/libc/errno.ts";
import { duplicateTo, type Fd } from "./native/libc/file.ts";
import { blockSignals, execute, openPipe, spawnDetached } from "./native/libc/process.ts";
import type { ByteString, MountOptions } from "./options.ts";

/**
 * Tells the second stage which it is: "foreground", or, in the background, the number of the descriptor on which to say
 * that the mount answers. The number is one that the caller does not use: it may pass a /dev/fuse of its own.
 */
const STAGE = "_FUSE_OVERLAYFS_STAGE";
const FOREGROUND = "foreground";
const STDERR = 2;
/** Bounds the memory that Bun keeps for later use. */
const RAM_SIZE = 256 << 20;

export function isStartedAgain(): boolean {
	return process.env[STAGE] !== undefined;
}

/** Starts the second stage, in this process's place or in the background; returns what to exit with. */
export function startAgain(foreground: boolean): number {
	// Threads inherit this, so that all of them leave the signals to the one that minds them.
	blockSignals(SIGNALS);
	const program = Buffer.from(process.execPath).toString("latin1") as ByteString;
	const args = readFileSync("/proc/self/cmdline", "latin1").split("\0").slice(0, -1) as ByteString[];
	if (foreground) {
		const failed = execute(program, args, environmentFor(FOREGROUND));
		throw new Error(`cannot start ${process.execPath}: ${describeErrno(-failed)}`);
	}
	const [reading, writing] = openPipe(false);
	spawnDetached(program, args, environmentFor(String(writing)), writing);
	closeSync(writing);
	// One byte once the mount answers; the end of the pipe if it never will, the reason then being on stderr.
	return readSync(reading, Buffer.alloc(1)) === 1 ? 0 : 1;
}

/** The second stage's environment: the user's, without what would have Bun run or load something else. */
function environmentFor(stage: string): ByteString[] {
	const kept = Object.entries(process.env).filter(([name]) => !/^(BUN_|NODE_|JSC_|LD_)/.test(name));
	const all = [...kept, [STAGE, stage], ["BUN_JSC_forceRAMSize", String(RAM_SIZE)]];
	return all.map(([name, value]) => Buffer.from(`${name}=${value}`).toString("latin1") as ByteString);
}

/** The second stage: mounts, says so, and serves until the end. */
export function serve(options: MountOptions): void {
	const stage = process.env[STAGE];
	delete process.env[STAGE];
	const mounted = mount(options, createLog(options.logFile, options.debug));
	if (stage !== FOREGROUND) sayReady(Number(stage));
	mounted.serve();
}

/** Lets go of stderr, whose end the caller may wait for, and tells the first stage that the mount answers. */
function sayReady(pipe: number): void {
	const nowhere = openSync("/dev/null", "r+");
	duplicateTo(nowhere as Fd, STDERR);
	closeSync(nowhere);
	writeSync(pipe, "1");
	closeSync(pipe);
}
