/** Where a mount is put together: options -> layers -> overlay -> session. */

import { display } from "./display.ts";
import { Dispatcher } from "./fuse/dispatch.ts";
import { parseDeclined } from "./fuse/handshake.ts";
import { IDLE_AFTER } from "./fuse/idleness.ts";
import { MountFailed, Mountpoint } from "./fuse/mountpoint.ts";
import { widenReadAhead } from "./fuse/read-ahead.ts";
import { Session } from "./fuse/session.ts";
import { sessionArgument, sessionOptions } from "./fuse/session-options.ts";
import type { Log } from "./log.ts";
import {
	FUSE_KERNEL_MINOR_VERSION,
	FUSE_KERNEL_VERSION,
	PROC_SUPER_MAGIC,
	RLIMIT_FSIZE,
	RLIMIT_NOFILE,
} from "./native/layout.ts";
import { readText } from "./native/libc/by-path.ts";
import { isPrivileged } from "./native/libc/capabilities.ts";
import { callBy } from "./native/libc/distant.ts";
import { describeErrno, Errno, errnoName } from "./native/libc/errno.ts";
import { fileSystemType } from "./native/libc/metadata.ts";
import {
	captureStandardError,
	effectiveGid,
	effectiveUid,
	liftLimit,
	raiseLimit,
	setUmask,
} from "./native/libc/process.ts";
import { blockSignals, mindedSignals } from "./native/libc/signals.ts";
import { Libfuse } from "./native/libfuse/library.ts";
import { type ByteString, defaultOptions, type MountOptions } from "./options.ts";
import { WorkerJobs } from "./overlay/jobs/worker-jobs.ts";
import { areDistant } from "./overlay/layers/distance.ts";
import { claim, findKernelUses } from "./overlay/layers/in-use.ts";
import type { Layer } from "./overlay/layers/layer.ts";
import { LayerUnusable, openLayers } from "./overlay/layers/open-layers.ts";
import { Workdir } from "./overlay/layers/workdir.ts";
import { prepareWorkdir } from "./overlay/marks/abilities.ts";
import { supportsAcl } from "./overlay/marks/acl.ts";
import { Identity } from "./overlay/marks/identity.ts";
import { checkIndexable, openIndex } from "./overlay/marks/index-directory.ts";
import type { UsersMarks } from "./overlay/nodes/data-search.ts";
import { Overlay } from "./overlay/overlay.ts";
import type { OverlayOptions } from "./overlay/overlay-options.ts";

/** Descriptors used for other things than the caches: layers, the session, jobs. */
const RESERVED_DESCRIPTORS = 64;
const LARGEST_DESCRIPTORS = 32768;
const SMALLEST_DESCRIPTORS = 16;
/** As many a daemon at rest and its Workers have open, layers not counted. */
const OWN_DESCRIPTORS = 24;
const LARGEST_LISTINGS = 32 << 20;
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

/**
 * Mounts an overlay. Blocks the thread's signals by which programs are ended, and SIGUSR1, which {@link Mounted.serve}
 * minds; they must be blocked in all other threads too. For tests: `decline`, what of the kernel's to do without, and
 * `idleAfter`, in milliseconds. Throws LayerUnusable, MountFailed and LibraryMissing, whose messages say what to do.
 */
export function mount(options: MountOptions, log: Log, decline = "", idleAfter = IDLE_AFTER): Mounted {
	const signals = mindedSignals();
	blockSignals(signals);
	setUmask(0);
	const libfuse = new Libfuse();
	const messages: string[] = [];
	let tell = (message: string): void => void messages.push(message);
	libfuse.redirectLog((message) => tell(message));
	const mountpoint = new Mountpoint(options.mountpoint);
	const limit = raiseLimit(RLIMIT_NOFILE);
	// Users' files are bound by their own limits.
	const largestFile = liftLimit(RLIMIT_FSIZE);
	checkProc(log);
	const jobs = new WorkerJobs(signals, (error) => log.error(`a background thread failed: ${String(error)}`));
	const overlay = openOverlay(options, jobs, limit, log);
	callBy(jobs.call);
	if (areDistant([...overlay.layers, ...overlay.dataOnly])) jobs.expectCalls();
	const dispatcher = new Dispatcher(
		libfuse,
		overlay,
		{ timeout: options.timeout, fsync: isSynced(options), partsReaders: options.passthrough === "on" },
		log,
	);
	const features = {
		// Writers are told at once where no more can be written.
		writeback: options.writeback && largestFile === Number.POSITIVE_INFINITY,
		live: overlay.options.live,
		passthrough: passesThrough(options, overlay),
		acl: overlay.options.acl,
		maxWrite: options.maxWrite,
		declined: parseDeclined(decline),
	};
	const session = mountSession(options, log, (argument) => {
		messages.length = 0;
		const attempt = new Session(libfuse, argument, mountpoint, dispatcher, overlay, jobs, log, idleAfter);
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
	tell = (message) => log.warn(message);
	process.chdir("/");
	try {
		// Not before: a mount that fails leaves its layers untouched.
		prepareOverlay(overlay, options, log);
		overlay.identity?.markRoot(overlay.layers);
		if (options.xino === "on") checkNumbersLast(overlay);
		session.begin(features);
		if (mountpoint.device !== undefined) widenReadAhead(mountpoint.device);
	} catch (error) {
		session.close();
		throw error;
	}
	return {
		serve() {
			try {
				session.serve();
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

/** Throws LayerUnusable where an earlier mount has left the upper layer as one that may be damaged, or otherwise unusable. */
function checkWorkdir(work: Workdir, options: MountOptions): void {
	const feature = workingIn(options, () => work.obstacle());
	if (feature === undefined) return;
	const name = nameOfWorkdir(options);
	const upper = display(options.upperDirectory ?? ("" as ByteString));
	if (feature === "volatile") {
		throw new LayerUnusable(
			`workdir ${name} was used with volatile: if the machine has crashed since, upperdir ${upper} may be damaged: look at it with ro, and give a new upperdir and workdir; or, if it has not, remove ${name}/work/incompat/volatile`,
		);
	}
	throw new LayerUnusable(
		`workdir ${name} needs the feature ${display(feature)} (${name}/work/incompat), which this program does not have: mount it with what made it, or give a new upperdir and workdir`,
	);
}

/** Throws LayerUnusable where the file system fails what is done in the workdir. */
function workingIn<Result>(options: MountOptions, action: () => Result): Result {
	try {
		return action();
	} catch (error) {
		if (!(error instanceof Errno)) throw error;
		throw new LayerUnusable(
			`cannot use workdir ${nameOfWorkdir(options)}: ${describeErrno(error.code)}: it must be a writable directory, and \`work\` in it, if it exists, one that can be emptied`,
		);
	}
}

function nameOfWorkdir({ workDirectory }: MountOptions): string {
	return display(workDirectory ?? ("" as ByteString));
}

function isSynced({ fsync }: MountOptions): boolean {
	return fsync === "auto" || fsync === "strict";
}

/** `xino=on` promises numbers that stay: those of copied-up files are kept in attributes. Throws LayerUnusable. */
function checkNumbersLast({ work, layers }: Overlay): void {
	if (work === undefined || work.keepsAttributes) return;
	throw new LayerUnusable(
		`xino=on: upperdir ${display(layers[0]!.path)} takes no extended attributes, so that copied-up files cannot keep their inode numbers: use another file system or xino=auto`,
	);
}

function openOverlay(options: MountOptions, jobs: WorkerJobs, limit: number, log: Log): Overlay {
	const { upperDirectory, workDirectory } = options;
	const writable =
		upperDirectory === undefined || workDirectory === undefined
			? undefined
			: { upper: upperDirectory, work: workDirectory };
	const { lowerDirectories, dataDirectories } = options;
	checkDescriptors(
		(writable === undefined ? 0 : 1) + lowerDirectories.length + dataDirectories.length,
		limit,
	);
	checkMarksShow(options);
	const opened = openLayers(lowerDirectories, writable, dataDirectories);
	const { layers, dataOnly } = opened;
	const work =
		opened.work === undefined || options.readOnly
			? undefined
			: new Workdir(opened.work, {
					fileWhiteouts: options.fileWhiteouts,
					userAttributes: options.userAttributes,
					isVolatile: options.fsync === "volatile",
					syncsAll: options.fsync === "strict",
				});
	if (work !== undefined) checkWorkdir(work, options);
	if (!options.originUuids) leaveOutUuids(layers, log);
	const indexes = work !== undefined && options.index === "on";
	if (options.index === "on" && work === undefined)
		log.warn(
			"index=on is without effect where nothing can be changed: names of hard-linked files show each what it has",
		);
	if (indexes) {
		checkNotLive(options);
		checkIndexable(layers, work, nameOfWorkdir(options));
	}
	const overflow = {
		uid: readNumber("/proc/sys/kernel/overflowuid"),
		gid: readNumber("/proc/sys/kernel/overflowgid"),
	};
	const identity = Identity.of(options, layers, work !== undefined, overflow, (message) => log.warn(message));
	const spare = limit - RESERVED_DESCRIPTORS - layers.length - dataOnly.length;
	const largestDescriptors = Math.max(Math.min(spare, LARGEST_DESCRIPTORS), SMALLEST_DESCRIPTORS);
	const overlayOptions: OverlayOptions = {
		fsync: isSynced(options),
		staticLinkCount: options.staticLinkCount,
		fastInode: options.fastInode && options.xino !== "on" && !indexes,
		inode32: options.inode32,
		xattrs: options.xattrs,
		// A lower layer without ACLs has files without any; in the upper one they must not be lost.
		acl: options.acl && options.xattrs && (work ? layers.slice(0, 1) : layers).some(supportsAcl),
		uid: effectiveUid(),
		gid: effectiveGid(),
		largestDescriptors,
		live: options.timeout < defaultOptions.timeout,
		redirects: options.redirectDirectories,
		// Under another name such a file finds its data by the mark of a renamed directory.
		leavesData: options.metacopies === "on" && options.redirectDirectories === "on",
		usersMetacopies: usersMetacopies(options),
		verity: options.verity,
		indexes,
		largestListings: LARGEST_LISTINGS,
	};
	return new Overlay(layers, work, identity, jobs, overlayOptions, dataOnly);
}

/** Throws LayerUnusable where others may change the layers: what they remove or link is not counted. */
function checkNotLive({ timeout }: MountOptions): void {
	if (timeout >= defaultOptions.timeout) return;
	throw new LayerUnusable(
		"index=on: with a timeout others may change the layers, and the names of hard-linked files could not be counted: leave one of the two options out",
	);
}

/** With several file systems a handle without a uuid could lead to a file of another one. */
function leaveOutUuids(layers: readonly Layer[], log: Log): void {
	if (layers.some(({ device }) => device !== layers[0]!.device))
		log.warn("uuid=off needs all layers on one file system: they are told apart by their uuids");
	else for (const layer of layers) layer.namesFileSystem = false;
}

/** Each layer's root is open as long as the mount is there. Throws LayerUnusable. */
function checkDescriptors(layers: number, limit: number): void {
	const needed = layers + OWN_DESCRIPTORS + SMALLEST_DESCRIPTORS;
	if (needed <= limit) return;
	throw new LayerUnusable(
		`${layers} layers need ${needed} open files, and the limit is ${limit}: raise it (ulimit -Hn, LimitNOFILE= of a service) or give fewer lowerdirs`,
	);
}

/** Data-only layers are of no use unless files lead there; for those of users that is said by asking for their marks. */
function usersMetacopies({ metacopies, userAttributes, dataDirectories }: MountOptions): UsersMarks {
	if (metacopies === "on") return "followed";
	return userAttributes && dataDirectories.length > 0 ? "to data-only layers" : "refused";
}

/**
 * Files whose data is in data-only layers, or must have a digest, are told by their marks: whoever cannot see these would be
 * shown zeros. Throws LayerUnusable.
 */
function checkMarksShow(options: MountOptions): void {
	const { dataDirectories, verity } = options;
	if (usersMetacopies(options) !== "refused" || isPrivileged()) return;
	const [asked] = [
		...(dataDirectories.length > 0 ? ["data-only layers"] : []),
		...(verity === "off" ? [] : [`verity=${verity}`]),
	];
	if (asked === undefined) return;
	throw new LayerUnusable(
		`${asked}: the files that this is for are marked by attributes of the trusted namespace, which only the machine's root can see: mount as root, or with metacopy=on or userxattr if they are marked by those of the user namespace`,
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
	// On NFS what the kernel has open keeps a name when it is removed.
	if (overlay.work !== undefined && overlay.layers[0]!.namesRemoved) return false;
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

function readNumber(path: string): number {
	const overflow = 65534;
	try {
		return Number.parseInt(readText(path), 10);
	} catch {
		return overflow;
	}
}
