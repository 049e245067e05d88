/**
 * The program, which ends itself, as by a kill, between two steps of what a successor goes by: changes of the node table, the
 * journal and the openings. At which one the file DYING_PLAN says, once it is there: steps are counted from then on. It goes
 * when that has happened.
 */

import { existsSync, readFileSync, unlinkSync } from "node:fs";
import { Openings } from "../../src/fuse/openings.ts";
import { Journal } from "../../src/overlay/nodes/journal.ts";
import { NodeTable } from "../../src/overlay/nodes/node.ts";
import { RemovedDirectories } from "../../src/overlay/nodes/removed-directories.ts";
import { State } from "../../src/overlay/nodes/state.ts";

const plan = process.env.DYING_PLAN!;
let steps = 0;

function step(): void {
	try {
		if (!existsSync(plan)) return;
		steps++;
		if (steps !== Number(readFileSync(plan, "utf8"))) return;
		unlinkSync(plan);
	} catch {
		// It was taken away meanwhile.
		return;
	}
	process.kill(process.pid, "SIGKILL");
}

type Method = (this: unknown, ...args: unknown[]) => unknown;

function stepThrough(prototype: object, names: readonly string[]): void {
	const methods = prototype as Record<string, Method>;
	for (const name of names) {
		const method = methods[name]!;
		methods[name] = function (...args) {
			step();
			const result = method.apply(this, args);
			step();
			return result;
		};
	}
}

const changes = ["add", "attach", "detach", "retire", "reference", "forget", "setLayer", "setInode", "renew"];
stepThrough(NodeTable.prototype, changes);
stepThrough(Journal.prototype, ["begin", "end", "noteDone"]);
stepThrough(Openings.prototype, ["note", "noteOpened"]);
stepThrough(RemovedDirectories.prototype, ["note", "forget"]);
stepThrough(State.prototype, ["beginReferring", "beginForgetting"]);
await import("../../src/main.ts");
