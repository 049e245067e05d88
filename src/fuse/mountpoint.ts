/**
 * Where the mount is: the directory it is made on, and how it is found again and unmounted, whatever has been renamed or
 * mounted since. Nobody else's mount is touched.
 */
import { display } from "../display.ts";
import { ENOENT, ENOTDIR, EPERM, O_DIRECTORY, O_PATH, statx } from "../native/layout.ts";
import { exists, realPath } from "../native/libc/by-path.ts";
import { describeErrno, errnoName } from "../native/libc/errno.ts";
import { close, type Fd, NO_FD, openAt, WORKING_DIRECTORY } from "../native/libc/file.ts";
import { mountId, statDescriptor } from "../native/libc/metadata.ts";
import { type MountEntry, mountAt, readMountTable } from "../native/libc/mount-table.ts";
import { run, unmountLazily } from "../native/libc/process.ts";
import { reserve, store } from "../native/memory.ts";
import type { ByteString } from "../options.ts";
import { remedyFor } from "../remedy.ts";

const STAT = reserve(statx.sizeof);

/** A mount that could not be made. */
export class MountFailed extends Error {
	override readonly name = "MountFailed";
}

export class Mountpoint {
	/** As libfuse takes it. */
	readonly target: ByteString;
	private readonly path: ByteString;
	/** The directory below the mount; none where the mount was there before us, as /dev/fd/N. */
	private directory: Fd;
	private mounted: MountEntry | undefined;

	/**
	 * Opens the directory to mount on. Throws MountFailed where `path` is none.
	 * @param device of a predecessor's mount, of which `path` is the connection, as /dev/fd/N
	 */
	constructor(path: ByteString, device?: string) {
		this.path = path;
		this.directory = NO_FD;
		this.target = path;
		if (/^\/dev\/fd\/\d+$/.test(path)) {
			if (device !== undefined) this.mounted = readMountTable().find((entry) => entry.device === device);
			return;
		}
		this.directory = openDirectory(path);
		checkDevice();
		this.target = realPath(this.directory);
	}

	/** `MAJOR:MINOR` of the file system, once mounted by us. */
	get device(): string | undefined {
		return this.mounted?.device;
	}

	/**
	 * Finds the mount just made, unless it is gone already. Throws MountFailed, with nothing mounted, where it is not on the
	 * directory that was opened.
	 */
	find(isGone: () => boolean): void {
		if (this.directory === NO_FD) return;
		const table = readMountTable();
		const [parent, path] = [mountId(this.directory), realPath(this.directory)];
		close(this.directory);
		this.mounted = table.find((entry) => entry.parent === parent && entry.path === path && isFuse(entry));
		if (this.mounted !== undefined || isGone()) return;
		const elsewhere = mountAt(table, this.target);
		if (elsewhere?.path === this.target && isFuse(elsewhere)) detach(elsewhere.path);
		throw new MountFailed(
			`something else has come to stand at mountpoint ${display(this.path)}, ${display(this.target)}, or is mounted above it: try again with the path it has now`,
		);
	}

	/** Where the mount stands, if its path leads to another, which was mounted over it or above it; undefined if not. */
	coveredPath(): ByteString | undefined {
		const table = readMountTable();
		const own = table.find(({ id, device }) => id === this.mounted?.id && device === this.device);
		return own === undefined || mountAt(table, own.path)?.id === own.id ? undefined : own.path;
	}

	/**
	 * Unmounts the file system wherever it is mounted, at once if busy; returns what went wrong. Its connection must be
	 * closed: a path may lead through it, and nobody would answer.
	 */
	unmount(): string[] {
		const failures: string[] = [];
		for (const { path } of readMountTable().filter(({ device }) => device === this.device)) {
			// With one mount those go that stand in it.
			if (mountAt(readMountTable(), path)?.device !== this.device) continue;
			const failure = detach(path);
			if (failure !== undefined) failures.push(`cannot unmount ${display(path)}: ${failure}`);
		}
		return failures;
	}
}

function isFuse({ type }: MountEntry): boolean {
	return /^fuse(\.|$)/.test(type);
}

/** Throws MountFailed. */
function openDirectory(path: ByteString): Fd {
	const fd = openAt(WORKING_DIRECTORY, store(path), O_PATH | O_DIRECTORY);
	const code = fd < 0 ? -fd : -statDescriptor(fd, STAT);
	if (code === 0) return fd;
	if (fd >= 0) close(fd);
	const name = display(path);
	if (code === ENOTDIR)
		throw new MountFailed(`mountpoint ${name} is not a directory: mount on an empty directory`);
	throw new MountFailed(
		`cannot use mountpoint ${name}: ${describeErrno(code)}: ${remedyFor(errnoName(code), path) ?? "create the directory first"}`,
	);
}

function checkDevice(): void {
	if (exists("/dev/fuse")) return;
	throw new MountFailed(
		"/dev/fuse is missing: load the kernel module (modprobe fuse) or give the container the device",
	);
}

/** Unmounts what is on top at a path, as who may or with the program that may; returns what went wrong. */
function detach(path: ByteString): string | undefined {
	const result = unmountLazily(path);
	if (result === 0) return undefined;
	if (result !== -EPERM) return describeErrno(-result);
	const args = ["fusermount3", "-u", "-q", "-z", "--", path] as ByteString[];
	const start = { program: "fusermount3" as ByteString, args, environment: [] };
	let status = run(start);
	if (status === -ENOENT) status = run({ ...start, program: "/usr/bin/fusermount3" as ByteString });
	if (status === 0) return undefined;
	return status < 0 ? `fusermount3: ${describeErrno(-status)}` : "fusermount3 has failed";
}
