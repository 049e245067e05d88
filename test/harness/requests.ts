/** What a daemon tells of itself. */

import { type OverlayMount, until } from "./mount.ts";
import type { Overlay } from "./overlay.ts";

/** Requests of the kernel that the daemon has served, as it tells at SIGUSR1. */
export function requestsServed({ mount }: Overlay): Promise<number> {
	return statistic(mount, "REQUESTS");
}

/** Nodes that the kernel can name, the root included, as the daemon tells at SIGUSR1. */
export function countNodes({ mount }: { readonly mount: OverlayMount }): Promise<number> {
	return statistic(mount, "NODES");
}

async function statistic(mount: OverlayMount, name: string): Promise<number> {
	// What stands after it is logged last.
	const line = new RegExp(`# ${name}: (\\d+)\n(?:.*\n)*?.*# RESIDENT`, "g");
	const counts = () => [...mount.log.matchAll(line)].map(([, count]) => Number(count));
	const before = counts().length;
	for (const pid of mount.daemons) process.kill(pid, "SIGUSR1");
	await until(() => counts().length > before, "SIGUSR1 is not answered");
	return counts().at(-1) ?? 0;
}
