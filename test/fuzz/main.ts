/**
 * `bun run fuzz`: random steps on our mount and on kernel overlayfs until they differ.
 *
 * --as S      who mounts: "root" (default), "fusermount" (an ordinary user), "id ranges" or "one id" (root of a user
 *             namespace of an ordinary user)
 * --seed N    the first seed (default: one from the clock)
 * --seeds N   how many seeds (default: 1)
 * --steps N   steps of each seed (default: 500)
 * --crowd N   names in a lower directory and in each one that is made to hold many
 * --decline F do without that flag of INIT, as on an older kernel; "each": in turn, another one with each seed
 * --replay F  run the script in the file F instead, and make it small if it fails, or run those in the directory F that are
 *             of this setting
 * --keep D    write the script of each failure to the directory D
 * --no-shrink leave failing scripts as they are
 * --go-on     go on with the next seed after a failure
 */

import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { setting } from "../harness/setting.ts";
import { declinable } from "../init/declinable.ts";
import { Actors } from "./actors.ts";
import { type Report, runScript, runSeed, type Script } from "./run.ts";
import { runAs } from "./setting.ts";
import { shrink } from "./shrink.ts";
import type { Variant } from "./variant.ts";

const { values } = parseArgs({
	args: Bun.argv.slice(2),
	options: {
		as: { type: "string", default: setting },
		seed: { type: "string", default: String((Date.now() % 1_000_000_000) + 1) },
		seeds: { type: "string", default: "1" },
		steps: { type: "string", default: "500" },
		crowd: { type: "string" },
		decline: { type: "string" },
		replay: { type: "string" },
		keep: { type: "string" },
		"no-shrink": { type: "boolean", default: false },
		"go-on": { type: "boolean", default: false },
	},
});

const say = (text: string) => console.log(text);

function tellFailure({ script, failure }: Report): void {
	say(
		`seed ${script.seed} (${script.variant.title}, without ${script.variant.declined ?? "nothing"}): ${failure?.kind}`,
	);
	say(JSON.stringify(failure?.details, null, 1));
}

function keep(report: Report): void {
	const text = JSON.stringify(report.script);
	if (values.keep === undefined) {
		say(text);
		return;
	}
	mkdirSync(values.keep, { recursive: true });
	const path = join(values.keep, `${report.script.seed}.json`);
	writeFileSync(path, `${text}\n`);
	say(`kept in ${path}`);
}

/** What is left of a failing script, step by step, unless it is to stay as it is. */
async function makeSmall(actors: Actors, report: Report): Promise<Report> {
	if (values["no-shrink"]) return report;
	const small = await shrink(actors, report, (text) => console.error(text));
	tellFailure(small);
	if (small.script.steps.length < 50) for (const step of small.script.steps) say(JSON.stringify(step));
	return small;
}

async function replay(actors: Actors, path: string): Promise<boolean> {
	const isDirectory = statSync(path).isDirectory();
	const files = isDirectory ? readdirSync(path).map((name) => join(path, name)) : [path];
	let wentWell = true;
	for (const file of files) {
		const script: Script = JSON.parse(readFileSync(file, "utf8"));
		if (script.setting !== setting && isDirectory) continue;
		const report = await runScript(actors, script);
		if (report.failure === undefined) continue;
		say(file);
		tellFailure(report);
		if (!isDirectory && !values["no-shrink"]) keep(await makeSmall(actors, report));
		wentWell = false;
	}
	return wentWell;
}

/** What this run changes of a seed's variant. */
function changes(seed: number): Partial<Variant> {
	const { crowd, decline } = values;
	const declined = decline === "each" ? declinable[seed % declinable.length] : decline;
	return {
		...(crowd === undefined ? {} : { crowd: Number(crowd) }),
		...(declined === undefined ? {} : { declined }),
	};
}

async function fuzz(actors: Actors): Promise<boolean> {
	const first = Number(values.seed);
	const seeds = Number(values.seeds);
	const explained = new Map<string, number>();
	let done = 0;
	let failures = 0;
	const start = Date.now();
	for (let seed = first; seed < first + seeds; seed++) {
		const report = await runSeed(actors, seed, Number(values.steps), changes(seed));
		done += report.script.steps.length;
		for (const [reason, count] of report.explained)
			explained.set(reason, (explained.get(reason) ?? 0) + count);
		const seconds = Math.round((Date.now() - start) / 1000);
		if (seed % 50 === 0) say(`seed ${seed}: ${done} steps, ${failures} failures, ${seconds} s`);
		if (report.failure === undefined) continue;
		failures++;
		tellFailure(report);
		keep(await makeSmall(actors, report));
		if (!values["go-on"]) break;
	}
	for (const [reason, count] of explained) say(`${count} times: ${reason}`);
	say(
		`seeds from ${first}: ${done} steps, ${failures} failures, ${Math.round((Date.now() - start) / 1000)} s`,
	);
	return failures === 0;
}

async function main(): Promise<boolean> {
	if (values.as !== setting) return runAs(values.as, Bun.argv.slice(2));
	await using actors = new Actors();
	return values.replay === undefined ? await fuzz(actors) : await replay(actors, values.replay);
}
process.exit((await main()) ? 0 : 1);
