/**
 * What most mount tests are about: described layers, mounted in a temporary tree of their own; and the check
 * that what a user saw is what a later mount, and the other implementations, show.
 */

import { expect } from "bun:test";
import { join } from "node:path";
import {
	type Description,
	type Layers,
	type MountDisk,
	type TemporaryTree,
	temporaryTree,
} from "./layers.ts";
import { type MountRequest, mountKernelOverlay, mountOverlay, type OverlayMount } from "./mount.ts";
import { debianProgram, isExecutable } from "./program.ts";
import { lacks } from "./setting.ts";
import { differences, type Snapshot, type SnapshotOptions, snapshot, withTimesOf } from "./snapshot.ts";
import { isUnreadByDebian, isUnreadByKernel } from "./unread.ts";

export interface OverlaySettings extends Omit<Partial<MountRequest>, "lower" | "upper" | "work"> {
	/** What the upper layer holds from the start. */
	readonly upper?: Description;
	/** Mount without an upper layer. Default: false. */
	readonly readOnly?: boolean;
	/** What upper and work lie on. Default: what all lies on. */
	readonly disk?: MountDisk;
	/** Where to make the temporary tree. Default: the machine's directory for such. */
	readonly base?: string;
}

export interface LastingOptions extends SnapshotOptions {
	/** Compare with kernel overlayfs, which does not read `.wh.` files. Default: true. */
	readonly kernel?: boolean;
	/** Compare with Debian's fuse-overlayfs. Default: true. */
	readonly debian?: boolean;
}

/** Debian's fuse-overlayfs 1.10 opens a copied-up FIFO to read its origin, and waits for a writer for ever. */
export const debianOpensFifos: LastingOptions = { debian: false };

/** Layers, their mount, and shorthands for paths in them. */
export class Overlay implements AsyncDisposable {
	readonly tree: TemporaryTree;
	readonly layers: Layers;
	readonly mount: OverlayMount;
	readonly #readOnly: boolean;

	constructor(tree: TemporaryTree, layers: Layers, mount: OverlayMount, readOnly: boolean) {
		this.tree = tree;
		this.layers = layers;
		this.mount = mount;
		this.#readOnly = readOnly;
	}

	/** The mount's root directory. */
	get path(): string {
		return this.mount.path;
	}

	at(...names: string[]): string {
		return this.mount.at(...names);
	}

	/** A path in the mount whose name is no text, one char code a byte. */
	bytes(latin1: string): Buffer {
		return this.mount.bytes(latin1);
	}

	/** Where the upper layer keeps this; file content is there for sure only after an unmount or fsync. */
	inUpper(...names: string[]): string {
		return join(this.layers.upper, ...names);
	}

	inLower(...names: string[]): string {
		return join(this.layers.lower[0] ?? "", ...names);
	}

	remount(changes: Partial<MountRequest> = {}): Promise<void> {
		return this.mount.remount(changes);
	}

	unmount(): Promise<void> {
		return this.mount.unmount();
	}

	/**
	 * What is seen now is seen after a remount, but for exact times of files where the kernel does not tell them, and in
	 * kernel overlayfs and Debian's fuse-overlayfs on the same layers. Leaves the layers unmounted, and nothing in the
	 * work directory.
	 */
	async expectLasting(options: LastingOptions = {}): Promise<void> {
		const seen = snapshot(this.path, options);
		await this.remount();
		const remounted = snapshot(this.path, options);
		const kept = lacks("exact times") ? withTimesOf(seen, remounted) : remounted;
		expect(differences(seen, kept)).toEqual([]);
		await this.unmount();
		const peers = await this.snapshotsOfPeers(options);
		for (const [peer, shown] of Object.entries(peers)) {
			expect({ peer, differences: differences(remounted, shown) }).toEqual({ peer, differences: [] });
		}
	}

	/**
	 * What the other implementations show of these layers, which must not be mounted meanwhile; without those that are
	 * not here, or too old for what the layers have.
	 */
	async snapshotsOfPeers(options: LastingOptions = {}): Promise<Record<string, Snapshot>> {
		const { lower, upper, work } = this.layers;
		const writable = this.#readOnly ? {} : { upper, work };
		const all = [...(this.#readOnly ? [] : [upper]), ...lower];
		const shown: Record<string, Snapshot> = {};
		const isForKernel = !lacks("kernel overlayfs") && (!this.#readOnly || lower.length > 1);
		if (options.kernel !== false && isForKernel && !isUnreadByKernel(all)) {
			using kernel = mountKernelOverlay({ lower, ...writable, mountpoint: this.tree.join("kernel") });
			// It does not know these, and so does not hide them.
			shown.kernel = snapshot(kernel.path, { ...options, ignoreAttributes: /^user\.fuseoverlayfs\./ });
		}
		const isForDebian = !lacks("Debian's program") && isExecutable(debianProgram);
		if (options.debian !== false && isForDebian && !isUnreadByDebian(all)) {
			const request = { lower, ...writable, mountpoint: this.tree.layer("debian"), program: debianProgram };
			await using debian = await mountOverlay(request);
			// Before 1.10 it does not hide the marks of ordinary users.
			shown.debian = snapshot(debian.path, { ...options, ignoreAttributes: /^user\.overlay\./ });
		}
		return shown;
	}

	async [Symbol.asyncDispose](): Promise<void> {
		try {
			await this.mount[Symbol.asyncDispose]();
		} finally {
			this.tree[Symbol.dispose]();
		}
	}
}

/** Mounts described layers, topmost lower first, with an upper layer unless the settings say otherwise. */
export async function mountLayers(
	lowers: readonly Description[],
	settings: OverlaySettings = {},
): Promise<Overlay> {
	const { upper: upperDescription, readOnly = false, disk, base, ...request } = settings;
	const tree = base === undefined ? temporaryTree() : temporaryTree(base);
	try {
		const layers = tree.layers(lowers, upperDescription, disk);
		const { upper, work, ...readOnlyLayers } = layers;
		const mount = await mountOverlay({ ...(readOnly ? readOnlyLayers : layers), ...request });
		return new Overlay(tree, layers, mount, readOnly);
	} catch (error) {
		tree[Symbol.dispose]();
		throw error;
	}
}
