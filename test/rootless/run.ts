/**
 * The tests that mount as an ordinary user, in every {@link Setting} but root's. `npm test` runs this; by hand
 * `bun test/rootless/run.ts [SETTING...] [TEST-PATH...]`, as root, because the user is made for it.
 */
import { spawnSync } from "node:child_process";
import { chmodSync, chownSync, existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { debianArchive } from "../clients/debian-archive.ts";
import { program, projectDirectory } from "../harness/program.ts";
import { linkOrCopy, reachableProject } from "../harness/reachable.ts";
import { readReport, summary, type Totals } from "../harness/report.ts";
import { reasonsToSkip, type Setting } from "../harness/setting.ts";
import { watchdog } from "../harness/watchdog-client.ts";

/** What the tests are started by. */
const commands: Record<Exclude<Setting, "root">, readonly string[]> = {
	"one id": ["unshare", "--user", "--map-root-user", "--mount"],
	"id ranges": ["unshare", "--user", "--map-root-user", "--map-auto", "--mount"],
	fusermount: [],
};
type Rootless = keyof typeof commands;
const allSettings = Object.keys(commands) as Rootless[];

/**
 * Callers of the program are tried as the user who calls them: podman and buildah make namespaces of their own. The
 * conformance table looks into files of any mode, also of mode 0, which an ordinary user cannot.
 */
const defaultTests: Record<Rootless, readonly string[]> = {
	"one id": ["./test/mount", "./test/hostile", "./test/faults", "./test/conformance"],
	"id ranges": ["./test/mount", "./test/conformance"],
	fusermount: ["./test/mount", "./test/clients"],
};
/** What the tests are made of. */
const parts = ["package.json", "bunfig.toml", "tsconfig.json", "src", "test", "node_modules", "dist"];
const user = 61_001;
const timeoutMs = 20 * 60_000;

/** Where the user is at home: short, because conmon cannot use sockets whose paths are long. */
const home = "/mnt";

/**
 * Becomes the user $3 in a mount namespace where the user, their home $2, their subordinate ids and a /dev/fuse that is
 * open to them are bound over what the machine has; $1 is a directory to keep these in. The shell stays to reap what
 * daemons leave.
 */
const become = `set -e
place=$1 home=$2 user=$3; shift 3
mount -t tmpfs -o mode=755 none "$place"
mknod -m 666 "$place/fuse" c 10 229
mount --bind "$place/fuse" /dev/fuse
mount --bind "$home" ${home}
mount -t cgroup2 none /sys/fs/cgroup
add() {
	{ sed '$a\\' "/etc/$1"; echo "$2"; } >"$place/$1"
	mount --bind "$place/$1" "/etc/$1"
}
add passwd "rootless:x:$user:$user::${home}:/bin/sh"
add group "rootless:x:$user:"
add subuid rootless:2000000000:65536
add subgid rootless:2000000000:65536
setpriv --reuid="$user" --regid="$user" --clear-groups -- "$@" && exit 0 || exit $?`;

/** Puts what only root can make into the user's home; the environment says where. */
function provideFor(tests: readonly string[], ownHome: string): NodeJS.ProcessEnv {
	if (!tests.some((path) => path.includes("clients")) || Bun.which("debootstrap") === null) return {};
	linkOrCopy(debianArchive(), join(ownHome, "debian.tar"));
	return { FUSE_OVERLAYFS_TEST_DEBIAN: `${home}/debian.tar` };
}

/** Runs a command as the user, in namespaces that take along all that is mounted and started in them. */
function runAsUser(
	command: readonly string[],
	scratch: string,
	cwd: string,
	env: NodeJS.ProcessEnv,
): boolean {
	const [place, ownHome] = [join(scratch, "place"), join(scratch, "home")];
	const namespaces = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];
	const args = [...namespaces, "sh", "-c", become, "sh", place, ownHome, String(user), ...command];
	// Whatever ends this process ends the namespaces.
	const { status } = spawnSync("setpriv", ["--pdeathsig", "KILL", ...args], {
		cwd,
		env: { ...process.env, ...env },
		timeout: timeoutMs,
		killSignal: "SIGKILL",
		stdio: ["ignore", "inherit", "inherit"],
	});
	return status === 0;
}

/** Runs the tests in one setting; the user can read them in `project`. */
function runSetting(setting: Rootless, project: string, tests: readonly string[]): Totals {
	console.log(`\n== as an ordinary user: ${setting}`);
	const scratch = mkdtempSync(join(tmpdir(), "fuse-overlayfs-rootless-"));
	watchdog.tell("tree", scratch);
	try {
		chmodSync(scratch, 0o755);
		for (const name of ["place", "home"]) mkdirSync(join(scratch, name));
		chownSync(join(scratch, "home"), user, user);
		const options = [
			"--timeout=60000",
			"--only-failures",
			"--reporter=junit",
			`--reporter-outfile=${home}/report.xml`,
		];
		const command = [
			...commands[setting],
			join(project, "node_modules/.bin/bun"),
			"test",
			...options,
			...tests,
		];
		const inProject = relative(projectDirectory, program);
		const wentWell = runAsUser(command, scratch, project, {
			...provideFor(tests, join(scratch, "home")),
			FUSE_OVERLAYFS_PROGRAM: inProject.startsWith("..") ? program : join(project, inProject),
			FUSE_OVERLAYFS_TEST_SETTING: setting,
			HOME: home,
			TMPDIR: home,
		});
		const totals = readReport(join(scratch, "home/report.xml"), wentWell);
		console.log(`${setting}: ${summary([totals])}`);
		for (const reason of reasonsToSkip(setting)) console.log(`  skipped ${reason}`);
		return totals;
	} catch (error) {
		console.error(`${setting}: ${error instanceof Error ? error.message : error}`);
		return { passed: 0, failed: 1, skipped: 0 };
	} finally {
		rmSync(scratch, { recursive: true, force: true });
		watchdog.tell("tree-gone", scratch);
	}
}

/** Runs the tests in the settings, one after the other. */
export function runRootless(settings = allSettings, tests?: readonly string[]): Totals[] {
	const existing = parts.filter((part) => existsSync(join(projectDirectory, part)));
	using project = reachableProject(existing);
	return settings.map((setting) => runSetting(setting, project.path, tests ?? defaultTests[setting]));
}

if (import.meta.main) {
	const isSetting = (arg: string): arg is Rootless => Object.hasOwn(commands, arg);
	const settings = process.argv.slice(2).filter(isSetting);
	const tests = process.argv.slice(2).filter((arg) => !isSetting(arg));
	const totals = runRootless(
		settings.length > 0 ? settings : allSettings,
		tests.length > 0 ? tests : undefined,
	);
	console.log(`\n${summary(totals)}`);
	process.exitCode = totals.some(({ failed }) => failed > 0) ? 1 : 0;
}
