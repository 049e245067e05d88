/** Defects of this program's 0.1.0, and what holds them. */
import type { Held } from "./known-defects.ts";

export const ownDefects: Readonly<Record<string, Held>> = {
	"as an ordinary user, what is written to another's file in the upper layer is written, and an error of fsync":
		{
			tests: {
				"mount/user.test.ts": ["writes through memory to another's file with set-id bits in the upper layer"],
			},
		},
	"an ordinary user's daemon takes the set-id bits of a file that is written to through memory": {
		tests: { "mount/file-io.test.ts": ["what is stored to a mapping leaves set-id bits"] },
	},
	"a directory that its owner may not list cannot be synced or replaced, and hands down no default ACL": {
		tests: {
			"mount/changed-modes.test.ts": ["an open directory is synced, and tells its flags, after chmod %i"],
			"mount/closed-modes.test.ts": [
				"a directory that its owner may not list hands down its default ACL",
				"a directory whose attributes its owner may not read is replaced by another",
			],
		},
	},
	"in an image of composefs, what an overlay inside it has removed shows in neither": {
		tests: {
			"mount/nested.test.ts": ["are so beside those of its own users' namespace, as composefs writes both"],
		},
	},
	"a removed directory that is open has another mode": {
		tests: { "mount/closed-modes.test.ts": ["a removed directory that is open keeps the mode that it had"] },
	},
	"where a seccomp filter refuses sync_file_range nothing can be copied up on a disk with a journal": {
		tests: { "mount/seccomp.test.ts": ["(%s) all that an overlay can do is done"] },
	},
	"where a seccomp filter refuses openat2 or fchmodat2 the mount comes up, and then mv fails": {
		tests: {
			"mount/seccomp.test.ts": [
				"(%s) all that an overlay can do is done",
				"is not left by a mount point in it: %s",
				"is not left by a symlink in place of a directory",
			],
		},
	},
	"an origin that leads into the mount itself hangs the daemon of an ordinary user": {
		tests: {
			"mount/seccomp.test.ts": ["an origin that leads into the mount itself is followed no further"],
		},
	},
	"on NFS, which takes no flags of rename, nothing can be made where a lower file was removed": {
		tests: {
			"mount/plain-upper.test.ts": [
				"with %s: names that hide something below are made anew, moved and removed",
			],
			"overlay/core/move.test.ts": ["%s, and nothing else shows at any moment"],
		},
	},
	"a lower layer on NFS 4.2, which has no POSIX ACLs, turns them off for the whole mount": {
		tests: {
			"mount/plain-lower.test.ts": ["without ACLs, as NFS 4.2: they are kept by the upper layer, and heeded"],
		},
	},
	"a file with capabilities cannot be copied up to NFS": {
		tests: {
			"mount/plain-upper.test.ts": [
				"without attributes security.*, as NFS: a file with capabilities is copied up without them",
			],
		},
	},
	"on NFS and FUSE file systems the names of files that were removed while open are listed, and keep their directory":
		{
			tests: {
				"mount/plain-upper.test.ts": [
					"names that FUSE file systems give to what is removed while open: not listed, and no directory stays for them",
				],
				"mount/sshfs.test.ts": [
					"a file removed while it is open is read on; nothing of its name shows, and its directory goes",
				],
				"machines/trials/removed-and-locked.ts": ["%s: nothing of it shows, and its directory goes"],
			},
		},
	"on 9p, files that are removed while open cannot be truncated, looked at or given other modes": {
		tests: {
			"machines/trials/removed-and-locked.ts": ["%s: nothing of it shows, and its directory goes"],
		},
	},
	"in a user namespace a changed file keeps its old modification time, where the kernel writes it by itself":
		{
			tests: {
				"mount/late-times.test.ts": ["of a file of the %s layer: not those from before the change"],
			},
		},
	"a lower file in another's directory of the upper layer, where all may write, cannot be changed": {
		tests: {
			"mount/user.test.ts": [
				"changes lower files in a directory of the upper layer that is another's, and open to all",
			],
		},
	},
	"a file whose label of SELinux may not be given to others cannot be copied up": {
		tests: {
			"machines/trials/selinux.trial.ts": [
				"a label that the policy does not let the daemon give: the copy has that of new files",
			],
		},
	},
	"on Linux before 5.13 an attribute is set under a name that lacks its first eight characters": {
		tests: {
			"mount/older-kernels.test.ts": [
				"a user cannot set security.capability by a name that ends in it",
				"attributes are set, replaced, read and removed under the names they are given",
				"ACLs are set, and heeded",
			],
			"fuse/messages.test.ts": ["sets attributes by messages without the newer fields"],
		},
	},
	"a file of 2^53+3 bytes is copied up as 2^53+4, and no hole is punched up to the last offset": {
		statements: [
			"offsets: a file has the size it is given, around 2^53, 2^54 and 2^62, and up to the last",
			"offsets: a hole is punched from anywhere to the last offset there is",
		],
		tests: { "mount/offsets.test.ts": ["a copy-up keeps the size and where the data lies; %s"] },
	},
	"what lies behind a message is taken for a part of it": {
		tests: {
			"fuse/messages.test.ts": [
				"is EIO, wherever it ends, changes nothing, and the next is answered",
				"a count of nodes to forget, or a size, that the message does not hold forgets nothing",
			],
		},
	},
	"layers that the kernel wrote with metacopy=on read as zeros, with redirect_dir=on as empty directories": {
		tests: {
			"mount/metacopy.test.ts": ["is shown as the kernel shows it, %s"],
			"mount/metacopy-marks.test.ts": [
				"a file whose attributes take blocks is refused when its data is asked for",
			],
			"mount/redirect.test.ts": ["are shown as the kernel shows them, with the same numbers"],
		},
	},
	"with glibc 2.31, Debian 11's, the program does not start": {
		tests: { "native/bindings.test.ts": ["the oldest %s that is promised"] },
	},
	"with the write cache, a file that a disk has only partly room for is synced without an error": {
		tests: {
			"faults/full-disk.test.ts": [
				"with the write cache, fsync(2) tells, too, where there is room for a part",
			],
		},
	},
	"a stripped binary is plain Bun": {
		tests: {
			"packaging/build.test.ts": [
				"stripped, it is smaller, mounts, and copies large files up on its threads",
			],
		},
	},
	"the npm package's daemon is called bun.exe": {
		tests: {
			"mount/command-line.test.ts": [
				"the daemon is called fuse-overlayfs, by pgrep, ps and pidof",
				"the daemon is called fuse-overlayfs, too",
			],
		},
	},
	"upper layer and workdir that are mount points: changes land in the directories below them": {
		tests: {
			"mount/mount-points.test.ts": [
				"as %s, in a mount of its own: refused, as nothing can be moved there, and unchanged",
				"over what they share is the place where changes land",
				"does not count for who is already behind it: in the working directory",
				"does not count for descriptors opened before",
			],
		},
	},
	"a lower layer that is the upper one gets whiteouts, one in the workdir is emptied": {
		tests: { "mount/bad-input.test.ts": ["a lower layer that is the upper one, or lies in the workdir"] },
	},
	"SIGQUIT, SIGUSR2, SIGALRM, real-time signals and others leave a dead mount": {
		tests: {
			"faults/signals.test.ts": [
				"unmounts where it is to end one, or comes from a limit or timer: SIG%s",
				"is ignored where it means nothing to a daemon, real-time ones included",
				"stays ignored where whoever started the daemon ignores it, as nohup does",
			],
		},
	},
	"a mount whose parent was renamed, or that was moved or mounted over, stays dead at the end, or takes another's with it":
		{
			tests: {
				"faults/mountpoint.test.ts": [
					"with its parent renamed, and another directory in the place of that",
					"and leaves another mount alone that is in its place",
					"with its mount moved",
					"with another mount over %s: not before that is gone, and until then all is answered",
				],
			},
		},
	"the limits of whoever starts the program cut what others write, or end it with a stack trace": {
		tests: {
			"faults/starting.test.ts": [
				"the size of files does not cut what others write, with %s",
				"the size of files, where it cannot be raised, is told who writes beyond it, and nothing else ends",
				"address space: a soft one is raised, a hard one that is too low is named",
				"open files: %d are too few, and that is said",
			],
		},
	},
	"started in a removed directory, without /dev/null or without /proc it ends with a stack trace": {
		tests: {
			"faults/starting.test.ts": [
				"in a directory that is removed, it mounts what absolute paths name; compiled, Bun says what to do",
				"where /dev has no null",
				"without /proc; compiled, Bun reports itself",
			],
		},
	},
	"a mountpoint whose daemon is gone is told to be created": {
		tests: { "mount/bad-input.test.ts": ["a directory or mountpoint whose daemon is gone"] },
	},
	"a log that cannot be written is silently none": {
		tests: { "faults/starting.test.ts": ["is %s: refused", "cannot be written to: refused"] },
	},
	"a misspelt option is said to be lacking, not to be unknown": {
		tests: {
			"mount/command-line.test.ts": [
				"all begin with the program's name, and what was ignored comes before what is lacking",
				"a layer that is absent may be a part of a name, cut at its comma or colon",
			],
			"cli/warnings.test.ts": [
				"come before an error that they may be the reason of",
				"tell of a comma in a name",
			],
		},
	},
	"what is wrong is told by a stack trace of the runtime": {
		tests: {
			"mount/command-line.test.ts": [
				"%s says in one line that it cannot be written",
				"a full or closed stderr changes nothing",
				"a defect of the program is one line that says so; -d shows where it is",
			],
		},
	},
	"after a power loss a copy is root's, on file systems where each is synced": {
		tests: {
			"crash/crash.test.ts": ["on %s, files in the upper layer are whole and what was synced is there"],
			"overlay/core/deferred.test.ts": ["a %s one is given all that describes it before it is made durable"],
		},
	},
	"two files of the upper layer with one origin, copied by cp -a behind the mount, are one to diff and tar": {
		tests: {
			"mount/copy-up.test.ts": [
				"what was copied with all its attributes behind the mount is another file than what it was copied from",
			],
		},
	},
};
