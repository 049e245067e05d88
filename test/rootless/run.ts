/**
 * The tests that mount as an ordinary user, in every {@link Setting} but root's. `npm test` runs this; by hand
 * `bun test/rootless/run.ts [SETTING...] [TEST-PATH...]`, as root, because the user is made for it.
 */
import { chownSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { debianArchive } from "../clients/debian-archive.ts";
import { type Run, runAll } from "../harness/lanes.ts";
import { temporaryTree } from "../harness/layers.ts";
import { ownDisk } from "../harness/own-disk.ts";
import { linkOrCopy, programIn, reachableProject } from "../harness/reachable.ts";
import { conclude } from "../harness/report.ts";
import { reasonsToSkip, type Setting } from "../harness/setting.ts";

/** What the tests are started by. */
const commands: Record<Exclude<Setting, "root">, readonly string[]> = {
	"one id": ["unshare", "--user", "--map-root-user", "--mount"],
	"id ranges": ["unshare", "--user", "--map-root-user", "--map-auto", "--mount"],
	fusermount: [],
};
type Rootless = keyof typeof commands;
const allSettings = Object.keys(commands) as Rootless[];

/**
 * The mount tests lack less with ranges of ids than with one. Callers of the program are tried as the user who calls them:
 * podman and buildah make namespaces of their own. The conformance table looks into files of any mode, also of mode 0, which
 * an ordinary user cannot.
 */
const defaultTests: Record<Rootless, readonly string[]> = {
	"one id": ["test/hostile", "test/faults", "test/conformance", "test/fuzz"],
	"id ranges": ["test/mount", "test/conformance", "test/fuzz"],
	fusermount: ["test/mount", "test/clients"],
};
const firstUser = 61_001;

/** Where the user is at home: short, because conmon cannot use sockets whose paths are long. */
const home = "/mnt";
const temporary = `${home}/tmp`;

/**
 * Becomes the user $3 in a mount namespace where the user, their home $2 with a disk in it, their subordinate ids, a
 * /dev/null, and a /dev/fuse that is open to them, are bound over what the machine has; $1 is a directory to keep these
 * in. The shell stays to reap what daemons leave.
 */
const become = `set -e
place=$1 home=$2 user=$3; shift 3
${ownDisk}
mkdir "$home/tmp"
own_disk "$home.disk" "$home/tmp"
mount -t tmpfs -o mode=755 none "$place"
mknod -m 666 "$place/fuse" c 10 229
mount --bind "$place/fuse" /dev/fuse
mknod -m 666 "$place/null" c 1 3
mount --bind "$place/null" /dev/null
mount --rbind "$home" ${home}
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
function provideFor(file: string, ownHome: string): Record<string, string> {
	if (!file.includes("clients") || Bun.which("debootstrap") === null) return {};
	linkOrCopy(debianArchive(), join(ownHome, "debian.tar"));
	return { FUSE_OVERLAYFS_TEST_DEBIAN: `${home}/debian.tar` };
}

/** Tests of a program as the user, in namespaces that take along all that is mounted and started in them. */
function rootlessRun(setting: Rootless, program: string, project: string, paths: readonly string[]): Run {
	return {
		title: `as an ordinary user: ${setting}`,
		paths,
		remarks: reasonsToSkip(setting).map((reason) => `skipped ${reason}`),
		enter(scratch, file, lane) {
			const [place, ownHome] = [join(scratch, "place"), join(scratch, "home")];
			for (const directory of [place, ownHome]) mkdirSync(directory);
			// Two at a time are two users: what the kernel limits, it counts for each.
			const user = firstUser + lane;
			chownSync(ownHome, user, user);
			const namespaces = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];
			const becoming = ["sh", "-c", become, "sh", place, ownHome, String(user)];
			return {
				project,
				// Whatever ends this process ends the namespaces.
				starter: ["setpriv", "--pdeathsig", "KILL", ...namespaces, ...becoming, ...commands[setting]],
				environment: {
					...provideFor(file, ownHome),
					FUSE_OVERLAYFS_PROGRAM: program,
					FUSE_OVERLAYFS_TEST_SETTING: setting,
					HOME: home,
					TMPDIR: temporary,
				},
				report: [`${home}/report.xml`, join(ownHome, "report.xml")],
			};
		},
	};
}

/**
 * The runs in these settings, each with the program that it names.
 * @param project where the user can read it
 */
export function rootlessRuns(
	project: string,
	programs: Readonly<Partial<Record<Rootless, string>>>,
	tests?: readonly string[],
): Run[] {
	return Object.entries(programs).map(([name, program]) => {
		const setting = name as Rootless;
		return rootlessRun(setting, program, project, tests ?? defaultTests[setting]);
	});
}

/** Runs a file of the project, with its arguments, as the user; whether it exits with 0. */
export function runInSetting(setting: Rootless, [file, ...args]: readonly [string, ...string[]]): boolean {
	using project = reachableProject();
	using tree = temporaryTree();
	const { path } = project;
	const run = rootlessRun(setting, programIn(path), path, [file]);
	const { starter, environment } = run.enter(tree.path, file, 0);
	const command = [...starter, join(path, "node_modules/.bin/bun"), file, ...args];
	const { exitCode } = Bun.spawnSync(command, {
		cwd: path,
		env: { ...process.env, ...environment },
		stdio: ["ignore", "inherit", "inherit"],
	});
	return exitCode === 0;
}

if (import.meta.main) {
	const isSetting = (arg: string): arg is Rootless => Object.hasOwn(commands, arg);
	const settings = process.argv.slice(2).filter(isSetting);
	const tests = process.argv.slice(2).filter((arg) => !isSetting(arg));
	using project = reachableProject();
	const reachable = programIn(project.path);
	const chosen = settings.length > 0 ? settings : allSettings;
	const programs = Object.fromEntries(chosen.map((setting) => [setting, reachable]));
	conclude(await runAll(rootlessRuns(project.path, programs, tests.length > 0 ? tests : undefined)));
}
