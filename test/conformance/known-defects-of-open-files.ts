/** Of the known defects those of what is open: how many files may be, and what becomes of them. */

import type { Held } from "./known-defects.ts";

export const openFiles: Readonly<Record<string, Held>> = {
	"hard links whose first name is removed use up open files": {
		tests: {
			"mount/few-descriptors.test.ts": [
				"a file is made, linked, and loses its first name, as git makes objects",
				"all files of a directory are linked into another, and the first is removed",
				"a file has as many names, which go in any order",
				"files are removed, and replaced, while they are open",
				"directories are removed while they are open",
			],
		},
	},
	"480 layers cannot be listed with 1,024 open files": {
		tests: {
			"mount/layers.test.ts": [
				"%i of which each has a part of every directory, with %i",
				"a mount that could not have their roots open is refused, with what is lacking",
			],
		},
	},
	"a file made set-user-ID while it is open loses the bit when root writes to it": {
		tests: {
			"mount/passthrough.test.ts": [
				"stay when root writes to or cuts a file that got them after it was opened",
			],
		},
	},
	"as an ordinary user, a file that is open cannot be used any more after a chmod": {
		tests: {
			"mount/changed-modes.test.ts": [
				"is read and written after chmod %o",
				"is read after chmod 0 where it is open for reading",
				"is read and written after an ACL that permits nothing",
				"is read and written after %s was closed",
				"a file made without the right to write to it is written to by whoever made it",
			],
		},
	},
	"a program just written cannot be run from the upper layer, whose file system stays busy": {
		tests: {
			"mount/idle-writers.test.ts": [
				"a program that was just written can be run from the mount and from the upper layer",
				"also while somebody reads it, and while others are written",
				"the upper layer's file system can be made read-only",
			],
		},
	},
};
