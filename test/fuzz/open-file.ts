/** Opening files where kernel overlayfs and we copy up at different moments. */

import { constants, lstatSync, openSync } from "node:fs";
import { fremovexattr, fsetxattr } from "../harness/native.ts";
import type { Side } from "./side.ts";

const { O_NOFOLLOW, O_NONBLOCK, O_RDWR, O_WRONLY } = constants;

/**
 * Kernel overlayfs copies up when a file is opened for writing, and we at the first change. Where that can be seen
 * otherwise - the names of a lower file part with it - a change that shows nothing else follows the open.
 */
export function openFile(side: Side, path: string, flags: number, mode: number): number {
	const stats = lstatSync(side.at(path), { throwIfNoEntry: false });
	const fd = openSync(side.at(path), flags | O_NOFOLLOW | O_NONBLOCK, mode);
	if ((flags & (O_RDWR | O_WRONLY)) === 0 || stats === undefined || stats.nlink === 1) return fd;
	fsetxattr(fd, "user.parted", "");
	fremovexattr(fd, "user.parted");
	return fd;
}
