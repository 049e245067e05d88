/**
 * The conformance table: every statement, from every origin, on every target. A cell that is left out is a skipped
 * test with the reason in its name. Each mount is made once and shared by its cells; after them it must show the
 * same when mounted anew, and in kernel overlayfs.
 */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { differences, snapshot } from "../harness/snapshot.ts";
import { watchdog } from "../harness/watchdog-client.ts";
import { statementsLeftOut, whyLeftOut, whyRefused } from "./left-out.ts";
import { type Cell, cellsOf, placeAt } from "./statement.ts";
import { subjects } from "./subjects.ts";
import { LowerLayers, type Site, type Target, targets } from "./targets.ts";

const cells = cellsOf(subjects);
const isPossible = (cell: Cell) => whyRefused(cell) === undefined;
let lower: LowerLayers;

function cellsFor(target: Target): Cell[] {
	return cells.filter(({ statement, origin, subject }) => {
		if (!target.origins.includes(origin)) return false;
		if (target.subjects?.includes(subject) === false) return false;
		return !statement.isLong || (target.getsLong && origin === "lower");
	});
}

beforeAll(() => {
	const tried = new Set(targets.flatMap(cellsFor));
	lower = new LowerLayers([...tried].filter(isPossible));
});
afterAll(() => lower[Symbol.dispose]());

async function holds(cell: Cell, path: string): Promise<void> {
	// Statements do not let the event loop turn, which would tell it.
	watchdog.tell("alive");
	await cell.statement.check(placeAt(path));
}

/** In a read-only mount a statement that changes something must meet EROFS, and the tree stay as it is. */
async function isRefused(cell: Cell, path: string): Promise<void> {
	const before = snapshot(path);
	let outcome = "it succeeded";
	try {
		await cell.statement.check(placeAt(path));
	} catch (error) {
		outcome = String(error);
	}
	expect(outcome).toMatch(/EROFS|Read-only file system/);
	expect(differences(before, snapshot(path))).toEqual([]);
}

function tryOn(target: Target, tried: readonly Cell[]): void {
	let site: Site | undefined;
	beforeAll(async () => {
		site = await target.prepare(tried.filter(isPossible), lower);
	});
	afterAll(() => site?.[Symbol.asyncDispose]());

	for (const cell of tried) {
		const why = whyRefused(cell) ?? whyLeftOut(cell, target.traits);
		const check = target.isReadOnly && cell.statement.changes ? isRefused : holds;
		if (why !== undefined) test.skip(`${cell.title}: left out: ${why}`, () => {});
		else test(cell.title, () => check(cell, `${site?.path}/${cell.name}`));
	}
	if (!target.traits.includes("program")) return;

	if (!target.isReadOnly) {
		test("what was only looked at was not copied up", () => {
			const looked = tried.filter(({ origin, statement }) => origin === "lower" && !statement.changes);
			const copied = new Set(readdirSync(site?.overlay?.layers.upper ?? ""));
			expect(looked.map(({ name }) => name).filter((name) => copied.has(name))).toEqual([]);
		});
	}
	const peer = target.isForeignToKernel ? "" : ", and in kernel overlayfs";
	test(`all of it is the same after a remount${peer}`, async () => {
		// The lower layers hold the cells of other targets, too.
		const leaveOut = cells
			.filter((cell) => cell.statement.isLong || !tried.includes(cell))
			.map(({ name }) => name);
		await site?.overlay?.expectLasting({ kernel: !target.isForeignToKernel, debian: false, leaveOut });
	});
}

for (const target of targets) describe(target.name, () => tryOn(target, cellsFor(target)));

test("only statements of the table are left out of it", () => {
	const known = new Set([...Object.keys(subjects), ...cells.map(({ key }) => key)]);
	expect(statementsLeftOut.filter((key) => !known.has(key))).toEqual([]);
});
