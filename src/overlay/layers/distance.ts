/** Lower layers that may not answer for long: nobody is to wait for one who does not ask it. */

import { isDistant, keepAtDistance, LARGEST_QUEUE } from "../../native/libc/distant.ts";
import type { Layer } from "./layer.ts";

/** From now on the layers' calls are made by others, and those on one file system may keep each other waiting. */
export function keepDistance(lowers: readonly Layer[]): void {
	const devices: string[] = [];
	for (const { device, root } of lowers.filter((layer) => layer.isDistant)) {
		if (!devices.includes(device)) devices.push(device);
		keepAtDistance(root, Math.min(devices.indexOf(device) + 1, LARGEST_QUEUE));
	}
}

/** Whether one of the layers is kept at a distance. */
export function areDistant(layers: readonly Layer[]): boolean {
	return layers.some(({ root }) => isDistant(root));
}
