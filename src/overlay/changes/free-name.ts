/** Freeing a name of the upper layer that users do not see, where that is hidden by a file with an attribute. */

import { removeName } from "../../native/libc/directory.ts";
import { check } from "../../native/libc/errno.ts";
import type { Name } from "../../native/memory.ts";
import type { Workdir } from "../layers/workdir.ts";
import { isAttributeWhiteout, replaceByWhiteout } from "../marks/whiteout.ts";
import type { Directory } from "../nodes/directory.ts";
import { measure } from "../nodes/name.ts";
import { noteRemoval } from "./remove.ts";

/**
 * Sees to it that a name which is to be made in a directory of the upper layer has no whiteout by attribute there: whatever makes
 * it would take that for somebody's file. One of the kind that is made here takes its place.
 */
export function freeName(work: Workdir, directory: Directory, name: Name): void {
	const upper = directory.fds[0]!;
	if (!isAttributeWhiteout(upper, directory.marks[0]!, name)) return;
	if (directory.isMerged) replaceByWhiteout(work, upper, name, measure(name).length);
	else check(removeName(upper, name, 0));
	noteRemoval(work, directory, name, directory.isMerged);
}
