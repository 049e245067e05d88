/**
 * Renaming directories that lower layers contribute to, with `redirect_dir=on`: the upper layer's directory gets a mark that
 * says where the layers below have what belongs to it, and after that its new name. Under the old name the mark leads where
 * the name itself does, so that at every moment the upper layer shows the old tree or the new one.
 * Source: Linux fs/overlayfs/dir.c, ovl_rename and ovl_set_redirect.
 */

import { EOPNOTSUPP, EXDEV } from "../../native/layout.ts";
import { check, fail, isForLackOfSpace } from "../../native/libc/errno.ts";
import type { Workdir } from "../layers/workdir.ts";
import { type Way, writeRedirect } from "../marks/redirect.ts";
import type { Directory } from "../nodes/directory.ts";
import type { NodeId } from "../nodes/node.ts";
import type { Overlay } from "../overlay.ts";

/**
 * Marks a merged directory of the upper layer that is about to be moved from one directory to another; where its lower
 * layers have what belongs to it, for {@link Redirects.setWays} once it is there. Throws EXDEV where no mark can say that:
 * callers copy it then.
 */
export function markToMove(
	{ directories, redirects }: Overlay,
	work: Workdir,
	node: NodeId,
	from: Directory,
	to: Directory,
): ReadonlyMap<number, Way> {
	const { fds, layers } = directories.get(node);
	const value = redirects.valueFor(node, from === to);
	// Readers look for the mark in a directory of one layer only if that is marked, too.
	checkMarked(directories.markImpure(to, work));
	if (redirects.markOf(node)?.value !== value) {
		const namespace = work.trustedAttributes ? "trusted" : "user";
		checkMarked(writeRedirect(fds[0]!, namespace, value));
		redirects.setMark(node, { namespace, value });
	}
	return redirects.waysFromRoot(node, layers.slice(1));
}

/** Attributes may not be had, or have no room. */
function checkMarked(result: number): void {
	if (result === -EOPNOTSUPP || isForLackOfSpace(result)) fail(EXDEV);
	check(result);
}
