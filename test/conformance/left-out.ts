/**
 * The cells that are left out, each with its reason; and with them the answer to "whom do we follow" where the plain
 * directory and kernel overlayfs differ: the one that is not left out.
 */

import { type Need, whyLacking } from "../harness/setting.ts";
import { reasonsOnNfs } from "./left-out-on-nfs.ts";
import { type Cell, needsOfContent, type Origin } from "./statement.ts";
import type { Trait } from "./targets.ts";

/** Which targets, or which origins on them, and why not. */
export type Reasons = Readonly<Partial<Record<Trait | `${Trait}, ${Origin}`, string>>>;

const prefixTooLong =
	"a name of more than 251 bytes cannot be hidden by a file named after it with .wh. before it";
const btrfsCountsOne = "btrfs gives every directory a link count of 1";
const noTmpfile = "libfuse passes O_TMPFILE on since 3.17; before, it is refused with EOPNOTSUPP";
const tmpfileLacking: Reasons = {
	"libfuse before 3.17": noTmpfile,
	"FUSE before Linux 6.1": "FUSE has no O_TMPFILE there",
	"overlayfs before Linux 6.3": "kernel overlayfs has no O_TMPFILE there",
};
const nothingToRemove =
	"as in kernel overlayfs the removal of what a lower object does not have is ENODATA: it is not copied up for that";
const cannotShare = "not every file system can share blocks; xfs and btrfs can";
const whereItCan =
	"chattr +i works there; the program refuses, as the kernel would not know of it when it opens a file";
const notEverywhere = "this file system does not have it";
const flagsOfExt4 =
	"chattr sets what it read of the lower file on ext4 again, which this file system does not know";
const noReason = "the failure to bind a socket does not say why";
const hardLinksPart =
	"the layer below keeps both names; as in kernel overlayfs without index, links of lower files are not followed up";
const readersKeepLower =
	"told to, the kernel reads a large lower file for who opened it before its copy-up; else they see the copy";
const notWhenPassedThrough: Reasons = {
	"passthrough=on, lower": readersKeepLower,
	"passthrough=on, merged": readersKeepLower,
};

const leftByKernel =
	"the kernel then takes the bits itself, and leaves set-group-id where the group may not execute";

const failsInNamespace =
	"kernel overlayfs answers EOVERFLOW there, seen with 6.1, when it takes set-user-ID off";

/** ext4 is the machine's disk's most likely file system. */
const ext4Ends = "a file of ext4 ends at 16 TiB";
const notOnExt4: Reasons = {
	"on the machine's disk": ext4Ends,
	"on ext4": ext4Ends,
};

const noOrigin =
	"in a user namespace the kernel notes no origin of a copied-up file, whose number is then that of the copy";

/** What holds for neither kernel overlayfs nor the program where the object comes from a lower layer. */
function inLower(why: string): Reasons {
	return { "kernel, lower": why, "kernel, merged": why, "program, lower": why, "program, merged": why };
}

/** By `subject: statement`. */
const reasons: Readonly<Record<string, Reasons>> = {
	"names: a name of 255 bytes is made, changed, linked, renamed and removed": {
		".wh. whiteouts, lower": prefixTooLong,
		".wh. whiteouts, merged": prefixTooLong,
	},
	"names: 255 is the limit of bytes, not of characters": {
		".wh. whiteouts, lower": prefixTooLong,
		".wh. whiteouts, merged": prefixTooLong,
	},
	"names: a symlink's target may be 4095 bytes long": { "on xfs": "xfs stores targets of up to 1023 bytes" },
	"creating: new directories are empty and count two links, new files one": { "on btrfs": btrfsCountsOne },
	"creating: O_TMPFILE makes a file without a name, which linkat can name": tmpfileLacking,
	"creating: O_TMPFILE with O_EXCL cannot be named": tmpfileLacking,
	"acl: an ACL that is not there can be removed": {
		"kernel, lower": nothingToRemove,
		"program, lower": nothingToRemove,
	},
	"listing: number and kind of each record are those of stat": {
		"kernel, merged":
			"without xino the kernel lists a merged directory by its lower number and shows the upper one",
	},
	"removal: a removed directory that is still open is empty, and nothing can be made in it": {
		kernel: "the kernel tells the link count of the lower directory, which is still there",
	},
	"renaming: onto itself, or another name of the same file, changes nothing": inLower(hardLinksPart),
	"renaming: a directory is renamed": inLower(
		"a directory with lower content is EXDEV without redirect_dir, as in kernel overlayfs; mv then copies",
	),
	"renaming: RENAME_WHITEOUT is refused, and changes nothing": {
		plain:
			"a plain file system makes a device 0:0; overlays keep these to themselves, as kernel overlayfs does",
	},
	"linking: a new link is the same file": {
		"kernel in a user namespace, lower": noOrigin,
		"kernel in a user namespace, merged": noOrigin,
	},
	"linking: cp -a keeps links together": {
		"kernel in a user namespace, lower": noOrigin,
		"kernel in a user namespace, merged": noOrigin,
	},
	"linking: writing to one name shows under the other": inLower(hardLinksPart),
	"data: a description of a large file opened before sees what is written after": notWhenPassedThrough,
	"locks: a reader's lock of a large file holds against who writes first": notWhenPassedThrough,
	"data: FICLONE shares blocks": {
		"on the machine's disk": cannotShare,
		"on ext4": cannotShare,
		"on tmpfs": cannotShare,
		program:
			"FUSE has no request for FICLONE; copy_file_range, which cp then takes, shares blocks where it can",
	},
	"data: fallocate collapses ranges": {
		program: "FUSE passes on reserving, punching and zeroing only",
		"on tmpfs": notEverywhere,
		"on btrfs": notEverywhere,
	},
	"data: fallocate zeroes ranges": {
		"on tmpfs": notEverywhere,
		"FUSE before Linux 5.14": "FUSE passes on no zeroing there",
	},
	"renaming: link counts of directories follow": { "on btrfs": btrfsCountsOne },
	"data: holes stay holes when something else is changed": {
		kernel: "the kernel copies in pieces of 1 MiB, and fills the holes in them",
	},
	"data: chattr sets and shows flags": {
		"upper on tmpfs": flagsOfExt4,
		"upper on xfs": flagsOfExt4,
		"upper on btrfs": flagsOfExt4,
	},
	"special-files: a socket of no server refuses, one bound here is there": {
		"without an upper layer": noReason,
		ro: noReason,
	},
	"data: FS_IOC_GETVERSION answers": {
		kernel: "kernel overlayfs passes no such request on",
		"on tmpfs": notEverywhere,
		"layers on several devices, lower": "its lower layer is on tmpfs, which does not have it",
	},
	"data: fiemap tells where a file's data lies": {
		program: "FUSE has no request for fiemap",
		"on tmpfs": "tmpfs has no blocks to tell of",
	},
	...Object.fromEntries(
		["writing", "truncating", "truncating by descriptor", "opening with O_TRUNC"].map((what) => [
			`set-id: ${what} by a user outside the group takes set-group-id off in any case`,
			{ "without FUSE_HANDLE_KILLPRIV_V2": leftByKernel, "FUSE before Linux 5.11": leftByKernel },
		]),
	),
	...Object.fromEntries(
		["writing", "reserving space", "copy_file_range"].map((what) => [
			`set-id: ${what} by a member of the group leaves set-group-id where the group may not execute`,
			{ "overlayfs before Linux 6.3 in a user namespace": failsInNamespace },
		]),
	),
	"offsets: a file has the size it is given, around 2^53, 2^54 and 2^62, and up to the last": notOnExt4,
	"offsets: what is written across 2^53, 2^54 and 2^62 is there, and nowhere else": notOnExt4,
	"offsets: copy_file_range copies across 2^53, 2^54 and 2^62": notOnExt4,
	"offsets: a hole is punched from anywhere to the last offset there is": notOnExt4,
	"data: chattr +i and +a say that they cannot": {
		plain: whereItCan,
		kernel: whereItCan,
	},
	"unlinked: one of two names gone, the other counts one": inLower(hardLinksPart),
};

/** What statements do that not every user may, by `subject: statement`, or by subject. */
const needs: Readonly<Record<string, readonly Need[]>> = {
	callers: ["other ids"],
	sticky: ["other ids"],
	"set-id": ["other ids"],
	acl: ["other ids", "ids in ACLs", "ACLs in the kernel"],
	"creating: in a directory made just now, of any mode": ["other ids"],
	"creating: the owner is the caller, for every kind": ["other ids"],
	"listing: listing needs permission to read": ["other ids"],
	"identity: number and device stay when owner, attributes and content change": [
		"other ids",
		"user attributes",
	],
	"times: mode, owner and attributes move the time of change alone": ["other ids", "user attributes"],
	"times: of a directory stay when only its attributes change": ["other ids"],
	"unlinked: fgetxattr and fsetxattr work": ["user attributes"],
	"special-files: chmod, chown and writing through a symlink change what it points to": ["other ids"],
	"creating: O_TMPFILE makes a file without a name, which linkat can name": ["other ids"],
	"creating: each kind has its kind, and device numbers": ["devices"],
	"data: chattr +i and +a say that they cannot": ["the machine's root"],
	"set-id: writing by root leaves both bits": ["the machine's root"],
	"set-id: truncating by root leaves both bits": ["the machine's root"],
	"set-id: truncating by descriptor by root leaves both bits": ["the machine's root"],
	"set-id: opening with O_TRUNC by root leaves both bits": ["the machine's root"],
	"set-id: reserving space by root leaves both bits": ["the machine's root"],
	"set-id: copy_file_range by root leaves both bits": ["the machine's root"],
};

/** Why the cell is tried on no target as the user who runs the tests; undefined: it is. */
export function whyRefused(cell: Cell): string | undefined {
	const [subject = ""] = cell.key.split(": ");
	return whyLacking([...needsOfContent(cell), ...(needs[subject] ?? []), ...(needs[cell.key] ?? [])]);
}

/** Why the cell is not tried on a target with these traits; undefined: it is tried. */
export function whyLeftOut(cell: Cell, traits: readonly Trait[]): string | undefined {
	const known = { ...reasons[cell.key], ...reasonsOnNfs[cell.key] };
	return traits
		.map((trait) => known[trait] ?? known[`${trait}, ${cell.origin}`])
		.find((why) => why !== undefined);
}

/** Statements, and subjects, that are left out somewhere, to be checked against the table. */
export const statementsLeftOut: readonly string[] = [reasons, reasonsOnNfs, needs].flatMap(Object.keys);
