/**
 * The program. It runs in two stages: the first reads the command line and starts the same program again, in the
 * background or in its own place, with signals blocked and a clean environment; the second mounts and serves.
 */
import { closeSync, openSync, readFileSync, readSync, writeSync } from "node:fs";
import { parseCommandLine, UsageError } from "./cli/parse.ts";
import type { ByteString, MountOptions } from "./options.ts";

/**
 * Tells the second stage which it is: "foreground", or, in the background, the number of the descriptor on which to say
 * that the mount answers. The number is one that the caller does not use: it may pass a /dev/fuse of its own.
 */
const STAGE = "_FUSE_OVERLAYFS_STAGE";
const FOREGROUND = "foreground";
const STDERR = 2;
/** Errors that say all there is to say; of others the stack is shown. */
const EXPECTED = ["LayerUnusable", "MountFailed", "HandshakeFailed", "LibraryMissing", "Errno"];

/** This process's arguments, byte by byte, the program's own first. */
function rawArguments(): ByteString[] {
	return readFileSync("/proc/self/cmdline", "latin1").split("\0").slice(0, -1) as ByteString[];
}

/** The user's part of them: what Bun shows decoded stands at the end of it. */
function userArguments(): ByteString[] {
	const count = process.argv.length - 2;
	try {
		return count === 0 ? [] : rawArguments().slice(-count);
	} catch {
		// Without /proc names that are not UTF-8 cannot be told; others can.
		return process.argv.slice(2).map((argument) => Buffer.from(argument).toString("latin1")) as ByteString[];
	}
}

async function main(): Promise<number> {
	const commandLine = parseCommandLine(userArguments(), {
		root: process.getuid?.() === 0,
		environment: process.env,
	});
	switch (commandLine.kind) {
		case "help": {
			const { renderHelp } = await import("./cli/help.ts");
			writeSync(1, `${await renderHelp()}\n`);
			return 0;
		}
		case "version": {
			writeSync(1, `${await versions()}\n`);
			return 0;
		}
		case "mount": {
			const stage = process.env[STAGE];
			if (stage !== undefined)
				return await serve(commandLine.options, stage === FOREGROUND ? undefined : Number(stage));
			for (const warning of commandLine.warnings) writeSync(STDERR, `${warning}\n`);
			return await startAgain(commandLine.options.foreground || commandLine.options.debug);
		}
	}
}

/** Starts the second stage; returns what to exit with. Imports what it needs late: help and errors come sooner. */
async function startAgain(foreground: boolean): Promise<number> {
	const { blockSignals, execute, openPipe, spawnDetached } = await import("./native/libc/process.ts");
	const { SIGNALS } = await import("./fuse/session.ts");
	// Threads inherit this, so that all of them leave the signals to the one that minds them.
	blockSignals(SIGNALS);
	const program = Buffer.from(process.execPath).toString("latin1") as ByteString;
	const args = rawArguments();
	const { describeErrno } = await import("./native/libc/errno.ts");
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

/**
 * The second stage's environment: the user's, without what would have Bun run or load something else, and with a bound
 * on memory that is kept for later use.
 */
function environmentFor(stage: string): ByteString[] {
	const kept = Object.entries(process.env).filter(([name]) => !/^(BUN_|NODE_|JSC_|LD_)/.test(name));
	const all = [...kept, [STAGE, stage], ["BUN_JSC_forceRAMSize", `${256 << 20}`]];
	return all.map(([name, value]) => Buffer.from(`${name}=${value}`).toString("latin1") as ByteString);
}

/** The second stage: mounts, says so, and serves until the end. */
async function serve(options: MountOptions, ready: number | undefined): Promise<number> {
	delete process.env[STAGE];
	const { mount } = await import("./mount.ts");
	const { createLog } = await import("./log.ts");
	const mounted = mount(options, createLog(options.logFile, options.debug));
	if (ready !== undefined) {
		// Whoever reads the caller's stderr waits for its end.
		const { duplicateTo } = await import("./native/libc/file.ts");
		const nowhere = openSync("/dev/null", "r+");
		duplicateTo(nowhere as Parameters<typeof duplicateTo>[0], STDERR);
		closeSync(nowhere);
		writeSync(ready, "1");
		closeSync(ready);
	}
	mounted.serve();
	return 0;
}

async function versions(): Promise<string> {
	const { versionLines } = await import("./cli/help.ts");
	const { Libfuse } = await import("./native/libfuse/library.ts");
	const { FUSE_KERNEL_VERSION, FUSE_KERNEL_MINOR_VERSION } = await import("./native/layout.ts");
	const { version } = await import("../package.json");
	return versionLines({
		fusermount: fusermountVersion(),
		version,
		library: new Libfuse().version(),
		protocol: `${FUSE_KERNEL_VERSION}.${FUSE_KERNEL_MINOR_VERSION}`,
	});
}

function fusermountVersion(): string | undefined {
	try {
		const { stdout } = Bun.spawnSync(["fusermount3", "--version"]);
		return stdout.toString().split(": ")[1]?.trim();
	} catch {
		// Not installed: root can do without it.
		return undefined;
	}
}

try {
	process.exit(await main());
} catch (error) {
	const known = error instanceof UsageError || (error instanceof Error && EXPECTED.includes(error.name));
	const text =
		error instanceof Error ? (known ? error.message : (error.stack ?? error.message)) : String(error);
	writeSync(STDERR, `fuse-overlayfs: ${text}\n`);
	process.exit(1);
}
