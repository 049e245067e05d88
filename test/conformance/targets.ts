/**
 * What the table's statements are tried on: plain directories, which are the oracle, kernel overlayfs, which is the
 * yardstick for an overlay, and the program under test in its variants. Another variant is another line in
 * {@link variants}.
 */

import { mkdirSync } from "node:fs";
import { type DiskKind, mountDisk } from "../harness/disk.ts";
import { type Layers, type TemporaryTree, temporaryTree } from "../harness/layers.ts";
import { mountKernelOverlay, mountOverlay } from "../harness/mount.ts";
import { Overlay } from "../harness/overlay.ts";
import { isKernel, program } from "../harness/program.ts";
import {
	declined,
	isBefore,
	isInShort,
	type LayersOn,
	lacks,
	layersOn,
	setting,
} from "../harness/setting.ts";
import { type Delay, slowLayer } from "../harness/slow-layer.ts";
import { declinable } from "../init/declinable.ts";
import { type Cell, layDown, layDownMerged, type Origin } from "./statement.ts";
import { subjects } from "./subjects.ts";

/** A kind of target that a cell may be left out of: see left-out.ts. */
export type Trait =
	| "plain"
	| "kernel"
	| "kernel in a user namespace"
	| "program"
	| "on the machine's disk"
	| "on ext4"
	| "on tmpfs"
	| "on xfs"
	| "on btrfs"
	| `${"" | "plain " | "program "}on ${LayersOn}`
	| "libfuse before 3.17"
	| `FUSE before Linux ${string}`
	| "overlayfs before Linux 6.3"
	| "overlayfs before Linux 6.3 in a user namespace"
	| VariantName;

interface Variant {
	readonly options?: readonly string[];
	readonly environment?: Readonly<Record<string, string>>;
	/** Where the upper layer lies. Default: with the lower ones, in the directory for temporary files. */
	readonly upperOn?: DiskKind;
	/** Where the two lower layers lie, for layers on several devices. */
	readonly lowerOn?: readonly [DiskKind, DiskKind];
	/** The lower layers answer late. */
	readonly delay?: Delay;
	/** Every change must answer EROFS. */
	readonly isReadOnly?: boolean;
	/** What would be the upper layer is the topmost lower one. */
	readonly hasNoUpper?: boolean;
	/** Statements are tried on content from every origin, not only from below, where copy-up is needed. */
	readonly isThorough?: boolean;
	/** Kernel overlayfs cannot read what this variant writes. */
	readonly isForeignToKernel?: boolean;
	/** The subjects it is tried with. Default: all. */
	readonly subjects?: readonly string[];
	/** What of the kernel's it does without. */
	readonly declined?: readonly string[];
}

const variants = {
	default: { isThorough: true },
	"passthrough=on": { options: ["passthrough=on"] },
	"passthrough=off": { options: ["passthrough=off"], isThorough: true },
	"writeback=0": { options: ["passthrough=off", "writeback=0"] },
	"timeout=0": { options: ["timeout=0"] },
	".wh. whiteouts": {
		environment: { FUSE_OVERLAYFS_DISABLE_OVL_WHITEOUT: "1" },
		isThorough: true,
		isForeignToKernel: true,
	},
	"layers on several devices": { lowerOn: ["tmpfs", "xfs"], isThorough: true },
	"upper on ext4": { upperOn: "ext4" },
	"upper on tmpfs": { upperOn: "tmpfs" },
	"upper on xfs": { upperOn: "xfs" },
	"upper on btrfs": { upperOn: "btrfs" },
	"late layers": { options: ["passthrough=off"], delay: { milliseconds: "0-2", timeout: 3600 } },
	"late layers of which nothing is kept": {
		options: ["passthrough=off"],
		delay: { milliseconds: "0-1", timeout: 0 },
	},
	"without an upper layer": { hasNoUpper: true, isReadOnly: true },
	ro: { options: ["ro"], isReadOnly: true },
} as const satisfies Record<string, Variant>;
/** What a flag of INIT has a say in: the subjects that are tried without it. */
const subjectsOfFlags: Readonly<Record<string, readonly string[]>> = {
	FUSE_ASYNC_READ: ["data"],
	FUSE_BIG_WRITES: ["data", "offsets"],
	FUSE_HAS_IOCTL_DIR: ["data"],
	FUSE_DO_READDIRPLUS: ["listing"],
	FUSE_READDIRPLUS_AUTO: ["listing"],
	FUSE_PARALLEL_DIROPS: ["listing", "concurrency"],
	FUSE_MAX_PAGES: ["data", "offsets"],
	FUSE_HANDLE_KILLPRIV_V2: ["set-id", "data"],
	FUSE_SETXATTR_EXT: ["xattrs", "acl", "set-id"],
	FUSE_INIT_EXT: ["data", "set-id", "xattrs"],
	FUSE_NO_EXPORT_SUPPORT: ["identity"],
	FUSE_CACHE_SYMLINKS: ["names", "special-files"],
	FUSE_AUTO_INVAL_DATA: ["data"],
	FUSE_PASSTHROUGH: ["data", "set-id"],
	FUSE_ATOMIC_O_TRUNC: ["data", "set-id"],
	FUSE_WRITEBACK_CACHE: ["data", "times", "set-id"],
	FUSE_POSIX_ACL: ["xattrs", "set-id"],
	// Asked for with failover=on alone.
	FUSE_HAS_RESEND: ["identity"],
	"minor=31": ["xattrs", "acl", "set-id", "listing", "data"],
};
/** These matter where the program moves the bytes. */
const flagsOfData = /ASYNC_READ|BIG_WRITES|MAX_PAGES|KILLPRIV|WRITEBACK/;

/** As on an older kernel: without these flags, and `minor=N`. ACLs need one of them. */
function without(declined: readonly string[], subjects: readonly string[]): Variant {
	const heedsAcls = !declined.includes("FUSE_POSIX_ACL");
	return {
		declined,
		environment: { _FUSE_OVERLAYFS_DECLINE: declined.join(",") },
		options: declined.some((flag) => flagsOfData.test(flag)) ? ["passthrough=off"] : [],
		subjects: subjects.filter((subject) => subject !== "acl" || heedsAcls),
	};
}

/** Without each flag in short; `npm run test:init` has all subjects. */
const olderKernels: Readonly<Record<`without ${string}`, Variant>> = {
	...Object.fromEntries(
		declinable.map((flag) => {
			const tried = subjectsOfFlags[flag];
			if (tried === undefined) throw new Error(`${flag}: say above what it has a say in`);
			return [`without ${flag}`, without([flag], tried)];
		}),
	),
	"without all that is optional": without([...declinable, "minor=29"], Object.keys(subjects)),
};
const allVariants: Readonly<Record<string, Variant>> = { ...variants, ...olderKernels };

const allOrigins: readonly Origin[] = ["lower", "upper", "merged", "layers"];
type VariantName = keyof typeof variants | `without ${string}`;

/** A target with the cells' content in place. */
export interface Site extends AsyncDisposable {
	readonly path: string;
	readonly overlay?: Overlay;
}

export interface Target {
	readonly name: string;
	readonly traits: readonly Trait[];
	readonly isReadOnly: boolean;
	readonly isForeignToKernel: boolean;
	/** undefined: all. */
	readonly subjects?: readonly string[];
	/** Where the content of its cells comes from. */
	readonly origins: readonly Origin[];
	/** Gets the long statements too. */
	readonly getsLong: boolean;
	prepare(cells: readonly Cell[], lower: LowerLayers): Promise<Site>;
}

/** The two lower layers, which all targets share as none may change them. */
export class LowerLayers implements Disposable {
	readonly #tree = temporaryTree();
	readonly paths: readonly [string, string];

	constructor(cells: readonly Cell[]) {
		this.paths = [this.#tree.layer("lower"), this.#tree.layer("lowest")];
		layDown(cells, [undefined, ...this.paths]);
	}

	[Symbol.dispose](): void {
		this.#tree[Symbol.dispose]();
	}
}

/** The directory `name` of the tree; with `disk` the root of a file system of its own. */
function directoryOn(tree: TemporaryTree, name: string, disk?: DiskKind): string {
	if (disk === undefined) return tree.layer(name);
	mountDisk(disk, tree.join(name));
	return tree.join(name);
}

/** What `prepare` makes in a temporary tree, which a failure does not leave behind. */
async function inNewTree(prepare: (tree: TemporaryTree) => Promise<Site>): Promise<Site> {
	const tree = temporaryTree();
	try {
		return await prepare(tree);
	} catch (error) {
		tree[Symbol.dispose]();
		throw error;
	}
}

function onDisk(disk?: DiskKind): Trait {
	const on = disk ?? layersOn;
	return on === undefined ? "on the machine's disk" : `on ${on}`;
}

function onLayersOf(kind: "plain" | "program"): Trait[] {
	return layersOn === undefined ? [] : [`${kind} on ${layersOn}`];
}

function plainDirectory(disk?: DiskKind): Target {
	return {
		name: disk === undefined ? "a plain directory" : `a plain directory on ${disk}`,
		traits: ["plain", onDisk(disk), ...onLayersOf("plain")],
		isReadOnly: false,
		isForeignToKernel: false,
		// The others are laid down alike.
		origins: ["lower", "layers"],
		getsLong: false,
		async prepare(cells) {
			return await inNewTree(async (tree) => {
				const path = directoryOn(tree, "plain", disk);
				layDownMerged(cells, path);
				return { path, [Symbol.asyncDispose]: async () => tree[Symbol.dispose]() };
			});
		},
	};
}

/** Fills a new tree with the layers that a variant mounts, topmost lower layer first. */
function makeLayers(
	tree: TemporaryTree,
	cells: readonly Cell[],
	lower: LowerLayers,
	variant: Variant,
): Layers {
	const disk = directoryOn(tree, "disk", variant.upperOn);
	const upper = `${disk}/upper`;
	const work = `${disk}/work`;
	for (const path of [upper, work]) mkdirSync(path);
	layDown(cells, [upper]);
	let lowers = lower.paths;
	if (variant.lowerOn !== undefined) {
		const [kind, lowestKind] = variant.lowerOn;
		lowers = [directoryOn(tree, "lower", kind), directoryOn(tree, "lowest", lowestKind)];
		layDown(cells, [undefined, ...lowers]);
	}
	return {
		lower: variant.hasNoUpper ? [upper, ...lowers] : lowers,
		upper,
		work,
		mountpoint: tree.layer("merged"),
	};
}

function traitsOf(trait: Trait, isSo: boolean): readonly Trait[] {
	return isSo ? [trait] : [];
}

const kernelOverlayfs: Target = {
	name: "kernel overlayfs",
	traits: [
		"kernel",
		onDisk(),
		...traitsOf("kernel in a user namespace", setting !== "root"),
		...traitsOf("overlayfs before Linux 6.3", isBefore(6, 3)),
		...traitsOf("overlayfs before Linux 6.3 in a user namespace", setting !== "root" && isBefore(6, 3)),
	],
	isReadOnly: false,
	isForeignToKernel: false,
	origins: allOrigins,
	getsLong: true,
	async prepare(cells, lower) {
		return await inNewTree(async (tree) => {
			const { path } = mountKernelOverlay(makeLayers(tree, cells, lower, {}));
			return { path, [Symbol.asyncDispose]: async () => tree[Symbol.dispose]() };
		});
	},
};

/** What the installed libfuse does not pass on to the program. */
function libfuseTraits(): Trait[] {
	const { stdout } = Bun.spawnSync([program, "--version"]);
	const [, major = "0", minor = "0"] = /FUSE library version:? (\d+)\.(\d+)/.exec(stdout.toString()) ?? [];
	return Number(major) * 100 + Number(minor) < 317 ? ["libfuse before 3.17"] : [];
}
const traitsOfLibfuse = isKernel ? [] : libfuseTraits();

/** What this machine's kernel does not pass on to any libfuse. */
const traitsOfKernel = (["5.11", "5.14", "6.1"] as const)
	.filter((version) => {
		const [major = 0, minor = 0] = version.split(".").map(Number);
		return isBefore(major, minor);
	})
	.map((version) => `FUSE before Linux ${version}` as const);

function mounted(name: VariantName): Target {
	const variant = allVariants[name]!;
	const { options = [], environment = {}, isReadOnly = false, hasNoUpper = false } = variant;
	return {
		name: `the program, ${name}`,
		traits: [
			"program",
			name,
			onDisk(variant.upperOn),
			...onLayersOf("program"),
			...traitsOfLibfuse,
			...traitsOfKernel,
			...(variant.declined ?? declined).map((flag) => `without ${flag}` as const),
		],
		isReadOnly,
		isForeignToKernel: variant.isForeignToKernel ?? false,
		origins: variant.isThorough && declined.length === 0 ? allOrigins : ["lower", "layers"],
		...(variant.subjects === undefined ? {} : { subjects: variant.subjects }),
		getsLong: name === "default",
		async prepare(cells, lower) {
			return await inNewTree(async (tree) => {
				const layers = makeLayers(tree, cells, lower, variant);
				const { upper, work, ...others } = layers;
				const { delay } = variant;
				const lowers = layers.lower.map((path, index) =>
					delay === undefined ? path : slowLayer(path, tree.join(`late${index}`), delay),
				);
				const request = {
					...(hasNoUpper ? others : layers),
					lower: lowers,
					options,
					environment,
					isShared: true,
				};
				const overlay = new Overlay(tree, layers, await mountOverlay(request), hasNoUpper);
				return { path: overlay.path, overlay, [Symbol.asyncDispose]: () => overlay[Symbol.asyncDispose]() };
			});
		},
	};
}

const yardsticks = [
	plainDirectory(),
	...(["tmpfs", "xfs", "btrfs"] as const).map(plainDirectory),
	kernelOverlayfs,
];

function variantsTried(): readonly VariantName[] {
	// With either of them the kernel is asked for what the other does without.
	if (declined.length > 0) return ["default", "passthrough=off"];
	return [...Object.keys(variants), ...Object.keys(olderKernels)] as VariantName[];
}

/** What ordinary users get; the other variants, and the long statements, are tried as root. */
const rootless = [
	plainDirectory(),
	...(lacks("kernel overlayfs") ? [] : [kernelOverlayfs]),
	...(["default", ".wh. whiteouts"] as const).map(mounted).map((target) => ({ ...target, getsLong: false })),
];

/** What kernels and libraries differ in shows where content lies below; what a server refuses, in a plain directory there. */
const inShort = [
	...(layersOn === undefined ? [] : [plainDirectory()]),
	...(lacks("kernel overlayfs") ? [] : [kernelOverlayfs]),
	...(["default", "passthrough=off"] as const).map(mounted),
].map((target): Target => ({ ...target, origins: ["lower", "layers"], getsLong: false }));

function chosenTargets(): readonly Target[] {
	if (isInShort) return inShort;
	if (setting !== "root") return rootless;
	const variants = isKernel ? [] : variantsTried().map(mounted);
	return declined.length > 0 ? variants : [...yardsticks, ...variants];
}

export const targets = chosenTargets();
