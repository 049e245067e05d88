/**
 * Layers that others change while they are mounted. With a `timeout` shorter than for ever, what the layers have now
 * is to show once the kernel asks anew. Then every LOOKUP asks all layers (`lookup.ts`), directories are read anew by each
 * walk (`live-listings.ts`), and what is known of a node is held against what its name leads to, here. A node whose name leads
 * elsewhere has lost it: whoever has it open keeps what was opened, and the name gets a node of its own.
 */

import { ENOENT, statx } from "../../native/layout.ts";
import { succeeds } from "../../native/libc/errno.ts";
import { NO_FD } from "../../native/libc/file.ts";
import { reserve } from "../../native/memory.ts";
import { type NodeId, ROOT } from "../nodes/node.ts";
import type { Overlay } from "../overlay.ts";

const FOUND = reserve(statx.sizeof);

/** Takes a node's name away, which leads elsewhere by now: what is open of its object is all there is of it. */
export function part(overlay: Overlay, node: NodeId): void {
	if (overlay.files.openFd(node) !== NO_FD) overlay.files.hold(node, true);
	overlay.loseName(node);
}

/** Takes a node's name away if it leads elsewhere by now. */
export function confirmName(overlay: Overlay, node: NodeId): void {
	const { nodes } = overlay;
	if (!overlay.options.live || node === ROOT || !nodes.isNamed(node)) return;
	const layer = nodes.layer(node);
	const { directory, name } = overlay.locate(node);
	const found = overlay.layers[layer]!.stat(directory, name, FOUND);
	if (found === -ENOENT) {
		part(overlay, node);
	} else if (succeeds(found)) {
		overlay.identity?.show(layer, directory, name, FOUND);
		if (!overlay.isSameObject(node, layer, FOUND)) part(overlay, node);
	}
}
