/** How much a daemon had to do. */

import { until } from "./mount.ts";
import type { Overlay } from "./overlay.ts";

/** Requests of the kernel that the daemon has served, as it tells at SIGUSR1. */
export async function requestsServed({ mount }: Overlay): Promise<number> {
	const counts = () => [...mount.log.matchAll(/^.*# REQUESTS: (\d+)$/gm)].map(([, count]) => Number(count));
	const before = counts().length;
	for (const pid of mount.daemons) process.kill(pid, "SIGUSR1");
	await until(() => counts().length > before, "SIGUSR1 is not answered");
	return counts().at(-1) ?? 0;
}
