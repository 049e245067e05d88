/**
 * `npm test`: all tests as root, and those that mount as an ordinary user. The program run from source and compiled differ in
 * how they start: most is tried compiled, which starts three times as fast. `npm test -- PATH...` runs some files or
 * directories of them, in every run that has them, and `npm run test:quick` gives an impression. The last line sums up all
 * runs: `N passed, N failed, N skipped`.
 */

import { readdirSync } from "node:fs";
import { join, normalize } from "node:path";
import { parseArgs } from "node:util";
import { rootlessRuns } from "../rootless/run.ts";
import { type Run, runAll } from "./lanes.ts";
import { projectDirectory } from "./program.ts";
import { reachableProject } from "./reachable.ts";
import { conclude, oneFailure } from "./report.ts";
import { rootRun } from "./root-run.ts";

/** Where tests run the program as a whole: tried compiled. */
const programTests = [
	"test/mount",
	"test/hostile",
	"test/faults",
	"test/conformance",
	"test/clients",
	"test/real-input",
];
/** Mount tests of how the program starts, and of what passthrough, or opening without a message, has a say in. */
const sourceTests = [
	"test/clients/mount-helper.test.ts",
	...[
		...[
			"attributes",
			"changed-modes",
			"command-line",
			"confinement",
			"copy-up",
			"create",
			"file-io",
			"idle-writers",
		],
		...[
			"link",
			"live-layers",
			"memory",
			"metacopy",
			"new-files",
			"offsets",
			"options",
			"passthrough",
			"read-only",
			"rename",
		],
		...["requests", "space", "system-calls", "unlinked"],
	].map((subject) => `test/mount/${subject}.test.ts`),
];
/** What needs no mount and takes no time, and two files that use much of the program. */
const quickTests = [
	"test/architecture.test.ts",
	"test/cli",
	"test/fuse",
	"test/native",
	...["attributes", "copy-up", "create", "identity", "link", "remove", "rename", "whiteout", "xattr"].map(
		(subject) => `test/overlay/core/${subject}.test.ts`,
	),
	"test/mount/command-line.test.ts",
	"test/mount/rename.test.ts",
];

/** All that is in test/, but what runs the program as a whole. */
function otherTests(): string[] {
	return readdirSync(join(projectDirectory, "test"))
		.map((name) => `test/${name}`)
		.filter((path) => !programTests.includes(path));
}

function build(): boolean {
	console.log("building the binary");
	const { exitCode } = Bun.spawnSync([process.execPath, "run", "build"], {
		cwd: projectDirectory,
		stdio: ["ignore", "ignore", "inherit"],
	});
	return exitCode === 0;
}

/** The runs with what they have of these files and directories; those that have none are left out. */
function narrowed(runs: readonly Run[], chosen: readonly string[]): Run[] {
	const contains = (outer: string, inner: string) => inner === outer || inner.startsWith(`${outer}/`);
	return runs
		.map((run) => {
			const within = chosen.filter((path) => run.paths.some((own) => contains(own, path)));
			const around = run.paths.filter((own) => chosen.some((path) => contains(path, own)));
			return { ...run, paths: [...new Set([...within, ...around])] };
		})
		.filter(({ paths }) => paths.length > 0);
}

const help = `npm test [-- PATH...]
  All tests, or those of some files and directories of test/, in every run that has them.

  --quick   without a build, in one run: what takes no time (npm run test:quick)
  --help    this text`;

async function main(): Promise<void> {
	const { values, positionals } = parseArgs({
		allowPositionals: true,
		options: { quick: { type: "boolean" }, help: { type: "boolean", short: "h" } },
	});
	if (values.help) {
		console.log(help);
		return;
	}
	const isQuick = values.quick === true;
	const isBuilt = isQuick || build();
	using project = reachableProject();
	const source = join(project.path, "src/fuse-overlayfs");
	const binary = join(project.path, "dist/fuse-overlayfs");
	const compiled = [
		rootRun("as root: the compiled binary", programTests, binary),
		...rootlessRuns(project.path, { "one id": binary, "id ranges": binary, fusermount: binary }),
	];
	const all = [
		rootRun("as root: the parts", otherTests(), source),
		// Where passthrough is the default, opening without a message and the write cache need a run of their own.
		rootRun("as root: from source, without passthrough", sourceTests, source, {
			FUSE_OVERLAYFS_NO_PASSTHROUGH: "1",
		}),
		...(isBuilt ? compiled : []),
	];
	const chosen = positionals.map((path) => normalize(path).replace(/\/$/, ""));
	const quick = [rootRun("as root: from source, in short", quickTests, source)];
	const runs = isQuick ? quick : chosen.length > 0 ? narrowed(all, chosen) : all;
	const totals = await runAll(runs);
	if (runs.length === 0) {
		console.error(`no tests in ${chosen.join(" ")}`);
		totals.push(oneFailure);
	}
	if (!isBuilt) totals.push(oneFailure);
	conclude(totals);
}

await main();
