/** Where an overlay is put together: options -> layers -> overlay. */

import { display } from "./display.ts";
import type { Log } from "./log.ts";
import { readText } from "./native/libc/by-path.ts";
import { isPrivileged } from "./native/libc/capabilities.ts";
import { describeErrno, Errno } from "./native/libc/errno.ts";
import { effectiveGid, effectiveUid } from "./native/libc/process.ts";
import { type ByteString, defaultOptions, type MountOptions } from "./options.ts";
import { descriptorsOfJobs, type WorkerJobs } from "./overlay/jobs/worker-jobs.ts";
import type { Layer } from "./overlay/layers/layer.ts";
import { LayerUnusable, type OpenedLayers, openLayers } from "./overlay/layers/open-layers.ts";
import { Workdir } from "./overlay/layers/workdir.ts";
import { supportsAcl } from "./overlay/marks/acl.ts";
import { Identity } from "./overlay/marks/identity.ts";
import { checkIndexable } from "./overlay/marks/index-directory.ts";
import type { Columns } from "./overlay/nodes/columns.ts";
import type { UsersMarks } from "./overlay/nodes/data-search.ts";
import { Overlay } from "./overlay/overlay.ts";
import type { OverlayOptions } from "./overlay/overlay-options.ts";

/** Descriptors used for other things than layers, caches and jobs: the session, Workers, what a request opens. */
const RESERVED_DESCRIPTORS = 64;
const LARGEST_DESCRIPTORS = 32768;
const SMALLEST_DESCRIPTORS = 16;
/** As many a daemon at rest and its Workers have open, layers not counted. */
const OWN_DESCRIPTORS = 24;
const LARGEST_LISTINGS = 32 << 20;

/** Of a mount that is to outlive the process. */
export interface Surviving {
	/** Where nodes are kept. */
	readonly columns: Columns;
	/** The layers that a predecessor has opened. */
	readonly inherited: OpenedLayers | undefined;
}

/** @param limit the most descriptors there may be. Throws LayerUnusable. */
export function openOverlay(
	options: MountOptions,
	jobs: WorkerJobs,
	limit: number,
	log: Log,
	surviving?: Surviving,
): Overlay {
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
	const opened = surviving?.inherited ?? openLayers(lowerDirectories, writable, dataDirectories);
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
	if (work !== undefined && surviving?.inherited === undefined) checkWorkdir(work, options);
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
	const others = RESERVED_DESCRIPTORS + descriptorsOfJobs(limit) + layers.length + dataOnly.length;
	const spare = limit - others;
	const largestDescriptors = Math.max(Math.min(spare, LARGEST_DESCRIPTORS), SMALLEST_DESCRIPTORS);
	const overlayOptions: OverlayOptions = {
		fsync: isSynced(options),
		staticLinkCount: options.staticLinkCount,
		fastInode: options.fastInode && options.xino !== "on" && !indexes,
		inode32: options.inode32,
		xattrs: options.xattrs,
		// A lower layer without ACLs has files without any; in the upper one they must not be lost.
		acl: options.acl && options.xattrs && (work ? layers.slice(0, 1) : layers).some(supportsAcl),
		hasCopies: work !== undefined || (writable !== undefined && options.timeout >= defaultOptions.timeout),
		uid: effectiveUid(),
		gid: effectiveGid(),
		largestDescriptors,
		outlives: surviving !== undefined,
		live: options.timeout < defaultOptions.timeout,
		redirects: options.redirectDirectories,
		// Under another name such a file finds its data by the mark of a renamed directory.
		leavesData: options.metacopies === "on" && options.redirectDirectories === "on",
		usersMetacopies: usersMetacopies(options),
		verity: options.verity,
		indexes,
		largestListings: LARGEST_LISTINGS,
	};
	return new Overlay(layers, work, identity, jobs, overlayOptions, dataOnly, surviving?.columns);
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
export function workingIn<Result>(options: MountOptions, action: () => Result): Result {
	try {
		return action();
	} catch (error) {
		if (!(error instanceof Errno)) throw error;
		throw new LayerUnusable(
			`cannot use workdir ${nameOfWorkdir(options)}: ${describeErrno(error.code)}: it must be a writable directory, and \`work\` in it, if it exists, one that can be emptied`,
		);
	}
}

export function nameOfWorkdir({ workDirectory }: MountOptions): string {
	return display(workDirectory ?? ("" as ByteString));
}

export function isSynced({ fsync }: MountOptions): boolean {
	return fsync === "auto" || fsync === "strict";
}

function readNumber(path: string): number {
	const overflow = 65534;
	try {
		return Number.parseInt(readText(path), 10);
	} catch {
		return overflow;
	}
}
