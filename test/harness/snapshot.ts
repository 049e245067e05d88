/** Describes a directory tree so exactly that two equal descriptions mean two equal trees for any user. */

import { createHash } from "node:crypto";
import { type BigIntStats, lstatSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { getxattr, listxattr } from "./native.ts";
import { watchdog } from "./watchdog-client.ts";

export interface SnapshotOptions {
	/** Leave out the times of modification. Default: false. */
	readonly ignoreTimes?: boolean;
	/** Leave out link counts of files. Those of directories are never told: overlays count differently. */
	readonly ignoreLinks?: boolean;
	/** Names in the root that are left out, with all below them. Default: none. */
	readonly leaveOut?: readonly string[];
	/** Leave out extended attributes of such names. */
	readonly ignoreAttributes?: RegExp;
}

/** Path (escaped where it is no printable ASCII) to what is there, in words. */
export type Snapshot = Readonly<Record<string, string>>;

export function printable(bytes: Buffer): string {
	return bytes
		.toString("latin1")
		.replace(/[^\x20-\x7e]|\\/g, (char) => `\\x${char.charCodeAt(0).toString(16).padStart(2, "0")}`);
}

/** By the type bits of the mode, S_IFMT, shifted down. */
const kinds: Readonly<Record<number, string>> = {
	1: "fifo",
	2: "char",
	4: "dir",
	6: "block",
	8: "file",
	10: "symlink",
	12: "socket",
};

function describeXattrs(path: Buffer, { ignoreAttributes }: SnapshotOptions): string[] {
	return (
		listxattr(path)
			// xfs tells root of an ACL a second time.
			.filter((name) => name !== "security.selinux" && !name.startsWith("trusted.SGI_ACL_"))
			.filter((name) => !ignoreAttributes?.test(name))
			.map((name) => `${name}="${printable(getxattr(path, name))}"`)
	);
}

function describeContent(path: Buffer, kind: string | undefined, stats: BigIntStats): string[] {
	if (kind === "file") {
		const content = stats.size === 0n ? "" : readFileSync(path);
		const hash = createHash("sha256").update(content).digest("hex").slice(0, 16);
		return [`size ${stats.size}`, `sha256 ${hash}`];
	}
	if (kind === "symlink") return [`-> ${printable(readlinkSync(path, { encoding: "buffer" }))}`];
	if (kind === "char" || kind === "block") return [`device ${stats.rdev >> 8n}:${stats.rdev & 0xffn}`];
	return [];
}

function describe(path: Buffer, options: SnapshotOptions): string {
	const stats = lstatSync(path, { bigint: true });
	const kind = kinds[Number(stats.mode) >> 12];
	return [
		kind,
		(Number(stats.mode) & 0o7777).toString(8).padStart(4, "0"),
		`${stats.uid}:${stats.gid}`,
		...describeContent(path, kind, stats),
		...(kind === "dir" || options.ignoreLinks ? [] : [`links ${stats.nlink}`]),
		...(options.ignoreTimes ? [] : [`mtime ${stats.mtimeNs}`]),
		...describeXattrs(path, options),
	].join(", ");
}

/** Everything below `root`, and `root` itself as ".". */
export function snapshot(root: string, options: SnapshotOptions = {}): Snapshot {
	const result: Record<string, string> = { ".": describe(Buffer.from(root), options) };
	const walk = (directory: Buffer, shown: string) => {
		const names = readdirSync(directory, { encoding: "buffer" }).sort(Buffer.compare);
		for (const name of names) {
			const path = Buffer.concat([directory, Buffer.from("/"), name]);
			// Whoever walks a large tree is not hung.
			if (shown === "") watchdog.tell("alive");
			const label = `${shown}${printable(name)}`;
			if (options.leaveOut?.includes(label)) continue;
			const description = describe(path, options);
			result[label] = description;
			if (description.startsWith("dir")) walk(path, `${label}/`);
		}
	};
	walk(Buffer.from(root), "");
	return result;
}

/** Where two trees differ, a line each; empty when they are equal. */
export function differences(left: Snapshot, right: Snapshot): string[] {
	const names = [...new Set([...Object.keys(left), ...Object.keys(right)])].sort();
	return names
		.filter((name) => left[name] !== right[name])
		.map((name) => `${name}: ${left[name] ?? "(absent)"} | ${right[name] ?? "(absent)"}`);
}
