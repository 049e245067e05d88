/**
 * Objects that cannot be shown right, because their content lies elsewhere: renamed directories (marks/redirect.ts) and files
 * without data (marks/metacopy.ts) whose mark is not to be followed, or leads nowhere. They are refused, with EPERM as by
 * kernel overlayfs where it is not to follow them, and reported once each, with a remedy.
 * Source: Linux fs/overlayfs/namei.c, ovl_lookup.
 */

import { display } from "../../display.ts";
import { DT_DIR, EINVAL, EIO, EPERM, ESTALE } from "../../native/layout.ts";
import { fail } from "../../native/libc/errno.ts";
import { type Name, readString } from "../../native/memory.ts";
import type { ByteString } from "../../options.ts";
import type { Layer } from "../layers/layer.ts";
import type { RedirectNamespace } from "../marks/redirect.ts";
import type { NodeId, NodeTable } from "./node.ts";

/** A layer may hold any number of them. */
const LARGEST_REPORTS = 100;
/** What to do about a mark that no overlay has written. */
const REPAIR = "remove its overlay.redirect from the layer, or itself";
const FILE = "a file without its data (overlay.metacopy)";

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

	/** Refuses what was renamed, because its mark is not to be followed. */
	refuseRedirected(node: NodeId, layer: number, namespace: RedirectNamespace): never {
		const remedy =
			namespace === "user"
				? "mount with redirect_dir=follow, if whoever may write to the layer may show whatever lies in those below"
				: "mount without redirect_dir=nofollow";
		const what = `${this.describe(node)} whose ${namespace}.overlay.redirect is not followed`;
		this.refuse(node, layer, what, remedy);
	}

	/** Refuses what has a mark that no overlay writes, or has no such `value`. */
	refuseMalformed(node: NodeId, layer: number, value?: ByteString): never {
		const mark = `its overlay.redirect${value === undefined ? "" : ` ${display(value)}`}`;
		const what = `${this.describe(node)}, and ${mark} is neither a name nor a path from the root`;
		this.refuse(node, layer, what, REPAIR, EINVAL);
	}

	/** Refuses what the layers below have nothing of. `value`: where they should have it. */
	refuseLost(node: NodeId, layer: number, value: ByteString): never {
		const kind = this.nodes.kind(node) === DT_DIR ? "directory" : "file of that size with data";
		const what = `${this.describe(node)}, and no layer below has a ${kind} ${display(value)}`;
		this.refuse(node, layer, what, "mount it over the layers that it was made over", EIO);
	}

	private describe(node: NodeId): string {
		return this.nodes.kind(node) === DT_DIR ? "a renamed directory" : FILE;
	}

	/** Refuses a directory that is shown under another name, too. */
	refuseDouble(node: NodeId): never {
		const what = "a directory that is shown elsewhere, too, because of an overlay.redirect";
		this.refuse(node, this.nodes.layer(node), what, REPAIR, ESTALE);
	}

	/** Refuses a file without data, because users' marks of such are not to be followed. */
	refuseMetacopy(node: NodeId): never {
		const remedy =
			"mount with metacopy=on, if whoever may write to the layer may show whatever lies in those below";
		const what = `${FILE}, and users' marks of such are not followed`;
		this.refuse(node, this.nodes.layer(node), what, remedy);
	}

	/** Refuses a file without data that no data-only layer has at `value`. */
	refuseMissing(node: NodeId, value: ByteString): never {
		const what = `${FILE}, and no data-only layer has one of that size at ${display(value)}`;
		this.refuse(node, this.nodes.layer(node), what, "add the layer that has it (lowerdir=...::DIR)", EIO);
	}

	/** Refuses a file without data because that has not the fs-verity digest it must have. */
	refuseUnverified(node: NodeId, problem: string): never {
		const remedy = "restore the data, or mount without verity if it is not to be checked";
		this.refuse(node, this.nodes.layer(node), `${FILE}, and ${problem}`, remedy, EIO);
	}

	/** Refuses a file without data whose mark has a value that no overlay writes. */
	refuseStrangeMetacopy(node: NodeId, layer: number): never {
		const what = `${FILE}, and that mark has a value that is not known`;
		this.refuse(node, layer, what, "mount the layers with kernel overlayfs, and copy what it shows", EIO);
	}

	/** Refuses a hard-linked file, a name in the directory `parent`, for which the index has what cannot be its copy. */
	refuseEntry(parent: NodeId, name: Name, entry: ByteString): never {
		const path = display(`${this.nodes.path(parent)}/${readString(name)}`.replace(/^\/*/, "/") as ByteString);
		const what = `the workdir's index/${entry}, which is to be its copy, is of another kind`;
		this.report(`refused ${path}: ${what}`, "remove that entry");
		fail(EIO);
	}

	private refuse(node: NodeId, layer: number, what: string, remedy: string, code = EPERM): never {
		const path = display(`/${this.nodes.path(node)}` as ByteString);
		const report = `refused ${path}: in layer ${display(this.layers[layer]!.path)} it is ${what}`;
		this.report(report, remedy);
		fail(code);
	}

	private report(report: string, remedy: string): void {
		if (this.reports.size === LARGEST_REPORTS || this.reports.has(report)) return;
		this.reports.add(report);
		const last = this.reports.size === LARGEST_REPORTS ? "; further ones are not reported" : "";
		this.onRefused(`${report}: ${remedy}${last}`);
	}
}
