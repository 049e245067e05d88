/**
 * The cells that are left out, each with its reason; and with them the answer to "whom do we follow" where the plain
 * directory and kernel overlayfs differ: the one that is not left out.
 */

import type { Cell, Origin } from "./statement.ts";
import type { Trait } from "./targets.ts";

/** Which targets, or which origins on them, and why not. */
type Reasons = Readonly<Partial<Record<Trait | `${Trait}, ${Origin}`, string>>>;

const prefixTooLong =
	"a name of more than 251 bytes cannot be hidden by a file named after it with .wh. before it";
const btrfsCountsOne = "btrfs gives every directory a link count of 1";
const noTmpfile = "libfuse passes O_TMPFILE on since 3.17; before, it is refused with EOPNOTSUPP";
const nothingToRemove =
	"as in kernel overlayfs the removal of what a lower object does not have is ENODATA: it is not copied up for that";
const hardLinksPart =
	"the layer below keeps both names; as in kernel overlayfs without index, links of lower files are not followed up";

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
	"creating: O_TMPFILE makes a file without a name, which linkat can name": {
		"libfuse before 3.17": noTmpfile,
	},
	"creating: O_TMPFILE with O_EXCL cannot be named": { "libfuse before 3.17": noTmpfile },
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
	"unlinked: one of two names gone, the other counts one": inLower(hardLinksPart),
};

/** Why the cell is not tried on a target with these traits; undefined: it is tried. */
export function whyLeftOut(cell: Cell, traits: readonly Trait[]): string | undefined {
	const known = reasons[cell.key] ?? {};
	return traits
		.map((trait) => known[trait] ?? known[`${trait}, ${cell.origin}`])
		.find((why) => why !== undefined);
}

/** Statements that are left out somewhere, to be checked against the table. */
export const statementsLeftOut: readonly string[] = Object.keys(reasons);
