/** Bringing up a name that is about to change, where its file may have others. */

import { repeatably } from "../../native/libc/replay.ts";
import type { Name } from "../../native/memory.ts";
import { NO_NODE, type NodeId } from "../nodes/node.ts";
import type { Overlay } from "../overlay.ts";
import { copyUp } from "./copy-up.ts";
import { linkUp } from "./hard-links.ts";

/**
 * Where a node, which may be none, is a file of the index or is to be: sees to it that the upper layer has it under this name.
 * Throws Deferred and what copying may. Source: Linux fs/overlayfs/util.c, ovl_nlink_start.
 */
export function raiseName(overlay: Overlay, node: NodeId, parent: NodeId, name: Name): void {
	const { indexed } = overlay;
	if (indexed === undefined || node === NO_NODE || indexed.get(node) === undefined) return;
	copyUp(overlay, node);
	copyUp(overlay, parent);
	// Whoever is run again finds the name there.
	if (indexed.isCopied(node)) repeatably(() => linkUp(overlay, indexed, node, parent, name));
}
