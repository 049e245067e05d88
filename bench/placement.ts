/** On which processors callers and daemons run. Held by client.c, which starts both; see processes.c. */

import { availableParallelism } from "node:os";

/** What is said of each. */
export const placements = {
	free: "on any processor",
	together: "caller and daemon on one processor, each of the others busy with another process",
	apart: "the caller on one processor, the daemon begins on another",
} as const;

export type Placement = keyof typeof placements;

/** The value of `--placement`; throws an Error that says what is wrong. */
export function parsePlacement(text: string): Placement {
	if (!Object.hasOwn(placements, text))
		throw new Error(`--placement takes ${Object.keys(placements).join(", ")}, not ${text}`);
	if (text === "apart" && availableParallelism() < 2)
		throw new Error("--placement apart needs two processors");
	return text as Placement;
}
