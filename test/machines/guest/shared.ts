/** Layers in a directory that the machine's host shares with it. */

import type { Run } from "../../harness/lanes.ts";
import { runOn } from "./mounted.ts";

/** What mounts it; the names are given by qemu.ts. */
const mounts = {
	"9p": "mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144 shared-9p",
	virtiofs: "mount -t virtiofs shared-virtiofs",
} as const;
export type Shared = keyof typeof mounts;

export function isShared(mode: string): mode is Shared {
	return Object.hasOwn(mounts, mode);
}

/** A test file by root, with all layers there. */
export function sharedRun(by: Shared, file: string, program: string): Run {
	return runOn(by, mounts[by], file, program);
}
