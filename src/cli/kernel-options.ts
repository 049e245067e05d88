/** The mount options that are not ours: which there are, and how those given one after the other combine. */
import type { KernelOption } from "../options.ts";

export const kernelOptions: readonly KernelOption[] = [
	"allow_root",
	"allow_other",
	"default_permissions",
	"suid",
	"nosuid",
	"dev",
	"nodev",
	"exec",
	"noexec",
	"atime",
	"noatime",
	"diratime",
	"nodiratime",
	"splice_write",
	"splice_read",
	"splice_move",
	"kernel_cache",
];

/** `allow_root` and `allow_other` are no pair: together, as in libfuse, they let in root and the owner. */
const opposites: readonly (readonly [KernelOption, KernelOption])[] = [
	["suid", "nosuid"],
	["dev", "nodev"],
	["exec", "noexec"],
	["atime", "noatime"],
	["diratime", "nodiratime"],
];

const oppositeOf: ReadonlyMap<KernelOption, KernelOption> = new Map(
	opposites.flatMap(([yes, no]) => [
		[yes, no],
		[no, yes],
	]),
);

/** What stands in front of the user's options, as in C and Rust. */
export function defaultKernelOptions(root: boolean): readonly KernelOption[] {
	return root
		? ["default_permissions", "allow_other", "suid", "noatime"]
		: ["default_permissions", "noatime"];
}

export function isKernelOption(name: string): name is KernelOption {
	return (kernelOptions as readonly string[]).includes(name);
}

/** The options with one more at their end: it replaces an equal or opposite one. */
export function addKernelOption(options: readonly KernelOption[], option: KernelOption): KernelOption[] {
	const opposite = oppositeOf.get(option);
	return [...options.filter((given) => given !== option && given !== opposite), option];
}
