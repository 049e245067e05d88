/** Describes a directory tree so exactly that two equal descriptions mean two equal trees for any user. */

import { createHash } from "node:crypto";
import { type BigIntStats, lstatSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { open } from "./descriptor.ts";
import { pread, seek } from "./exact-offsets.ts";
import { codeOf, getxattr, listxattr, SEEK_DATA, SEEK_HOLE } from "./native.ts";
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
	/** Whoever looks may not look into everything: what they are refused is told as such. Default: false. */
	readonly maySeeClosed?: boolean;
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

const largestReadWhole = 64n * 1024n * 1024n;
const blockSize = 4096;
const chunkSize = 1024 * 1024;

/** Of what is too large to be read whole: all blocks that are not zeros, with their places. */
function hashOfBlocks(path: Buffer, size: bigint): string {
	using file = open(path);
	const hash = createHash("sha256");
	const next = (from: bigint, whence: number) => {
		let found = size;
		// ENXIO: no data from there on.
		codeOf(() => {
			found = seek(file.fd, from, whence);
		});
		return found;
	};
	for (let at = 0n; at < size; ) {
		const start = next(at, SEEK_DATA);
		if (start >= size) break;
		const end = next(start, SEEK_HOLE);
		// Where data begins and ends is the file system's choice; blocks are nobody's.
		at = start - (start % BigInt(blockSize));
		while (at < end) {
			// A read that could go beyond the last offset there is would be refused.
			const left = size - at;
			const chunk = pread(file.fd, left < chunkSize ? Number(left) : chunkSize, at);
			if (chunk.length === 0) throw new Error(`${printable(path)} ends at ${at}, not at ${size}`);
			for (let from = 0; from < chunk.length && at < end; from += blockSize, at += BigInt(blockSize)) {
				const block = chunk.subarray(from, from + blockSize);
				if (block.some((byte) => byte !== 0)) hash.update(`${at}:`).update(block);
			}
		}
	}
	return hash.digest("hex");
}

/** Of a file's content, however large. */
export function contentHash(path: Buffer, size: bigint): string {
	if (size > largestReadWhole) return hashOfBlocks(path, size);
	return createHash("sha256")
		.update(size === 0n ? "" : readFileSync(path))
		.digest("hex");
}

/** What is read of it. */
function describeContent(path: Buffer, kind: string | undefined, stats: BigIntStats): string[] {
	if (kind === "file") {
		return [`sha256 ${contentHash(path, stats.size).slice(0, 16)}`];
	}
	if (kind === "symlink") return [`-> ${printable(readlinkSync(path, { encoding: "buffer" }))}`];
	if (kind === "char" || kind === "block") return [`device ${stats.rdev >> 8n}:${stats.rdev & 0xffn}`];
	return [];
}

/** What `look` tells; undefined where it is refused and may be. */
function whereOpen<Told>(look: () => Told, { maySeeClosed }: SnapshotOptions): Told | undefined {
	try {
		return look();
	} catch (error) {
		if (maySeeClosed && (error as { code?: unknown }).code === "EACCES") return undefined;
		throw error;
	}
}

function describe(path: Buffer, options: SnapshotOptions): string {
	const stats = lstatSync(path, { bigint: true });
	const kind = kinds[Number(stats.mode) >> 12];
	return [
		kind,
		(Number(stats.mode) & 0o7777).toString(8).padStart(4, "0"),
		`${stats.uid}:${stats.gid}`,
		...(kind === "file" ? [`size ${stats.size}`] : []),
		...(whereOpen(() => describeContent(path, kind, stats), options) ?? ["closed"]),
		...(kind === "dir" || options.ignoreLinks ? [] : [`links ${stats.nlink}`]),
		...(options.ignoreTimes ? [] : [`mtime ${stats.mtimeNs}`]),
		...(whereOpen(() => describeXattrs(path, options), options) ?? ["attributes closed"]),
	].join(", ");
}

/** Everything below `root`, and `root` itself as ".". */
export function snapshot(root: string, options: SnapshotOptions = {}): Snapshot {
	const result: Record<string, string> = { ".": describe(Buffer.from(root), options) };
	let lastSign = 0;
	const walk = (directory: Buffer, shown: string) => {
		const names = whereOpen(() => readdirSync(directory, { encoding: "buffer" }), options) ?? [];
		for (const name of names.sort(Buffer.compare)) {
			const path = Buffer.concat([directory, Buffer.from("/"), name]);
			// Whoever walks a large tree is not hung.
			if (Date.now() - lastSign > 1000) {
				watchdog.tell("alive");
				lastSign = Date.now();
			}
			const label = `${shown}${printable(name)}`;
			if (options.leaveOut?.includes(label)) continue;
			const description = whereOpen(() => describe(path, options), options) ?? "closed";
			result[label] = description;
			if (description.startsWith("dir")) walk(path, `${label}/`);
		}
	};
	walk(Buffer.from(root), "");
	return result;
}

const fileWithTime = /^(file, .*? mtime )(\d+)/;
const near = 60_000_000_000n;

/** The second snapshot with the times of the first, for files whose times are less than a minute apart. */
export function withTimesOf(first: Snapshot, second: Snapshot): Snapshot {
	const timeIn = (told = "") => fileWithTime.exec(told)?.[2];
	const entries = Object.entries(second).map(([name, told]) => {
		const [before, after] = [timeIn(first[name]), timeIn(told)];
		if (before === undefined || after === undefined) return [name, told];
		const apart = BigInt(before) - BigInt(after);
		return [name, apart < near && -apart < near ? told.replace(fileWithTime, `$1${before}`) : told];
	});
	return Object.fromEntries(entries);
}

/** Where two trees differ, a line each; empty when they are equal. */
export function differences(left: Snapshot, right: Snapshot): string[] {
	const names = [...new Set([...Object.keys(left), ...Object.keys(right)])].sort();
	return names
		.filter((name) => left[name] !== right[name])
		.map((name) => `${name}: ${left[name] ?? "(absent)"} | ${right[name] ?? "(absent)"}`);
}
