/** Operations that wait for a job: nothing is half done, and what waited goes on. */
import { describe, expect, test } from "bun:test";
import { fstatSync, mkdirSync, readFileSync, renameSync } from "node:fs";
import { EIO } from "../../../src/native/layout.ts";
import { fail } from "../../../src/native/libc/errno.ts";
import type { Task } from "../../../src/overlay/jobs/job.ts";
import type { NodeId } from "../../../src/overlay/nodes/node.ts";
import { type Description, file } from "../../harness/layers.ts";
import { type CoreSettings, errnoOf, openCore } from "./core.ts";
import { LateJobs, waitsFor } from "./late-jobs.ts";

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

	test.each(["a copy", "a copy without data"])(
		"that cuts the file is given up where nobody waits for it any more: %s",
		(what) => {
			const leavesData = what !== "a copy";
			const { core, jobs } = openLate({ options: { leavesData, redirects: "on" } });
			using _ = core;
			if (leavesData) core.change("d/large", { mode: 0o600 });
			const [node, less] = [core.node("d/large"), large.length - 1];
			const other = core.create("other", large);
			expect(jobs.tasks).toEqual([]);
			core.overlay.isAwaited = () => false;
			core.overlay.diskPace.isSlow();
			Object.assign(core.overlay.options, { fsync: true });
			for (const size of [5, less]) {
				expect(waitsFor(() => core.change("d/large", { size }))).toBe(node);
				jobs.finish();
				expect([core.stat("d/large").size, core.litter()]).toEqual([large.length, []]);
			}
			core.overlay.isAwaited = () => true;
			while (waitsFor(() => core.change("d/large", { size: 5 })) !== undefined) jobs.finish();
			expect([core.read("d/large"), core.readFrom(other).length]).toEqual(["xxxxx", large.length]);
		},
	);

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

test("data that is copied after the file has removals of its attributes wait: it puts back what writing takes away", () => {
	const { core, jobs } = openLate({ options: { leavesData: true, redirects: "on" } });
	using _ = core;
	core.setxattr("d/large", "user.word", "word");
	const node = core.node("d/large");
	expect([jobs.tasks.length, core.overlay.metacopies.has(node)]).toEqual([0, true]);
	expect(waitsFor(() => core.writeTo(node, "X"))).toBe(node);
	expect(waitsFor(() => core.removexattr("d/large", "user.word"))).toBe(node);
	jobs.finish();
	core.removexattr("d/large", "user.word");
	expect(core.listxattr("d/large")).toEqual([]);
});

describe("with fsync", () => {
	test("small copies are made at once", () => {
		const { core, jobs } = openLate({ options: { fsync: true } });
		using _ = core;
		core.writeTo(core.node("small"), "S");
		expect(jobs.tasks).toEqual([]);
		expect(core.read("small")).toBe("Small");
	});

	test.each(["written", "synced"] as const)(
		"small copies are %s by a task where the disk is slow",
		(durability) => {
			const { core, jobs } = openLate({ options: { fsync: true } });
			using _ = core;
			core.overlay.work!.durability = durability;
			core.overlay.diskPace.isSlow();
			const node = core.node("small");
			expect(waitsFor(() => core.writeTo(node, "S"))).toBe(node);
			expect(jobs.tasks.map(({ task }) => task.kind)).toEqual([
				durability === "synced" ? "dataSync" : "writeBack",
			]);
			expect(core.upperNames()).toEqual([]);
			jobs.finish();
			core.writeTo(node, "S");
			expect(core.read("small")).toBe("Small");
		},
	);

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

describe("small copy-ups beside others, where each is to be synced", () => {
	function openShared() {
		const jobs = new LateJobs();
		jobs.hasOthers = true;
		const attributes = { mode: 0o640, time: 1_000_000_000n };
		const lower = {
			"d/a": file("a", attributes),
			"d/b": "b",
			"d/c": "c",
			"d/large": file(large, attributes),
		};
		const core = openCore([lower], { jobs, options: { fsync: true } });
		core.overlay.work!.durability = "synced";
		return { core, jobs };
	}

	test("wait for the disk together, without a name until then, and end in any order", () => {
		const { core, jobs } = openShared();
		using _ = core;
		const nodes = ["a", "b", "c"].map((name) => core.node(`d/${name}`));
		for (const node of nodes) expect(waitsFor(() => core.writeTo(node, "X"))).toBe(node);
		expect(jobs.tasks.map(({ task }) => task.kind)).toEqual(["dataSync", "dataSync", "dataSync"]);
		expect(core.upperNames("d")).toEqual([]);
		jobs.tasks.reverse();
		jobs.finish();
		expect([core.upperNames("d"), core.read("d/a")]).toEqual([["c"], "a"]);
		jobs.finish();
		jobs.finish();
		for (const node of nodes) expect(waitsFor(() => core.writeTo(node, "X"))).toBeUndefined();
		expect([core.upperNames("d").sort(), core.litter()]).toEqual([["a", "b", "c"], []]);
		expect([core.stat("d/a").mode, core.read("d/a"), core.read("d/c")]).toEqual([0o640, "X", "X"]);
	});

	test.each(["small", "large"])(
		"a %s one is given all that describes it before it is made durable",
		(size) => {
			const { core, jobs } = openShared();
			using _ = core;
			const node = core.node(size === "small" ? "d/a" : "d/large");
			expect(waitsFor(() => core.writeTo(node, "X"))).toBe(node);
			if (size === "large") jobs.finish();
			expect(jobs.tasks.map(({ task }) => task.kind)).toEqual(["dataSync"]);
			const { fd } = jobs.tasks[0]!.task as Extract<Task, { kind: "dataSync" }>;
			expect(fstatSync(fd)).toMatchObject({ mode: 0o100640, uid: process.getuid?.(), mtimeMs: 1000 });
			expect(core.upperNames("d")).toEqual([]);
			jobs.finish();
			expect(core.upperNames("d")).toEqual([size === "small" ? "a" : "large"]);
		},
	);

	test("one that fails is an error to who asked for it, and nothing of it is left", () => {
		const { core, jobs } = openShared();
		using _ = core;
		const [a, b] = [core.node("d/a"), core.node("d/b")];
		for (const node of [a, b]) expect(waitsFor(() => core.writeTo(node, "X"))).toBe(node);
		jobs.finish(-EIO);
		jobs.finish();
		expect(errnoOf(() => core.writeTo(a, "X"))).toBe("EIO");
		expect([core.upperNames("d"), core.litter()]).toEqual([["b"], []]);
	});
});

describe("a directory of more names than are read at once", () => {
	const longName = (index: number) => `${"n".repeat(230)}${index}`;
	const many = Object.fromEntries(Array.from({ length: 1300 }, (_, index) => [longName(index), ""]));
	const inD = Object.fromEntries(Object.keys(many).map((name) => [`d/${name}`, ""]));

	function openMany(lowers: Description[] = [inD, { "d/below": "below", other: "other" }]) {
		const jobs = new LateJobs();
		const core = openCore(lowers, { jobs });
		const idle: NodeId[] = [];
		core.overlay.onIdle = (node) => idle.push(node);
		return { core, jobs, idle };
	}

	test("is read in steps; then the listing goes on, once for all who wait", () => {
		const { core, jobs, idle } = openMany();
		using _ = core;
		const node = core.node("d");
		for (let turn = 0; turn < 3; turn++) expect(waitsFor(() => core.entries(node))).toBe(node);
		expect([jobs.steps.length, idle]).toEqual([1, []]);
		expect(jobs.advance()).toBeGreaterThan(2);
		expect(idle).toEqual([node]);
		expect(core.names("d").sort()).toEqual([...Object.keys(many), "below"].sort());
	});

	test("has changes in it wait, and nothing else", () => {
		const { core, jobs } = openMany();
		using _ = core;
		const node = core.node("d");
		const first = longName(0);
		core.mkdir("e");
		expect(waitsFor(() => core.entries(node))).toBe(node);
		for (const action of [
			() => core.create("d/new"),
			() => core.mkdir("d/new"),
			() => core.unlink(`d/${first}`),
			() => core.rmdir(`d/${first}`),
			() => core.rename("other", "d/other"),
			() => core.rename(`d/${first}`, "moved"),
			() => core.link("other", "d/linked"),
			() => core.rename("e", "d"),
			() => core.rmdir("d"),
		]) {
			expect(waitsFor(action)).toBe(node);
		}
		core.create("e/new", "new");
		core.write("other", "O");
		expect([core.read("d/below"), core.stat("d").links]).toEqual(["below", 1]);
		expect(errnoOf(() => core.stat("d/absent"))).toBe("ENOENT");
		jobs.advance();
		core.create("d/new", "new");
		core.unlink(`d/${first}`);
		expect(core.names("d").sort()).toEqual([...Object.keys(many).slice(1), "below", "new"].sort());
	});

	test("shows what was copied up while it was read as the upper layer's", () => {
		const { core, jobs } = openMany();
		using _ = core;
		core.create("d/own", "own");
		const node = core.node("d");
		expect(waitsFor(() => core.entries(node))).toBe(node);
		core.write("d/below", "B");
		core.forget(core.node("d/below"));
		jobs.advance();
		core.unlink("d/below");
		expect(core.isWhiteout("d/below")).toBeTrue();
		expect(core.names("d")).not.toContain("below");
		for (const name of core.names("d")) core.unlink(`d/${name}`);
		core.rmdir("d");
	});

	test("of a live layer is listed to its end when something in it was copied up meanwhile", () => {
		const jobs = new LateJobs();
		using core = openCore([inD, { "d/below": "below" }], { jobs, options: { live: true } });
		core.create("d/own");
		const node = core.node("d");
		expect(waitsFor(() => core.entries(node))).toBe(node);
		core.write("d/below", "B");
		core.change(`d/${longName(7)}`, { mode: 0o600 });
		jobs.advance();
		expect(core.names("d").sort()).toEqual([...Object.keys(many), "below", "own"].sort());
		expect([core.upperNames("d").length, core.read("d/below")]).toEqual([3, "Below"]);
	});

	test("that cannot be read to its end: the error is the answer, once to each try", () => {
		const { core, jobs, idle } = openMany();
		using _ = core;
		const node = core.node("d");
		expect(waitsFor(() => core.entries(node))).toBe(node);
		// biome-ignore lint/complexity/useLiteralKeys: it is nobody else's.
		const reading = core.overlay.listings["readings"].get(core.overlay.directory(node));
		const step = reading!.step.bind(reading);
		let count = 0;
		reading!.step = () => (++count > 3 ? fail(EIO) : step());
		jobs.advance();
		expect(idle).toEqual([node]);
		expect(errnoOf(() => core.entries(node))).toBe("EIO");
		expect(waitsFor(() => core.entries(node))).toBe(node);
		jobs.advance();
		expect(core.names("d").length).toBe(1301);
	});

	test.each([2, 6, 14])(
		"is replaced in a live upper layer after %i steps: it has what it had there",
		(steps) => {
			const jobs = new LateJobs();
			using core = openCore([inD, { "d/below": "" }], { upper: inD, jobs, options: { live: true } });
			const node = core.node("d");
			expect(waitsFor(() => core.entries(node))).toBe(node);
			for (let count = 0; count < steps; count++) expect(jobs.steps[0]?.()).toBeFalse();
			renameSync(core.inUpper("d"), core.inUpper("moved"));
			mkdirSync(core.inUpper("d"));
			expect(core.node("d")).not.toBe(node);
			jobs.advance();
			expect(core.entries(node).length).toBeGreaterThanOrEqual(Object.keys(many).length);
		},
	);

	test("is forgotten by the kernel meanwhile: nothing is left", () => {
		const { core, jobs } = openMany();
		using _ = core;
		expect(waitsFor(() => core.entries(core.node("d")))).toBeDefined();
		core.forgetAll();
		jobs.advance();
		expect(core.overlay.nodes.count).toBe(1);
	});

	test("is not read for the sake of a lookup or a link count", () => {
		const { core, jobs } = openMany();
		using _ = core;
		for (let index = 0; index < 20; index++)
			expect(errnoOf(() => core.stat(`d/absent${index}`))).toBe("ENOENT");
		expect([core.stat("d").links, jobs.steps.length]).toEqual([1, 0]);
	});
});
