/** What starting takes at least in a program of two stages that Bun compiled: two that do nothing. */

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { START_FLOOR } from "../result.ts";
import type { DirectWorkload, Place } from "./workload.ts";

async function buildEmptyProgram(place: Place): Promise<string> {
	const [source, program] = ["empty.ts", "empty"].map((name) => join(place.directory, name)) as [
		string,
		string,
	];
	writeFileSync(source, "");
	const options = ["--compile", "--minify", "--bytecode", "--format=esm"];
	await place.execute([process.execPath, "build", ...options, `--outfile=${program}`, source]);
	return program;
}

export const startFloor: DirectWorkload = {
	name: START_FLOOR,
	group: "baseline",
	what: "two empty programs compiled by Bun, one after the other",
	operations: () => 1,
	suits: ({ name }) => name === "ours",
	async measure(place) {
		const program = await place.keep(START_FLOOR, () => buildEmptyProgram(place));
		return place.client.run(["turns", "2", "run", "/", program], { watched: "all" });
	},
};
