/** Memory that outlives the process: an anonymous file, for who has a descriptor of it (memfd_create(2)). */
import { dlopen } from "bun:ffi";
import type { ByteString } from "../../options.ts";
import {
	F_ADD_SEALS,
	F_SEAL_GROW,
	F_SEAL_SEAL,
	F_SEAL_SHRINK,
	MFD_ALLOW_SEALING,
	MFD_CLOEXEC,
} from "../layout.ts";
import { base, store } from "../memory.ts";
import { outcome } from "./errno.ts";
import { close, type Fd, truncate } from "./file.ts";
import { descriptorControl } from "./process.ts";

const libc = dlopen("libc.so.6", {
	memfd_create: { args: ["usize", "u32"], returns: "i32" },
}).symbols;

const NAME = store("fuse-overlayfs" as ByteString);

/** A file of `size` bytes, all of them zero, that nobody can make larger or smaller. Returns -errno where that is refused. */
export function createSharedMemory(size: number): Fd {
	const fd = outcome(libc.memfd_create(base + NAME, MFD_CLOEXEC | MFD_ALLOW_SEALING)) as Fd;
	if (fd < 0) return fd;
	const sized = truncate(fd, size);
	// Whoever maps less than there was would be ended by a signal.
	const sealed =
		sized < 0 ? sized : descriptorControl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
	if (sealed >= 0) return fd;
	close(fd);
	return sealed as Fd;
}
