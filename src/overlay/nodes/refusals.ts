/**
 * Objects that cannot be shown right, because their content lies elsewhere: files without data (elsewhere.ts), and renamed
 * directories whose mark (redirect.ts) is not to be followed, or leads nowhere. They are refused, with EPERM as by kernel
 * overlayfs where it is not to follow them, and reported once each, with a remedy.
 * Source: Linux fs/overlayfs/namei.c, ovl_lookup.
 */

import { display } from "../../display.ts";
import { EINVAL, EIO, EPERM, ESTALE } from "../../native/layout.ts";
import { fail } from "../../native/libc/errno.ts";
import type { Fd } from "../../native/libc/file.ts";
import { attributeNames } from "../../native/libc/xattr.ts";
import type { Name } from "../../native/memory.ts";
import type { ByteString } from "../../options.ts";
import type { Layer } from "../layers/layer.ts";
import { isMetacopy } from "../marks/elsewhere.ts";
import type { RedirectNamespace } from "../marks/redirect.ts";
import type { NodeId, NodeTable } from "./node.ts";

/** A layer may hold any number of them. */
const LARGEST_REPORTS = 100;
/** What to do about a mark that no overlay has written. */
const REPAIR = "remove the directory's overlay.redirect from the layer, or the directory";

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

	/** Refuses a directory that was renamed, because its mark is not to be followed. */
	refuseRedirected(node: NodeId, layer: number, namespace: RedirectNamespace): never {
		const remedy =
			namespace === "user"
				? "mount with redirect_dir=follow, if whoever may write to the layer may show whatever lies in those below"
				: "mount without redirect_dir=nofollow";
		this.refuse(
			node,
			layer,
			`a renamed directory whose ${namespace}.overlay.redirect is not followed`,
			remedy,
		);
	}

	/** Refuses a directory whose mark is none that an overlay writes, or has no such `value`. */
	refuseMalformed(node: NodeId, layer: number, value?: ByteString): never {
		const mark = `its overlay.redirect${value === undefined ? "" : ` ${display(value)}`}`;
		const what = `a renamed directory, and ${mark} is neither a name nor a path from the root`;
		this.refuse(node, layer, what, REPAIR, EINVAL);
	}

	/** Refuses a directory whose mark leads to no directory in the layers below. */
	refuseLost(node: NodeId, layer: number, value: ByteString): never {
		const what = `a renamed directory, and no layer below has a directory ${display(value)}`;
		this.refuse(node, layer, what, "mount it over the layers that it was renamed over", EIO);
	}

	/** Refuses a directory that is shown under another name, too. */
	refuseDouble(node: NodeId): never {
		const what = "a directory that is shown elsewhere, too, because of an overlay.redirect";
		this.refuse(node, this.nodes.layer(node), what, REPAIR, ESTALE);
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
		const what =
			"a copied-up file without its data, which kernel overlayfs with metacopy=on finds and this program does not";
		const remedy = "mount the layers with kernel overlayfs and this option, and copy what it shows";
		this.refuse(node, this.nodes.layer(node), what, remedy);
	}

	private refuse(node: NodeId, layer: number, what: string, remedy: string, code = EPERM): never {
		const path = display(`/${this.nodes.path(node)}` as ByteString);
		const report = `refused ${path}: in layer ${display(this.layers[layer]!.path)} it is ${what}`;
		if (this.reports.size < LARGEST_REPORTS && !this.reports.has(report)) {
			this.reports.add(report);
			const last = this.reports.size === LARGEST_REPORTS ? "; further ones are not reported" : "";
			this.onRefused(`${report}: ${remedy}${last}`);
		}
		fail(code);
	}
}
