/**
 * The trees of one run: equal layers twice, one pile mounted by the program under test and one by the kernel, and a
 * plain directory with what they show, which tells what is an overlay's own way.
 */

import { chmodSync, readdirSync } from "node:fs";
import { join } from "node:path";
import {
	type Description,
	type Entry,
	fillLayer,
	type Layers,
	type TemporaryTree,
	temporaryTree,
} from "../harness/layers.ts";
import { mountKernelOverlay, mountOverlay, type OverlayMount } from "../harness/mount.ts";
import { mount, setTimes } from "../harness/native.ts";
import { differences, type Snapshot, snapshot } from "../harness/snapshot.ts";
import { randomLayers } from "../overlay/core/random-layers.ts";
import { randomNumbers } from "../overlay/random.ts";
import { earliestNow, pastTime } from "./operation.ts";
import { fuzzStyle } from "./style.ts";
import type { Variant } from "./variant.ts";

/** Topmost first, each with the names of its entries left out in `dropped` as `LAYER:NAME`. */
function describedLayers(seed: number, dropped: readonly string[]): Description[] {
	return randomLayers(randomNumbers(seed), fuzzStyle).map((description, index) => {
		const entries = Object.entries(description as Record<string, Entry>);
		return Object.fromEntries(entries.filter(([name]) => !dropped.includes(`${index}:${name}`)));
	});
}

/** Names of all entries of a seed's layers, as {@link World} takes them for leaving out; deepest first. */
export function layerEntries(seed: number): string[] {
	return randomLayers(randomNumbers(seed), fuzzStyle)
		.flatMap((description, index) => Object.keys(description).map((name) => `${index}:${name}`))
		.reverse();
}

/** Times of the run itself as one word, because they are never equal. */
export function untimed(shown: Snapshot): Snapshot {
	const reduce = (line: string) =>
		line.replace(/mtime (\d+)/, (whole, time) => (BigInt(time) >= earliestNow ? "mtime now" : whole));
	return Object.fromEntries(Object.entries(shown).map(([name, line]) => [name, reduce(line)]));
}

function buildLayers(tree: TemporaryTree, lowers: readonly Description[], variant: Variant): Layers {
	const [top, ...rest] = lowers;
	const upper = variant.filledUpper && top !== undefined && rest.length > 0 ? top : undefined;
	const piled = upper === undefined ? lowers : rest;
	if (variant.severalDevices) {
		piled.forEach((_, index) => {
			mount("tmpfs", tree.layer(`lower${index + 1}`), "tmpfs", 0, "size=64m,mode=755");
		});
	}
	const layers = tree.layers(piled);
	if (upper !== undefined) fillLayer(layers.upper, upper);
	// Everybody may make things in the root.
	chmodSync(layers.upper, 0o777);
	for (const layer of [...layers.lower, layers.upper]) setTimes(layer, pastTime(1), pastTime(1));
	return layers;
}

/** Not by the `recursive` of node:fs, which follows symlinks. */
function pathsBelow(root: string, prefix: string): string[] {
	return readdirSync(join(root, prefix), { withFileTypes: true }).flatMap((entry) => {
		const path = `${prefix}${entry.name}`;
		return entry.isDirectory() ? [path, ...pathsBelow(root, `${path}/`)] : [path];
	});
}

export class World implements AsyncDisposable {
	readonly #tree = temporaryTree();
	readonly #kernelsTree = temporaryTree();
	readonly #variant: Variant;
	readonly #ours: Layers;
	readonly #kernels: Layers;
	#mount: OverlayMount | undefined;
	#kernel: ReturnType<typeof mountKernelOverlay> | undefined;

	constructor(seed: number, dropped: readonly string[], variant: Variant) {
		this.#variant = variant;
		const lowers = describedLayers(seed, dropped);
		try {
			this.#ours = buildLayers(this.#tree, lowers, variant);
			this.#kernels = buildLayers(this.#kernelsTree, lowers, variant);
		} catch (error) {
			// A hard link to what was left out, for one.
			for (const tree of [this.#tree, this.#kernelsTree]) tree[Symbol.dispose]();
			throw error;
		}
	}

	/** The roots of all sides: ours, the kernel's, the plain directory. */
	get roots(): readonly string[] {
		return [this.#ours.mountpoint, this.#kernels.mountpoint, this.#tree.join("plain")];
	}

	async start(): Promise<void> {
		this.#kernel = mountKernelOverlay(this.#kernels);
		this.#mount = await this.#mountOurs(this.#ours);
		const copied = Bun.spawnSync(["cp", "-a", this.#kernels.mountpoint, this.#tree.join("plain")]);
		if (copied.exitCode !== 0) throw new Error(`cp: ${copied.stderr}`);
	}

	#mountOurs(layers: Layers): Promise<OverlayMount> {
		const { options, openFiles } = this.#variant;
		const environment: Record<string, string> = this.#variant.fileWhiteouts
			? { FUSE_OVERLAYFS_DISABLE_OVL_WHITEOUT: "1" }
			: {};
		return mountOverlay({
			...layers,
			options,
			environment,
			...(openFiles === undefined ? {} : { openFiles }),
		});
	}

	/** All paths that the kernel shows. */
	paths(): string[] {
		return pathsBelow(this.#kernels.mountpoint, "");
	}

	lowers(): Snapshot[] {
		return this.#ours.lower.map((layer) => snapshot(layer));
	}

	/** Where what we show differs from what the kernel shows. */
	compare(): string[] {
		return differences(untimed(snapshot(this.#ours.mountpoint)), untimed(snapshot(this.#kernels.mountpoint)));
	}

	/**
	 * Unmounts both, and tells what is not as it was, by title: our tree after a remount, our layers read by the kernel,
	 * the kernel's layers read by us, what is left in the workdir.
	 */
	async compareAfterwards(): Promise<Record<string, string[]>> {
		const shown = snapshot(this.#ours.mountpoint);
		const shownByKernel = snapshot(this.#kernels.mountpoint);
		await this.#mount?.unmount();
		this.#kernel?.[Symbol.dispose]();
		this.#kernel = undefined;
		const found: Record<string, string[]> = {
			"left in the workdir": readdirSync(join(this.#ours.work, "work")),
		};
		if (!this.#variant.fileWhiteouts) {
			using kernel = mountKernelOverlay(this.#ours);
			found["our layers read by the kernel"] = differences(shown, snapshot(kernel.path));
		}
		this.#mount = await this.#mountOurs(this.#kernels);
		found["the kernel's layers read by us"] = differences(snapshot(this.#mount.path), shownByKernel);
		await this.#mount.unmount();
		this.#mount = await this.#mountOurs(this.#ours);
		found["our tree after a remount"] = differences(snapshot(this.#mount.path), shown);
		await this.#mount.unmount();
		return found;
	}

	/** What the daemon complained of. */
	get log(): string {
		return this.#mount?.log ?? "";
	}

	async [Symbol.asyncDispose](): Promise<void> {
		try {
			await this.#mount?.[Symbol.asyncDispose]();
			this.#kernel?.[Symbol.dispose]();
		} finally {
			for (const tree of [this.#tree, this.#kernelsTree]) tree[Symbol.dispose]();
		}
	}
}
