/**
 * What is not so where all layers lie on NFS, with the reasons: what the server or its client refuses to a plain directory, too, and
 * what the program cannot do without it. Tried with Linux 6.12 on both sides, the server's disk being ext4.
 */

import type { Reasons } from "./left-out.ts";

const onBoth = (why: string): Reasons => ({ "on NFS 4.2": why, "on NFS 3": why });
const on42 = (why: string): Reasons => ({ "on NFS 4.2": why });
/** The program does it nonetheless. */
const plainOnBoth = (why: string): Reasons => ({ "plain on NFS 4.2": why, "plain on NFS 3": why });
const plainOn42 = (why: string): Reasons => ({ "plain on NFS 4.2": why });

const on3 = (why: string): Reasons => ({ "on NFS 3": why });

const noTmpfile = "NFS has no O_TMPFILE";
const noFlags = "NFS takes no flags of renameat2(2)";
const noIoctl = "NFS has no such request";
const serversDisk = "a file of ext4, which the server has, ends at 16 TiB";
const noCover =
	"without RENAME_WHITEOUT a file .wh.NAME hides what is below meanwhile, which a name of more than 251 bytes leaves no room for";
const keepsBits =
	"the server leaves set-id bits when a file is truncated, which the kernel here does not make up for";
const reservesNothing = "NFS 3 neither reserves space nor punches holes";
const tellsNoHoles = "NFS 3 does not tell where holes are";
const noSuchTime = "times of NFS 3 are of 32 bits, from 1970 on, whose first second it has no fractions of";
const silly = "the client gives a removed file that is open another name, and so it counts a link";

export const reasonsOnNfs: Readonly<Record<string, Reasons>> = {
	"names: a name of 255 bytes is made, changed, linked, renamed and removed": {
		"program on NFS 4.2": noCover,
		"program on NFS 3": noCover,
	},
	"names: 255 is the limit of bytes, not of characters": {
		"program on NFS 4.2": noCover,
		"program on NFS 3": noCover,
	},
	"creating: O_TMPFILE makes a file without a name, which linkat can name": onBoth(noTmpfile),
	"creating: O_TMPFILE with O_EXCL cannot be named": onBoth(noTmpfile),
	"callers: times: the owner sets any, who may write sets now": {
		...plainOn42("who may write may set the time of modification to now alone"),
		...on3(noSuchTime),
	},
	"set-id: chown to no other user or group takes them off too": plainOnBoth("the client sends no such chown"),
	...Object.fromEntries(
		["truncating", "truncating by descriptor", "opening with O_TRUNC"].flatMap((what) =>
			[
				"by a user takes both bits off",
				"by another user than the owner takes both bits off",
				"by a member of the group leaves set-group-id where the group may not execute",
				"by a member of the group, a supplementary one, leaves it too",
				"by a user outside the group takes set-group-id off in any case",
			].map((says) => [`set-id: ${what} ${says}`, plainOnBoth(keepsBits)]),
		),
	),
	...Object.fromEntries(
		[
			"by a user takes both bits off",
			"by another user than the owner takes both bits off",
			"by a member of the group leaves set-group-id where the group may not execute",
			"by a member of the group, a supplementary one, leaves it too",
			"by a user outside the group takes set-group-id off in any case",
			"by root leaves both bits",
		].map((says) => [`set-id: reserving space ${says}`, on3(reservesNothing)]),
	),
	"acl: a default ACL and set-group-id are both handed down": on3(
		"a directory made in one with a default ACL has no set-group-id",
	),
	"times: before 1970 are kept, fractions included": on3(noSuchTime),
	"times: far in the future are kept": on3(noSuchTime),
	"times: of FIFOs can be set and stay": on3(noSuchTime),
	"times: UTIME_NOW is now, alone and beside a given one": on3(noSuchTime),
	"times: mode, owner and attributes move the time of change alone": on42(
		"not each of these moves the time of change that the client tells of",
	),
	"renaming: RENAME_NOREPLACE refuses what is there": plainOnBoth(noFlags),
	"renaming: RENAME_EXCHANGE swaps two files": onBoth(noFlags),
	"renaming: RENAME_EXCHANGE swaps a file and a directory made here": onBoth(noFlags),
	"data: O_TRUNC empties, also when only opened for reading": plainOn42("opened for reading it is refused"),
	"data: fallocate reserves, with and without growing": onBoth(
		"NFS 4.2 reserves only what a file then grows by, 3 nothing",
	),
	"data: SEEK_DATA and SEEK_HOLE find data and holes": on3(tellsNoHoles),
	"data: holes stay holes when something else is changed": on3(tellsNoHoles),
	"data: fallocate punches holes": on3(reservesNothing),
	"data: fallocate zeroes ranges": onBoth("NFS does not zero ranges"),
	"data: fallocate collapses ranges": onBoth("NFS does not collapse ranges"),
	"data: FICLONE shares blocks": onBoth("ext4, which the server has, cannot share blocks"),
	"data: fiemap tells where a file's data lies": onBoth(noIoctl),
	"data: FS_IOC_FSGETXATTR answers": onBoth(noIoctl),
	"data: FS_IOC_GETVERSION answers": onBoth(noIoctl),
	"data: chattr sets and shows flags": onBoth(noIoctl),
	"offsets: a file has the size it is given, around 2^31, 2^32 and 2^43": on3(tellsNoHoles),
	"offsets: what is written across 2^31, 2^32 and 2^43 is there, and nowhere else": on3(tellsNoHoles),
	"offsets: copy_file_range copies across 2^31, 2^32 and 2^43": on3(
		"NFS 3 does not tell where holes are, so that nobody could compare what is left, of 8 TiB",
	),
	"offsets: a file has the size it is given, around 2^53, 2^54 and 2^62, and up to the last":
		onBoth(serversDisk),
	"offsets: what is written across 2^53, 2^54 and 2^62 is there, and nowhere else": onBoth(serversDisk),
	"offsets: copy_file_range copies across 2^53, 2^54 and 2^62": onBoth(serversDisk),
	"offsets: a hole is punched from anywhere to the last offset there is": onBoth(serversDisk),
	...Object.fromEntries(
		[
			"locks: flock: shared ones together, an exclusive one alone",
			"locks: flock holds against other processes, and is gone with the description",
		].map((key) => [key, plainOn42("an exclusive lock wants a file opened for writing")]),
	),
	...Object.fromEntries(
		[
			"fstat answers, with link count 0",
			"it cannot be linked again",
			"a file that another was renamed over goes on, with link count 0",
			"unlinked after it was written, it stays as it was",
		].map((says) => [`unlinked: ${says}`, plainOnBoth(silly)]),
	),
	"unlinked: fallocate reserves in it": on3(reservesNothing),
	"unlinked: one of two names gone, the other counts one": plainOnBoth(
		"the client tells of the number of links that it had before",
	),
};
