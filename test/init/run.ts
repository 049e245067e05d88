/**
 * The mount tests and the conformance table with kernels that offer less: without each flag of INIT in turn, by
 * `npm run test:init`, or those that are named: `bun test/init/run.ts [FLAG...] [TEST-PATH...]`. What `npm test` tries of
 * this is in the table itself, `test/conformance/targets.ts`.
 */
import { type Run, runAll } from "../harness/lanes.ts";
import { program } from "../harness/program.ts";
import { conclude } from "../harness/report.ts";
import { rootRun } from "../harness/root-run.ts";
import { type Flag, reasonsToSkip } from "../harness/setting.ts";
import { declinable } from "./declinable.ts";

const defaultTests = ["test/mount", "test/conformance"];

function runWithout(declined: string, paths: readonly string[]): Run {
	const remarks = reasonsToSkip(declined as Flag).map((reason) => `skipped ${reason}`);
	return {
		...rootRun(`without ${declined}`, paths, program, { _FUSE_OVERLAYFS_DECLINE: declined }),
		remarks,
	};
}

const args = process.argv.slice(2);
const flags = args.filter((arg) => /^(FUSE_|minor=)/.test(arg));
const paths = args.filter((arg) => !flags.includes(arg));
const runs = (flags.length > 0 ? flags : declinable).map((flag) =>
	runWithout(flag, paths.length > 0 ? paths : defaultTests),
);
conclude(await runAll(runs));
