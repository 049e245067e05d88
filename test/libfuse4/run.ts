/**
 * `npm run test:libfuse4`: the mount tests with libfuse 3.17 and 3.18 (libfuse3.so.4), inside roots of Debian trixie
 * and sid: their C library is newer than Debian 12's, so the library alone cannot be loaded here. In trixie's the user
 * namespaces of podman 5 are tried, too.
 *
 * Usage: bun test/libfuse4/run.ts [SUITE...] [TEST-PATH...]. FUSE_OVERLAYFS_PROGRAM chooses the program, as a path
 * below the project or one that exists in the roots.
 */
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative, resolve } from "node:path";
import { projectDirectory } from "../harness/program.ts";
import { conclude, oneFailure, readReport, summary, type Totals } from "../harness/report.ts";
import { watchdog } from "../harness/watchdog-client.ts";
import { debianRoot, type EnterOptions, runInRoot, suites } from "./debian-root.ts";

/** The last one where there is podman, which is newer than the machine's. */
const defaultTests = ["./test/mount", "./test/native", "./test/clients/user-namespaces.test.ts"];
const bun = "/project/node_modules/.bin/bun";
const versionLimit = 30_000;
const testLimit = 20 * 60_000;

/** The program's path as seen in the roots. */
function programInRoot(): string {
	const chosen = process.env.FUSE_OVERLAYFS_PROGRAM;
	if (!chosen) return "/project/src/fuse-overlayfs";
	const inProject = relative(projectDirectory, resolve(chosen));
	return inProject.startsWith("..") ? chosen : join("/project", inProject);
}

function runSuite(suite: string, tests: string[]): Totals {
	const temporary = mkdtempSync(join(tmpdir(), "fuse-overlayfs-libfuse4-"));
	chmodSync(temporary, 0o1777); // It is /tmp in there, for all users.
	watchdog.tell("tree", temporary);
	const options: EnterOptions = {
		project: projectDirectory,
		temporary,
		env: { FUSE_OVERLAYFS_PROGRAM: programInRoot() },
		timeout: testLimit,
	};
	try {
		const root = debianRoot(suite);
		const version = runInRoot(root, [programInRoot(), "--version"], {
			...options,
			timeout: versionLimit,
			capture: true,
		});
		const libfuse = /^FUSE library version:? (\S+)/m.exec(version.stdout)?.[1] ?? "of unknown version";
		console.log(`\n== Debian ${suite}: libfuse ${libfuse}`);
		const reporter = ["--reporter=junit", "--reporter-outfile=/tmp/report.xml"];
		const { ok } = runInRoot(root, [bun, "test", "--timeout=60000", ...reporter, ...tests], options);
		const totals = readReport(join(temporary, "report.xml"), ok);
		console.log(`${suite}: libfuse ${libfuse}: ${summary(totals)}`);
		return totals;
	} catch (error) {
		console.error(`${suite}: ${error instanceof Error ? error.message : error}`);
		return oneFailure;
	} finally {
		rmSync(temporary, { recursive: true, force: true });
		watchdog.tell("tree-gone", temporary);
	}
}

function main(args: string[]): void {
	if (process.getuid?.() !== 0) throw new Error("only root can make and enter the roots");
	if (Bun.which("debootstrap") === null)
		throw new Error("debootstrap is missing: apt-get install debootstrap");
	const chosen = args.filter((arg) => suites.includes(arg));
	const tests = args.filter((arg) => !suites.includes(arg));
	const all = (chosen.length > 0 ? chosen : suites).map((suite) =>
		runSuite(suite, tests.length > 0 ? tests : defaultTests),
	);
	conclude(all);
}

try {
	main(process.argv.slice(2));
} catch (error) {
	console.error(`test:libfuse4: ${error instanceof Error ? error.message : error}`);
	process.exitCode = 1;
}
