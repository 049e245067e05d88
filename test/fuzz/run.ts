/** One run: the steps of a seed, or given ones, on fresh mounts, until a side differs. */

import { type Setting, setting } from "../harness/setting.ts";
import { differences } from "../harness/snapshot.ts";
import { randomNumbers } from "../overlay/random.ts";
import type { Actors, Outcome } from "./actors.ts";
import { explain } from "./explained.ts";
import { identities } from "./identities.ts";
import type { Step } from "./operation.ts";
import { operations } from "./operations.ts";
import { Picker } from "./picker.ts";
import { hasAcls, type Variant, variantOf } from "./variant.ts";
import { type Surroundings, World } from "./world.ts";

/** All that a run depends on. */
export interface Script extends Surroundings {
	readonly setting: Setting;
	readonly steps: readonly Step[];
}

export interface Failure {
	/** The kind of difference: shrinking must not exchange one for another. */
	readonly kind: string;
	/** Seen while both were mounted. */
	readonly whileMounted?: boolean;
	readonly details: unknown;
}

export interface Report {
	/** What was done, ending with the step that differed. */
	readonly script: Script;
	readonly failure: Failure | undefined;
	/** How often each explanation held. */
	readonly explained: ReadonlyMap<string, number>;
}

const weighted = Object.entries(operations).flatMap(([name, { weight }]) =>
	Array.from({ length: weight }, () => name),
);
/** Steps between two looks at all that exists, and between two comparisons of the whole trees. */
const stepsPerLook = 5;
const stepsPerComparison = 50;

type Source = (index: number, world: World) => Step | undefined;

/** Draws steps; what came of them must be told, so that later ones use what is open. */
class Drawn {
	readonly #picker: Picker;
	readonly #slots = identities.map(() => new Map<number, "file" | "directory">());
	readonly #count: number;

	constructor(seed: number, variant: Variant, count: number) {
		this.#picker = new Picker(randomNumbers(seed * 7919 + 1), variant);
		this.#count = count;
	}

	next: Source = (index, world) => {
		if (index >= this.#count) return undefined;
		const pick = this.#picker;
		if (index % stepsPerLook === 0) pick.known = world.paths();
		const actor = pick.number(identities.length);
		pick.slots = this.#slots[actor]!;
		const operation = pick.oneOf(...weighted);
		return { actor, operation, args: operations[operation]!.draw(pick) };
	};

	tell({ actor, operation, args }: Step, outcome: Outcome): void {
		const slots = this.#slots[actor]!;
		const held = "answer" in outcome ? heldIn(outcome.answer) : undefined;
		if (held === "file" || held === "directory") slots.set(args.slot as number, held);
		else if (operation === "close" || held === "nothing") slots.delete(args.slot as number);
	}
}

/** What a step holds open now, as its answer or a part of it says. */
function heldIn(answer: unknown): unknown {
	return typeof answer === "object" && answer !== null && "held" in answer ? answer.held : answer;
}

/** @param count how many steps to draw */
export function runSeed(
	actors: Actors,
	seed: number,
	count: number,
	changes: Partial<Variant> = {},
): Promise<Report> {
	const variant = { ...variantOf(seed), ...changes };
	const drawn = new Drawn(seed, variant, count);
	return run(actors, {
		surroundings: { seed, variant, dropped: [] },
		next: drawn.next,
		tell: (step, outcome) => drawn.tell(step, outcome),
		thenCompare: true,
	});
}

/** @param thenCompare look at what the layers show afterwards, too */
export function runScript(actors: Actors, script: Script, thenCompare = true): Promise<Report> {
	const { seed, variant, dropped, steps } = script;
	return run(actors, {
		surroundings: { seed, variant, dropped },
		next: (index) => steps[index],
		tell: () => {},
		thenCompare,
	});
}

/** What a run does. */
interface Plan {
	readonly surroundings: Surroundings;
	readonly next: Source;
	/** Told what came of a step. */
	tell(step: Step, outcome: Outcome): void;
	readonly thenCompare: boolean;
}

/** A run that could not go on has failed, too. */
async function run(actors: Actors, plan: Plan): Promise<Report> {
	const steps: Step[] = [];
	const explained = new Map<string, number>();
	let failure: Failure | undefined;
	try {
		failure = await attempt(actors, plan, steps, explained);
	} catch (error) {
		const { message, stack } = error as Error;
		failure = { kind: message.split(/[\n;]/)[0] ?? "", details: `${message}\n${stack}` };
	}
	return { script: { setting, ...plan.surroundings, steps }, failure, explained };
}

/** Adds what it does to `steps`, and the reasons of differences to `explained`. */
async function attempt(
	actors: Actors,
	{ surroundings, next, tell, thenCompare }: Plan,
	steps: Step[],
	explained: Map<string, number>,
): Promise<Failure | undefined> {
	await using world = new World(surroundings, actors);
	await world.start();
	const lowers = world.lowers();
	const abilities = { hasNameless: world.hasNameless, hasAcls: hasAcls(surroundings.variant) };
	actors.enter(world.roots, abilities);
	try {
		for (let step = next(0, world); step !== undefined; step = next(steps.length, world)) {
			steps.push(step);
			if (steps.length % (surroundings.variant.killed ?? Number.POSITIVE_INFINITY) === 0) world.killDaemon();
			const [ours, kernels, plain] = actors.perform(step) as [Outcome, Outcome, Outcome];
			tell(step, kernels);
			if (!Bun.deepEquals(ours, kernels)) {
				const explanation = explain({ step, ours, kernels, plain });
				const kind = `${step.operation}: ${wordOf(ours)}, not ${wordOf(kernels)}`;
				if (explanation === undefined) {
					return { kind, whileMounted: true, details: { ours, kernels, plain, log: world.log } };
				}
				explained.set(explanation.reason, (explained.get(explanation.reason) ?? 0) + 1);
				if (explanation.parts) actors.enter(world.roots, abilities);
			}
			if (steps.length % stepsPerComparison !== 0) continue;
			const found = world.compare();
			if (found.length > 0) return { kind: "the trees differ", whileMounted: true, details: found };
			// Lets the sign of life go out.
			await Bun.sleep(0);
		}
		const found = world.compare();
		if (found.length > 0) return { kind: "the trees differ", whileMounted: true, details: found };
	} finally {
		actors.enter([], abilities);
	}
	if (!thenCompare) return undefined;
	for (const [kind, found] of Object.entries(await world.compareAfterwards())) {
		if (found.length > 0) return { kind, details: found };
	}
	const changed = world.lowers().flatMap((lower, index) => differences(lower, lowers[index]!));
	if (changed.length > 0) return { kind: "a lower layer was changed", details: changed };
	// Of a disk without room, which operations ask too much of, it is right to.
	const complaints = world.log
		.split("\n")
		.filter(
			(line) => line !== "" && !line.includes("ENOSPC") && !line.endsWith("another goes on with the mount"),
		);
	if (complaints.length > 0) return { kind: "the daemon complains", details: complaints };
	return undefined;
}

function wordOf(outcome: Outcome): string {
	return "error" in outcome ? outcome.error : "an answer";
}
