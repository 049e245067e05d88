/**
 * The overlay on plain directories, without FUSE: described layers in a temporary tree, opened as src/mount.ts does,
 * and worked on by a {@link Client} in the kernel's place.
 *
 * At the end of its scope every {@link Core} is checked for what no test may leave: nodes without reference,
 * descriptors, junk in the workdir, changes of the lower layers. What is wrong is told after the test.
 */

import { afterEach } from "bun:test";
import { lstatSync, readdirSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { effectiveGid, effectiveUid, setUmask } from "../../../src/native/libc/process.ts";
import { type ByteString, defaultOptions } from "../../../src/options.ts";
import { inlineJobs, type Jobs } from "../../../src/overlay/jobs/job.ts";
import { openLayers } from "../../../src/overlay/layers/open-layers.ts";
import { Workdir } from "../../../src/overlay/layers/workdir.ts";
import { prepareWorkdir } from "../../../src/overlay/marks/abilities.ts";
import { Identity, type IdentityOptions } from "../../../src/overlay/marks/identity.ts";
import { Overlay } from "../../../src/overlay/overlay.ts";
import type { OverlayOptions } from "../../../src/overlay/overlay-options.ts";
import {
	type Description,
	type Layers,
	type MountDisk,
	type TemporaryTree,
	temporaryTree,
} from "../../harness/layers.ts";
import { differences, type Snapshot, snapshot } from "../../harness/snapshot.ts";
import { Client } from "./client.ts";
import { latin1 } from "./node-client.ts";

export { errnoOf, root } from "./node-client.ts";

const OVERFLOW = { uid: 65534, gid: 65534 };
/** What the workdir holds for good: the whiteout that others are links of. */
const SHARED_WHITEOUT = "#whiteout";

/** Caches so small that nothing is kept from one request to the next. */
export const noCaches: Partial<OverlayOptions> = { largestDescriptors: 0, largestListings: 0 };

/** For tests of what must not depend on what is kept. */
export const cacheModes: readonly (readonly [title: string, options: Partial<OverlayOptions>])[] = [
	["caches", {}],
	["no caches", noCaches],
];

export interface CoreSettings {
	/** What the upper layer holds from the start. */
	readonly upper?: Description;
	/** Without an upper layer. Default: false. */
	readonly readOnly?: boolean;
	/** What upper and work lie on. Default: what all lies on. */
	readonly disk?: MountDisk;
	/** Whiteouts are `.wh.NAME` files. Default: false. */
	readonly fileWhiteouts?: boolean;
	/** Marks go into `user` attributes, as where the process may not set `trusted` ones. Default: false. */
	readonly userAttributes?: boolean;
	/** As with `fsync=strict`. Default: false. */
	readonly syncsAll?: boolean;
	readonly options?: Partial<OverlayOptions>;
	readonly identity?: Partial<IdentityOptions>;
	/** How long tasks are done. Default: at once. */
	readonly jobs?: Jobs;
	/** Called with the layers before they are opened. */
	readonly prepare?: (layers: Layers) => void;
}

/** An overlay, and how many descriptors were open before it was, and with it when nothing was in use. */
interface Opened {
	readonly overlay: Overlay;
	readonly before: number;
	readonly atRest: number;
}

/** As src/mount.ts composes it. */
function open({ lower, upper, work }: Layers, settings: CoreSettings): Opened {
	const before = countDescriptors();
	const bytesOf = (path: string) => latin1(path) as ByteString;
	setUmask(0);
	const writable = settings.readOnly ? undefined : { upper: bytesOf(upper), work: bytesOf(work) };
	const opened = openLayers(lower.map(bytesOf), writable);
	const { layers } = opened;
	const workdir =
		opened.work === undefined
			? undefined
			: new Workdir(opened.work, {
					fileWhiteouts: settings.fileWhiteouts ?? false,
					userAttributes: settings.userAttributes ?? false,
					isVolatile: false,
					syncsAll: settings.syncsAll ?? false,
				});
	if (workdir !== undefined) prepareWorkdir(workdir, layers[0]!.root);
	const asked: IdentityOptions = { ...defaultOptions, ...settings.identity };
	const identity = Identity.of(asked, layers, workdir !== undefined, OVERFLOW, () => {});
	identity?.markRoot(layers);
	const overlay = new Overlay(layers, workdir, identity, settings.jobs ?? inlineJobs, {
		fsync: false,
		staticLinkCount: false,
		fastInode: false,
		outlives: false,
		inode32: false,
		xattrs: true,
		acl: true,
		uid: effectiveUid(),
		gid: effectiveGid(),
		largestDescriptors: 1024,
		hasCopies: workdir !== undefined,
		largestListings: 1 << 20,
		live: false,
		redirects: "off",
		leavesData: false,
		usersMetacopies: "refused",
		verity: "off",
		indexes: false,
		...settings.options,
	});
	return { overlay, before, atRest: countDescriptors() };
}

/** Makes the layers, topmost lower one first, and opens them. */
export function openCore(lowers: readonly Description[], settings: CoreSettings = {}): Core {
	const tree = temporaryTree();
	try {
		const layers = tree.layers(lowers, settings.upper, settings.disk);
		settings.prepare?.(layers);
		return new Core(tree, layers, settings);
	} catch (error) {
		tree[Symbol.dispose]();
		throw error;
	}
}

export class Core extends Client implements Disposable {
	readonly tree: TemporaryTree;
	readonly layers: Layers;
	readonly #settings: CoreSettings;
	readonly #umask: number;
	/** The lower layers as they must stay. */
	readonly #lower: readonly Snapshot[];
	/** undefined: closed. */
	#opened: Opened | undefined;

	constructor(tree: TemporaryTree, layers: Layers, settings: CoreSettings) {
		const umask = process.umask();
		const lower = layers.lower.map((path) => snapshot(path));
		const opened = open(layers, settings);
		super(opened.overlay);
		this.tree = tree;
		this.layers = layers;
		this.#settings = settings;
		this.#umask = umask;
		this.#lower = lower;
		this.#opened = opened;
	}

	inUpper(...names: string[]): string {
		return join(this.layers.upper, ...names);
	}

	inLower(...names: string[]): string {
		return join(this.layers.lower[0] ?? "", ...names);
	}

	/** Whether the upper layer has a whiteout device of this name. */
	isWhiteout(name: string): boolean {
		const stats = lstatSync(this.inUpper(name), { throwIfNoEntry: false });
		return stats?.isCharacterDevice() === true && stats.rdev === 0;
	}

	/** The names in a directory of the upper layer, sorted; Latin-1. */
	upperNames(name = ""): string[] {
		return readdirSync(this.inUpper(name), { encoding: "buffer" })
			.map((found) => found.toString("latin1"))
			.sort();
	}

	/** What is in the workdir and should not be. */
	litter(): string[] {
		if (this.#settings.readOnly) return [];
		return readdirSync(join(this.layers.work, "work"), { recursive: true, encoding: "buffer" })
			.map((name) => name.toString("latin1"))
			.filter((name) => name !== SHARED_WHITEOUT);
	}

	/** Gives up all that is known and open, and opens the same layers again, or with other options. */
	reopen(options: Partial<OverlayOptions> = {}): void {
		this.#close();
		const { options: first, ...settings } = this.#settings;
		this.#opened = open(this.layers, { ...settings, options: { ...first, ...options } });
		this.overlay = this.#opened.overlay;
	}

	#complain({ overlay, atRest }: Opened): void {
		this.forgetAll();
		for (const name of this.litter()) failures.push(`left in the workdir: ${name}`);
		if (overlay.nodes.count !== 1) failures.push(`nodes that are not freed: ${overlay.nodes.count - 1}`);
		complainOfDescriptors("in use", atRest);
		this.layers.lower.forEach((path, index) => {
			const changes = differences(this.#lower[index] ?? {}, snapshot(path));
			for (const change of changes) failures.push(`changed in lower layer ${index + 1}: ${change}`);
		});
	}

	#close(): void {
		if (this.#opened === undefined) return;
		const opened = this.#opened;
		this.#opened = undefined;
		try {
			this.#complain(opened);
		} catch (error) {
			failures.push(`cannot be checked: ${error instanceof Error ? error.stack : String(error)}`);
		}
		opened.overlay.close();
		complainOfDescriptors("after closing", opened.before);
		setUmask(this.#umask);
	}

	[Symbol.dispose](): void {
		this.#close();
		this.tree[Symbol.dispose]();
	}
}

/** Descriptors this process has open, with what they lead to; those left out that the runtime comes and goes with. */
function descriptors(): string[] {
	const all = readdirSync("/proc/self/fd").flatMap((fd) => {
		try {
			return [`${fd} -> ${readlinkSync(`/proc/self/fd/${fd}`)}`];
		} catch {
			// The one that the directory was read with.
			return [];
		}
	});
	return all.filter((line) => !/ -> (anon_inode|socket):/.test(line));
}

export function countDescriptors(): number {
	return descriptors().length;
}

function complainOfDescriptors(when: string, expected: number): void {
	const found = descriptors();
	if (found.length === expected) return;
	failures.push(`${found.length} descriptors ${when}, not ${expected}:\n${found.join("\n")}`);
}

/** Told after the test rather than thrown at the end of its scope, which would hide what the test itself found. */
const failures: string[] = [];

afterEach(() => {
	const found = failures.splice(0);
	if (found.length > 0) throw new Error(found.join("\n"));
});
