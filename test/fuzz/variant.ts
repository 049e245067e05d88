/** How a seed's run differs from others: options of the mount, and where its layers lie. */

export interface Variant {
	readonly title: string;
	readonly options: readonly string[];
	readonly fileWhiteouts?: boolean;
	/** Each lower layer on a file system of its own. */
	readonly severalDevices?: boolean;
	/** The topmost described layer is the upper one. */
	readonly filledUpper?: boolean;
	/** The daemon's hard limit on open files. */
	readonly openFiles?: number;
}

const variants: readonly Variant[] = [
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
];

export function variantOf(seed: number): Variant {
	return variants[seed % variants.length]!;
}

/** Whether the kernel reads and writes the real files by itself. */
export function passesThrough({ options }: Variant): boolean {
	return !options.some((option) => option.includes("passthrough=off"));
}

/** Whether the kernel gathers all writes. With passthrough it does not, of files that it cannot pass through either. */
export function gathersWrites(variant: Variant): boolean {
	return !passesThrough(variant) && !variant.options.some((option) => option.includes("writeback=0"));
}
