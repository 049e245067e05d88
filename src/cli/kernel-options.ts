/**
 * The mount options that are not ours: how those given one after the other combine, and which of them a
 * libfuse session takes.
 *
 * `fuse_session_new` fails on any option it does not know, and what it knows differs: `atime` is gone since
 * 3.15, `nodiratime` came with it, and `diratime`, `splice_*`, `kernel_cache` and `max_write` were never
 * among them (libfuse lib/mount.c: `fuse_mount_opts`, lib/fuse_lowlevel.c: `fuse_ll_opts`).
 */
import type { ByteString, KernelOption, MountOptions } from "../options.ts";

/** Every kernel option; true: known to `fuse_session_new` of libfuse 3.10 to 3.18. */
const kernelOptions: Readonly<Record<KernelOption, boolean>> = {
	allow_root: true,
	allow_other: true,
	default_permissions: true,
	suid: true,
	nosuid: true,
	dev: true,
	nodev: true,
	exec: true,
	noexec: true,
	// Leaving it out says the same: libfuse mounts with access times unless told `noatime`.
	atime: false,
	noatime: true,
	diratime: false,
	nodiratime: false,
	splice_write: false,
	splice_read: false,
	splice_move: false,
	kernel_cache: false,
};

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
	return Object.hasOwn(kernelOptions, name);
}

/** The options with one more at their end: it replaces an equal or opposite one. */
export function addKernelOption(options: readonly KernelOption[], option: KernelOption): KernelOption[] {
	const opposite = oppositeOf.get(option);
	return [...options.filter((given) => given !== option && given !== opposite), option];
}

/**
 * The options to create a session with: all of them known to libfuse 3.10 to 3.18, in the kernel's spelling
 * and not yet escaped (see {@link sessionArgument}).
 *
 * A mount without upper layer is read-only to the kernel too, as an overlayfs of its own. `subtype` makes
 * the mount table say `fuse.fuse-overlayfs`, as the C program does. `context` false leaves the SELinux
 * context out: a kernel without SELinux, one in a user namespace and fusermount3 refuse it.
 */
export function sessionOptions(
	options: Pick<MountOptions, "kernelOptions" | "readOnly" | "upperDirectory" | "context">,
	{ context }: { readonly context: boolean },
): ByteString[] {
	const result: string[] = options.kernelOptions.filter((option) => kernelOptions[option]);
	if (options.readOnly || options.upperDirectory === undefined) result.push("ro");
	// The quotes are the kernel's: a context may hold commas.
	if (context && options.context !== undefined) result.push(`context="${options.context}"`);
	result.push("subtype=fuse-overlayfs");
	return result as ByteString[];
}

/** Session options as the one value of `-o` that libfuse splits again. */
export function sessionArgument(options: readonly ByteString[]): ByteString {
	return options.map((option) => option.replace(/[\\,]/g, "\\$&")).join(",") as ByteString;
}
