/** How a seed's run differs from others: options of the mount, and where its layers lie. */

import { setting } from "../harness/setting.ts";
import type { Delay } from "../harness/slow-layer.ts";

export interface Variant {
	readonly title: string;
	readonly options: readonly string[];
	/** What of the kernel's the mount does without, as if the kernel were older. */
	readonly declined?: string;
	readonly fileWhiteouts?: boolean;
	/** Each lower layer on a file system of its own. */
	readonly severalDevices?: boolean;
	/** All layers on a tmpfs, whose files may be as large as numbers go. */
	readonly onTmpfs?: boolean;
	/** Objects that their owner may not use, and immense files. */
	readonly oddLayers?: boolean;
	/** A lower directory of so many names. */
	readonly crowd?: number;
	/** The topmost described layer is the upper one. */
	readonly filledUpper?: boolean;
	/** The daemon's hard limit on open files. */
	readonly openFiles?: number;
	/** Lower layers of ours answer late. */
	readonly delay?: Delay;
	/** Both rename directories with lower content, which the kernel does for the machine's root only. */
	readonly redirects?: boolean;
	/** Both leave the data of files that are copied up below, where it is not to change. With `redirects` only. */
	readonly metacopies?: boolean;
	/** Names of a lower file stay one file, which takes the machine's root. */
	readonly indexes?: boolean;
	/** The daemon is killed before each step of so many, and another goes on. */
	readonly killed?: number;
	/** Marks are those of users, although others could be made. */
	readonly usersMarks?: boolean;
}

const redirects = { options: ["redirect_dir=on"], redirects: true };
const metacopies = { options: ["redirect_dir=on,metacopy=on"], redirects: true, metacopies: true };
const all: readonly Variant[] = [
	{ title: "defaults", options: [] },
	{ title: "an upper layer that holds something", options: [], filledUpper: true },
	{ title: "no passthrough", options: ["passthrough=off"] },
	{ title: "no passthrough, nothing cached", options: ["passthrough=off,timeout=0"], filledUpper: true },
	{ title: "no passthrough, no write cache", options: ["passthrough=off,writeback=0"] },
	{ title: "whiteouts as files", options: [], fileWhiteouts: true },
	{ title: "no passthrough, few open files", options: ["passthrough=off"], openFiles: 64, filledUpper: true },
	{ title: "several devices", options: [], severalDevices: true },
	{ title: "nothing cached, few open files", options: ["timeout=0"], openFiles: 64 },
	{
		title: "no passthrough, nothing cached, few open files",
		options: ["passthrough=off,timeout=0,writeback=0"],
		openFiles: 64,
	},
	{ title: "odd layers on a tmpfs", options: [], oddLayers: true, onTmpfs: true },
	{
		title: "no passthrough, odd layers on a tmpfs",
		options: ["passthrough=off"],
		oddLayers: true,
		onTmpfs: true,
		filledUpper: true,
	},
	{ title: "odd layers, 1024 open files", options: [], oddLayers: true, openFiles: 1024 },
	{
		title: "no passthrough, no write cache, odd layers",
		options: ["passthrough=off,writeback=0"],
		oddLayers: true,
		filledUpper: true,
	},
	{ title: "late layers", options: ["passthrough=off"], delay: { milliseconds: "0-2", timeout: 3600 } },
	{
		title: "late layers of which nothing is kept, an upper layer that holds something",
		options: ["passthrough=off,timeout=0"],
		delay: { milliseconds: "0-1", timeout: 0 },
		filledUpper: true,
	},
	{ title: "renamed directories", ...redirects },
	{
		title: "renamed directories, an upper layer that holds something, few open files",
		...redirects,
		openFiles: 64,
		filledUpper: true,
	},
	{
		title: "renamed directories, no passthrough, nothing cached",
		...redirects,
		options: ["redirect_dir=on,passthrough=off,timeout=0"],
		filledUpper: true,
	},
	{ title: "renamed directories, several devices", ...redirects, severalDevices: true },
	{ title: "data left below", ...metacopies },
	{
		title: "data left below, an upper layer that holds something, few open files",
		...metacopies,
		openFiles: 64,
		filledUpper: true,
	},
	{
		title: "data left below, no passthrough",
		...metacopies,
		options: ["redirect_dir=on,metacopy=on,passthrough=off"],
		severalDevices: true,
	},
	{
		title: "data left below, no passthrough, nothing cached",
		...metacopies,
		options: ["redirect_dir=on,metacopy=on,passthrough=off,timeout=0"],
		filledUpper: true,
	},
	{
		title: "late layers, passthrough",
		options: ["passthrough=on"],
		delay: { milliseconds: "0-2", timeout: 3600 },
	},
	{
		title: "late layers, data left below",
		...metacopies,
		options: ["redirect_dir=on,metacopy=on,passthrough=off"],
		delay: { milliseconds: "0-2", timeout: 3600 },
		severalDevices: true,
	},
	{
		title: "late layers of which nothing is kept, data left below, an upper layer that holds something",
		...metacopies,
		options: ["redirect_dir=on,metacopy=on,passthrough=off,timeout=0"],
		delay: { milliseconds: "0-1", timeout: 0 },
		filledUpper: true,
	},
	{ title: "marks of users", options: ["userxattr"], usersMarks: true, filledUpper: true },
	{ title: "marks of users, no passthrough", options: ["userxattr,passthrough=off"], usersMarks: true },
	{ title: "hard links that stay", options: ["index=on"], indexes: true },
	{
		title: "hard links that stay, no passthrough, an upper layer that holds something, few open files",
		options: ["index=on,passthrough=off"],
		indexes: true,
		openFiles: 64,
		filledUpper: true,
	},
	{ title: "killed daemons", options: ["failover=on"], killed: 31 },
	{
		title: "killed daemons, no passthrough, an upper layer that holds something",
		options: ["failover=on,passthrough=off"],
		killed: 29,
		filledUpper: true,
	},
	{
		title: "killed daemons, data left below, few open files",
		...metacopies,
		options: ["redirect_dir=on,metacopy=on,failover=on"],
		killed: 37,
		openFiles: 128,
		filledUpper: true,
	},
	{
		title: "hard links that stay, data left below",
		...metacopies,
		options: ["index=on,redirect_dir=on,metacopy=on"],
		indexes: true,
		filledUpper: true,
	},
];
const variants = all.filter(
	({ redirects, indexes, delay }) => setting === "root" || !(redirects || indexes || delay),
);

export const variantCount = variants.length;

export function variantOf(seed: number): Variant {
	return variants[seed % variants.length]!;
}

/** Whether the kernel reads and writes the real files by itself. */
function passesThrough({ options, declined }: Variant): boolean {
	const isRefused = declined === "FUSE_PASSTHROUGH" || setting !== "root";
	return !isRefused && !options.some((option) => option.includes("passthrough=off"));
}

/** Whether the kernel gathers all writes. With passthrough it does not, of files that it cannot pass through either. */
export function gathersWrites(variant: Variant): boolean {
	const isRefused = variant.declined === "FUSE_WRITEBACK_CACHE";
	const isAgainst = variant.options.some((option) => /\b(writeback|timeout)=0\b/.test(option));
	return !isRefused && !passesThrough(variant) && !isAgainst;
}

/** Whether ACLs are heeded, and so there. */
export function hasAcls({ declined }: Variant): boolean {
	return declined !== "FUSE_POSIX_ACL";
}
