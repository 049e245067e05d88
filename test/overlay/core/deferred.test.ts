/** Operations that wait for a job: nothing is half done, and what waited goes on. */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { Deferred } from "../../../src/overlay/deferred.ts";
import { type Jobs, perform, type Task } from "../../../src/overlay/job.ts";
import type { NodeId } from "../../../src/overlay/node.ts";
import { file } from "../../harness/layers.ts";
import { type CoreSettings, errnoOf, openCore } from "./core.ts";

/** Jobs that are done when the test says so. */
class LateJobs implements Jobs {
	readonly tasks: { readonly task: Task; readonly done: (result: number) => void }[] = [];

	run(task: Task, done: (result: number) => void): void {
		this.tasks.push({ task, done });
	}

	/** Does the oldest, or has it fail with a negative errno. */
	finish(failure = 0): void {
		const { task, done } = this.tasks.shift()!;
		done(failure === 0 ? perform(task) : failure);
	}
}

/** The node that `action` must wait for; undefined: it is done. */
function waitsFor(action: () => unknown): NodeId | undefined {
	try {
		action();
	} catch (error) {
		if (error instanceof Deferred) return error.node;
		throw error;
	}
	return undefined;
}

const large = Buffer.alloc((1 << 20) + 1, "x");

function openLate(settings: CoreSettings = {}) {
	const jobs = new LateJobs();
	const core = openCore([{ "d/large": file(large, { mode: 0o640 }), small: "small" }], { jobs, ...settings });
	const idle: NodeId[] = [];
	core.overlay.onIdle = (node) => idle.push(node);
	return { core, jobs, idle };
}

describe("a large copy-up", () => {
	test("is waited for, and then the operation goes on", () => {
		const { core, jobs, idle } = openLate();
		using _ = core;
		const node = core.node("d/large");
		expect(waitsFor(() => core.writeTo(node, "X"))).toBe(node);
		expect([jobs.tasks.length, core.upperNames("d"), idle]).toEqual([1, [], []]);
		jobs.finish();
		expect([core.upperNames("d"), idle]).toEqual([["large"], [node]]);
		expect(waitsFor(() => core.writeTo(node, "X"))).toBeUndefined();
		expect(readFileSync(core.inUpper("d/large"), "latin1")).toBe(`X${large.toString("latin1", 1)}`);
	});

	test("has every other change of the file wait, and no other file", () => {
		const { core, jobs } = openLate();
		using _ = core;
		const node = core.node("d/large");
		expect(waitsFor(() => core.change("d/large", { mode: 0o600 }))).toBe(node);
		for (const action of [
			() => core.writeTo(node, "X"),
			() => core.change("d/large", { size: 0 }),
			() => core.setxattr("d/large", "user.x", "y"),
			() => core.unlink("d/large"),
			() => core.rename("d/large", "moved"),
			() => core.rename("small", "d/large"),
			() => core.link("d/large", "linked"),
		]) {
			expect(waitsFor(action)).toBe(node);
		}
		expect(jobs.tasks.length).toBe(1);
		expect([core.read("d/large").length, core.stat("d/large").mode]).toEqual([large.length, 0o640]);
		core.write("small", "S");
		core.create("d/new", "new");
		core.unlink("d/new");
		expect(core.read("small")).toBe("Small");
		jobs.finish();
		core.unlink("d/large");
		expect([core.names("d"), core.isWhiteout("d/large")]).toEqual([[], true]);
	});

	test.each([
		["the error of the copy", -28, "ENOSPC"],
		["an error of the disk", -5, "EIO"],
	])("that fails: %s is the answer, once, and nothing is left", (_title, failure, code) => {
		const { core, jobs, idle } = openLate();
		using _ = core;
		const node = core.node("d/large");
		expect(waitsFor(() => core.writeTo(node, "X"))).toBe(node);
		jobs.finish(failure);
		expect([idle, core.litter(), core.upperNames("d")]).toEqual([[node], [], []]);
		expect(errnoOf(() => core.writeTo(node, "X"))).toBe(code);
		expect(waitsFor(() => core.writeTo(node, "X"))).toBe(node);
		jobs.finish();
		core.writeTo(node, "X");
		expect(core.readFrom(node).slice(0, 2)).toBe("Xx");
	});

	test("of a node that is forgotten meanwhile ends all the same", () => {
		const { core, jobs } = openLate();
		using _ = core;
		const node = core.node("d/large");
		expect(waitsFor(() => core.writeTo(node, "X"))).toBe(node);
		core.forgetAll();
		expect(core.overlay.nodes.has(node) || core.overlay.nodes.count > 1).toBeTrue();
		jobs.finish();
		expect([core.overlay.nodes.count, core.upperNames("d"), core.litter()]).toEqual([1, ["large"], []]);
		expect(core.read("d/large").length).toBe(large.length);
	});

	test("of an unlinked file", () => {
		const { core, jobs } = openLate();
		using _ = core;
		const node = core.node("d/large");
		core.unlink("d/large");
		expect(waitsFor(() => core.writeTo(node, "X"))).toBe(node);
		jobs.finish();
		core.writeTo(node, "X");
		expect([core.readFrom(node).slice(0, 2), core.names("d"), core.litter()]).toEqual(["Xx", [], []]);
	});

	test("works with no descriptor kept", () => {
		const { core, jobs } = openLate({ options: { largestDescriptors: 0, largestListings: 0 } });
		using _ = core;
		const node = core.node("d/large");
		expect(waitsFor(() => core.writeTo(node, "X"))).toBe(node);
		core.read("small");
		core.names("d");
		jobs.finish();
		core.writeTo(node, "X");
		expect(core.readFrom(node).slice(0, 2)).toBe("Xx");
	});
});

describe("with fsync", () => {
	test("small copies are made at once", () => {
		const { core, jobs } = openLate({ options: { fsync: true } });
		using _ = core;
		core.writeTo(core.node("small"), "S");
		expect(jobs.tasks).toEqual([]);
		expect(core.read("small")).toBe("Small");
	});

	test("small copies are waited for too where the disk is slow", () => {
		const { core, jobs } = openLate({ options: { fsync: true } });
		using _ = core;
		core.overlay.diskPace.isSlow();
		const node = core.node("small");
		expect(waitsFor(() => core.writeTo(node, "S"))).toBe(node);
		expect(jobs.tasks.map(({ task }) => task)).toMatchObject([
			{ kind: "copy", length: 5, durability: "synced" },
		]);
		expect(core.upperNames()).toEqual([]);
		jobs.finish();
		core.writeTo(node, "S");
		expect(core.read("small")).toBe("Small");
	});

	test("done at once, everything is as without", () => {
		using core = openCore([{ "d/f": "f", "d/g": large }], { options: { fsync: true } });
		core.write("d/f", "F");
		core.write("d/g", "G");
		core.rename("d/f", "d/h");
		expect([core.read("d/h"), core.read("d/g").slice(0, 2), core.names("d")]).toEqual([
			"F",
			"Gx",
			["g", "h"],
		]);
	});
});
