/** Where a mount is put together: options -> layers -> overlay -> session. */

import { display } from "./display.ts";
import { Dispatcher } from "./fuse/dispatch.ts";
import { parseDeclined } from "./fuse/handshake.ts";
import { IDLE_AFTER } from "./fuse/idleness.ts";
import { MountFailed, Mountpoint } from "./fuse/mountpoint.ts";
import { widenReadAhead } from "./fuse/read-ahead.ts";
import { Session, type SessionParts } from "./fuse/session.ts";
import { sessionArgument, sessionOptions } from "./fuse/session-options.ts";
import type { Survival } from "./fuse/survival.ts";
import type { Log } from "./log.ts";
import {
	FUSE_KERNEL_MINOR_VERSION,
	FUSE_KERNEL_VERSION,
	PROC_SUPER_MAGIC,
	RLIMIT_FSIZE,
	RLIMIT_NOFILE,
} from "./native/layout.ts";
import { isPrivileged } from "./native/libc/capabilities.ts";
import { callBy } from "./native/libc/distant.ts";
import { errnoName } from "./native/libc/errno.ts";
import { fileSystemType } from "./native/libc/metadata.ts";
import {
	captureStandardError,
	effectiveUid,
	liftLimit,
	raiseLimit,
	setUmask,
} from "./native/libc/process.ts";
import { blockSignals, mindedSignals } from "./native/libc/signals.ts";
import { Libfuse } from "./native/libfuse/library.ts";
import { isSynced, nameOfWorkdir, openOverlay, workingIn } from "./open-overlay.ts";
import type { ByteString, MountOptions } from "./options.ts";
import { WorkerJobs } from "./overlay/jobs/worker-jobs.ts";
import { areDistant } from "./overlay/layers/distance.ts";
import { claim, findKernelUses } from "./overlay/layers/in-use.ts";
import { LayerUnusable, type OpenedLayers } from "./overlay/layers/open-layers.ts";
import { prepareWorkdir } from "./overlay/marks/abilities.ts";
import { openIndex } from "./overlay/marks/index-directory.ts";
import type { Overlay } from "./overlay/overlay.ts";

const HEX = 16;

/** What is spoken with: libfuse's version, and that of the kernel protocol. Throws LibraryMissing. */
export function libraryVersions(): { library: string; protocol: string } {
	return {
		library: new Libfuse().version(),
		protocol: `${FUSE_KERNEL_VERSION}.${FUSE_KERNEL_MINOR_VERSION}`,
	};
}

/** A mount that answers. */
export interface Mounted {
	/** Serves requests until it is unmounted or a signal says so; then the mount is gone. Blocks the thread. */
	serve(): void;
	/** Unmounts at once what is not wanted any more. */
	end(): void;
}

/** How a mount is run. */
export interface Running {
	/** For tests: what of the kernel's to do without. */
	readonly decline?: string | undefined;
	/** After how many milliseconds without a request it is idle. */
	readonly idleAfter?: number | undefined;
	/** What has it outlive this process; undefined: nothing does. */
	readonly outliving?: Outliving | undefined;
}

/** What has a mount outlive this process. */
export interface Outliving {
	readonly survival: Survival;
	/** Told of a mount that answers, with the message by which another process goes on. */
	begin(session: Session, device: string | undefined, parts: Parts, init: Uint8Array): void;
}

/** What a mount consists of, whoever has made it. */
export interface Parts extends SessionParts {
	/** The kernel can hold back writes: nobody has to be told at once where no more can be written. */
	readonly mayGather: boolean;
	/** Has libfuse's messages told to `tell`. */
	redirect(tell: (message: string) => void): void;
}

export function assemble(
	options: MountOptions,
	log: Log,
	survival: Survival | undefined,
	inherited?: OpenedLayers,
): Parts {
	const signals = mindedSignals(survival !== undefined);
	blockSignals(signals);
	setUmask(0);
	const libfuse = new Libfuse();
	let tell = (message: string): void => log.warn(message);
	libfuse.redirectLog((message) => tell(message));
	const limit = raiseLimit(RLIMIT_NOFILE);
	// Users' files are bound by their own limits.
	const largestFile = liftLimit(RLIMIT_FSIZE);
	checkProc(log);
	const onBroken = (error: unknown) => log.error(`a background thread failed: ${String(error)}`);
	const jobs = new WorkerJobs(signals, onBroken, limit);
	const surviving = survival === undefined ? undefined : { columns: survival.state.columns, inherited };
	const overlay = openOverlay(options, jobs, limit, log, surviving);
	overlay.journal = survival?.journal;
	overlay.parked.removedDirectories = survival?.removedDirectories;
	callBy(jobs.call);
	if (areDistant([...overlay.layers, ...overlay.dataOnly])) jobs.expectCalls();
	const dispatcher = new Dispatcher(
		libfuse,
		overlay,
		{ timeout: options.timeout, fsync: isSynced(options), partsReaders: options.passthrough === "on" },
		log,
		survival,
	);
	const redirect = (to: (message: string) => void) => {
		tell = to;
	};
	return {
		libfuse,
		overlay,
		dispatcher,
		jobs,
		log,
		survival,
		mayGather: largestFile === Number.POSITIVE_INFINITY,
		redirect,
	};
}

/**
 * Mounts an overlay. Blocks the thread's signals by which programs are ended, and SIGUSR1, which {@link Mounted.serve}
 * minds; they must be blocked in all other threads too. Throws LayerUnusable, MountFailed and LibraryMissing, whose messages say what to do.
 */
export function mount(options: MountOptions, log: Log, running: Running = {}): Mounted {
	const { decline = "", idleAfter = IDLE_AFTER, outliving } = running;
	const mountpoint = new Mountpoint(options.mountpoint);
	const survival = outliving?.survival;
	const parts = assemble(options, log, survival);
	const { overlay, mayGather, redirect } = parts;
	const messages: string[] = [];
	redirect((message) => void messages.push(message));
	const features = {
		writeback: options.writeback && mayGather,
		live: overlay.options.live,
		passthrough: passesThrough(options, overlay),
		acl: overlay.options.acl,
		outlives: survival !== undefined,
		maxWrite: options.maxWrite,
		declined: parseDeclined(decline),
	};
	const session = mountSession(options, log, (argument) => {
		messages.length = 0;
		const attempt = new Session(parts, argument, mountpoint, idleAfter);
		try {
			// fusermount3 writes its own messages: they belong into ours.
			const { failure, lines } = captureStandardError(() => attempt.mount());
			messages.push(...lines);
			if (failure !== undefined) throw failure;
			return attempt;
		} catch (error) {
			if (!(error instanceof MountFailed)) throw error;
			throw new MountFailed(explain(options.mountpoint, error.message, messages));
		}
	});
	redirect((message) => log.warn(message));
	process.chdir("/");
	let init: Uint8Array | undefined;
	try {
		// Not before: a mount that fails leaves its layers untouched.
		prepareOverlay(overlay, options, log);
		overlay.identity?.markRoot(overlay.layers);
		if (options.xino === "on") checkNumbersLast(overlay);
		init = session.begin(features);
		if (mountpoint.device !== undefined) widenReadAhead(mountpoint.device);
	} catch (error) {
		session.close();
		throw error;
	}
	if (outliving === undefined || init === undefined) return mounted(session);
	const message = init;
	return mounted(session, () => outliving.begin(session, mountpoint.device, parts, message));
}

/** @param succeed begins what has the mount outlive this process, once it has answered; undefined: nothing does */
export function mounted(session: Session, succeed?: () => void): Mounted {
	return {
		serve() {
			try {
				session.serve(succeed);
			} finally {
				session.close();
			}
		},
		end() {
			session.close();
		},
	};
}

/** With the SELinux context where the kernel takes one, else without. */
function mountSession(options: MountOptions, log: Log, attempt: (argument: ByteString) => Session): Session {
	if (options.context !== undefined) {
		try {
			return attempt(sessionArgument(sessionOptions(options, { context: true })));
		} catch (error) {
			if (!(error instanceof MountFailed)) throw error;
		}
	}
	const session = attempt(sessionArgument(sessionOptions(options, { context: false })));
	if (options.context !== undefined) {
		const name = display(`context="${options.context}"` as ByteString);
		log.warn(`mounted without ${name}: the kernel does not take it here`);
	}
	return session;
}

/** Throws LayerUnusable. */
function prepareOverlay({ work, layers, indexed }: Overlay, options: MountOptions, log: Log): void {
	if (work === undefined) return;
	const upper = layers[0]!;
	const uses = findKernelUses(upper.root, work.directory, work.path);
	const isFree = claim(upper.root);
	workingIn(options, () => prepareWorkdir(work, upper.root, uses.length > 0));
	const names = { upper: `upperdir ${display(upper.path)}`, work: `workdir ${nameOfWorkdir(options)}` };
	const tellUse = (name: string, user: string) => {
		const use = `${name} is in use by ${user}`;
		if (indexed !== undefined)
			throw new LayerUnusable(`${use}, and with index=on there can be one mount only: unmount that`);
		log.warn(`${use}: what one of the two changes the other shows wrong or loses: unmount one of them`);
	};
	for (const use of uses) {
		const name = use.upper ? names.upper : names.work;
		const both = use.upper && use.work ? `${name}, with its workdir,` : name;
		tellUse(both, `kernel overlayfs, mounted on ${display(use.mountpoint)}`);
	}
	if (!isFree) tellUse(names.upper, "another mount of this program");
	else if (work.isShared && uses.length === 0) tellUse(names.work, "another mount of this program");
	if (indexed !== undefined)
		indexed.fd = workingIn(options, () => openIndex(layers, work, nameOfWorkdir(options)));
	if (work.lacksVolatileMark)
		log.warn(
			`${names.work} cannot be marked as volatile, as the disk is full: after a crash of the machine nothing will tell that the upperdir may be damaged`,
		);
}

/** `xino=on` promises numbers that stay: those of copied-up files are kept in attributes. Throws LayerUnusable. */
function checkNumbersLast({ work, layers }: Overlay): void {
	if (work === undefined || work.keepsAttributes) return;
	throw new LayerUnusable(
		`xino=on: upperdir ${display(layers[0]!.path)} takes no extended attributes, so that copied-up files cannot keep their inode numbers: use another file system or xino=auto`,
	);
}

/**
 * Whether to ask the kernel for passthrough: where that is permitted, and its copy of a layer's mount keeps access times
 * as they are. Set-id bits kept in an attribute would not be taken away from a file written to behind our back.
 */
function passesThrough(options: MountOptions, overlay: Overlay): boolean {
	if (options.passthrough === "off" || options.xattrPermissions !== 0) return false;
	const layers = [...overlay.layers, ...overlay.dataOnly];
	if (!layers.every((layer) => layer.isolated) || !isPrivileged()) return false;
	if (options.passthrough === "on") return true;
	// What the kernel has open keeps a name there when it is removed, or is lost.
	if (overlay.work !== undefined && overlay.layers[0]!.losesRemoved) return false;
	return !layers.some((layer) => layer.isStacked);
}

/** One line of what libfuse said and what to do about it. */
function explain(mountpoint: ByteString, reason: string, messages: readonly string[]): string {
	const said = messages.map((message) => message.replace(/^(fuse|fusermount3): */, "")).join("; ");
	const remedy =
		effectiveUid() === 0
			? "root needs CAP_SYS_ADMIN and access to /dev/fuse"
			: "install fusermount3 (Debian and Ubuntu: apt install fuse3), own the mountpoint, and have read and write access to /dev/fuse";
	return `${reason} on ${display(mountpoint)}: ${said === "" ? "permission denied" : said}: ${remedy}`;
}

/** Extended attributes and unlinked files are reached through /proc. */
function checkProc(log: Log): void {
	const type = fileSystemType("/proc");
	if (type < 0) log.warn(`cannot look at /proc: ${errnoName(-type)}`);
	else if (type !== PROC_SUPER_MAGIC)
		log.warn(`/proc is not procfs (type 0x${type.toString(HEX)}): mount it, or extended attributes fail`);
}
