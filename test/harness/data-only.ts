/** Data-only layers: files with names and without data, and layers that have their data. */

import { readFileSync } from "node:fs";
import { release } from "node:os";
import { type Description, file, sparseFile, symlink, type TemporaryTree } from "./layers.ts";
import { follow, hollow } from "./metacopies.ts";
import { type MountRequest, mountKernelOverlay } from "./mount.ts";
import { codeOf } from "./native.ts";
import { overlayAttributes } from "./setting.ts";

export const large = Buffer.alloc(3 << 20, "large ");

/** What data-only layers hold: by their place, not by the names they are shown under. */
export const stores: readonly Description[] = [
	{ "12/first": "12345", "ab/large": file(large), secret: "secret", "ab/empty": "" },
	{
		"12/first": "wrong",
		"34/second": file("54321", { mode: 0o600 }),
		"ab/sparse": sparseFile(1 << 20, { 500000: "x" }),
	},
];

export const names: Description = {
	"etc/one": hollow(5, "/12/first"),
	"etc/two": hollow(5, "/34/second"),
	"etc/again": hollow(5, "/12/first"),
	large: hollow(large.length, "/ab/large"),
	sparse: hollow(1 << 20, "/ab/sparse"),
	plain: "plain",
	link: symlink("etc/one"),
};

export interface StoreSettings {
	readonly lowers?: readonly Description[];
	readonly dataOnly?: readonly Description[];
	readonly upper?: Description;
}

/** Layers with data-only ones. */
export function makeLayers(tree: TemporaryTree, settings: StoreSettings = {}) {
	const { lowers = [names], dataOnly = stores, upper } = settings;
	return {
		...tree.layers(lowers, upper),
		dataOnly: dataOnly.map((store, index) => tree.layer(`store${index + 1}`, store)),
		options: follow,
	};
}

/** Whether the kernel is of that version or newer. */
export function kernelHas([wantedMajor, wantedMinor]: readonly [number, number]): boolean {
	const [major = 0, minor = 0] = release().split(".").map(Number);
	return major > wantedMajor || (major === wantedMajor && minor >= wantedMinor);
}

/** Kernel overlayfs has data-only layers, in a user namespace those of users' marks. */
export const kernelHasStores = kernelHas(overlayAttributes === "user" ? [6, 16] : [6, 5]);

/** Mounts kernel overlayfs for as long as `use` takes. */
export function inKernel<Result>(layers: MountRequest, use: () => Result, ...options: string[]): Result {
	const asked = overlayAttributes === "user" ? [] : ["metacopy=on", "redirect_dir=on"];
	using _ = mountKernelOverlay(layers, ...asked, ...options);
	return use();
}

/** What a file is to whoever asks for it: an error's code, or its content. */
export function shown(path: string): string {
	let content = "";
	const code = codeOf(() => {
		content = readFileSync(path, "utf8");
	});
	return code ?? content;
}

/** Lines of a log that tell of files which are refused. */
export function refusalsIn(log: string): string[] {
	return log.split("\n").filter((line) => line.includes("refused /"));
}
