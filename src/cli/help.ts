/** What `--help` and `--version` print; without a newline at the end. */
import { stripVTControlCharacters } from "node:util";
import { renderUsage } from "citty";
import { command } from "./command.ts";

interface Section {
	readonly title: string;
	readonly entries: readonly (readonly [term: string, description: string])[];
}

const sections: readonly Section[] = [
	{
		title: "LAYERS",
		entries: [
			["lowerdir=DIR[:DIR...][::DATA...]", "Read-only directories, topmost first (required)"],
			["", "DATA: searched only for data of files in those before it"],
			["lowerdir+=DIR, datadir+=DIR", "The same one by one instead, each an option of its own"],
			["upperdir=DIR", "Directory for all changes; without it the mount is read-only"],
			["workdir=DIR", "Scratch directory on upperdir's file system, required with it"],
			["ro, rw", "Read-only although there is an upperdir; writable (default)"],
			[
				"redirect_dir=off|on|follow|nofollow",
				"off (default): mv copies lower directories; on: renames them.",
			],
			["", "Those renamed in a layer are shown if root marked them (off),"],
			["", "whoever did (on, follow), or refused (nofollow)"],
			["metacopy=off|on", "Files whose data lies in a layer below are read if root"],
			["", "marked them (off, default), or whoever did (on). on with"],
			["", "redirect_dir=on: chown and the like copy up no data"],
			["verity=off|on|require", "Data must have the fs-verity digest that is named, if any (on),"],
			["", "or in any case (require); default: off"],
			["index=off|on", "on: names of a hard-linked lower file stay one file when it is"],
			["", "changed; needs root"],
			["userxattr", "Keep marks in attributes user.overlay.*, as root, too"],
		],
	},
	{
		title: "OWNERS AND PERMISSIONS",
		entries: [
			["uidmapping=ON-DISK:SHOWN:LENGTH[:...]", "Show user ids ON-DISK.. of the layers as SHOWN.."],
			["gidmapping=ON-DISK:SHOWN:LENGTH[:...]", "The same for group ids"],
			["squash_to_root", "Show everything as owned by 0:0; chown has no effect"],
			["squash_to_uid=UID, squash_to_gid=GID", "Show this owner or group; wins over squash_to_root"],
			["xattr_permissions=0|1|2", "Keep owner and mode on the inode (0, default) or in an"],
			["", "xattr: security.fuseoverlayfs.* (1), user.containers.* (2)"],
			["noacl", "No POSIX ACLs"],
			["noxattrs", "No extended attributes"],
			['context="CONTEXT"', "SELinux context of the mount"],
			["allow_other, allow_root", "Let other users in (default as root), or root only"],
			["default_permissions", "The kernel checks permissions (default)"],
			["suid, dev, exec, atime", "Set-user-ID bits, device files, programs, access times work"],
			["nosuid, nodev, noexec, noatime", "They do not; default: nodev, noatime, nosuid unless root"],
		],
	},
	{
		title: "INODE NUMBERS",
		entries: [
			["xino=off|auto|on", "on: no mount where copied-up files could not keep their numbers"],
			["uuid=auto|null|off|on", "off: they are found without the file system's uuid; on is refused"],
			["ino32_t", "Numbers of 32 bits"],
			["fast_ino", "List directories with the numbers the layers give, which may be others"],
			["static_nlink", "Directories have one link"],
		],
	},
	{
		title: "SPEED AND SAFETY",
		entries: [
			["timeout=SECONDS", "How long the kernel may cache names and attributes (default"],
			["", "1000000000); 0: not at all, and what others change shows"],
			["passthrough=auto|on|off", "The kernel reads and writes the real files by itself: needs root and"],
			["", "Linux 6.9. auto (default): unless a layer is on overlayfs or FUSE"],
			["writeback=0|1", "Without passthrough: the kernel gathers writes (default 1)"],
			[
				"fsync=0|1|auto|strict|volatile",
				"1, auto (default): on disk is what programs ask for, and the data of",
			],
			["", "copies in the upperdir; strict: all of those, and directories;"],
			["", "0: nothing; volatile: as the option"],
			["volatile", "Nothing waits for the disk: a crash of the machine may lose the"],
			["", "upperdir, which is refused afterwards"],
			["failover=on|off", "on: when the daemon dies another goes on, and nobody notices (Linux"],
			["", "6.9); SIGUSR2 has the program now at its path go on"],
			["max_write=BYTES", "Largest write request"],
		],
	},
	{
		title: "WITHOUT EFFECT, FOR COMPATIBILITY",
		entries: [
			["threaded=0|1, plugins=FILE[:FILE...], nfs_export=off|on (on is refused)", ""],
			["kernel_cache, splice_read, splice_write, splice_move, diratime, nodiratime", ""],
		],
	},
	{
		title: "ENVIRONMENT",
		entries: [
			["FUSE_OVERLAYFS_DISABLE_OVL_WHITEOUT", "If set: removed names become .wh.NAME files, not devices"],
			["FUSE_OVERLAYFS_NO_PASSTHROUGH", "If set: passthrough=off, unless the option says otherwise"],
			["FUSE_OVERLAYFS_DEBUG_LOG", "File to append the log to"],
		],
	},
	{
		title: "EXAMPLES",
		entries: [
			["A writable view of two directories, a over b, that changes neither:", ""],
			["  fuse-overlayfs -o lowerdir=a:b,upperdir=changes,workdir=work merged", ""],
			["The same, read-only, and its end:", ""],
			["  fuse-overlayfs -o lowerdir=a:b merged", ""],
			["  fusermount3 -u merged", ""],
		],
	},
];

const syntax = `MOUNT OPTIONS (-o)

  Separated by commas; the last of several wins. In a name write \\: for a colon, \\, for a comma and \\\\
  for a backslash. An option without 0|1 means 1. Unknown options are ignored with a warning.`;

/** The help, as plain text. */
export async function renderHelp(): Promise<string> {
	// citty colours without asking for a terminal, and pads the last column.
	const usage = stripVTControlCharacters(await renderUsage(command))
		.replace(/ +$/gm, "")
		.trimEnd();
	return [usage, syntax, ...sections.map(renderSection)].join("\n\n");
}

function renderSection({ title, entries }: Section): string {
	const described = entries.filter(([, description]) => description !== "");
	const width = Math.max(0, ...described.map(([term]) => term.length));
	const lines = entries.map(([term, description]) => `  ${term.padEnd(width)}  ${description}`.trimEnd());
	return [title, "", ...lines].join("\n");
}

export interface Versions {
	/** Of this program. */
	readonly version: string;
	/** Of the fusermount3 program; undefined: not installed. */
	readonly fusermount: string | undefined;
	/** Of libfuse. */
	readonly library: string;
	/** Of the kernel interface libfuse speaks, such as `7.38`. */
	readonly protocol: string;
}

/** The lines of fuse-overlayfs in C, which `podman info` shows; the first only where there is a fusermount3. */
export function versionLines({ version, fusermount, library, protocol }: Versions): string {
	return [
		...(fusermount === undefined ? [] : [`fusermount3 version: ${fusermount}`]),
		`fuse-overlayfs: version ${version}`,
		`FUSE library version ${library}`,
		`using FUSE kernel interface version ${protocol}`,
	].join("\n");
}
