/** A mount that outlives its daemon: `failover=on`. What holds under load, and for long: `bun run crash --outlive N`. */

import { describe, expect, test } from "bun:test";
import {
	appendFileSync,
	chmodSync,
	closeSync,
	copyFileSync,
	fchmodSync,
	fstatSync,
	mkdirSync,
	opendirSync,
	openSync,
	readdirSync,
	readFileSync,
	rmdirSync,
	statSync,
	symlinkSync,
	unlinkSync,
	utimesSync,
	writeFileSync,
} from "node:fs";
import { killAtEach, operations } from "../crash/each-call.ts";
import { O_PATH, open } from "../harness/descriptor.ts";
import { file } from "../harness/layers.ts";
import { mountOverlay, type OverlayMount, until } from "../harness/mount.ts";
import {
	codeOf,
	fgetxattr,
	flock,
	fsetxattr,
	LOCK_EX,
	LOCK_NB,
	MNT_DETACH,
	mapMemory,
	setxattr,
	umount,
} from "../harness/native.ts";
import { mountLayers, type Overlay } from "../harness/overlay.ts";
import { isCompiled, program } from "../harness/program.ts";
import { lacks } from "../harness/setting.ts";

const survives = { options: ["failover=on"] };
/** What is answered once nobody serves a mount any more. */
const ended = /^(ENOTCONN|ECONNABORTED)$/;
const goesOn = "the daemon has ended: another goes on with the mount";

function mountSome(): Promise<Overlay> {
	return mountLayers([{ lower: "lower", "directory/inside": "inside" }], {
		...survives,
		upper: { upper: "upper" },
	});
}

/** The process that waits for the daemon's end. */
function keeperOf(mount: OverlayMount): number {
	const { serving } = mount;
	const [keeper, ...others] = mount.daemons.filter((pid) => !serving.includes(pid));
	// Signals to 0 are for the whole group of processes that this one is in.
	if (keeper === undefined || others.length > 0)
		throw new Error("nobody, or more than one, waits for the daemon's end");
	return keeper;
}

describe.skipIf(lacks("requests sent again"))("where the daemon is killed", () => {
	test("another goes on: nothing that was open, locked, mapped or being listed is lost", async () => {
		await using overlay = await mountLayers(
			[Object.fromEntries(Array.from({ length: 500 }, (_, index) => [`names/n${index}`, file("x")]))],
			{ ...survives, upper: { upper: "upper content" } },
		);
		await overlay.mount.settled();
		using held = open(overlay.at("upper"), "r+");
		using locked = open(overlay.at("upper"), "r");
		flock(locked.fd, LOCK_EX);
		using mapped = mapMemory(4096, held.fd);
		mapped.bytes.write("UPPER");
		writeFileSync(overlay.at("gone"), "without a name");
		using gone = open(overlay.at("gone"), "r+");
		unlinkSync(overlay.at("gone"));
		const { ino } = statSync(overlay.at("names/n7"));
		const listing = opendirSync(overlay.at("names"), { bufferSize: 1 });
		const names = [listing.readSync()!.name, listing.readSync()!.name];

		overlay.mount.killDaemon();

		expect(readFileSync(overlay.at("upper"), "latin1")).toBe("UPPER content");
		expect(gone.text()).toBe("without a name");
		expect(fstatSync(gone.fd).nlink).toBe(0);
		using other = open(overlay.at("upper"), "r");
		expect(codeOf(() => flock(other.fd, LOCK_EX | LOCK_NB))).toBe("EAGAIN");
		for (let entry = listing.readSync(); entry !== null; entry = listing.readSync()) names.push(entry.name);
		listing.closeSync();
		expect(names.sort()).toEqual(Array.from({ length: 500 }, (_, index) => `n${index}`).sort());
		expect(statSync(overlay.at("names/n7")).ino).toBe(ino);
		expect(overlay.mount.log).toContain(goesOn);
	});

	const each = Object.keys(operations).map((name, index): [string, number] => [name, 2 + (index % 13)]);
	// A few of the places here; `bun run crash --outlive` takes many of them, in all ways to mount.
	test.each(each)("while it %s, that is done once", async (name, first) => {
		await killAtEach("call", name, [], first, 13);
	});

	test("what is open without a name, and a directory, are forgotten when they are closed", async () => {
		await using overlay = await mountSome();
		await overlay.mount.settled();
		const gone = open(overlay.at("upper"), "r");
		unlinkSync(overlay.at("upper"));
		const directory = open(overlay.at("directory"), "r");
		unlinkSync(overlay.at("directory/inside"));
		rmdirSync(overlay.at("directory"));
		overlay.mount.killDaemon();
		expect(gone.text()).toBe("upper");
		expect(fstatSync(directory.fd).isDirectory()).toBeTrue();
		gone.close();
		directory.close();
		const parked = () => readdirSync(`${overlay.layers.work}/work`).filter((name) => name.startsWith("#n"));
		await until(
			() => parked().length === 0,
			() => `left in the workdir: ${parked()}`,
		);
	});

	test("removed directories are what they were, and what they were changed to", async () => {
		await using overlay = await mountSome();
		await overlay.mount.settled();
		// More than are noted.
		const many = Array.from({ length: 300 }, (_, index) => {
			const path = overlay.at(`removed ${index}`);
			mkdirSync(path);
			chmodSync(path, 0o700 + (index % 64));
			utimesSync(path, index, 1000 + index);
			if (index % 100 === 7) setxattr(path, "user.number", `${index}`);
			const fd = openSync(path, "r");
			rmdirSync(path);
			return { index, fd, ino: fstatSync(fd).ino };
		});
		const look = () =>
			many.map(({ index, fd, ino }) => {
				const stat = fstatSync(fd);
				expect([stat.ino, stat.nlink, stat.mtimeMs]).toEqual([ino, 0, 1e3 * (1000 + index)]);
				const attribute = codeOf(() => fgetxattr(fd, "user.number")) ?? fgetxattr(fd, "user.number");
				return `${(stat.mode & 0o7777).toString(8)} ${attribute}`;
			});
		const before = look();
		overlay.mount.killDaemon();
		expect(look()).toEqual(before);
		for (const { index, fd } of many) {
			if (index % 3 === 0) fchmodSync(fd, 0o1700);
			if (index % 100 === 8) fsetxattr(fd, "user.number", "eight");
		}
		const changed = look();
		await overlay.mount.settled();
		overlay.mount.killDaemon();
		expect(look()).toEqual(changed);
		expect(changed[3]).toBe("1700 ENODATA");
		expect(changed[8]).toEndWith(" eight");
		for (const { fd } of many) closeSync(fd);
	});

	test("a file that was closed when it lost its name goes by its descriptor while the daemon lives", async () => {
		await using overlay = await mountSome();
		await overlay.mount.settled();
		using held = open(overlay.at("upper"), O_PATH);
		unlinkSync(overlay.at("upper"));
		expect(fstatSync(held.fd).nlink).toBe(0);
		expect(readFileSync(`/proc/self/fd/${held.fd}`, "utf8")).toBe("upper");
	});

	test("what others have in the same workdir is left alone, and what it has left there is not", async () => {
		await using overlay = await mountSome();
		await overlay.mount.settled();
		const inWork = (name: string) => `${overlay.layers.work}/work/${name}`;
		const own = ["#12", "#12345678"];
		for (const name of own) writeFileSync(inWork(name), "its own");
		writeFileSync(inWork("#80000100001"), "of another mount");
		overlay.mount.killDaemon();
		expect(readFileSync(overlay.at("lower"), "utf8")).toBe("lower");
		expect(readdirSync(inWork("")).filter((name) => own.includes(name))).toEqual([]);
		expect(readFileSync(inWork("#80000100001"), "utf8")).toBe("of another mount");
		writeFileSync(overlay.at("lower"), "changed");
		expect(readFileSync(overlay.at("lower"), "utf8")).toBe("changed");
	});

	test("who waits for its end may end, too: then there is another", async () => {
		await using overlay = await mountSome();
		const daemon = await overlay.mount.settled();
		const keeper = keeperOf(overlay.mount);
		process.kill(keeper, "SIGKILL");
		await until(() => !overlay.mount.daemons.includes(keeper), "the keeper survives SIGKILL");
		expect(await overlay.mount.settled()).toBe(daemon);
		process.kill(daemon, "SIGKILL");
		expect(readFileSync(overlay.at("lower"), "utf8")).toBe("lower");
		expect(overlay.mount.log).toContain(goesOn);
	});

	test("with who waits for its end, the mount ends, and nobody hangs", async () => {
		await using overlay = await mountSome();
		const daemon = await overlay.mount.settled();
		process.kill(daemon, "SIGSTOP");
		process.kill(keeperOf(overlay.mount), "SIGKILL");
		process.kill(daemon, "SIGKILL");
		await until(() => overlay.mount.daemons.length === 0, "a process is left");
		expect(codeOf(() => readFileSync(overlay.at("lower")))).toMatch(ended);
		await overlay.mount.forget();
	});

	test.skipIf(lacks("mounting"))("and unmounted before another goes on, nothing is left", async () => {
		await using overlay = await mountSome();
		const daemon = await overlay.mount.settled();
		const keeper = keeperOf(overlay.mount);
		process.kill(keeper, "SIGSTOP");
		process.kill(daemon, "SIGKILL");
		await until(() => !overlay.mount.daemons.includes(daemon), "the daemon survives SIGKILL");
		umount(overlay.path, MNT_DETACH);
		process.kill(keeper, "SIGCONT");
		await until(() => overlay.mount.daemons.length === 0, "a process is left");
		await overlay.mount.forget();
	});

	test("by a signal to end, the mount and all processes end", async () => {
		await using overlay = await mountSome();
		process.kill(await overlay.mount.settled(), "SIGTERM");
		await until(() => overlay.mount.daemons.length === 0, "a process is left");
		await overlay.mount.forget();
	});

	test("the same request that ends two of them is answered with EIO, and the mount goes on", async () => {
		await using overlay = await mountSome();
		const daemon = await overlay.mount.settled();
		await using killer = await killAt("symlinkat", [daemon, keeperOf(overlay.mount)]);
		expect(codeOf(() => symlinkSync("target", overlay.at("new")))).toBe("EIO");
		expect(overlay.mount.log).toContain("has ended 2 daemons: it is answered with EIO");
		await killer.end();
		symlinkSync("target", overlay.at("new"));
		expect(readFileSync(overlay.at("lower"), "utf8")).toBe("lower");
	});

	test("and so are all that are to go on, the mount is given up, and nobody hangs", async () => {
		await using overlay = await mountSome();
		const daemon = await overlay.mount.settled();
		await using killer = await killAt("renameat2", [daemon, keeperOf(overlay.mount)]);
		process.kill(daemon, "SIGKILL");
		expect(codeOf(() => readFileSync(overlay.at("lower")))).toMatch(ended);
		await killer.end();
		await until(() => overlay.mount.daemons.length === 0, "a process is left");
		await overlay.mount.forget();
	});
});

/** Kills these processes, and all that they start, at each call of that name. */
async function killAt(call: string, pids: readonly number[]) {
	const attached = pids.flatMap((pid) => ["-p", String(pid)]);
	const options = ["-f", "-qq", "-e", `trace=${call}`, "-e", `inject=${call}:signal=SIGKILL`];
	const strace = Bun.spawn(["strace", ...options, "-o", "/dev/null", ...attached], {
		stdio: ["ignore", "ignore", "inherit"],
	});
	const isTraced = (pid: number) => /^TracerPid:\t[1-9]/m.test(readFileSync(`/proc/${pid}/status`, "latin1"));
	await until(() => strace.exitCode !== null || pids.every(isTraced), "strace is not there");
	const end = async () => {
		// Told to detach, it would wait for a process to stop that itself waits, in vfork, for one that strace has stopped.
		strace.kill("SIGKILL");
		await strace.exited;
	};
	return { end, [Symbol.asyncDispose]: end };
}

describe("SIGUSR2", () => {
	test("has the program go on anew in the daemon's place, and nobody notices", async () => {
		await using overlay = await mountSome();
		const daemon = overlay.mount.serving[0]!;
		using held = open(overlay.at("upper"), "r+");
		unlinkSync(overlay.at("upper"));
		appendFileSync(overlay.at("lower"), " and more");
		process.kill(daemon, "SIGUSR2");
		await until(
			() => overlay.mount.log.includes("another program goes on with the mount"),
			"nothing has happened",
		);
		expect(held.text()).toBe("upper");
		expect(readFileSync(overlay.at("lower"), "utf8")).toBe("lower and more");
		await until(() => overlay.mount.serving.length === 1, "another daemon");
		expect(overlay.mount.serving).toEqual([daemon]);
		held.close();
		await overlay.remount();
		expect(readFileSync(overlay.at("lower"), "utf8")).toBe("lower and more");
	});

	test("again and again", async () => {
		await using overlay = await mountSome();
		const [daemon] = overlay.mount.serving;
		for (let time = 1; time <= 5; time++) {
			process.kill(daemon!, "SIGUSR2");
			const times = () => overlay.mount.log.split("another program goes on").length - 1;
			await until(() => times() === time, "nothing has happened");
			writeFileSync(overlay.at(`new${time}`), `${time}`);
		}
		expect(readdirSync(overlay.path).sort()).toEqual(
			["directory", "lower", "upper", ...[1, 2, 3, 4, 5].map((time) => `new${time}`)].sort(),
		);
	});

	test.skipIf(lacks("requests sent again"))(
		"and a kill while that program begins are noticed by nobody",
		async () => {
			await using overlay = await mountSome();
			using held = open(overlay.at("upper"), "r+");
			for (const milliseconds of [0, 10, 30, 50, 70, 100]) {
				const daemon = await overlay.mount.settled();
				process.kill(daemon, "SIGUSR2");
				await Bun.sleep(milliseconds);
				process.kill(daemon, "SIGKILL");
				expect(readFileSync(overlay.at("lower"), "utf8")).toBe("lower");
				writeFileSync(overlay.at(`new${milliseconds}`), "new");
				expect(held.text()).toBe("upper");
			}
			await overlay.mount.settled();
			await until(() => overlay.mount.daemons.length === 2, "processes are left");
		},
	);

	test.skipIf(!isCompiled)("with a program that cannot go on has the old one stay", async () => {
		await using overlay = await mountLayers([{ lower: "lower" }]);
		const own = overlay.tree.join("program");
		copyFileSync(program, own);
		await overlay.remount({ ...survives, program: own });
		unlinkSync(own);
		writeFileSync(own, "#!/bin/sh\nexit 1\n", { mode: 0o755 });
		const [daemon] = overlay.mount.serving;
		process.kill(daemon!, "SIGUSR2");
		await until(() => overlay.mount.log.includes("cannot go on with this mount"), "nothing is said");
		expect(readFileSync(overlay.at("lower"), "utf8")).toBe("lower");
		expect(overlay.mount.serving).toEqual([daemon!]);
	});
});

describe("where there is no failover", () => {
	test("a killed daemon is the end of the mount, and SIGUSR2 has no effect", async () => {
		await using overlay = await mountLayers([{ lower: "lower" }]);
		const [daemon] = overlay.mount.serving;
		expect(overlay.mount.daemons).toEqual([daemon!]);
		process.kill(daemon!, "SIGUSR2");
		expect(readFileSync(overlay.at("lower"), "utf8")).toBe("lower");
		process.kill(daemon!, "SIGKILL");
		await until(() => overlay.mount.daemons.length === 0, "a process is left");
		expect(codeOf(() => statSync(overlay.at("never looked at")))).toMatch(ended);
		await overlay.mount.forget();
	});

	test("in a workdir that another mount uses, that is said", async () => {
		await using overlay = await mountLayers([{ lower: "lower" }]);
		const mountpoint = overlay.tree.layer("other");
		await using other = await mountOverlay({ ...overlay.layers, ...survives, mountpoint });
		await until(
			() => other.log.includes("failover=on is without effect: another mount uses the workdir"),
			"nothing is said",
		);
		expect(other.daemons.length).toBe(1);
	});

	test.skipIf(lacks("the machine's root"))("with index=on, that is said", async () => {
		await using overlay = await mountLayers([{ lower: "lower" }], { options: ["failover=on", "index=on"] });
		expect(overlay.mount.log).toContain("failover=on is without effect");
		expect(overlay.mount.daemons.length).toBe(1);
	});
});
