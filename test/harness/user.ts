/** What tests of users other than root need. */

import { chmodSync } from "node:fs";
import type { TemporaryTree } from "./layers.ts";
import { mknod } from "./native.ts";

/**
 * A /dev/fuse that every user may open, to be bind-mounted over the machine's own in a mount namespace: Debian
 * opens it to all, bare virtual machines and containers often do not.
 */
export function usableFuseDevice(tree: TemporaryTree): string {
	const path = tree.join("fuse-device");
	mknod(path, 0o020666, 10, 229);
	chmodSync(path, 0o666);
	return path;
}
