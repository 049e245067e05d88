/**
 * The program's second stage, which mounts and serves, and how the first starts it: in the background or in its own place,
 * with the signals a daemon minds blocked in all threads, a clean environment, and no privilege it does not need.
 */
import type { Log } from "./log.ts";
import type { Mounted } from "./mount.ts";
import {
	CAP_CHOWN,
	CAP_DAC_OVERRIDE,
	CAP_DAC_READ_SEARCH,
	CAP_FOWNER,
	CAP_FSETID,
	CAP_LINUX_IMMUTABLE,
	CAP_MAC_ADMIN,
	CAP_MAC_OVERRIDE,
	CAP_MKNOD,
	CAP_SETFCAP,
	CAP_SETGID,
	CAP_SETUID,
	CAP_SYS_ADMIN,
	CAP_SYS_RESOURCE,
	EINTR,
	F_SETFD,
	RLIMIT_AS,
	RLIMIT_DATA,
} from "./native/layout.ts";
import { readText } from "./native/libc/by-path.ts";
import { forbidNewPrivileges, keepCapabilities } from "./native/libc/capabilities.ts";
import { describeErrno } from "./native/libc/errno.ts";
import { close, duplicateTo, type Fd, read, write } from "./native/libc/file.ts";
import {
	descriptorControl,
	effectiveUid,
	execute,
	nameProcess,
	openNowhere,
	openPipe,
	raiseLimit,
	run,
	type Start,
	spawnDetached,
	warnOfProcessorLimit,
} from "./native/libc/process.ts";
import {
	blockSignals,
	ignoreMeaninglessSignals,
	mindedSignals,
	unblockSignals,
} from "./native/libc/signals.ts";
import { reserve } from "./native/memory.ts";
import type { ByteString, MountOptions } from "./options.ts";
import type { Restart } from "./succession.ts";

/**
 * Tells the second stage which it is: "foreground", or, in the background, the number of the descriptor on which to say
 * that the mount answers. The number is one that the caller does not use: it may pass a /dev/fuse of its own.
 */
const STAGE = "_FUSE_OVERLAYFS_STAGE";
/** For tests, see CONTRIBUTING.md: what of the kernel's the second stage does without. */
const DECLINE = "_FUSE_OVERLAYFS_DECLINE";
/** Likewise: after how many milliseconds without a request a mount is idle. */
const IDLE_AFTER = "_FUSE_OVERLAYFS_IDLE_AFTER";
const FOREGROUND = "foreground";
/** Goes on with a mount by the state in the memory of the descriptor that follows, in the place of the program that had it. */
const REPLACE = "replace ";
/** The same, after the end of the process that had it. */
const RESUME = "resume ";
/** Has that done by a process like this, with all descriptors that follow, of which the first is the memory's. */
const RESTART = "restart ";
/** Asks whether the program does so with a state of the layout that follows. */
const LAYOUT_IS = "layout ";
const STDERR = 2;
/** What the daemon is called, whatever runs it: Bun's own binary, for the installed package. */
const NAME = "fuse-overlayfs" as ByteString;
const BYTE = reserve(1);
/** Bounds the memory that Bun keeps for later use. */
const RAM_SIZE = 256 << 20;
/**
 * Bytes of objects after which Bun looks for those that are garbage. By default it does where as much was made as there is
 * memory in use, and takes the address space that is reserved for what lies outside of its heap (native/memory.ts) for used.
 */
const GARBAGE_LIMIT = 16 << 20;
/** Among old objects too, each second time, as that address space would make up for all the garbage there is. */
const OLD_GARBAGE_RATIO = "0.9";
/**
 * How often code has run before the last, costly stage of compilation. By default that comes within the first seconds, and
 * takes from whoever waits for the daemon more processor time than it spares in a hundred thousand requests.
 */
const RUNS_BEFORE_LAST_STAGE = "3000000";
/** Variables that would have Bun run or load something else. */
const UNWANTED = /^(BUN_|NODE_|JSC_|LD_)/;

/** The capabilities that a mount needs of those its starter may have. */
const NEEDED_CAPABILITIES = [
	// To do in the layers what the kernel has let a user do in the mount, and to leave it to them.
	CAP_CHOWN,
	CAP_DAC_OVERRIDE,
	CAP_DAC_READ_SEARCH,
	CAP_FOWNER,
	CAP_FSETID,
	CAP_LINUX_IMMUTABLE,
	CAP_MKNOD,
	CAP_SETGID,
	CAP_SETUID,
	// To copy attributes of the security namespace.
	CAP_MAC_ADMIN,
	CAP_MAC_OVERRIDE,
	CAP_SETFCAP,
	// To mount, to reach layers through clones, for trusted attributes and passthrough.
	CAP_SYS_ADMIN,
	// To write where root may still, when a disk is full or a quota used up.
	CAP_SYS_RESOURCE,
];

export function isStartedAgain(): boolean {
	return process.env[STAGE] !== undefined;
}

/** Starts the second stage, in this process's place or in the background; returns what to exit with. */
export function startAgain(options: MountOptions): number {
	// Threads inherit this, so that all of them leave the signals to the one that minds them.
	const isReplaceable = options.failover === "on";
	const signals = mindedSignals(isReplaceable);
	blockSignals(signals);
	ignoreMeaninglessSignals(isReplaceable);
	// The runtime reserves address space by gigabytes, of which it uses little.
	for (const resource of [RLIMIT_AS, RLIMIT_DATA]) raiseLimit(resource);
	warnOfProcessorLimit();
	passDescriptors(options);
	dropPrivileges();
	if (options.foreground || options.debug) {
		const { program, args, environment } = stageOf(FOREGROUND);
		const failed = execute(program, args, environment);
		throw new Error(`cannot start ${process.execPath}: ${describeErrno(-failed)}`);
	}
	const [reading, writing] = openPipe(false);
	spawnDetached(stageOf(String(writing)), [writing]);
	close(writing);
	// Until the mount answers, whoever started this may still end it.
	unblockSignals(signals);
	// One byte once the mount answers; the end of the pipe if it never will, the reason then being on stderr.
	let length: number;
	do length = read(reading, BYTE, 1);
	while (length === -EINTR);
	return length === 1 ? 0 : 1;
}

/** This program with its arguments, as another stage of it. */
function stageOf(stage: string): Start {
	const program = Buffer.from(process.execPath).toString("latin1") as ByteString;
	const [, ...args] = readText("/proc/self/cmdline").split("\0").slice(0, -1) as ByteString[];
	return { program, args: [NAME, ...args], environment: environmentFor(stage) };
}

/** Bun marks all that its caller has left open as closed to programs it starts: what a path names as a descriptor is not. */
function passDescriptors(options: MountOptions): void {
	const { lowerDirectories, upperDirectory, workDirectory, mountpoint, logFile } = options;
	for (const path of [...lowerDirectories, upperDirectory, workDirectory, mountpoint, logFile]) {
		const [, fd] = /^\/(?:proc\/self|dev)\/fd\/(\d+)/.exec(path ?? "") ?? [];
		if (fd !== undefined) descriptorControl(Number(fd) as Fd, F_SETFD, 0);
	}
}

/** Threads inherit this as well: hence here, before there are those that Bun starts by itself. */
function dropPrivileges(): void {
	keepCapabilities(NEEDED_CAPABILITIES);
	// Others than root mount by fusermount3, which is set-user-ID.
	if (effectiveUid() === 0) forbidNewPrivileges();
}

/** The second stage's environment: the user's, without what would have Bun run or load something else. */
function environmentFor(stage: string): ByteString[] {
	const kept = Object.entries(process.env).filter(([name]) => !UNWANTED.test(name));
	const own = {
		[STAGE]: stage,
		BUN_JSC_forceRAMSize: String(RAM_SIZE),
		BUN_JSC_gcMaxHeapSize: String(GARBAGE_LIMIT),
		BUN_JSC_minEdenToOldGenerationRatio: OLD_GARBAGE_RATIO,
		// The heap is small, as what grows lies outside of it: more threads only cost their start.
		BUN_JSC_numberOfGCMarkers: "1",
		// Others compile no sooner what the thread that serves is to run next, and each has memory of its own.
		BUN_JSC_maxNumberOfWorklistThreads: "1",
		BUN_JSC_minNumberOfWorklistThreads: "1",
		BUN_JSC_numberOfBaselineCompilerThreads: "1",
		BUN_JSC_thresholdForFTLOptimizeAfterWarmUp: RUNS_BEFORE_LAST_STAGE,
		BUN_JSC_thresholdForFTLOptimizeSoon: RUNS_BEFORE_LAST_STAGE,
		// A start is over before blocks that a thread has made ready for it would be of use.
		BUN_JSC_useWarmUpMarkedBlocks: "0",
		// Off: it lies in $HOME, which may be somebody else's than the user's who runs this.
		BUN_RUNTIME_TRANSPILER_CACHE_PATH: "0",
	};
	const all = [...kept, ...Object.entries(own)];
	return all.map(([name, value]) => Buffer.from(`${name}=${value}`).toString("latin1") as ByteString);
}

/** The second stage: mounts, says so, and serves until the end; returns what to exit with. */
export async function serve(options: MountOptions): Promise<number> {
	nameProcess(NAME);
	if (process.env[STAGE]?.startsWith(RESTART)) startOver(process.env[STAGE].slice(RESTART.length));
	// Not before: the first stage needs none of it, and starts the faster.
	const [{ mount }, { createLog }] = await Promise.all([import("./mount.ts"), import("./log.ts")]);
	const stage = process.env[STAGE];
	delete process.env[STAGE];
	// Without the option its code takes no memory.
	const succession = options.failover === "on" ? await import("./succession.ts") : undefined;
	if (succession !== undefined && stage?.startsWith(LAYOUT_IS))
		return stage === `${LAYOUT_IS}${succession.layout}` ? 0 : 1;
	const restart = succession === undefined ? undefined : restartFor(options, succession.layout);
	const way = [RESUME, REPLACE].find((prefix) => stage?.startsWith(prefix));
	if (succession !== undefined && restart !== undefined && stage !== undefined && way !== undefined) {
		goOn(options, createLog, (log) => {
			const memory = Number(stage.slice(way.length)) as Fd;
			return succession.resume(
				options,
				log,
				{ memory, isReplacement: way === REPLACE },
				restart,
				idleAfter(),
			);
		});
		return 0;
	}
	const log = createLog(options.logFile, options.debug);
	const outliving = restart && succession?.outlive(options, log, restart);
	const { [DECLINE]: decline } = process.env;
	const mounted = mount(options, log, { decline, outliving, idleAfter: idleAfter() });
	if (stage === FOREGROUND || sayReady(Number(stage) as Fd)) mounted.serve();
	else mounted.end();
	return 0;
}

/** Who has started this process, a shell, has not passed on which signals are blocked. */
function startOver(descriptors: string): never {
	blockSignals(mindedSignals(true));
	const [memory, ...others] = descriptors.split(",").map(Number) as Fd[];
	for (const fd of [memory!, ...others]) descriptorControl(fd, F_SETFD, 0);
	const { program, args, environment } = stageOf(`${RESUME}${memory}`);
	const failed = execute(program, args, environment);
	throw new Error(`cannot start ${process.execPath}: ${describeErrno(-failed)}`);
}

/** Goes on with the mount of a daemon that has ended, unless nobody can. Throws what may not happen to the next one. */
function goOn(
	options: MountOptions,
	createLog: (file: ByteString | undefined, debug: boolean) => Log,
	resume: (log: Log) => Mounted,
): void {
	let log = createLog(undefined, options.debug);
	try {
		log = createLog(options.logFile, options.debug);
	} catch (error) {
		log.error(String(error));
	}
	try {
		resume(log).serve();
	} catch (error) {
		log.error(`cannot go on with the mount: ${error instanceof Error ? error.message : String(error)}`);
		if (error instanceof Error && error.name === "StateUnusable") return;
		throw error;
	}
}

/** For tests, see CONTRIBUTING.md. */
function idleAfter(): number | undefined {
	const given = process.env[IDLE_AFTER];
	return given === undefined ? undefined : Number(given);
}

function absolute(path: string): string {
	return path.startsWith("/") ? path : `${process.cwd()}/${path}`;
}

/** How this program is started to go on with the mount, wherever the working directory is by then. */
function restartFor(options: MountOptions, layout: number): Restart {
	const log = "FUSE_OVERLAYFS_DEBUG_LOG";
	if (options.logFile !== undefined && process.env[log] !== undefined)
		process.env[log] = absolute(process.env[log]);
	return {
		keep: (kept) => stageOf(`${RESTART}${kept.join(",")}`),
		replace: (memory) => stageOf(`${REPLACE}${memory}`),
		isFit: () => run(stageOf(`${LAYOUT_IS}${layout}`)) === 0,
	};
}

/**
 * Lets go of stderr, whose end the caller may wait for, and tells the first stage that the mount answers. False if that
 * has ended meanwhile: whoever started it does not know of the mount, and wanted none any more.
 */
function sayReady(pipe: Fd): boolean {
	const nowhere = openNowhere();
	duplicateTo(nowhere, STDERR);
	close(nowhere);
	const written = write(pipe, BYTE, 1);
	close(pipe);
	return written === 1;
}
