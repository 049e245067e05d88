/** What `npm test` says of files that fail, die, hang or test nothing. */

import { expect, test } from "bun:test";
import { dirname, join, relative } from "node:path";
import { temporaryTree } from "./layers.ts";
import { projectDirectory } from "./program.ts";

const imports = 'import { expect, test } from "bun:test";';
const files = {
	"fine.test.ts": `${imports} test("one", () => {}); test("two", () => {}); test.skip("three", () => {});`,
	"left-out.test.ts": `${imports} test.skip("one", () => {});`,
	"failing.test.ts": `${imports} test("sums", () => expect(1).toBe(2)); test("fine", () => {});`,
	"dying.test.ts": `${imports} test("dies", () => process.kill(process.pid, "SIGKILL"));`,
	"hanging.test.ts": `${imports} test("hangs", () => { for (;;); });`,
	"nothing.test.ts": "",
};

/** Has the files run in a run of their own; what is written. */
async function runFiles(names: readonly string[], limitMs: number): Promise<string> {
	using tree = temporaryTree();
	const place = tree.layer("tests", files);
	const script = `
		import { runAll } from ${JSON.stringify(join(import.meta.dir, "lanes.ts"))};
		import { conclude } from ${JSON.stringify(join(import.meta.dir, "report.ts"))};
		const run = {
			title: "a run",
			paths: ${JSON.stringify(names.map((name) => relative(projectDirectory, join(place, name))))},
			enter(scratch, file) {
				if (file.endsWith("fine.test.ts") && ${names.length === 1}) throw new Error("no place for it");
				const report = scratch + "/report.xml";
				return { project: ${JSON.stringify(projectDirectory)}, environment: {}, starter: [], report: [report, report] };
			},
		};
		conclude(await runAll([run], ${limitMs}));`;
	const child = Bun.spawn([process.execPath, "-e", script], {
		cwd: dirname(place),
		stdio: ["ignore", "pipe", "pipe"],
	});
	const [stdout, stderr] = await Promise.all([
		new Response(child.stdout).text(),
		new Response(child.stderr).text(),
	]);
	expect(stderr).toBe("");
	return `${stdout}exit code ${await child.exited}`;
}

test("files that pass are not told of, and the last line sums up", async () => {
	const said = await runFiles(["fine.test.ts", "left-out.test.ts"], 60_000);
	expect(said).toBe(
		"\n== run 1 of 1: a run\na run: 2 passed, 0 failed, 2 skipped\n\n2 passed, 0 failed, 2 skipped\nexit code 0",
	);
});

test("a file that fails is shown with what it wrote", async () => {
	const said = await runFiles(["fine.test.ts", "failing.test.ts"], 60_000);
	expect(said).toMatch(/-- a run: \S+failing\.test\.ts ended with exit code 1 \(0:0\d\)\n.*\(fail\) sums/s);
	expect(said).toEndWith("\n3 passed, 1 failed, 1 skipped\nexit code 1");
});

test("a file that dies, hangs or tests nothing is named, and counts as failed", async () => {
	const said = await runFiles(["dying.test.ts", "hanging.test.ts", "nothing.test.ts"], 3000);
	expect(said).toMatch(/dying\.test\.ts was ended by SIGKILL/);
	expect(said).toMatch(/hanging\.test\.ts did not end within 0\.05 minutes and was killed/);
	expect(said).toMatch(/nothing\.test\.ts tells of no test/);
	expect(said).toEndWith("\n0 passed, 3 failed\nexit code 1");
});

test("a place that cannot be made counts as failed", async () => {
	const said = await runFiles(["fine.test.ts"], 60_000);
	expect(said).toMatch(/fine\.test\.ts no place for it/);
	expect(said).toEndWith("\n0 passed, 1 failed\nexit code 1");
});
