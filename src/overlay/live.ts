/**
 * Layers that others change while they are mounted. With a `timeout` shorter than for ever, what the layers have now
 * is to show once the kernel asks anew. Then every LOOKUP asks all layers (`lookup.ts`), directories are read anew by each
 * walk (`live-listings.ts`), and what is known of a node is held against what its name leads to, here. A node whose name leads
 * elsewhere has lost it: whoever has it open keeps what was opened, and the name gets a node of its own.
 */

import { DT_DIR, ENOENT, ESTALE, statx } from "../native/layout.ts";
import { check, fail, succeeds } from "../native/libc/errno.ts";
import { type Fd, NO_FD } from "../native/libc/file.ts";
import { statDescriptor } from "../native/libc/metadata.ts";
import { inodeHigh, inodeLow, kindOf } from "../native/libc/stat.ts";
import { type Offset, reserve } from "../native/memory.ts";
import { type NodeId, ROOT } from "./node.ts";
import type { Overlay } from "./overlay.ts";

/** Of what is open, and of what a name leads to. */
const PROBE = reserve(statx.sizeof);
const FOUND = reserve(statx.sizeof);

/**
 * Whether what a layer has under a node's name, its `struct statx` at `stat`, is the node's object. In the upper layer,
 * where a copy shows the number of what it was made from, only what is open can tell.
 */
export function isSameObject(overlay: Overlay, node: NodeId, layer: number, stat: Offset): boolean {
	const { nodes, inodes, files, directories } = overlay;
	if (layer !== nodes.layer(node) || kindOf(stat) !== nodes.kind(node)) return false;
	if (overlay.isUpper(node)) {
		const fd = nodes.kind(node) === DT_DIR ? directories.openTop(node) : files.openFd(node);
		return fd === NO_FD || isOpenOn(fd, stat);
	}
	inodes.translate(layer, inodeLow(stat), inodeHigh(stat));
	return inodes.low === nodes.inodeLow(node) && inodes.high === nodes.inodeHigh(node);
}

function isOpenOn(fd: Fd, stat: Offset): boolean {
	if (!succeeds(statDescriptor(fd, PROBE))) return false;
	return inodeLow(PROBE) === inodeLow(stat) && inodeHigh(PROBE) === inodeHigh(stat);
}

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
		if (!isSameObject(overlay, node, layer, FOUND)) part(overlay, node);
	}
}

/** Refuses a descriptor, just opened by a node's name, of what is another object by now. */
export function checkOpened(overlay: Overlay, node: NodeId, fd: Fd): void {
	if (!overlay.options.live) return;
	check(statDescriptor(fd, FOUND));
	if (!isSameObject(overlay, node, overlay.nodes.layer(node), FOUND)) fail(ESTALE);
}
