/** What a user of the overlay sees, in the words of harness/snapshot.ts, so that it can be compared with a mount. */

import { createHash } from "node:crypto";
import {
	DT_DIR,
	S_IFBLK,
	S_IFCHR,
	S_IFDIR,
	S_IFIFO,
	S_IFLNK,
	S_IFREG,
	S_IFSOCK,
} from "../../../src/native/layout.ts";
import { NO_NODE, type NodeId } from "../../../src/overlay/nodes/node.ts";
import { printable, type Snapshot, type SnapshotOptions } from "../../harness/snapshot.ts";
import type { Client } from "./client.ts";
import type { Attributes } from "./node-client.ts";

const kinds: Readonly<Record<number, string>> = {
	[S_IFIFO]: "fifo",
	[S_IFCHR]: "char",
	[S_IFDIR]: "dir",
	[S_IFBLK]: "block",
	[S_IFREG]: "file",
	[S_IFLNK]: "symlink",
	[S_IFSOCK]: "socket",
};

function contentOf(client: Client, path: Buffer, stats: Attributes): string[] {
	if (stats.kind === S_IFREG) {
		const content = Buffer.from(client.read(path), "latin1");
		return [
			`size ${stats.size}`,
			`sha256 ${createHash("sha256").update(content).digest("hex").slice(0, 16)}`,
		];
	}
	if (stats.kind === S_IFLNK) return [`-> ${printable(Buffer.from(client.readlink(path), "latin1"))}`];
	if (stats.kind === S_IFCHR || stats.kind === S_IFBLK) return [`device ${stats.major}:${stats.minor}`];
	return [];
}

function describe(client: Client, path: Buffer, options: SnapshotOptions): string {
	const stats = client.stat(path);
	const kind = kinds[stats.kind];
	const xattrs = client
		.listxattr(path)
		.filter((name) => name !== "security.selinux")
		.map((name) => `${name}="${printable(client.getxattr(path, name))}"`);
	return [
		kind,
		stats.mode.toString(8).padStart(4, "0"),
		`${stats.uid}:${stats.gid}`,
		...contentOf(client, path, stats),
		...(kind === "dir" || options.ignoreLinks ? [] : [`links ${stats.links}`]),
		...(options.ignoreTimes ? [] : [`mtime ${stats.mtime}`]),
		...xattrs,
	].join(", ");
}

/**
 * Everything there is, and the root as ".". On the way it is checked that readdir and stat tell the same inode numbers
 * and kinds. Gives back all references it takes.
 */
export function viewOf(client: Client, options: SnapshotOptions = {}): Snapshot {
	const result: Record<string, string> = { ".": describe(client, Buffer.from(""), options) };
	const walk = (directory: NodeId, path: Buffer, shown: string) => {
		const entries = client.entries(directory).sort((one, other) => (one.name < other.name ? -1 : 1));
		for (const { name, inode, type } of entries) {
			const below = Buffer.concat([path, Buffer.from(name, "latin1")]);
			const label = `${shown}${printable(Buffer.from(name, "latin1"))}`;
			const node = client.look(directory, name);
			if (node === NO_NODE) throw new Error(`${label} is listed but not there`);
			const stats = client.attributes(node);
			if (stats.inode !== inode || stats.kind >> 12 !== type) {
				throw new Error(
					`readdir has ${label} as inode ${inode}, kind ${type}; stat as inode ${stats.inode}, kind ${stats.kind >> 12}`,
				);
			}
			result[label] = describe(client, below, options);
			if (type === DT_DIR) walk(node, Buffer.concat([below, Buffer.from("/")]), `${label}/`);
		}
	};
	walk(client.node(""), Buffer.from(""), "");
	return result;
}
