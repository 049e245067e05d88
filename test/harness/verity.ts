/** fs-verity, where the kernel and a file system have it. */

import { closeSync, existsSync, openSync } from "node:fs";
import { FS_IOC_MEASURE_VERITY } from "../../src/native/layout.ts";
import { mountDisk } from "./disk.ts";
import { ioctl } from "./native.ts";

/** The kernel has it for ext4. */
export const hasVerity = existsSync("/sys/fs/ext4/features/verity");

/** Kinds of digests, by the kernel's numbers. */
export const SHA256 = 1;
export const SHA512 = 2;

const FS_IOC_ENABLE_VERITY = 0x40806685;
/** `struct fsverity_enable_arg`. */
const ENABLE_SIZE = 128;
const BLOCK_SIZE = 4096;

/** A file system that has it, mounted on the directory `path`. */
export function mountVerityDisk(path: string): void {
	mountDisk("ext4", path, { make: ["-O", "verity", "-b", String(BLOCK_SIZE)] });
}

function withFile<Result>(path: string, use: (fd: number) => Result): Result {
	const fd = openSync(path, "r");
	try {
		return use(fd);
	} finally {
		closeSync(fd);
	}
}

/** Seals a file, which must not be open for writing: its digest. */
export function seal(path: string, kind = SHA256): Buffer {
	const argument = Buffer.alloc(ENABLE_SIZE);
	argument.writeUInt32LE(1, 0);
	argument.writeUInt32LE(kind, 4);
	argument.writeUInt32LE(BLOCK_SIZE, 8);
	withFile(path, (fd) => ioctl(fd, FS_IOC_ENABLE_VERITY, argument));
	return measure(path);
}

function measure(path: string): Buffer {
	const answer = Buffer.alloc(4 + 64);
	answer.writeUInt16LE(64, 2);
	withFile(path, (fd) => ioctl(fd, FS_IOC_MEASURE_VERITY, answer));
	return answer.subarray(4, 4 + answer.readUInt16LE(2));
}

/** What `overlay.metacopy` says of a file whose data has that digest. */
export function markValue(digest: Buffer, kind = SHA256): Buffer {
	return Buffer.concat([Buffer.from([0, 4 + digest.length, 0, kind]), digest]);
}
