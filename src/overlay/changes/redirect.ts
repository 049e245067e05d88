/**
 * Renaming what lower layers contribute to: the upper layer's object gets a mark that says where the layers below have what
 * belongs to it, and after that its new name. Under the old name the mark leads where the name itself does, so that at every
 * moment the upper layer shows the old tree or the new one. That holds for directories, with `redirect_dir=on`, and for files
 * whose data lies in a layer below, with `metacopy=on` as well.
 * Source: Linux fs/overlayfs/dir.c, ovl_rename, ovl_set_redirect and ovl_set_link_redirect.
 */

import { EOPNOTSUPP, EXDEV } from "../../native/layout.ts";
import { check, fail, isForLackOfSpace } from "../../native/libc/errno.ts";
import { repeatably } from "../../native/libc/replay.ts";
import type { Workdir } from "../layers/workdir.ts";
import { type Way, writeRedirect, writeRedirects } from "../marks/redirect.ts";
import type { Directory } from "../nodes/directory.ts";
import type { NodeId } from "../nodes/node.ts";
import type { Overlay } from "../overlay.ts";
import { ALL, complete, hasDataBelow } from "./complete.ts";

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
	const value = redirects.valueFor(node, from === to) ?? fail(EXDEV);
	// Readers look for the mark in a directory of one layer only if that is marked, too.
	if (!isMarked(directories.markImpure(to, work))) fail(EXDEV);
	if (redirects.markOf(node)?.value !== value) {
		const namespace = work.trustedAttributes ? "trusted" : "user";
		if (!isMarked(writeRedirects(fds[0]!, namespace, value))) fail(EXDEV);
		redirects.setMark(node, { namespace, value });
	}
	return redirects.waysFromRoot(node, layers.slice(1));
}

/**
 * Sees to it that a file of the upper layer has its data under a further name, in the directory `to`, as well. Where a mark
 * cannot say where that is, it is copied; nothing is left without it. Throws Deferred where copying goes on in the background,
 * and what copying may.
 */
export function keepData(
	overlay: Overlay,
	work: Workdir,
	node: NodeId,
	to: Directory,
	staysInParent: boolean,
): void {
	if (!hasDataBelow(overlay, node)) return;
	// A mark that was set stays true, whoever is run again.
	if (overlay.leavesData && repeatably(() => markFile(overlay, work, node, to, staysInParent))) return;
	complete(overlay, node, ALL);
}

/** False: no mark can say where the file's data is. */
function markFile(
	overlay: Overlay,
	work: Workdir,
	node: NodeId,
	to: Directory,
	staysInParent: boolean,
): boolean {
	const { nodes, metacopies, redirects, directories } = overlay;
	const namespace = metacopies.namespaceOf(node)!;
	const own = metacopies.redirectOf(node);
	if (!nodes.isNamed(node) && !own?.startsWith("/")) return false;
	// Of several names below each may be copied up and linked to the others, so none is relative to where it is.
	const value = redirects.valueFor(node, staysInParent && !metacopies.isLinkedBelow(node), own);
	if (value === undefined || !isMarked(directories.markImpure(to, work))) return false;
	if (value === own) return true;
	const written = overlay.attemptAt(node, ({ directory, name }) =>
		writeRedirect(directory, name, namespace, value),
	);
	if (!isMarked(written)) return false;
	metacopies.setRedirect(node, value);
	return true;
}

/** Attributes may not be had, or have no room: false. Throws anything else. */
function isMarked(result: number): boolean {
	if (result === -EOPNOTSUPP || isForLackOfSpace(result)) return false;
	check(result);
	return true;
}
