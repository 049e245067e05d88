/**
 * Objects of a layer whose content lies elsewhere, as kernel overlayfs leaves them. With `metacopy=on` a file whose owner,
 * mode or the like was changed is copied up without its data: it has the size and nothing but a hole, and the attribute
 * `overlay.metacopy`. With `redirect_dir=on` a directory that was renamed says in `overlay.redirect` under which name the
 * layers below have its content.
 *
 * Neither is followed. Shown as they are, these would be zeros and empty directories: they are refused with EPERM, as by
 * kernel overlayfs where it is not to follow them, and reported. Attributes of the `trusted` namespace are hidden from
 * whoever has no privilege on the machine, who then cannot tell such objects from others.
 * Source: Linux fs/overlayfs/namei.c, ovl_lookup.
 */

import { display } from "../display.ts";
import { DT_REG, EPERM, statx } from "../native/layout.ts";
import { fail, succeeds } from "../native/libc/errno.ts";
import type { Fd } from "../native/libc/file.ts";
import { sizeOf } from "../native/libc/stat.ts";
import { attributeNames, getAttribute } from "../native/libc/xattr.ts";
import { EMPTY_NAME, getNumber, type Name, type Offset, store } from "../native/memory.ts";
import type { ByteString } from "../options.ts";
import { type NodeId, PLAIN } from "./node.ts";
import type { Overlay } from "./overlay.ts";

const METACOPY = /(?:^|\0)(?:trusted|user)\.overlay\.metacopy\0/;
const REDIRECT = /(?:^|\0)(?:trusted|user)\.overlay\.redirect\0/;
const METACOPIES = ["trusted.overlay.metacopy", "user.overlay.metacopy"].map((name) =>
	store(name as ByteString),
);
const REDIRECTS = ["trusted.overlay.redirect", "user.overlay.redirect"].map((name) =>
	store(name as ByteString),
);

/** A layer may hold any number of them. */
const LARGEST_REPORTS = 100;

/** Whether a directory was renamed; `attributes`: their names, undefined where they cannot be listed. */
export function isRedirected(directory: Fd, attributes: ByteString | undefined): boolean {
	return attributes === undefined ? hasAny(directory, EMPTY_NAME, REDIRECTS) : REDIRECT.test(attributes);
}

/** Refuses a directory of a layer that has been renamed, unless there is no layer below that could have its content. */
export function refuseRedirected(overlay: Overlay, node: NodeId, layer: number): void {
	if (layer === overlay.layers.length - 1) return;
	refuse(overlay, node, layer, "a renamed directory without its lower content", "redirect_dir=on");
}

/**
 * Whether a `struct statx` is that of a file that has a size and no data. A file without data need not show as such:
 * some file systems count blocks of attributes with those of data, and read-only ones make them up.
 */
export function looksHollow(stat: Offset): boolean {
	return getNumber(stat + statx.stxBlocks) === 0 && sizeOf(stat) !== 0;
}

/**
 * Refuses a regular file, `name` in `directory` or what `directory` is open on, that was copied up without its data.
 * `attributes`: their names, where they are known.
 */
export function refuseMetacopy(
	overlay: Overlay,
	node: NodeId,
	directory: Fd,
	name: Name,
	attributes = attributeNames(directory, name),
): void {
	const isMetacopy =
		attributes === undefined ? hasAny(directory, name, METACOPIES) : METACOPY.test(attributes);
	if (!isMetacopy) return;
	refuse(overlay, node, overlay.nodes.layer(node), "a copied-up file without its data", "metacopy=on");
}

/** The same of a file of the upper layer that is to get another name: its data would not be found under that. */
export function refuseMovedMetacopy(overlay: Overlay, node: NodeId): void {
	const { nodes } = overlay;
	if (nodes.kind(node) !== DT_REG || nodes.flag(node, PLAIN) || !overlay.isUpper(node)) return;
	const { directory, name } = overlay.locate(node);
	refuseMetacopy(overlay, node, directory, name);
}

function hasAny(directory: Fd, name: Name, attributes: readonly Name[]): boolean {
	return attributes.some((attribute) => succeeds(getAttribute(directory, name, attribute, EMPTY_NAME, 0)));
}

function refuse(overlay: Overlay, node: NodeId, layer: number, what: string, option: string): never {
	const { reports } = overlay;
	const path = display(`/${overlay.nodes.path(node)}` as ByteString);
	const report = `refused ${path}: in layer ${display(overlay.layers[layer]!.path)} it is ${what}`;
	if (reports.size < LARGEST_REPORTS && !reports.has(report)) {
		reports.add(report);
		const last = reports.size === LARGEST_REPORTS ? "; further ones are not reported" : "";
		const remedy = "mount the layers with kernel overlayfs and this option, and copy what it shows";
		overlay.onRefused(
			`${report}, which kernel overlayfs with ${option} finds and this program does not: ${remedy}${last}`,
		);
	}
	fail(EPERM);
}
