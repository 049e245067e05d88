/** ID-mapped mounts (mount_setattr(2)), which mount(8) of Debian 12 cannot make yet. */
import { dlopen, FFIType, ptr } from "bun:ffi";
import { closeSync, openSync, writeFileSync } from "node:fs";
import { checked, stableBuffer } from "./native.ts";

const AT_FDCWD = -100;
const AT_EMPTY_PATH = 0x1000;
const OPEN_TREE_CLONE = 1;
const MOVE_MOUNT_F_EMPTY_PATH = 4;
const MOUNT_ATTR_IDMAP = 0x100000;
/** `struct mount_attr`: attr_set, attr_clr, propagation, userns_fd. */
const ATTRIBUTES_SIZE = 32;

/** By their numbers, on any processor: the C library has the calls since glibc 2.36. */
const SYS_open_tree = 428;
const SYS_move_mount = 429;
const SYS_mount_setattr = 442;
const libc = dlopen("libc.so.6", {
	syscall: { args: ["i64", "i64", "ptr", "i64", "ptr", "u64"], returns: FFIType.i64_fast },
}).symbols;

/** Mounts `source` on `target`, its ids mapped as the lines of a uid_map(5) say: on disk, shown, how many. */
export async function mountIdMapped(source: string, target: string, map: string): Promise<void> {
	const namespace = await userNamespace(map);
	try {
		const opened = libc.syscall(SYS_open_tree, AT_FDCWD, cString(source), OPEN_TREE_CLONE, null, 0);
		const tree = checked("open_tree", opened);
		const attributes = stableBuffer(ATTRIBUTES_SIZE);
		attributes.writeBigUInt64LE(BigInt(MOUNT_ATTR_IDMAP), 0);
		attributes.writeBigUInt64LE(BigInt(namespace), 24);
		const empty = cString("");
		const address = ptr(attributes);
		const set = libc.syscall(SYS_mount_setattr, tree, empty, AT_EMPTY_PATH, address, ATTRIBUTES_SIZE);
		checked("mount_setattr", set);
		const place = cString(target);
		const moved = libc.syscall(SYS_move_mount, tree, empty, AT_FDCWD, place, MOVE_MOUNT_F_EMPTY_PATH);
		checked("move_mount", moved);
		closeSync(tree);
	} finally {
		closeSync(namespace);
	}
}

/** A descriptor of a new user namespace. */
async function userNamespace(map: string): Promise<number> {
	const child = Bun.spawn(["unshare", "--user", "sh", "-c", "echo; read line"], {
		stdin: "pipe",
		stdout: "pipe",
	});
	try {
		await child.stdout.getReader().read();
		for (const kind of ["uid", "gid"]) writeFileSync(`/proc/${child.pid}/${kind}_map`, map);
		return openSync(`/proc/${child.pid}/ns/user`, "r");
	} finally {
		child.kill("SIGKILL");
		await child.exited;
	}
}

function cString(text: string): Buffer {
	const buffer = stableBuffer(Buffer.byteLength(text) + 1);
	buffer.write(text);
	return buffer;
}
