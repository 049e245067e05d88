import { describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { projectDirectory } from "../harness/program.ts";
import { machines } from "./machines.ts";
import { type FileResult, readReport, show } from "./report.ts";

const machine = machines[0]!;
const result: FileResult = {
	file: "test/mount/xattr.test.ts",
	mode: "root",
	passed: 2,
	failed: 0,
	skipped: 1,
	failures: [],
	seconds: 3,
};
const traits = { kernel: "6.1", libc: "glibc 2.36", libfuse: "3.14.0", pageSize: 4096 };
const told = (...records: readonly object[]) =>
	records.map((record) => `${JSON.stringify(record)}\n`).join("");
const plan = { files: [result.file, "docs/demo.ts"], modes: ["root"] } as const;

describe("what a machine reports", () => {
	test("is good when it came to its end and nothing failed", () => {
		const report = readReport(machine, told({ traits }, { result }, { end: true }), "ended");
		expect(report.isGood).toBeTrue();
		expect(show(report, plan).split("\n").slice(0, 4)).toEqual([
			"debian-11: Linux 6.1, glibc 2.36, libfuse 3.14.0, pages of 4096",
			"file                      root",
			"test/mount/xattr.test.ts  2 passed, 0 failed, 1 skipped",
			"not reached: 1 of 2 files",
		]);
	});

	test("is not missed where a file is not meant for a mode", () => {
		const file = "test/conformance/conformance.test.ts";
		const report = readReport(
			machine,
			told({ traits }, { result: { ...result, file } }, { end: true }),
			"ended",
		);
		const both = { files: [file], modes: ["root", "fusermount"] } as const;
		const shown = show(report, both);
		expect(shown).toEndWith(`${file}  2 passed, 0 failed, 1 skipped  -`);
		expect(shown).not.toContain("not reached");
	});

	test("says why tests are skipped there", () => {
		const skips = ["root: skipped without this: that"];
		const report = readReport(machine, told({ traits }, { skips }, { result }, { end: true }), "ended");
		expect(show(report, plan).split("\n").at(-1)).toBe("root: skipped without this: that");
	});

	test("is good as far as it got when its time was up, and what was cut off is left out", () => {
		const report = readReport(machine, `${told({ traits }, { result })}{"resu`, "time is up");
		expect([report.isGood, report.results.length]).toEqual([true, 1]);
	});

	test.each([
		["it ended before its time", told({ traits }, { result }), "ended" as const],
		["qemu failed", told({ traits }, { result }, { end: true }), { complaint: "qemu failed" }],
		[
			"failed: root: test/mount/xattr.test.ts: a name",
			told({ result: { ...result, failed: 1, failures: ["a name"] } }, { end: true }),
			"ended" as const,
		],
		["it told nothing of itself", "", "time is up" as const],
	])("is not good, and says so: %s", (says, text, ending) => {
		const report = readReport(machine, text, ending);
		expect(report.isGood).toBeFalse();
		expect(show(report, plan)).toContain(says);
	});
});

test("the files that are planned are there", () => {
	const files = new Set(machines.flatMap(({ files }) => files));
	expect([...files].filter((file) => !existsSync(join(projectDirectory, file)))).toEqual([]);
});

describe("the command", () => {
	const run = (...args: readonly string[]) =>
		Bun.spawnSync([process.execPath, "test/machines/run.ts", ...args], { cwd: projectDirectory });

	test("lists the machines there are", () => {
		const { stdout, exitCode } = run("--list");
		expect(stdout.toString().trimEnd().split("\n").length).toBe(machines.length);
		expect(exitCode).toBe(0);
	});

	test("refuses what is neither a machine nor a file, before it makes anything", () => {
		const { stderr, exitCode } = run("debian-10");
		expect(stderr.toString()).toBe(
			"test:machines: debian-10: neither a machine (see --list) nor a test file\n",
		);
		expect(exitCode).toBe(1);
	});
});
