/** What a mount that nobody uses gives back, and what it does not. */
import { describe, expect, test } from "bun:test";
import {
	existsSync,
	fstatSync,
	lstatSync,
	mkdirSync,
	readdirSync,
	readFileSync,
	readlinkSync,
	renameSync,
	unlinkSync,
	writeFileSync,
	writeSync,
} from "node:fs";
import { type Descriptor, open } from "../harness/descriptor.ts";
import { type Description, directory, hardLink, symlink } from "../harness/layers.ts";
import { until } from "../harness/mount.ts";
import { findMount } from "../harness/mount-table.ts";
import { codeOf, flock, LOCK_EX, LOCK_NB, mapMemory, readDirectoryRecords } from "../harness/native.ts";
import { mountLayers, type Overlay, type OverlaySettings } from "../harness/overlay.ts";
import { isKernel } from "../harness/program.ts";
import { refusing } from "../harness/refusing.ts";
import { countNodes } from "../harness/requests.ts";
import { lacks } from "../harness/setting.ts";
import { measure } from "../soak/gauge.ts";

const kinds: readonly (readonly [string, readonly string[]])[] = [
	["passthrough, where that is permitted", []],
	["the write cache", ["passthrough=off"]],
	["neither", ["passthrough=off", "writeback=0"]],
	["layers that others may change", ["timeout=0"]],
];

/** The root, and directories in which the kernel keeps in mind that a name is not there. */
const mostLeft = 4;

/** Mounts what is idle after so many milliseconds. */
function mountIdle(lower: Description, after: number, settings: OverlaySettings = {}): Promise<Overlay> {
	const environment = { ...settings.environment, _FUSE_OVERLAYFS_IDLE_AFTER: String(after) };
	return mountLayers([lower], { ...settings, environment });
}

/** Resolves when the mount has no more than so many nodes; until then it must be left alone. */
async function untilForgotten(overlay: Overlay, most = 1): Promise<void> {
	while ((await countNodes(overlay)) > most) await Bun.sleep(20);
}

function manyFiles(directories: number, files: number, ending = ""): Record<string, string> {
	const all: Record<string, string> = {};
	for (let at = 0; at < directories; at++) {
		for (let file = 0; file < files; file++) all[`d${at}/file ${file}${ending}`] = `${at} ${file}`;
	}
	return all;
}

/** Memory of the daemon's own, in MiB. */
async function ownMemory({ mount }: Overlay): Promise<number> {
	return (await measure(mount)).memory;
}

/** Numbers, kinds and content of all that there is, by path. */
function look(overlay: Overlay): Record<string, string> {
	const names = readdirSync(overlay.path, { recursive: true }) as string[];
	return Object.fromEntries(
		names.sort().map((name) => {
			const path = overlay.at(name);
			const stat = lstatSync(path);
			const content = stat.isSymbolicLink() ? readlinkSync(path) : "";
			return [
				name,
				`${stat.ino} ${stat.mode} ${stat.nlink} ${stat.isFile() ? readFileSync(path, "utf8") : content}`,
			];
		}),
	);
}

describe.skipIf(isKernel || lacks("forgetting when told")).each(kinds)("idle, with %s", (_, options) => {
	test("names that nobody uses are forgotten, and found again as they were", async () => {
		const lower = { ...manyFiles(3, 20), link: symlink("d1/file 3"), "d0/other": hardLink("d0/file 0") };
		await using overlay = await mountIdle(lower, 50, {
			options,
			upper: { "d0/upper": "u", own: directory(), "own/a": "a", "own/b": hardLink("own/a") },
		});
		writeFileSync(overlay.at("d0/file 1"), "changed");
		writeFileSync(overlay.at("d0/new"), "new");
		mkdirSync(overlay.at("made"));
		renameSync(overlay.at("d0/file 2"), overlay.at("made/moved"));
		unlinkSync(overlay.at("d0/file 4"));
		expect(existsSync(overlay.at("absent"))).toBeFalse();
		const seen = look(overlay);
		await untilForgotten(overlay, mostLeft);
		expect(look(overlay)).toEqual(seen);
		await untilForgotten(overlay, mostLeft);
		writeFileSync(overlay.at("made/moved"), "changed");
		expect(readFileSync(overlay.inUpper("made/moved"), "utf8")).toBeDefined();
		await overlay.expectLasting();
	});

	test("what is in use stays: open files, removed ones, mapped memory, locks, directories", async () => {
		const lower = { ...manyFiles(4, 50), used: directory(), "used/deep/here": "here" };
		await using overlay = await mountIdle(lower, 50, { options });
		look(overlay);
		const child = Bun.spawn(["sh", "-c", 'read line; cat here; cd ..; cat "$line"'], {
			cwd: overlay.at("used/deep"),
			stdio: ["pipe", "pipe", "inherit"],
		});
		using reader = open(overlay.at("d0/file 0"));
		using writer = open(overlay.at("d1/file 1"), "r+");
		using removed = open(overlay.at("d2/file 2"), "r+");
		using locked = open(overlay.at("d3/file 3"), "r+");
		using mapped = open(overlay.at("d3/file 4"), "r+");
		using inside: Descriptor = open(overlay.at("d3"));
		const inodes = [reader, writer, removed, locked, mapped].map(({ fd }) => fstatSync(fd).ino);
		writeSync(writer.fd, "written late");
		unlinkSync(overlay.at("d2/file 2"));
		writeSync(removed.fd, "gone");
		flock(locked.fd, LOCK_EX);
		using memory = mapMemory(3, mapped.fd);
		memory.bytes.write("MAP");
		mapped.close();
		const records = readDirectoryRecords(inside.fd, 256);
		await untilForgotten(overlay, 20);
		for (;;) {
			const more = readDirectoryRecords(inside.fd, 256);
			if (more.length === 0) break;
			records.push(...more);
		}
		const names = records.map(({ name }) => name);
		expect(names.length).toBe(new Set(names).size);
		expect(names.sort()).toEqual([".", "..", ...readdirSync(overlay.at("d3"))].sort());
		expect([reader, writer, removed, locked].map(({ fd }) => fstatSync(fd).ino)).toEqual(inodes.slice(0, 4));
		expect(["d0/file 0", "d1/file 1"].map((name) => lstatSync(overlay.at(name)).ino)).toEqual(
			inodes.slice(0, 2),
		);
		expect([reader.text(), writer.text(), removed.text()]).toEqual(["0 0", "written late", "gone"]);
		using other = open(overlay.at("d3/file 3"), "r+");
		expect(codeOf(() => flock(other.fd, LOCK_EX | LOCK_NB))).toBe("EAGAIN");
		expect(memory.bytes.toString()).toBe("MAP");
		expect(lstatSync(overlay.at("d3/file 4")).ino).toBe(inodes[4] ?? 0);
		memory.bytes.write("map");
		memory.sync();
		expect(readFileSync(overlay.at("d3/file 4"), "utf8")).toBe("map");
		child.stdin.write("../d0/file 1\n");
		child.stdin.end();
		expect(await new Response(child.stdout).text()).toBe("here0 1");
		expect(readFileSync(overlay.at("d1/file 1"), "utf8")).toBe("written late");
	});

	test("whoever walks, reads and changes a tree while it is given back all the time sees all of it", async () => {
		await using overlay = await mountIdle(manyFiles(5, 100), 2, { options });
		for (let round = 0; round < 3; round++) {
			const walks = Array.from({ length: 3 }, () =>
				Bun.spawn(["find", overlay.path, "-type", "f", "-exec", "cat", "{}", "+"], {
					stdout: "pipe",
					stderr: "pipe",
				}),
			);
			for (let change = 0; change < 100; change++) {
				const path = overlay.at(`d${change % 5}/file ${change}`);
				writeFileSync(path, `${change % 5} ${change}`);
				if (change % 10 === 0) await Bun.sleep(1);
			}
			for (const walk of walks) {
				const [output, errors, code] = await Promise.all([
					new Response(walk.stdout).text(),
					new Response(walk.stderr).text(),
					walk.exited,
				]);
				expect({ errors, code }).toEqual({ errors: "", code: 0 });
				expect(output.length).toBeGreaterThanOrEqual(1500);
			}
		}
		await untilForgotten(overlay);
		await overlay.expectLasting();
	});
});

async function lookAtEach(overlay: Overlay, files: Record<string, string>): Promise<void> {
	for (const [index, name] of Object.keys(files).entries()) {
		lstatSync(overlay.at(name));
		// A sign of life goes out meanwhile.
		if (index % 1000 === 0) await Bun.sleep(0);
	}
}

describe.skipIf(isKernel)("memory", () => {
	const ending = " with a long name".repeat(14);
	const files = manyFiles(100, 400, ending);
	const base = "/dev/shm";

	test.skipIf(lacks("forgetting when told"))(
		"of many files is given back when nobody uses them",
		async () => {
			await using overlay = await mountIdle(files, 3000, { base });
			await lookAtEach(overlay, files);
			const most = await ownMemory(overlay);
			await untilForgotten(overlay);
			// The rest goes after the last node. What has been compiled stays.
			while (most - (await ownMemory(overlay)) < 6) await Bun.sleep(100);
			expect(readFileSync(overlay.at(`d99/file 399${ending}`), "utf8")).toBe("99 399");
		},
	);

	// A seccomp filter of a user takes from fusermount3 what it mounts by.
	test.skipIf(lacks("forgetting when told", "mounting"))(
		"is given back where io_uring is refused, too",
		async () => {
			const program = refusing("ENOSYS", "io_uring_setup");
			await using overlay = await mountIdle(files, 1000, { program, base });
			await lookAtEach(overlay, files);
			await untilForgotten(overlay);
			expect(readFileSync(overlay.at(`d1/file 1${ending}`), "utf8")).toBe("1 1");
		},
	);

	test.skipIf(lacks("forgetting when told"))("a signal ends a mount that is giving it back", async () => {
		await using overlay = await mountIdle(files, 1000, { base });
		await lookAtEach(overlay, files);
		const all = await countNodes(overlay);
		while ((await countNodes(overlay)) === all);
		for (const daemon of overlay.mount.daemons) process.kill(daemon, "SIGTERM");
		await until(() => overlay.mount.daemons.length === 0, "the daemon stays");
		expect(findMount(overlay.path)).toBeUndefined();
		await overlay.mount.forget();
	});

	test("a kernel before Linux 6.18 keeps the names; all else is given back", async () => {
		const environment = { _FUSE_OVERLAYFS_DECLINE: "minor=44" };
		await using overlay = await mountIdle(manyFiles(50, 20), 200, { environment });
		const [daemon = 0] = overlay.mount.daemons;
		const openFiles = () => readdirSync(`/proc/${daemon}/fd`).length;
		const before = openFiles();
		const seen = look(overlay);
		expect(openFiles()).toBeGreaterThan(before + 50);
		while (openFiles() > before) await Bun.sleep(20);
		expect(await countNodes(overlay)).toBe(1051);
		expect(look(overlay)).toEqual(seen);
		await overlay.expectLasting();
	});
});
