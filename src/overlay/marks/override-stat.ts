/**
 * Owner, mode and device kept in an extended attribute instead of on the inode (`xattr_permissions`), as
 * containers/storage writes them: `uid:gid:octalmode[:type]`, type one of `dir`, `file`, `symlink`, `pipe`,
 * `socket`, `block-MAJOR-MINOR`, `char-MAJOR-MINOR`.
 */
import {
	S_IFBLK,
	S_IFCHR,
	S_IFDIR,
	S_IFIFO,
	S_IFLNK,
	S_IFMT,
	S_IFREG,
	S_IFSOCK,
} from "../../native/layout.ts";

export interface OverrideStat {
	uid: number;
	gid: number;
	/** Permission bits, with the S_IFMT bits of `type` where the value names one. */
	mode: number;
	/** Device number, for devices only. */
	major: number;
	minor: number;
}

const KINDS: ReadonlyMap<string, number> = new Map([
	["dir", S_IFDIR],
	["file", S_IFREG],
	["symlink", S_IFLNK],
	["pipe", S_IFIFO],
	["socket", S_IFSOCK],
	["block", S_IFBLK],
	["char", S_IFCHR],
]);
const LARGEST_ID = 0xffffffff;
const LARGEST_MODE = 0o7777;
const LARGEST_MAJOR = 0xfff;
const LARGEST_MINOR = 0xfffff;
const FORM =
	/^(\d{1,10}):(\d{1,10}):([0-7]{1,7})(?::(dir|file|symlink|pipe|socket|(block|char)-(\d{1,10})-(\d{1,10})))?$/;

/** Reads a value; undefined for anything that is not exactly of the form. */
export function parseOverrideStat(value: string): OverrideStat | undefined {
	const match = FORM.exec(value);
	if (match === null) return undefined;
	const [, uid, gid, mode, kind, device, major = "0", minor = "0"] = match;
	const parsed: OverrideStat = {
		uid: Number(uid),
		gid: Number(gid),
		mode: Number.parseInt(mode ?? "", 8),
		major: Number(major),
		minor: Number(minor),
	};
	const tooLarge =
		parsed.uid > LARGEST_ID ||
		parsed.gid > LARGEST_ID ||
		parsed.major > LARGEST_MAJOR ||
		parsed.minor > LARGEST_MINOR;
	if (tooLarge) return undefined;
	// C fuse-overlayfs writes the whole st_mode; the kind in it is what the inode has, not what is shown.
	parsed.mode = (parsed.mode & LARGEST_MODE) | (KINDS.get(device ?? kind ?? "") ?? 0);
	return parsed;
}

/** Writes a value. `mode` must hold the S_IFMT bits. */
export function formatOverrideStat({ uid, gid, mode, major, minor }: OverrideStat): string {
	const permissions = (mode & LARGEST_MODE).toString(8).padStart(4, "0");
	const format = mode & S_IFMT;
	for (const [kind, bits] of KINDS) {
		if (bits !== format) continue;
		const isDevice = format === S_IFBLK || format === S_IFCHR;
		return `${uid}:${gid}:${permissions}:${kind}${isDevice ? `-${major}-${minor}` : ""}`;
	}
	return `${uid}:${gid}:${permissions}`;
}
