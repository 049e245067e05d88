import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync, readlinkSync, realpathSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { open } from "../harness/descriptor.ts";
import { type Layers, type TemporaryTree, temporaryTree } from "../harness/layers.ts";
import { daemonsOf, layerOptions, runProgram, startProgram, until } from "../harness/mount.ts";
import { findMount, unmount } from "../harness/mount-table.ts";
import { MNT_DETACH, mount } from "../harness/native.ts";
import { mountLayers } from "../harness/overlay.ts";
import { isCompiled, program, projectDirectory } from "../harness/program.ts";
import { lacks } from "../harness/setting.ts";

const read = (path: string) => readFileSync(path, "utf8");
const isMounted = (path: string) => findMount(path) !== undefined;

/** Unmounts by hand what a test mounted by running the program itself, and waits for the daemon. */
async function expectUnmount(path: string, run: string): Promise<void> {
	unmount(path);
	await until(() => daemonsOf(run).length === 0, "the daemon stays after the unmount");
}

/** Starts the program in the foreground and waits for the mount, which need not answer yet. */
async function foreground(layers: Layers, ...args: string[]) {
	const started = startProgram([...args, "-o", layerOptions(layers), layers.mountpoint]);
	await until(() => isMounted(layers.mountpoint) || started.child.exitCode !== null, "nothing gets mounted");
	if (!isMounted(layers.mountpoint)) throw new Error(await new Response(started.child.stderr).text());
	return started;
}

function someLayers(tree: TemporaryTree): Layers {
	return tree.layers([{ a: "lower", "d/b": "b" }]);
}

/** Waits for the end, which must be a silent success. */
async function expectSilentEnd(child: ReturnType<typeof startProgram>["child"]): Promise<void> {
	const exitCode = await child.exited;
	expect({ exitCode, stderr: await new Response(child.stderr).text() }).toEqual({ exitCode: 0, stderr: "" });
}

describe("in the background", () => {
	test("the program exits 0 once the mount answers, silently, and leaves one daemon", async () => {
		await using overlay = await mountLayers([{ a: "lower" }]);
		expect(overlay.mount.stderr).toBe("");
		expect(read(overlay.at("a"))).toBe("lower");
		expect(overlay.mount.daemons.length).toBe(1);
	});

	test("the daemon lets go of stdin, stdout, stderr, directory and terminal", async () => {
		await using overlay = await mountLayers([{ a: "lower" }], { cwd: "/tmp" });
		const [pid] = overlay.mount.daemons;
		for (const fd of [0, 1, 2]) expect(readlinkSync(`/proc/${pid}/fd/${fd}`)).not.toContain("pipe");
		expect(readlinkSync(`/proc/${pid}/cwd`)).toBe("/");
		const [, session] = /\) \S \d+ \d+ (\d+)/.exec(read(`/proc/${pid}/stat`)) ?? [];
		expect(session).not.toBe(/\) \S \d+ \d+ (\d+)/.exec(read("/proc/self/stat"))?.[1] ?? "");
	});

	test("the daemon is called fuse-overlayfs, by pgrep, ps and pidof", async () => {
		await using overlay = await mountLayers([{ a: "lower" }]);
		const [pid] = overlay.mount.daemons;
		expect(read(`/proc/${pid}/comm`)).toBe("fuse-overlayfs\n");
		const [name = ""] = read(`/proc/${pid}/cmdline`).split("\0");
		expect(basename(name)).toBe("fuse-overlayfs");
		for (const command of [
			["pgrep", "-x", "fuse-overlayfs"],
			["ps", "-C", "fuse-overlayfs", "-o", "pid="],
			["pidof", "fuse-overlayfs"],
		]) {
			const { stdout } = Bun.spawnSync(command);
			expect(stdout.toString().split(/\s+/)).toContain(String(pid));
		}
	});

	test.skipIf(!isCompiled)("the daemon's program is the one that was installed, for path rules", async () => {
		await using overlay = await mountLayers([{ a: "lower" }]);
		expect(readlinkSync(`/proc/${overlay.mount.daemons[0]}/exe`)).toBe(realpathSync(program));
	});

	test("the daemon has umask 0 and as many descriptors as it may have", async () => {
		await using overlay = await mountLayers([{ a: "lower" }]);
		const [pid] = overlay.mount.daemons;
		expect(read(`/proc/${pid}/status`)).toMatch(/^Umask:\s+0000$/m);
		const [, soft, hard] = /^Max open files\s+(\S+)\s+(\S+)/m.exec(read(`/proc/${pid}/limits`)) ?? [];
		expect(soft).toBe(hard ?? "");
	});

	test("an unmount from outside, of any kind, ends the daemon", async () => {
		for (const command of [
			["umount"],
			["umount", "-l"],
			["fusermount3", "-u"],
			["fusermount3", "-u", "-z"],
		]) {
			await using overlay = await mountLayers([{ a: "lower" }]);
			read(overlay.at("a"));
			expect(Bun.spawnSync([...command, overlay.path]).exitCode).toBe(0);
			await until(() => overlay.mount.daemons.length === 0, `the daemon stays after ${command.join(" ")}`);
			await overlay.mount.forget();
		}
	});

	test("a daemon that was killed leaves a dead mount, which a new one can replace", async () => {
		await using overlay = await mountLayers([{ a: "lower" }]);
		writeFileSync(overlay.at("new"), "new");
		Bun.spawnSync(["sync", "-f", overlay.path]);
		for (const pid of overlay.mount.daemons) process.kill(pid, "SIGKILL");
		await until(() => overlay.mount.daemons.length === 0, "the daemon survives SIGKILL");
		await overlay.remount();
		expect(readdirSync(overlay.path).sort()).toEqual(["a", "new"]);
	});
});

describe("in the foreground", () => {
	test("the daemon is called fuse-overlayfs, too", async () => {
		using tree = temporaryTree();
		const layers = someLayers(tree);
		const { child, run } = await foreground(layers, "-f");
		expect(read(`/proc/${child.pid}/comm`)).toBe("fuse-overlayfs\n");
		await expectUnmount(layers.mountpoint, run);
		await expectSilentEnd(child);
	});

	test.each(["SIGTERM", "SIGINT", "SIGHUP"] as const)("%s unmounts and exits 0", async (signal) => {
		using tree = temporaryTree();
		const layers = someLayers(tree);
		const { child, run } = await foreground(layers, "-f");
		writeFileSync(`${layers.mountpoint}/new`, "new");
		for (const pid of daemonsOf(run)) process.kill(pid, signal);
		await expectSilentEnd(child);
		expect(isMounted(layers.mountpoint)).toBeFalse();
		expect(read(`${layers.upper}/new`)).toBe("new");
	});

	test("SIGTERM unmounts lazily what is busy", async () => {
		using tree = temporaryTree();
		const layers = someLayers(tree);
		const { child } = await foreground(layers, "-f");
		using _busy = open(`${layers.mountpoint}/a`);
		child.kill("SIGTERM");
		await expectSilentEnd(child);
		expect(isMounted(layers.mountpoint)).toBeFalse();
	});

	test("an unmount from outside exits 0, also before the mount was used", async () => {
		for (const isUsed of [true, false]) {
			using tree = temporaryTree();
			const layers = someLayers(tree);
			const { child } = await foreground(layers, "-f");
			if (isUsed) read(`${layers.mountpoint}/a`);
			unmount(layers.mountpoint);
			await expectSilentEnd(child);
		}
	});

	test.each(["-d", "--debug", "-o debug"])("%s traces requests on stderr", async (flag) => {
		using tree = temporaryTree();
		const layers = someLayers(tree);
		const { child } = await foreground(layers, ...flag.split(" "));
		expect(read(`${layers.mountpoint}/a`)).toBe("lower");
		expect(child.exitCode).toBeNull();
		unmount(layers.mountpoint);
		expect(await child.exited).toBe(0);
		expect((await new Response(child.stderr).text()).toLowerCase()).toContain("lookup");
	});

	test.skipIf(lacks("mounting"))(
		"a daemon whose mount was replaced leaves the other mount alone",
		async () => {
			using tree = temporaryTree();
			const layers = someLayers(tree);
			const { child } = await foreground(layers, "-f");
			expect(read(`${layers.mountpoint}/a`)).toBe("lower");
			unmount(layers.mountpoint, MNT_DETACH);
			mount("tmpfs", layers.mountpoint, "tmpfs", 0, "");
			await expectSilentEnd(child);
			expect(findMount(layers.mountpoint)?.type).toBe("tmpfs");
		},
	);
});

describe("arguments", () => {
	test("-o may be repeated and glued, and of several positionals the last is the mountpoint", async () => {
		using tree = temporaryTree();
		const { lower, upper, work, mountpoint } = someLayers(tree);
		const options = [`-olowerdir=${lower[0]}`, "-o", `upperdir=${upper}`, "-o", `noatime,workdir=${work}`];
		const { exitCode, stderr, run } = await runProgram(["overlay", ...options, mountpoint]);
		expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
		expect(read(`${mountpoint}/a`)).toBe("lower");
		await expectUnmount(mountpoint, run);
	});

	test("unknown options are named and ignored", async () => {
		using tree = temporaryTree();
		const layers = someLayers(tree);
		const { exitCode, stderr, run } = await runProgram([
			"-o",
			`${layerOptions(layers)},lazytime,what=ever`,
			layers.mountpoint,
		]);
		expect(stderr.split("\n").sort()).toEqual([
			"",
			"fuse-overlayfs: unknown argument ignored: lazytime",
			"fuse-overlayfs: unknown argument ignored: what=ever",
		]);
		expect(exitCode).toBe(0);
		await expectUnmount(layers.mountpoint, run);
	});

	test.skipIf(lacks("mounting"))("root's mount has the default options, and those given", async () => {
		await using overlay = await mountLayers([{ a: "a" }], { options: ["noexec"] });
		const mounted = findMount(overlay.path);
		expect(mounted?.type).toBe("fuse.fuse-overlayfs");
		expect(mounted?.source).toBe("fuse-overlayfs");
		expect(mounted?.options).toEqual(
			expect.arrayContaining(["default_permissions", "allow_other", "noatime", "nodev", "noexec", "rw"]),
		);
		expect(mounted?.options).not.toContain("nosuid");
	});

	test("names of layers are bytes, not text", async () => {
		using tree = temporaryTree();
		const { mountpoint } = tree.layers([]);
		const script = `name=$(printf '%s/\\377\\376 a' "${tree.path}"); mkdir "$name"; echo odd >"$name/x"; exec "$0" -o "lowerdir=$name" "${mountpoint}"`;
		const { exitCode, run } = await runProgram(["-c", script, program], { program: "/bin/sh" });
		expect(exitCode).toBe(0);
		expect(read(`${mountpoint}/x`)).toBe("odd\n");
		await expectUnmount(mountpoint, run);
	});

	test("--help tells the usage on stdout", async () => {
		for (const flag of ["-h", "--help"]) {
			const { exitCode, stdout, stderr } = await runProgram([flag]);
			expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
			expect(stdout).toContain("fuse-overlayfs");
			expect(stdout).toContain("lowerdir");
		}
	});

	test("--version has the four lines that podman info shows", async () => {
		for (const flag of ["-V", "--version"]) {
			const { exitCode, stdout } = await runProgram([flag]);
			expect(exitCode).toBe(0);
			expect(stdout).toMatch(
				/^fusermount3 version: \S+\nfuse-overlayfs: version \S+\nFUSE library version:? \S+\nusing FUSE kernel interface version \S+\n$/,
			);
		}
	});
});

describe("messages", () => {
	/** What the shell sees of the program with arguments and redirections; the exit code comes last. */
	async function inShell(text: string): Promise<string[]> {
		const script = `{ "$0" ${text}; } 2>&1; echo $?`;
		const { stdout } = await runProgram(["-c", script, program], { program: "sh" });
		return stdout.trimEnd().split("\n");
	}

	test("all begin with the program's name, and what was ignored comes before what is lacking", async () => {
		expect(await inShell("-o lowerdr=l -o xino=sometimes,upperdir m")).toEqual([
			"fuse-overlayfs: unknown argument ignored: lowerdr=l: did you mean lowerdir?",
			"fuse-overlayfs: xino=sometimes is not valid: write xino=off or xino=auto or xino=on",
			"1",
		]);
		expect(await inShell("-o lowerdr=l m")).toEqual([
			"fuse-overlayfs: unknown argument ignored: lowerdr=l: did you mean lowerdir?",
			"fuse-overlayfs: no lowerdir given: name at least one directory with -o lowerdir=DIR[:DIR...]",
			"1",
		]);
	});

	test("a layer that is absent may be a part of a name, cut at its comma or colon", async () => {
		using tree = temporaryTree();
		for (const name of ["a,b", "c:d", "e"]) tree.layer(name);
		const mounted = tree.layer("m");
		const place = tree.path;
		expect(await inShell(`-o 'lowerdir=${place}/a,b' ${mounted}`)).toEqual([
			"fuse-overlayfs: unknown argument ignored: b: if it is the rest of a name, write \\, for the comma in that",
			`fuse-overlayfs: cannot open lowerdir ${place}/a: No such file or directory: create it, or if its name has a comma or colon, write \\, or \\: for that`,
			"1",
		]);
		const [line] = await inShell(`-o 'lowerdir=${place}/c:d' ${mounted}`);
		expect(line).toContain("write \\, or \\: for that");
		expect(await inShell(`-o 'lowerdir=${place}/e: ${place}/e' ${mounted}`)).toEqual([
			`fuse-overlayfs: cannot open lowerdir  ${place}/e: No such file or directory: its name begins or ends with a blank: write none after commas and colons`,
			"1",
		]);
	});

	test.each(["--help", "--version"])("%s says in one line that it cannot be written", async (option) => {
		expect(await inShell(`${option} 2>&1 >/dev/full`)).toEqual([
			"fuse-overlayfs: cannot write to standard output: ENOSPC",
			"1",
		]);
	});

	test.each(["--help", "--version"])("%s for nobody, or to nowhere, is silent", async (option) => {
		const { stdout, stderr } = await runProgram(
			["-c", `"$0" ${option} | true; "$0" ${option} >&-`, program],
			{ program: "sh" },
		);
		expect([stdout, stderr]).toEqual(["", ""]);
	});

	test("a full or closed stderr changes nothing", async () => {
		expect(await inShell("-o xino=sometimes 2>/dev/full")).toEqual(["1"]);
		expect(await inShell("-o xino=sometimes 2>&-")).toEqual(["1"]);
	});

	test("a defect of the program is one line that says so; -d shows where it is", async () => {
		using tree = temporaryTree();
		const main = JSON.stringify(join(projectDirectory, "src/main.ts"));
		const defect = 'process.getuid = () => { throw new TypeError("a\\nbug"); };';
		const place = tree.layer("program", { "defective.ts": `${defect} await import(${main});` });
		const run = (...args: string[]) =>
			runProgram([join(place, "defective.ts"), ...args], { program: process.execPath });
		const { stderr, exitCode } = await run("-o", "lowerdir=l", "m");
		expect({ stderr, exitCode }).toEqual({
			stderr:
				"fuse-overlayfs: a defect of this program: TypeError: a bug: please report it, with what the option -d shows\n",
			exitCode: 1,
		});
		const traced = await run("-d", "-o", "lowerdir=l", "m");
		expect(traced.stderr).toContain("defective.ts");
		expect(traced.stderr.trimEnd().split("\n")).toEqual(
			expect.arrayContaining([expect.stringMatching(/^fuse-overlayfs: +at /)]),
		);
	});
});

describe("environment", () => {
	test("SIGUSR1 adds statistics to the file that FUSE_OVERLAYFS_DEBUG_LOG names", async () => {
		await using overlay = await mountLayers([{ a: "a", b: "b" }]);
		readdirSync(overlay.path);
		read(overlay.at("a"));
		for (const pid of overlay.mount.daemons) process.kill(pid, "SIGUSR1");
		await until(() => /# NODES: \d+/.test(overlay.mount.log), "no statistics in the log");
		expect(overlay.mount.log).toMatch(/# INODES: \d+/);
		expect(read(overlay.at("b"))).toBe("b");
	});
});

describe("an already mounted /dev/fuse", () => {
	test.skipIf(lacks("mounting"))("is served when the mountpoint is /dev/fd/N", async () => {
		using tree = temporaryTree();
		const layers = someLayers(tree);
		using device = open("/dev/fuse", "r+");
		mount(
			"overlay",
			layers.mountpoint,
			"fuse.fuse-overlayfs",
			0,
			`fd=${device.fd},rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions`,
		);
		const { exitCode, stderr, run } = await runProgram(["-o", layerOptions(layers), "/dev/fd/3"], {
			inherit: [device.fd],
		});
		device.close();
		expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
		expect(read(`${layers.mountpoint}/a`)).toBe("lower");
		writeFileSync(`${layers.mountpoint}/new`, "new");
		await expectUnmount(layers.mountpoint, run);
		expect(read(`${layers.upper}/new`)).toBe("new");
	});
});

describe("the name it is called by", () => {
	test("may be a symlink anywhere", async () => {
		using tree = temporaryTree();
		const link = tree.join("fuse-overlayfs");
		Bun.spawnSync(["ln", "-s", program, link]);
		const { exitCode, stdout } = await runProgram(["--version"], { program: link });
		expect(exitCode).toBe(0);
		expect(stdout).toContain(`${basename(link)}: version`);
	});
});
