/** Whatever whoever starts the program has limited, closed or removed: it mounts, or says in one line what to do. */

import { describe, expect, test } from "bun:test";
import { readFileSync, writeSync } from "node:fs";
import { open } from "../harness/descriptor.ts";
import { type Layers, type TemporaryTree, temporaryTree } from "../harness/layers.ts";
import { daemonsOf, layerOptions, type ProgramResult, runProgram, until } from "../harness/mount.ts";
import { findMount, unmount } from "../harness/mount-table.ts";
import { codeOf } from "../harness/native.ts";
import { isKernel, program } from "../harness/program.ts";
import { lacks } from "../harness/setting.ts";

const isScript = readFileSync(program).subarray(0, 2).toString() === "#!";
const read = (path: string) => readFileSync(path, "utf8");

interface Started extends ProgramResult {
	readonly layers: Layers;
	readonly tree: TemporaryTree;
}

/** Runs a shell script in which `$0` with `$@` mounts, and what `act` expects of that; unmounts what is mounted then. */
async function start(
	script: string,
	act: (started: Started) => void | Promise<void>,
	environment: Readonly<Record<string, string>> = {},
): Promise<void> {
	using tree = temporaryTree();
	const layers = tree.layers([{ a: "lower" }]);
	const args = ["-c", script, program, "-o", layerOptions(layers), layers.mountpoint];
	const result = await runProgram(args, { program: "sh", cwd: tree.path, environment });
	await act({ ...result, layers, tree });
	if (findMount(layers.mountpoint) !== undefined) unmount(layers.mountpoint);
	await until(() => daemonsOf(result.run).length === 0, "the daemon stays after the unmount");
}

/** Mounts without a word. */
const expectMounted = ({ exitCode, stderr, layers }: Started): void => {
	expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
	expect(read(`${layers.mountpoint}/a`)).toBe("lower");
};

const expectRefusal =
	(words: RegExp) =>
	({ exitCode, stderr, layers }: Started): void => {
		expect(stderr).toMatch(/^fuse-overlayfs: .+\n$/);
		expect(stderr).toMatch(words);
		expect(exitCode).toBe(1);
		expect(findMount(layers.mountpoint)).toBeUndefined();
	};

describe.skipIf(isKernel)("started", () => {
	test("in a directory that is removed, it mounts what absolute paths name; compiled, Bun says what to do", () =>
		start('mkdir gone && cd gone && rmdir ../gone && exec "$0" "$@"', (started) => {
			const { exitCode, stderr, layers } = started;
			if (isScript) {
				// The shell itself may have something to say.
				expect(stderr.replace(/^sh: .*getcwd.*\n/, "")).toBe("");
				expect([exitCode, read(`${layers.mountpoint}/a`)]).toEqual([0, "lower"]);
			} else {
				expect(stderr).toMatch(/current working directory was deleted/);
				expect(exitCode).toBe(1);
			}
		}));

	test("without descriptors 0, 1 and 2", () => start('exec "$0" "$@" <&- >&- 2>&-', expectMounted));

	test("without an environment", () => start('exec env -i "$0" "$@"', expectMounted));

	test("with no program to be found by PATH", () =>
		start('PATH=/nowhere; export PATH; exec "$0" "$@"', expectMounted));

	test.each(["/dev/full", "&-"])("with something to say and stderr on %s", (stderr) =>
		start(`exec "$0" -o no_such_option "$@" 2>${stderr}`, expectMounted),
	);

	test.skipIf(lacks("mounting"))("where /dev has no null", () =>
		start(
			`mkdir dev && touch dev/fuse && mount --bind /dev/fuse dev/fuse &&
			unshare -m sh -c 'mount --rbind dev /dev && "$0" "$@"; echo "$?"; cat merged/a; umount merged' "$0" "$@"`,
			({ stdout, stderr }) => expect({ stdout, stderr }).toEqual({ stdout: "0\nlower", stderr: "" }),
		),
	);

	test.skipIf(lacks("the machine's root"))("without /proc; compiled, Bun reports itself", () =>
		start(`unshare -m --propagation private sh -c 'umount -l /proc; exec "$0" "$@"' "$0" "$@"`, (started) => {
			if (isScript) expectRefusal(/\/proc is needed/)(started);
			else expect(started.exitCode).not.toBe(0);
		}),
	);
});

describe.skipIf(isKernel)("the starter's limit on", () => {
	test("address space: a soft one is raised, a hard one that is too low is named", async () => {
		await start('ulimit -S -v 4000000; exec "$0" "$@"', (started) => {
			expectMounted(started);
			const [pid = 0] = daemonsOf(started.run);
			expect(read(`/proc/${pid}/limits`)).toMatch(/^Max address space +unlimited/m);
		});
		await start('ulimit -v 1000000; exec "$0" "$@"', expectRefusal(/1000000 KiB: raise it \(ulimit -v/));
		await start('ulimit -d 1000000; exec "$0" "$@"', expectRefusal(/1000000 KiB: raise it \(ulimit -d/));
	});

	test.each([12, 24])("open files: %d are too few, and that is said", (count) =>
		start(`ulimit -n ${count}; exec "$0" "$@"`, expectRefusal(/ulimit -H?n/)),
	);

	const large = Buffer.alloc(300_000, "large");

	test.each(["passthrough=auto", "passthrough=off"])(
		"the size of files does not cut what others write, with %s",
		(option) =>
			start(`ulimit -S -f 100; exec "$0" -o ${option} "$@"`, (started) => {
				expectMounted(started);
				using file = open(`${started.layers.mountpoint}/large`, "w");
				writeSync(file.fd, large);
				file.close();
				unmount(started.layers.mountpoint);
				expect(readFileSync(`${started.layers.upper}/large`).equals(large)).toBeTrue();
			}),
	);

	test("the size of files, where it cannot be raised, is told who writes beyond it, and nothing else ends", () => {
		// Only root has what may raise it.
		const drop = lacks("the machine's root")
			? ""
			: "setpriv --bounding-set=-sys_resource --inh-caps=-sys_resource --";
		return start(`ulimit -f 100; exec ${drop} "$0" -o passthrough=off "$@"`, (started) => {
			expectMounted(started);
			using file = open(`${started.layers.mountpoint}/large`, "w");
			let written = 0;
			const code = codeOf(() => {
				for (;;) written += writeSync(file.fd, large, 0, 50_000);
			});
			file.close();
			expect(code).toBe("EFBIG");
			expect(readFileSync(`${started.layers.mountpoint}/large`).length).toBe(written);
			expect(read(`${started.layers.mountpoint}/a`)).toBe("lower");
		});
	});
});

describe.skipIf(isKernel)("the file that FUSE_OVERLAYFS_DEBUG_LOG names", () => {
	test.each([
		["a directory", "."],
		["in a directory that is missing", "missing/log"],
		["a FIFO that nobody reads", "fifo"],
	])("is %s: refused", (_, log) =>
		start('mkfifo fifo; exec "$0" "$@"', expectRefusal(/FUSE_OVERLAYFS_DEBUG_LOG/), {
			FUSE_OVERLAYFS_DEBUG_LOG: log,
		}),
	);

	test.skipIf(lacks("mounting"))("cannot be written to: refused", () =>
		start(
			'mkdir ro && mount --bind ro ro && mount -o remount,bind,ro ro && exec "$0" "$@"',
			expectRefusal(/ro\/log: EROFS/),
			{ FUSE_OVERLAYFS_DEBUG_LOG: "ro/log" },
		),
	);

	test("has no room left: what is to be logged is not, and all else goes on", () =>
		start(
			'exec "$0" "$@"',
			(started) => {
				const [pid = 0] = daemonsOf(started.run);
				process.kill(pid, "SIGUSR1");
				expectMounted(started);
				expect(daemonsOf(started.run)).toEqual([pid]);
			},
			{ FUSE_OVERLAYFS_DEBUG_LOG: "/dev/full" },
		));
});
