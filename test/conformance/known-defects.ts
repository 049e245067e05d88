/**
 * Defects seen in the other programs, fuse-overlayfs in C (1.10 to 1.17) and in Rust (2.0), and in this one's 0.1.0, each
 * with the statements of the table and the tests that hold it here.
 */

import { openFiles } from "./known-defects-of-open-files.ts";

import { ownDefects } from "./own-defects.ts";

export interface Held {
	/** `subject: statement`, in the table. */
	readonly statements?: readonly string[];
	/** Titles of tests by file, from the directory of all tests. */
	readonly tests?: Readonly<Record<string, readonly string[]>>;
}

const namesAndListings: Readonly<Record<string, Held>> = {
	"a name of 256 bytes is ENOENT": {
		statements: [
			"names: a name of 256 bytes is ENAMETOOLONG for every call",
			"names: a name of 256 bytes is ENAMETOOLONG to look for, never ENOENT",
		],
		tests: { "mount/names.test.ts": ["256 bytes are too many for any of them"] },
	},
	"a listing doubles or loses names when the directory changes meanwhile": {
		statements: [
			"listing: a name that stays is seen exactly once, whatever is made and removed meanwhile",
			"listing: an earlier offset holds after names before and behind it were removed",
			"listing: rewound, it shows what was made and removed meanwhile",
		],
		tests: {
			"mount/readdir.test.ts": [
				"a name that stays is seen exactly once, whatever is made and removed meanwhile",
			],
		},
	},
	"a directory of 10,000 names costs a processor, and memory without bound": {
		statements: ["listing: 100,000 names are listed once each"],
		tests: {
			"mount/readdir.test.ts": ["10,000 names in two layers are all listed, once each"],
			"mount/memory.test.ts": [
				"walking a tree again and again, the kernel forgetting it in between, does not grow the daemon",
			],
		},
	},
	"a directory of hundreds of thousands of names is never listed to its end, and others wait for it": {
		tests: {
			"mount/huge-directory.test.ts": [
				"%s is listed completely, each name once, and read once for that",
				"while a directory of 50,000 names is read for one, others make files and look at them",
			],
			"overlay/core/deferred.test.ts": ["has changes in it wait, and nothing else"],
		},
	},
	"with timeout=0 what was changed in a layer does not show": {
		tests: {
			"mount/live-layers.test.ts": ["names appear and go", "another directory takes its place"],
		},
	},
	"what the kernel has forgotten stays in memory": {
		tests: {
			"overlay/core/resources.test.ts": ["every node is freed once it is forgotten, in whatever order"],
			"mount/memory.test.ts": [
				"walking a tree again and again, the kernel forgetting it in between, does not grow the daemon",
			],
		},
	},
	"`.wh.*` names cannot be made, as nested mounts do": {
		tests: {
			"mount/nested.test.ts": [
				"`.wh.*` are names like others; with whiteouts as %s",
				"all that is changed in the outermost is there after all were mounted anew",
			],
		},
	},
	"in nested mounts a name that is not there is EEXIST": {
		tests: {
			"mount/nested.test.ts": [
				"all that is changed in the outermost is there after all were mounted anew",
				"what was changed in one mount is changed back in the next",
				"its upper layer may have content in our lower one: its directories are emptied and replaced",
			],
		},
	},
	"a mount that lies in its own lower layer hangs": {
		tests: { "real-input/root.test.ts": ["can be walked where it shows itself"] },
	},
};

const removal: Readonly<Record<string, Held>> = {
	"removed content is back after a remount": {
		statements: [
			"removal: a tree removed and made anew is empty",
			"removal: a tree removed and made anew holds what was put there since",
			"removal: over each removed name a directory can be made, which is empty",
			"renaming: between removed names, back and forth",
		],
		tests: {
			"mount/remove.test.ts": [
				"what a lower layer has is hidden by a whiteout and stays hidden",
				"a directory made anew after removal is empty, and removable again",
			],
		},
	},
	"rm -rf of what several layers hold fails": {
		statements: [
			"removal: rm -rf removes a tree half changed",
			"removal: rm -rf removes what is merged of three layers with whiteouts",
		],
		tests: {
			"mount/remove.test.ts": ["a tree merged from three layers, and nothing remains but its whiteout"],
		},
	},
	"rm -rf takes time quadratic in the number of names": {
		statements: ["removal: a thousand names are removed"],
		tests: { "mount/system-calls.test.ts": ["removing a lower file", "removing a new file"] },
	},
	"files without a name answer ENOENT to fchmod, ftruncate and others": {
		statements: [
			"unlinked: fstat answers, with link count 0",
			"unlinked: fchmod, fchown and futimens change it",
			"unlinked: ftruncate shortens and lengthens it",
			"unlinked: fgetxattr and fsetxattr work",
			"unlinked: fallocate reserves in it",
		],
		tests: { "mount/unlinked.test.ts": ["takes fchmod, fchown, futimens, ftruncate"] },
	},
};

const copyUp: Readonly<Record<string, Held>> = {
	"writing to one of two names of a lower file corrupts both": {
		statements: [
			"linking: writing to one name leaves either the new or the old content under the other, whole",
			"removal: one of two names removed, the other keeps the content",
		],
		tests: {
			"mount/link.test.ts": [
				"break at copy-up: the name that was used is changed, the other keeps the old content",
			],
		},
	},
	"a copied-up symlink loses its owner, a FIFO becomes a file": {
		statements: [
			"special-files: chmod and chown leave the kind",
			"special-files: symlinks are read as they are, and owned by themselves",
		],
		tests: {
			"mount/copy-up.test.ts": [
				"of symlinks, FIFOs, sockets and devices gives the same, with their attributes",
			],
		},
	},
	"copy-up fills holes": {
		statements: ["data: holes stay holes when something else is changed"],
		tests: { "mount/copy-up.test.ts": ["keeps the holes of a sparse file"] },
	},
	"copy-up opens directories of mode 0700 to all": {
		tests: {
			"mount/copy-up.test.ts": [
				"keeps mode, owner, times and attributes of directories above, and their mtime where only they are copied",
			],
		},
	},
	"without privileges, what is closed to its owner by its mode cannot be copied up, made over a lower name or removed":
		{
			tests: {
				"mount/closed-modes.test.ts": [
					"a file that its owner may not write to keeps attributes, and its inode number for good",
					"what is in directories that take no new names leaves these as they were",
					"a directory of mode %s over a lower one hides that",
					"directories of mode %s that look empty are removed, and leave nothing",
				],
			},
		},
	"a failed copy-up leaves temporary files": {
		tests: {
			"mount/copy-up.test.ts": [
				"without space fails with ENOSPC, leaves no trace, and the file stays as it was",
			],
			"overlay/core/copy-up.test.ts": ["nothing is left, and the file stays as it was; with %s"],
		},
	},
	"after a loss of power a copied-up file is empty": {
		tests: {
			"crash/crash.test.ts": ["on %s, files in the upper layer are whole and what was synced is there"],
		},
	},
};

const attributes: Readonly<Record<string, Held>> = {
	"extended attributes of a symlink are those of its target; one that points into the mount hangs it": {
		statements: [
			"xattrs: a symlink's own are the symlink's",
			"xattrs: set on a symlink they stay on it",
			"xattrs: a symlink that points into this file system is not followed",
		],
	},
	"mknod fails in a directory with a default ACL": {
		statements: [
			"acl: a default ACL is handed down as the access ACL of every kind, bounded by the mode asked for",
			"acl: a default ACL decides in place of the umask, for every kind",
			"acl: a default ACL and set-group-id are both handed down",
		],
	},
	"reading moves the time of modification, and writing to a mapping does not": {
		statements: [
			"times: reading moves neither",
			"times: reading through a mapping that could be written moves neither",
			"times: writing to a shared mapping moves both",
		],
	},
	"with `uidmapping`, lower layers on ID-mapped mounts, as podman 4.3 makes them, belong to nobody": {
		tests: {
			"mount/id-mapping.test.ts": ["has the ids that it is shown with: they are not mapped twice"],
			"clients/user-namespaces.test.ts": [
				"shows the image's owners, and what the container and podman make in it",
				"commits owners as the container has them, into an image for any namespace",
			],
		},
	},
	"a change of owner counts the links of the directory again": {
		tests: { "mount/system-calls.test.ts": ["changing the owner of a directory among many"] },
	},
};

const content: Readonly<Record<string, Held>> = {
	"SEEK_HOLE finds no hole": {
		statements: ["data: SEEK_DATA and SEEK_HOLE find data and holes"],
		tests: { "mount/space.test.ts": ["find the data and the holes of sparse files of any layer"] },
	},
	"O_TMPFILE is refused": {
		statements: [
			"creating: O_TMPFILE makes a file without a name, which linkat can name",
			"creating: O_TMPFILE with O_EXCL cannot be named",
		],
	},
	"each small write costs a question for security.capability": {
		tests: { "mount/requests.test.ts": ["a thousand small writes with %s"] },
	},
};

export const knownDefects: Readonly<Record<string, Held>> = {
	...openFiles,
	...namesAndListings,
	...removal,
	...copyUp,
	...attributes,
	...content,
	...ownDefects,
};
