/** `fsync=strict`: what is copied up is synced with all that describes it, directories too, before it has its name. */
import { describe, expect, test } from "bun:test";
import { existsSync, fstatSync } from "node:fs";
import { EIO } from "../../../src/native/layout.ts";
import { directory, file, symlink } from "../../harness/layers.ts";
import { errnoOf, openCore } from "./core.ts";
import { LateJobs, waitsFor } from "./late-jobs.ts";

const large = Buffer.alloc((1 << 20) + 1, "x");

describe("with fsync=strict", () => {
	const strict = { options: { fsync: true }, syncsAll: true };

	test("each directory on the way is synced before it has its name, and then the file", () => {
		const modes = { a: 0o755, "a/b": 0o750, "a/b/f": 0o640 };
		const lower = { "a/b": directory({ mode: 0o750 }), "a/b/f": file("f", { mode: 0o640 }) };
		const jobs = new LateJobs();
		using core = openCore([lower], { jobs, ...strict });
		jobs.hasOthers = true;
		const node = core.node("a/b/f");
		for (const [path, mode] of Object.entries(modes)) {
			expect(waitsFor(() => core.writeTo(node, "F"))).toBe(core.node(path));
			const [task] = jobs.tasks.map((job) => job.task as { kind: string; fd: number });
			expect([jobs.tasks.length, task?.kind, existsSync(core.inUpper(path))]).toEqual([1, "sync", false]);
			// All that describes it is there.
			expect(fstatSync(task!.fd).mode & 0o777).toBe(mode);
			jobs.finish();
			expect(existsSync(core.inUpper(path))).toBe(true);
		}
		expect(waitsFor(() => core.writeTo(node, "F"))).toBeUndefined();
		expect([core.read("a/b/f"), core.stat("a/b").mode, core.litter()]).toEqual(["F", 0o750, []]);
	});

	test("a directory that cannot be synced gets no name", () => {
		const jobs = new LateJobs();
		using core = openCore([{ "d/f": "f" }], { jobs, ...strict });
		jobs.hasOthers = true;
		const node = core.node("d/f");
		expect(waitsFor(() => core.writeTo(node, "F"))).toBe(core.node("d"));
		jobs.finish(-EIO);
		expect(errnoOf(() => core.writeTo(node, "F"))).toBe("EIO");
		expect([core.upperNames(), core.litter(), core.read("d/f")]).toEqual([[], [], "f"]);
		expect(waitsFor(() => core.writeTo(node, "F"))).toBe(core.node("d"));
		jobs.finish();
		expect(waitsFor(() => core.writeTo(node, "F"))).toBe(node);
		jobs.finish();
		core.writeTo(node, "F");
		expect(core.read("d/f")).toBe("F");
	});

	test("a directory of many names is listed once its copy has its name, and they are found then", () => {
		const names = Array.from({ length: 1300 }, (_, index) => `${"n".repeat(230)}${index}`);
		const lower = Object.fromEntries(names.map((name) => [`d/${name}`, name]));
		const jobs = new LateJobs();
		using core = openCore([lower], { jobs, ...strict });
		jobs.hasOthers = true;
		const [directory, node] = [core.node("d"), core.node(`d/${names[0]}`)];
		expect(waitsFor(() => core.writeTo(node, "N"))).toBe(directory);
		expect([waitsFor(() => core.entries(directory)), jobs.steps.length]).toEqual([directory, 0]);
		jobs.finish();
		expect([waitsFor(() => core.entries(directory)), jobs.steps.length]).toEqual([directory, 1]);
		jobs.advance();
		expect(core.names("d").sort()).toEqual(names.toSorted());
		for (const name of names) expect(core.read(`d/${name}`)).toBe(name);
	});

	test("done at once, everything is as without", () => {
		using core = openCore([{ "d/e/f": "f", "d/e/g": large, l: symlink("f") }], strict);
		core.write("d/e/f", "F");
		core.write("d/e/g", "G");
		core.rename("l", "d/l");
		expect([core.read("d/e/f"), core.read("d/e/g").slice(0, 2), core.names("d")]).toEqual([
			"F",
			"Gx",
			["e", "l"],
		]);
	});
});
