/**
 * The trees of one run: equal layers twice, one pile mounted by the program under test and one by the kernel, and a
 * plain directory with what they show, which tells what is an overlay's own way.
 */

import { chmodSync, constants, mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { O_TMPFILE, open } from "../harness/descriptor.ts";
import {
	type Description,
	type Entry,
	fillLayer,
	type Layers,
	type TemporaryTree,
	temporaryTree,
} from "../harness/layers.ts";
import { type MountRequest, mountKernelOverlay, mountOverlay, type OverlayMount } from "../harness/mount.ts";
import { codeOf, mknod, mount, setTimes } from "../harness/native.ts";
import { setting } from "../harness/setting.ts";
import { slowLayer } from "../harness/slow-layer.ts";
import { differences, type Snapshot, snapshot } from "../harness/snapshot.ts";
import { randomLayers } from "../overlay/core/random-layers.ts";
import { randomNumbers } from "../overlay/random.ts";
import type { Actors } from "./actors.ts";
import { mounter } from "./identities.ts";
import { earliestNow, pastTime } from "./operation.ts";
import { styleOf } from "./style.ts";
import type { Variant } from "./variant.ts";

/** Topmost first, each with the names of its entries left out in `dropped` as `LAYER:NAME`. */
function describedLayers(seed: number, variant: Variant, dropped: readonly string[]): Description[] {
	return randomLayers(randomNumbers(seed), styleOf(variant)).map((description, index) => {
		const entries = Object.entries(description as Record<string, Entry>);
		return Object.fromEntries(entries.filter(([name]) => !dropped.includes(`${index}:${name}`)));
	});
}

/** Names of all entries of a seed's layers, as {@link World} takes them for leaving out; deepest first. */
export function layerEntries(seed: number, variant: Variant): string[] {
	return randomLayers(randomNumbers(seed), styleOf(variant))
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
	if (variant.crowd !== undefined) makeCrowd(layers.lower.at(-1) ?? layers.upper, variant.crowd);
	if (upper !== undefined) fillLayer(layers.upper, upper);
	// Everybody may make things in the root.
	chmodSync(layers.upper, 0o777);
	for (const layer of [...layers.lower, layers.upper]) setTimes(layer, pastTime(1), pastTime(1));
	if (setting === "fusermount") giveToMounter(tree.path);
	return layers;
}

/** A directory of many names, which is not described entry by entry. */
function makeCrowd(layer: string, count: number): void {
	mkdirSync(join(layer, "crowd"));
	for (let index = 0; index < count; index++) mknod(join(layer, "crowd", `crowd${index}`), 0o100644);
	chmodSync(join(layer, "crowd"), 0o777);
}

/** Symlinks, FIFOs and whiteouts, too, are the ordinary user's who mounts. */
function giveToMounter(tree: string): void {
	const owner = `${mounter.uid}:${mounter.gid}`;
	const { exitCode, stderr } = Bun.spawnSync([
		..."find PATH ! -uid".replace("PATH", tree).split(" "),
		String(mounter.uid),
		..."-exec chown -h OWNER {} +".replace("OWNER", owner).split(" "),
	]);
	if (exitCode !== 0) throw new Error(`find: ${stderr}`);
}

/** Not by the `recursive` of node:fs, which follows symlinks. */
function pathsBelow(root: string, prefix: string): string[] {
	return readdirSync(join(root, prefix), { withFileTypes: true }).flatMap((entry) => {
		const path = `${prefix}${entry.name}`;
		return entry.isDirectory() ? [path, ...pathsBelow(root, `${path}/`)] : [path];
	});
}

/** What a world is made from. */
export interface Surroundings {
	readonly seed: number;
	readonly variant: Variant;
	/** Entries of the seed's layers that are left out. */
	readonly dropped: readonly string[];
}

export class World implements AsyncDisposable {
	readonly #tree = temporaryTree();
	readonly #kernelsTree = temporaryTree();
	readonly #variant: Variant;
	readonly #actors: Actors;
	readonly #ours: Layers;
	readonly #kernels: Layers;
	#mount: OverlayMount | undefined;
	#kernel: ReturnType<typeof mountKernelOverlay> | undefined;

	/** @param actors as whom a mount is looked at that others may not see */
	constructor({ seed, variant, dropped }: Surroundings, actors: Actors) {
		this.#variant = variant;
		this.#actors = actors;
		const lowers = describedLayers(seed, variant, dropped);
		try {
			if (variant.onTmpfs) {
				for (const { path } of [this.#tree, this.#kernelsTree]) {
					mount("tmpfs", path, "tmpfs", 0, "size=64m,mode=755");
				}
			}
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
		this.#kernel = this.#mountKernel(this.#kernels);
		this.#mount = await this.#mountOurs(this.#ours);
		// Of hundreds of thousands of names it takes long, and the sign of life goes out meanwhile.
		const copy = ["cp", "-a", this.#kernels.mountpoint, this.#tree.join("plain")];
		const copied = await Bun.spawn(copy, { stdout: "ignore", stderr: "inherit" }).exited;
		if (copied !== 0) throw new Error(`cp ended with exit code ${copied}`);
	}

	#mountKernel(request: MountRequest): ReturnType<typeof mountKernelOverlay> {
		const { redirects, metacopies, indexes, usersMarks } = this.#variant;
		const options = [
			...(redirects ? ["redirect_dir=on"] : []),
			...(metacopies ? ["metacopy=on"] : []),
			...(indexes ? ["index=on"] : []),
			...(usersMarks ? ["userxattr"] : []),
		];
		return mountKernelOverlay(request, ...options);
	}

	#mountOurs(layers: Layers): Promise<OverlayMount> {
		const { options, openFiles, fileWhiteouts, declined, delay } = this.#variant;
		const environment = {
			...(declined === undefined ? {} : { _FUSE_OVERLAYFS_DECLINE: declined }),
			...(fileWhiteouts ? { FUSE_OVERLAYFS_DISABLE_OVL_WHITEOUT: "1" } : {}),
		};
		const late = (path: string) => (delay === undefined ? path : slowLayer(path, `${path}.late`, delay));
		return mountOverlay({
			...layers,
			lower: layers.lower.map(late),
			options,
			environment,
			...(setting === "fusermount" ? { user: mounter.uid, program: this.#actors.program } : {}),
			...(openFiles === undefined ? {} : { openFiles }),
		});
	}

	/** Ends our daemon as a crash does. */
	killDaemon(): void {
		this.#mount?.killDaemon();
	}

	/** All paths that the kernel shows, sorted: what is drawn of them is not to depend on the order that a disk lists them in. */
	paths(): string[] {
		return pathsBelow(this.#kernels.mountpoint, "").sort();
	}

	lowers(): Snapshot[] {
		return this.#ours.lower.map((layer) => snapshot(layer));
	}

	/** Whether files without names can be made on all sides. */
	get hasNameless(): boolean {
		const flags = O_TMPFILE | constants.O_RDWR;
		return codeOf(() => open(this.roots[0]!, flags)[Symbol.dispose]()) === undefined;
	}

	/** What is below `path`, as those see it who may. */
	#look(path: string): Snapshot {
		return setting === "fusermount" ? this.#actors.look(path) : snapshot(path);
	}

	/**
	 * Where what we show differs from what the kernel shows. Of FIFOs, devices and sockets the plain directory may have the
	 * last word: kernel overlayfs may take two names of a copied-up one for two. And it moves the time of a file when it brings
	 * up data that was left below, which we do not; that times of writes arrive is found out where no data is left.
	 */
	compare(): string[] {
		const [ours, kernels, plain] = this.roots;
		const shown = untimed(this.#look(ours!));
		const expected: Record<string, string> = { ...untimed(this.#look(kernels!)) };
		if (differences(shown, expected).length === 0) return [];
		const known = untimed(this.#look(plain!));
		const isOther = (line: string) => !/^(file|dir|symlink),/.test(line);
		const isMoved = (line: string, kernels: string | undefined) =>
			this.#variant.metacopies && line.replace(/mtime \d+/, "mtime now") === kernels;
		for (const [name, line] of Object.entries(shown)) {
			const isMeant = name in expected && isOther(line) && line === known[name];
			if (isMeant || isMoved(line, expected[name])) expected[name] = line;
		}
		return differences(shown, expected);
	}

	/** Our layers as the kernel shows them; it would leave a workdir that the user may not clear. */
	#lookThroughKernel({ lower, upper, work, mountpoint }: Layers): Snapshot {
		const layers = setting === "fusermount" ? { lower: [upper, ...lower] } : { lower, upper, work };
		using kernel = this.#mountKernel({ ...layers, mountpoint });
		// It does not know these, and so does not hide them.
		const options = { ignoreAttributes: /^user\.fuseoverlayfs\./ };
		return setting === "fusermount" ? this.#actors.look(kernel.path) : snapshot(kernel.path, options);
	}

	/**
	 * Unmounts both, and tells what is not as it was, by title: our tree after a remount, our layers read by the kernel,
	 * the kernel's layers read by us, what is left in the workdir.
	 */
	async compareAfterwards(): Promise<Record<string, string[]>> {
		const shown = this.#look(this.#ours.mountpoint);
		const shownByKernel = this.#look(this.#kernels.mountpoint);
		await this.#mount?.unmount();
		this.#kernel?.[Symbol.dispose]();
		this.#kernel = undefined;
		const found: Record<string, string[]> = {
			"left in the workdir": readdirSync(join(this.#ours.work, "work")),
		};
		if (!this.#variant.fileWhiteouts) {
			found["our layers read by the kernel"] = differences(shown, this.#lookThroughKernel(this.#ours));
		}
		// The kernel's own, which is root's.
		if (setting === "fusermount") rmSync(join(this.#kernels.work, "work"), { recursive: true });
		this.#mount = await this.#mountOurs(this.#kernels);
		found["the kernel's layers read by us"] = differences(this.#look(this.#mount.path), shownByKernel);
		await this.#mount.unmount();
		this.#mount = await this.#mountOurs(this.#ours);
		found["our tree after a remount"] = differences(this.#look(this.#mount.path), shown);
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
