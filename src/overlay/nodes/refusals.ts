/**
 * Objects that cannot be shown right, because their content lies elsewhere (elsewhere.ts): they are refused with EPERM, as by
 * kernel overlayfs where it is not to follow them, and reported once each, with a remedy.
 * Source: Linux fs/overlayfs/namei.c, ovl_lookup.
 */

import { display } from "../../display.ts";
import { EPERM } from "../../native/layout.ts";
import { fail } from "../../native/libc/errno.ts";
import type { Fd } from "../../native/libc/file.ts";
import { attributeNames } from "../../native/libc/xattr.ts";
import type { Name } from "../../native/memory.ts";
import type { ByteString } from "../../options.ts";
import type { Layer } from "../layers/layer.ts";
import { isMetacopy } from "../marks/elsewhere.ts";
import type { NodeId, NodeTable } from "./node.ts";

/** A layer may hold any number of them. */
const LARGEST_REPORTS = 100;

export class Refusals {
	/** Told what is refused, and what to do about it. */
	onRefused: (message: string) => void = () => {};
	private readonly nodes: NodeTable;
	private readonly layers: readonly Layer[];
	private readonly reports = new Set<string>();

	constructor(nodes: NodeTable, layers: readonly Layer[]) {
		this.nodes = nodes;
		this.layers = layers;
	}

	/** Refuses a directory of a layer that has been renamed, unless there is no layer below that could have its content. */
	refuseRedirected(node: NodeId, layer: number): void {
		if (layer === this.layers.length - 1) return;
		this.refuse(node, layer, "a renamed directory without its lower content", "redirect_dir=on");
	}

	/**
	 * Refuses a regular file, `name` in `directory` or what `directory` is open on, that was copied up without its data.
	 * `attributes`: their names, where they are known.
	 */
	refuseMetacopy(
		node: NodeId,
		directory: Fd,
		name: Name,
		attributes = attributeNames(directory, name),
	): void {
		if (!isMetacopy(directory, name, attributes)) return;
		this.refuse(node, this.nodes.layer(node), "a copied-up file without its data", "metacopy=on");
	}

	private refuse(node: NodeId, layer: number, what: string, option: string): never {
		const path = display(`/${this.nodes.path(node)}` as ByteString);
		const report = `refused ${path}: in layer ${display(this.layers[layer]!.path)} it is ${what}`;
		if (this.reports.size < LARGEST_REPORTS && !this.reports.has(report)) {
			this.reports.add(report);
			const last = this.reports.size === LARGEST_REPORTS ? "; further ones are not reported" : "";
			const remedy = "mount the layers with kernel overlayfs and this option, and copy what it shows";
			this.onRefused(
				`${report}, which kernel overlayfs with ${option} finds and this program does not: ${remedy}${last}`,
			);
		}
		fail(EPERM);
	}
}
