/**
 * A file system on a disk that remembers every write, and the disks that a loss of power would have left.
 *
 * The model: a disk with a volatile cache. What was written before a flush that has finished is on the disk; of what was
 * written since, any part may be there, block by block in any order. The recorder (recorder.c) lies below the loop
 * device, so it sees exactly what the file system sends to a disk, flushes included; barriers and FUA arrive as flushes.
 * In half of the images nothing is lost that the disk was given, as with a disk that has no such cache.
 */

import { closeSync, ftruncateSync, openSync, readFileSync, unlinkSync, writeSync } from "node:fs";
import { join } from "node:path";
import type { TemporaryTree } from "../harness/layers.ts";
import { until } from "../harness/mount.ts";
import { findMount } from "../harness/mount-table.ts";
import type { Random } from "../overlay/core/random-layers.ts";

export const fileSystems = {
	ext4: { megabytes: 256, make: ["mkfs.ext4", "-q", "-F"] },
	xfs: { megabytes: 320, make: ["mkfs.xfs", "-q", "-f"] },
	btrfs: { megabytes: 256, make: ["mkfs.btrfs", "-q", "-f"] },
} as const;

export type FileSystem = keyof typeof fileSystems;

/** Those on which files can share blocks. */
export const sharing: readonly FileSystem[] = ["xfs", "btrfs"];

/** Runs a command that must succeed. */
export function run(...command: string[]): void {
	const { exitCode, stderr } = Bun.spawnSync(command, { stdout: "ignore" });
	if (exitCode !== 0) throw new Error(`${command.join(" ")}: ${stderr}`);
}

/** Compiles the recorder into the tree; its path. */
export function compileRecorder(tree: TemporaryTree): string {
	const program = tree.join("recorder");
	const flags = ["-O1", "-D_FILE_OFFSET_BITS=64", "-I/usr/include/fuse3"];
	run("gcc", ...flags, join(import.meta.dir, "recorder.c"), "-o", program, "-lfuse3", "-lpthread");
	return program;
}

/** The disk while it is in use. */
export class RecordedDisk implements AsyncDisposable {
	/** Where its file system is mounted. */
	readonly path: string;
	/** What is written to this file is noted among the writes. */
	readonly marks: string;
	readonly log: string;
	/** The disk as it was before the first recorded write. */
	readonly base: string;
	readonly #recorder: Bun.Subprocess;

	private constructor(path: string, control: string, log: string, base: string, recorder: Bun.Subprocess) {
		this.path = path;
		this.marks = join(control, "marks");
		this.log = log;
		this.base = base;
		this.#recorder = recorder;
	}

	static async create(
		tree: TemporaryTree,
		name: string,
		type: FileSystem,
		program: string,
	): Promise<RecordedDisk> {
		const { megabytes, make } = fileSystems[type];
		const [path, control] = [tree.layer(`${name}/fs`), tree.layer(`${name}/control`)];
		const [image, base, log] = ["image", "base", "log"].map((part) => tree.join(name, part)) as [
			string,
			string,
			string,
		];
		const fd = openSync(image, "wx");
		ftruncateSync(fd, megabytes * 2 ** 20);
		closeSync(fd);
		run(...make, image);
		run("cp", "--sparse=always", image, base);
		const recorder = Bun.spawn([program, image, log, control], { stdio: ["ignore", "inherit", "inherit"] });
		await until(() => findMount(control) !== undefined, "the recorder does not mount");
		run("mount", "-o", "loop,noatime", join(control, "disk"), path);
		return new RecordedDisk(path, control, log, base, recorder);
	}

	/** Unmounts the file system and ends the recording. */
	async [Symbol.asyncDispose](): Promise<void> {
		run("umount", this.path);
		// A mount namespace that somebody else has made meanwhile may hold the loop device for a moment.
		const control = join(this.marks, "..");
		const isUnmounted = () => Bun.spawnSync(["umount", control], { stderr: "ignore" }).exitCode === 0;
		await until(isUnmounted, `${control} stays busy`);
		await this.#recorder.exited;
	}
}

const kinds = { write: 1, flush: 2, mark: 3 } as const;
const headSize = 32;

interface LogRecord {
	readonly kind: number;
	readonly offset: number;
	readonly data: Buffer;
}

function readLog(path: string): LogRecord[] {
	const bytes = readFileSync(path);
	const records: LogRecord[] = [];
	for (let at = 0; at < bytes.length; ) {
		const [kind, offset, length] = [0, 8, 16].map((field) => Number(bytes.readBigUInt64LE(at + field)));
		const data = bytes.subarray(at + headSize, at + headSize + length!);
		records.push({ kind: kind!, offset: offset!, data });
		at += headSize + length!;
	}
	return records;
}

export interface PowerLoss {
	/** A disk as it may have been found afterwards. */
	readonly image: string;
	/** What had been noted before. */
	readonly marks: readonly string[];
}

/**
 * Cuts the power at `count` moments after the first mark, earliest first. Each image is a file of its own in
 * `directory`, because a loop device may outlive its mount for a moment; it is removed when the next is asked for.
 */
export function* powerLosses(
	{ log, base }: Pick<RecordedDisk, "log" | "base">,
	directory: string,
	count: number,
	random: Random,
): Generator<PowerLoss> {
	const records = readLog(log);
	const first = records.findIndex(({ kind }) => kind === kinds.mark);
	const moments = Array.from({ length: count }, () => first + random(records.length - first)).sort(
		(a, b) => a - b,
	);
	const marks: string[] = [];
	let unflushed: LogRecord[] = [];
	let next = 0;
	const durable = openSync(base, "r+");
	try {
		for (const [index, moment] of moments.entries()) {
			for (; next <= moment; next++) {
				const record = records[next]!;
				if (record.kind === kinds.mark) marks.push(...record.data.toString("latin1").trim().split("\n"));
				if (record.kind === kinds.write) unflushed.push(record);
				if (record.kind !== kinds.flush) continue;
				for (const { data, offset } of unflushed) writeSync(durable, data, 0, data.length, offset);
				unflushed = [];
			}
			const image = join(directory, `found${index}`);
			run("cp", "--sparse=always", base, image);
			const lostIn100 = random(2) * random(100);
			writePart(image, unflushed, () => random(100) >= lostIn100);
			yield { image, marks: [...marks] };
			unlinkSync(image);
		}
	} finally {
		closeSync(durable);
	}
}

const blockSize = 4096;

/** Writes those blocks that `arrives` says. */
function writePart(image: string, records: readonly LogRecord[], arrives: () => boolean): void {
	const fd = openSync(image, "r+");
	try {
		for (const { data, offset } of records) {
			for (let at = 0; at < data.length; at += blockSize) {
				if (arrives()) writeSync(fd, data, at, Math.min(blockSize, data.length - at), offset + at);
			}
		}
	} finally {
		closeSync(fd);
	}
}
