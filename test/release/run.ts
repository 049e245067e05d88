/**
 * `npm run test:release [-- --release DIRECTORY] [-- TRIAL...]`: makes a release twice, each time in a fresh Debian system and
 * under other circumstances, compares them, then installs each of its files in a system of its kind and uses it there; what is
 * for arm64 in an emulated machine. With --release that in DIRECTORY is tried instead. TRIALs are names of files here, without
 * `.trial.ts`, and `arm64`; default: all.
 */

import { mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { projectDirectory } from "../harness/program.ts";
import { watchdog } from "../harness/watchdog-client.ts";
import { type Circumstances, makeRelease, provideTools } from "./make.ts";

const needs: Readonly<Record<string, string>> = {
	debootstrap: "debootstrap",
	git: "git",
	npm: "npm",
	lintian: "lintian",
};

const circumstances: readonly Circumstances[] = [
	{ clone: "/build/one", umask: "022", environment: {} },
	{ clone: "/srv/another/place", umask: "077", environment: { TZ: "Asia/Kathmandu", HOME: "/build" } },
];

const arm64 = "arm64";
const trials = readdirSync(import.meta.dir)
	.filter((name) => name.endsWith(".trial.ts"))
	.map((name) => name.replace(".trial.ts", ""))
	.sort();

function requireAll(): void {
	if (process.getuid?.() !== 0) throw new Error("must be run as root: it enters other systems");
	const lacking = Object.keys(needs).filter((program) => Bun.which(program) === null);
	if (lacking.length === 0) return;
	const names = lacking.map((program) => needs[program]).join(" ");
	throw new Error(`${lacking.join(", ")} lacking: apt-get install --no-install-recommends ${names}`);
}

/** Whether a command of the project ends well. */
function isGood(command: readonly string[], environment: Readonly<Record<string, string>>): boolean {
	const { exitCode } = Bun.spawnSync([process.execPath, ...command], {
		cwd: projectDirectory,
		env: { ...process.env, ...environment },
		stdio: ["ignore", "inherit", "inherit"],
	});
	return exitCode === 0;
}

/** Makes it twice below the directory; that of the first time. Throws unless both are the same. */
function makeTwice(scratch: string, tools: string): string {
	const made = circumstances.map((each, index) => {
		const release = join(scratch, `release-${index + 1}`);
		mkdirSync(release);
		console.log(`making the release in ${each.clone}`);
		return { release, sums: makeRelease(release, tools, each) };
	});
	const [first, second] = made;
	if (first!.sums !== second!.sums)
		throw new Error(`the same commit gave two releases:\n${first!.sums}\n${second!.sums}`);
	console.log(`made twice, the same each time:\n${first!.sums}`);
	return first!.release;
}

function main(args: readonly string[]): void {
	const words = [...args];
	const at = words.indexOf("--release");
	const [, given] = at < 0 ? [] : words.splice(at, 2);
	if (at >= 0 && given === undefined) throw new Error("--release lacks its directory");
	const unknown = words.find((word) => word !== arm64 && !trials.includes(word));
	if (unknown !== undefined) throw new Error(`${unknown}: the trials are ${[...trials, arm64].join(", ")}`);
	const chosen = words.length > 0 ? words : [...trials, arm64];
	requireAll();
	const scratch = mkdtempSync(join(tmpdir(), "fuse-overlayfs-release-"));
	watchdog.tell("tree", scratch);
	try {
		const tools = join(scratch, "tools");
		mkdirSync(tools);
		provideTools(tools);
		const release = given === undefined ? makeTwice(scratch, tools) : resolve(given);
		const environment = { FUSE_OVERLAYFS_TEST_RELEASE: release, FUSE_OVERLAYFS_TEST_TOOLS: tools };
		const files = trials
			.filter((name) => chosen.includes(name))
			.map((name) => `./test/release/${name}.trial.ts`);
		const isInstallable = files.length === 0 || isGood(["test", "--timeout=1200000", ...files], environment);
		const machine = ["test/machines/run.ts", "arm64-release", "--release", release];
		const isGoodOnArm = !chosen.includes(arm64) || isGood(machine, {});
		if (!isInstallable || !isGoodOnArm) process.exitCode = 1;
	} finally {
		rmSync(scratch, { recursive: true, force: true });
		watchdog.tell("tree-gone", scratch);
	}
}

try {
	main(process.argv.slice(2));
} catch (error) {
	console.error(`test:release: ${error instanceof Error ? error.message : error}`);
	process.exitCode = 1;
}
