/**
 * The kernel's table of this process's mounts, /proc/self/mountinfo (proc_pid_mountinfo(5)). What it tells is known without
 * asking any file system: ours would have to answer while it asks, others may hang.
 */

import type { ByteString } from "../../options.ts";
import { O_DIRECTORY, O_PATH } from "../layout.ts";
import { store } from "../memory.ts";
import { readText } from "./by-path.ts";
import { check } from "./errno.ts";
import { close, openAt, WORKING_DIRECTORY } from "./file.ts";
import { mountId } from "./metadata.ts";

export const MOUNT_TABLE = "/proc/self/mountinfo";
const ROOT = store("/" as ByteString);

export interface MountEntry {
	readonly id: number;
	/** The mount that this one stands in. */
	readonly parent: number;
	/** `MAJOR:MINOR` of the file system. */
	readonly device: string;
	/** Where it stands now, whatever was renamed above it. */
	readonly path: ByteString;
	/** "fuse.fuse-overlayfs". */
	readonly type: string;
	/** Those of the file system, as it wrote them: see {@link mountOption}. */
	readonly options: string;
}

/** `type`: only mounts of file systems of that type. */
export function readMountTable(type?: string): MountEntry[] {
	const wanted = type === undefined ? "" : ` - ${type} `;
	const lines = readText(MOUNT_TABLE).split("\n");
	return lines.filter((line) => line !== "" && line.includes(wanted)).map(readEntry);
}

function readEntry(line: string): MountEntry {
	const [id, parent, device = "", , path = ""] = line.split(" ");
	const [, type = "", options = ""] = / - (\S+) \S* (\S*)/.exec(line) ?? [];
	return { id: Number(id), parent: Number(parent), device, path: plain(path), type, options };
}

/** The value of an option `NAME=VALUE` of a mount's file system. */
export function mountOption({ options }: MountEntry, name: string): ByteString | undefined {
	const option = options.split(",").find((candidate) => candidate.startsWith(`${name}=`));
	return option === undefined ? undefined : plain(option.slice(name.length + 1));
}

function plain(path: string): ByteString {
	const decode = (_: string, octal: string) => String.fromCharCode(Number.parseInt(octal, 8));
	return path.replace(/\\([0-7]{3})/g, decode) as ByteString;
}

/** The mount that an absolute path without symlinks leads to; undefined: none but the root's. */
export function mountAt(table: readonly MountEntry[], path: ByteString): MountEntry | undefined {
	const root = check(openAt(WORKING_DIRECTORY, ROOT, O_PATH | O_DIRECTORY));
	let at = mountId(root);
	close(root);
	let found: MountEntry | undefined;
	for (;;) {
		// Of the mounts in this one the way comes first into that with the shortest path.
		const next = table
			.filter((entry) => entry.parent === at && entry.path !== "/" && isOnWay(entry.path, path))
			.sort((one, other) => one.path.length - other.path.length)[0];
		if (next === undefined) return found;
		found = next;
		at = next.id;
	}
}

function isOnWay(mountpoint: ByteString, path: ByteString): boolean {
	return path === mountpoint || path.startsWith(`${mountpoint}/`);
}
