/**
 * `bun run soak`: a mount under a mixed load by eight processes for as long as is asked, and what its daemon then holds.
 *
 * --minutes N   how long (default: 60)
 * --seconds N   the length of a round, after which the kernel forgets and is measured (default: 60)
 * -o OPTIONS    of the mount (default: none)
 */

import { parseArgs } from "node:util";
import { soak } from "./soak.ts";

const { values } = parseArgs({
	args: Bun.argv.slice(2),
	options: {
		minutes: { type: "string", default: "60" },
		seconds: { type: "string", default: "60" },
		option: { type: "string", short: "o", multiple: true, default: [] },
	},
});
const seconds = Number(values.seconds);
let total = 0;
const wrong = await soak({
	rounds: Math.ceil((Number(values.minutes) * 60) / seconds),
	seconds,
	options: values.option,
	onRound(round, held, actions) {
		total += actions;
		const { nodes, descriptors, workers, memory } = held;
		console.log(
			`round ${round}: ${actions} actions; ${nodes} nodes, ${descriptors} descriptors, ${workers} Workers, ${memory} MiB`,
		);
	},
});
console.log(`${total} actions in ${values.minutes} minutes`);
console.log(wrong.length === 0 ? "it ends where it began" : wrong.join("\n"));
process.exitCode = wrong.length === 0 ? 0 : 1;
