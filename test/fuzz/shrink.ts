/** Makes a failing script minimal: fewer steps by delta debugging, then fewer objects in its layers. */

import type { Actors } from "./actors.ts";
import { type Report, runScript, type Script } from "./run.ts";
import { layerEntries } from "./world.ts";

/** The smallest script found that fails as `report` did; its report. */
export async function shrink(actors: Actors, report: Report, tell: (text: string) => void): Promise<Report> {
	let best = report;
	const failsWith = async (script: Script): Promise<boolean> => {
		const tried = await runScript(actors, script, report.failure?.whileMounted !== true);
		const same = tried.failure?.kind === report.failure?.kind;
		if (same) best = tried;
		return same;
	};
	if (!(await failsWith(report.script))) {
		tell("it does not fail again, so it stays as long as it is");
		return report;
	}
	await reduce(best.script.steps, (steps) => failsWith({ ...best.script, steps }), tell);
	// What is left out grows while all that remains is tried.
	const entries = layerEntries(report.script.seed, report.script.variant);
	await reduce(
		entries,
		(kept) => failsWith({ ...best.script, dropped: entries.filter((entry) => !kept.includes(entry)) }),
		tell,
	);
	await reduce(best.script.steps, (steps) => failsWith({ ...best.script, steps }), tell);
	return best;
}

/** Leaves out ever smaller parts of `items` as long as `holds` does for what remains (Zeller's ddmin). */
async function reduce<Item>(
	items: readonly Item[],
	holds: (items: readonly Item[]) => Promise<boolean>,
	tell: (text: string) => void,
): Promise<void> {
	let kept = items;
	for (let size = Math.ceil(kept.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
		for (let at = 0; at < kept.length; ) {
			const fewer = [...kept.slice(0, at), ...kept.slice(at + size)];
			if (await holds(fewer)) kept = fewer;
			else at += size;
		}
		tell(`${kept.length} of ${items.length} left`);
	}
}
