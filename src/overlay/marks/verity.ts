/**
 * The digest that a file system with fs-verity keeps of a file: from then on the file cannot be changed, and what is read of it
 * is held against the digest. Whoever knows the digest therefore knows the content.
 * Source: Linux Documentation/filesystems/fsverity.rst, FS_IOC_MEASURE_VERITY.
 */

import { FS_IOC_MEASURE_VERITY, fsverityDigest } from "../../native/layout.ts";
import { succeeds } from "../../native/libc/errno.ts";
import { control, type Fd } from "../../native/libc/file.ts";
import { type Offset, readBytes, reserve, shorts } from "../../native/memory.ts";
import type { ByteString } from "../../options.ts";

/** Bytes of the longest kind there is, SHA-512. */
export const LONGEST_DIGEST = 64;
export const NO_DIGEST = "" as ByteString;

const DIGEST_SIZE = fsverityDigest.sizeof + LONGEST_DIGEST;
const DIGEST = reserve(DIGEST_SIZE);

/**
 * The digest of an open file, as {@link describeDigest} writes it; undefined: the file has none, or its file system cannot. Throws
 * what asking may.
 */
export function measureVerity(file: Fd): ByteString | undefined {
	shorts[(DIGEST + fsverityDigest.digestSize) >>> 1] = LONGEST_DIGEST;
	if (!succeeds(control(file, FS_IOC_MEASURE_VERITY, DIGEST, DIGEST_SIZE))) return undefined;
	const kind = shorts[(DIGEST + fsverityDigest.digestAlgorithm) >>> 1]!;
	const size = shorts[(DIGEST + fsverityDigest.digestSize) >>> 1]!;
	return describeDigest(kind, DIGEST + fsverityDigest.digest, size);
}

/** Kind (1: SHA-256, 2: SHA-512), in one byte, and digest as one string of bytes. */
export function describeDigest(kind: number, digest: Offset, size: number): ByteString {
	return `${String.fromCharCode(kind)}${readBytes(digest, size)}` as ByteString;
}
