/**
 * What libfuse is told to mount with.
 *
 * `fuse_session_new` fails on any option it does not know, and what it knows differs: `atime` is gone since
 * 3.15, `nodiratime` came with it, and `diratime`, `splice_*`, `kernel_cache` and `max_write` were never
 * among them (libfuse lib/mount.c: `fuse_mount_opts`, lib/fuse_lowlevel.c: `fuse_ll_opts`).
 */
import type { ByteString, KernelOption, MountOptions } from "../options.ts";

/** Every kernel option; true: known to `fuse_session_new` of libfuse 3.10 to 3.18. */
const knownToLibfuse: Readonly<Record<KernelOption, boolean>> = {
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
	const given: string[] = options.kernelOptions.filter((option) => knownToLibfuse[option]);
	// Requests are answered whoever asks: that the kernel checks permissions is no matter of choice.
	const result = given.includes("default_permissions") ? given : ["default_permissions", ...given];
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
