/**
 * Opening what lies below a directory, without a symlink on the way or a mount point. By openat2(2); where a seccomp filter
 * refuses that, as those of older container runtimes do, one name at a time.
 */
import { dlopen, FFIType } from "bun:ffi";
import type { ByteString } from "../../options.ts";
import {
	ENAMETOOLONG,
	ENOENT,
	EXDEV,
	NAME_MAX,
	O_CLOEXEC,
	O_DIRECTORY,
	O_NOFOLLOW,
	O_PATH,
	openHow,
	RESOLVE_BENEATH,
	RESOLVE_CACHED,
	RESOLVE_IN_ROOT,
	RESOLVE_NO_SYMLINKS,
	RESOLVE_NO_XDEV,
	SYS_openat2,
} from "../layout.ts";
import { base, bytes, copy, type Offset, readString, reserve, setNumber, store } from "../memory.ts";
import { isDistant } from "./distant.ts";
import { outcome } from "./errno.ts";
import { close, duplicate, type Fd, openAt, reopen, WORKING_DIRECTORY } from "./file.ts";
import { mountId } from "./metadata.ts";
import { ask } from "./replay.ts";

const { syscall: openat2 } = dlopen("libc.so.6", {
	syscall: { args: ["i64", "i32", "usize", "usize", "usize"], returns: FFIType.i64_fast },
}).symbols;

const SLASH = 0x2f;
const DOT = 0x2e;
const SELF = store("." as ByteString);
const HOW = reserve(openHow.sizeof);
const WITHIN = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV;
const NAME = reserve(NAME_MAX + 1);

/** Whether openat2(2) is refused; undefined: not tried yet. */
let isRefused: boolean | undefined;

/**
 * Opens a relative path of names below `directory`. Returns -EXDEV at a mount point and for "..", -ELOOP or -ENOTDIR for a
 * symlink, unless it is the last and `flags` has O_PATH and O_NOFOLLOW. `flags` must have O_NOFOLLOW. Always O_CLOEXEC.
 */
export function openWithin(directory: Fd, path: Offset, flags: number): Fd {
	isRefused ??= isOpenat2Refused();
	return isRefused ? openByNames(directory, path, flags) : openResolved(directory, path, flags, WITHIN);
}

/** By whatever errno: nothing else speaks against opening this. */
function isOpenat2Refused(): boolean {
	const fd = openResolved(WORKING_DIRECTORY, SELF, O_PATH | O_DIRECTORY, WITHIN);
	if (fd < 0) return true;
	close(fd);
	return false;
}

/**
 * Opens a path as a process does whose root directory is `root`, if the kernel has all of it in memory, as it has the ways to
 * mounts and to what they use: no file system is asked, which might hang. Before Linux 5.12 that fails. Always O_CLOEXEC.
 */
export function openCached(root: Fd, path: Offset, flags: number): Fd {
	return openResolved(root, path, flags, RESOLVE_IN_ROOT | RESOLVE_CACHED);
}

/** `resolve`: RESOLVE_*. */
function openResolved(directory: Fd, path: Offset, flags: number, resolve: number): Fd {
	setNumber(HOW + openHow.flags, flags | O_CLOEXEC);
	setNumber(HOW + openHow.resolve, resolve);
	if (isDistant(directory)) return openResolvedDistant(directory, path, flags);
	return outcome(openat2(SYS_openat2, directory, base + path, base + HOW, openHow.sizeof)) as Fd;
}

function openResolvedDistant(directory: Fd, path: Offset, flags: number): Fd {
	const args = [directory, readString(path), bytes.slice(HOW, HOW + openHow.sizeof), openHow.sizeof];
	return ask(directory, SYS_openat2, args, 0, 0, { opens: flags }) as Fd;
}

function openByNames(directory: Fd, path: Offset, flags: number): Fd {
	let at = path;
	let fd = duplicate(directory);
	for (;;) {
		const length = nameLength(at);
		const isLast = bytes[at + length] === 0;
		if (fd < 0) return fd;
		const next = goingOn(fd, (above) => openName(above, at, length, isLast ? flags : O_PATH | O_DIRECTORY));
		if (isLast || next < 0) return next;
		fd = next;
		at += length + 1;
	}
}

/** Up to the next slash or the end. */
function nameLength(path: Offset): number {
	let end = path;
	while (bytes[end] !== SLASH && bytes[end] !== 0) end++;
	return end - path;
}

/** Nothing is asked of what is found before it is known to lie in the directory's mount: it may be our own. */
function openName(directory: Fd, name: Offset, length: number, flags: number): Fd {
	if (length > NAME_MAX) return -ENAMETOOLONG as Fd;
	if (length === 0) return -ENOENT as Fd;
	if (length === 2 && bytes[name] === DOT && bytes[name + 1] === DOT) return -EXDEV as Fd;
	copy(NAME, name, length);
	bytes[NAME + length] = 0;
	const found = openAt(directory, NAME, O_PATH | O_NOFOLLOW);
	if (found < 0) return found;
	if (mountId(found) !== mountId(directory)) {
		close(found);
		return -EXDEV as Fd;
	}
	if ((flags & (O_PATH | O_DIRECTORY)) === O_PATH) return found;
	return goingOn(found, (path) => reopen(path, flags & ~O_NOFOLLOW));
}

/** What is opened by way of `fd`, which is closed whatever happens. */
function goingOn(fd: Fd, open: (fd: Fd) => Fd): Fd {
	try {
		return open(fd);
	} finally {
		close(fd);
	}
}
