/** Options do what the manual page says of them; each is looked at without the option, too. */
import { describe, expect, test } from "bun:test";
import { randomUUID } from "node:crypto";
import {
	chmodSync,
	existsSync,
	fsyncSync,
	lstatSync,
	mkdirSync,
	readdirSync,
	readFileSync,
	statSync,
	writeFileSync,
	writeSync,
} from "node:fs";
import { open } from "../harness/descriptor.ts";
import { mountDisk } from "../harness/disk.ts";
import { directory, file, smallDisk, temporaryTree } from "../harness/layers.ts";
import { mountOverlay, until } from "../harness/mount.ts";
import {
	asUser,
	codeOf,
	getxattr,
	listxattr,
	mount,
	readDirectoryRecords,
	removexattr,
	setxattr,
	umount,
} from "../harness/native.ts";
import { mountLayers } from "../harness/overlay.ts";
import { lacks } from "../harness/setting.ts";

const numberOf = (path: string) => lstatSync(path, { bigint: true }).ino;
const setfacl = (...args: string[]) => Bun.spawnSync(["setfacl", ...args]).exitCode;

describe("xino and ino32_t", () => {
	async function expectUniqueAndStable(xino: string): Promise<void> {
		await using overlay = await mountLayers([{ a: "a", "d/b": "b", "d/c": "c" }], {
			upper: { "d/u": "u" },
			disk: smallDisk,
			options: [`xino=${xino}`],
		});
		const numbers = () => ["a", "d", "d/b", "d/c", "d/u", "."].map((name) => numberOf(overlay.at(name)));
		const before = numbers();
		expect(new Set(before).size).toBe(before.length);
		chmodSync(overlay.at("d/b"), 0o600);
		readdirSync(overlay.at("d"));
		expect(numbers()).toEqual(before);
		await overlay.remount();
		// Without xino the numbers of several devices may change.
		if (xino !== "off") expect(numbers()).toEqual(before);
	}
	test.skipIf(lacks("mounting"))("xino=off: numbers are unique and stable while mounted", () =>
		expectUniqueAndStable("off"),
	);
	// The upper layer is a tmpfs, which has to note where copies come from.
	test.skipIf(lacks("mounting", "attributes on tmpfs")).each(["auto", "on"])(
		"xino=%s: numbers are unique and stable, after a remount, too",
		expectUniqueAndStable,
	);

	test.skipIf(lacks("the machine's root"))(
		"xino=on: numbers stay although the layers' devices get other numbers",
		async () => {
			using tree = temporaryTree();
			const disks = ["one", "two"].map((name) => tree.join(name));
			for (const disk of disks) {
				mountDisk("ext4", disk);
				for (const name of ["a", "b", "c"])
					writeFileSync(`${disk}/${disk.endsWith("one") ? name : name + name}`, "x");
				mkdirSync(`${disk}/d`);
			}
			const request = { ...tree.layers([{}]), lower: disks, options: ["xino=on"] };
			await using overlay = await mountOverlay(request);
			const names = ["a", "b", "c", "aa", "bb", "cc", "d", "."];
			const numbers = () => names.map((name) => numberOf(overlay.at(name)));
			const before = numbers();
			expect(new Set(before).size).toBe(names.length);
			for (const name of ["b", "bb"]) chmodSync(overlay.at(name), 0o600);
			await overlay.unmount();
			const devices = () => disks.map((disk) => statSync(disk).dev);
			const devicesBefore = devices();
			for (const disk of disks) umount(disk);
			for (const disk of [...disks].reverse()) {
				await until(
					() => Bun.spawnSync(["mount", "-o", "loop", `${disk}.ext4`, disk]).exitCode === 0,
					"the image cannot be mounted again",
				);
			}
			expect(devices()).not.toEqual(devicesBefore);
			await overlay.remount();
			expect(numbers()).toEqual(before);
		},
	);

	test.skipIf(lacks("mounting"))(
		"xino=on is refused where copied-up files could not keep theirs",
		async () => {
			using tree = temporaryTree();
			mount("ramfs", tree.layer("disk"), "ramfs", 0, "");
			const layers = {
				lower: [tree.layer("lower", { a: "a" })],
				upper: tree.layer("disk/upper"),
				work: tree.layer("disk/work"),
				mountpoint: tree.layer("merged"),
			};
			expect(mountOverlay({ ...layers, options: ["xino=on"] })).rejects.toThrow(
				/xino=on: upperdir .*\/disk\/upper takes no extended attributes.*use another file system or xino=auto/,
			);
			await using overlay = await mountOverlay({ ...layers, options: ["xino=auto"] });
			const before = numberOf(overlay.at("a"));
			writeFileSync(overlay.at("a"), "changed");
			expect(numberOf(overlay.at("a"))).toBe(before);
			await overlay.remount({ options: ["xino=off"] });
			expect(numberOf(overlay.at("a"))).not.toBe(before);
		},
	);

	test.skipIf(lacks("mounting"))("ino32_t: numbers fit into 32 bits", async () => {
		const names = ["a", "d", "d/b", "."];
		await using overlay = await mountLayers([{ a: "a", "d/b": "b" }], { disk: smallDisk });
		const numbers = () => names.map((name) => numberOf(overlay.at(name)));
		expect(numbers().filter((number) => number >= 2n ** 32n)).not.toEqual([]);
		await overlay.remount({ options: ["ino32_t"] });
		expect(numbers().filter((number) => number < 2n || number >= 2n ** 32n)).toEqual([]);
		using handle = open(overlay.path);
		const listed = readDirectoryRecords(handle.fd, 65536).filter(({ name }) => name === "d");
		expect(listed.map(({ ino }) => ino)).toEqual([numberOf(overlay.at("d"))]);
	});
});

test("fast_ino: a copied-up file has another number after the next mount, but not with xino=on", async () => {
	await using overlay = await mountLayers([{ a: "a" }]);
	const before = numberOf(overlay.at("a"));
	writeFileSync(overlay.at("a"), "changed");
	const numbers = async (options: string[]) => {
		await overlay.remount({ options });
		using handle = open(overlay.path);
		const listed = readDirectoryRecords(handle.fd, 65536).find(({ name }) => name === "a");
		return [listed?.ino, numberOf(overlay.at("a"))];
	};
	expect(await numbers([])).toEqual([before, before]);
	const { ino } = lstatSync(overlay.inUpper("a"), { bigint: true });
	expect(await numbers(["fast_ino=1"])).toEqual([ino, ino]);
	expect(ino).not.toBe(before);
	expect(await numbers(["fast_ino=1,xino=on"])).toEqual([before, before]);
});

test("static_nlink: directories have one link", async () => {
	await using overlay = await mountLayers([{ "d/a/x": "", "d/b/x": "" }, { "d/c/x": "" }]);
	const links = () => ["d", "d/a", "d/a/x", "."].map((name) => lstatSync(overlay.at(name)).nlink);
	expect(links()).toEqual([5, 2, 1, 3]);
	await overlay.remount({ options: ["static_nlink"] });
	expect(links()).toEqual([1, 1, 1, 1]);
});

describe.skipIf(lacks("other ids", "ids in ACLs", "ACLs in the kernel", "closed files"))("ACLs", () => {
	test("noacl: they cannot be set and are not shown, though they are on disk", async () => {
		await using overlay = await mountLayers([{ a: "x" }]);
		expect(setfacl("-m", "u:1000:rw", overlay.at("a"))).toBe(0);
		expect(listxattr(overlay.at("a"))).toEqual(["system.posix_acl_access"]);
		await overlay.remount({ options: ["noacl"] });
		expect(listxattr(overlay.at("a"))).toEqual([]);
		expect(codeOf(() => setxattr(overlay.at("a"), "system.posix_acl_access", Buffer.alloc(4)))).toBe(
			"ENOTSUP",
		);
		expect(setfacl("-m", "u:1001:rw", overlay.at("a"))).not.toBe(0);
		expect(listxattr(overlay.inUpper("a"))).toContain("system.posix_acl_access");
	});

	test("a lower layer whose file system has none leaves those of the upper one on", async () => {
		await using without = await mountLayers([{ f: file("x", { gid: 1000, mode: 0o640 }) }], {
			options: ["noacl"],
		});
		await using overlay = await mountLayers([{}]);
		expect(setfacl("-m", "u:1000:rwx", overlay.path)).toBe(0);
		await overlay.remount({ lower: [...overlay.layers.lower, without.path] });
		expect(setfacl("-m", "u:1001:rwx", overlay.path)).toBe(0);
		// All else works, for others as well.
		expect(asUser(1000, 1000, () => readFileSync(overlay.at("f"), "utf8"))).toBe("x");
		expect(asUser(1000, 2000, () => codeOf(() => readFileSync(overlay.at("f"))))).toBe("EACCES");
		chmodSync(overlay.at("f"), 0o600);
		expect(readFileSync(overlay.at("f"), "utf8")).toBe("x");
		await overlay.unmount();
	});
});

test("noxattrs: every call is ENOTSUP, also as a layer of another overlay, and all else works", async () => {
	const lower = {
		a: file("x", { mode: 0o640, xattrs: { "user.note": "n" } }),
		d: directory({ mode: 0o750 }),
	};
	await using overlay = await mountLayers([lower]);
	const path = overlay.at("a");
	expect(listxattr(path)).toEqual(["user.note"]);
	await overlay.remount({ options: ["noxattrs"] });
	expect(codeOf(() => listxattr(path))).toBe("ENOTSUP");
	expect(codeOf(() => getxattr(path, "user.note"))).toBe("ENOTSUP");
	expect(codeOf(() => setxattr(path, "user.note", "x"))).toBe("ENOTSUP");
	expect(codeOf(() => removexattr(path, "user.note"))).toBe("ENOTSUP");
	expect(codeOf(() => getxattr(path, "system.posix_acl_access"))).toBe("ENOTSUP");
	if (!lacks("other ids")) expect(asUser(1000, 0, () => readFileSync(path, "utf8"))).toBe("x");
	writeFileSync(path, "changed");
	expect(readFileSync(path, "utf8")).toBe("changed");
	await using outer = await mountLayers([{}]);
	await outer.remount({ lower: [overlay.path] });
	writeFileSync(outer.at("a"), "outer");
	expect(readFileSync(outer.at("a"), "utf8")).toBe("outer");
	await outer.unmount();
});

// What the kernel makes of it can be seen under SELinux only.
const hasSelinux = existsSync("/sys/fs/selinux/enforce");

test.skipIf(hasSelinux)(
	"context: read to its closing quote; where the kernel does not take it, the mount is made and says so",
	async () => {
		const context = 'context="system_u:object_r:container_file_t:s0:c1,c2"';
		await using overlay = await mountLayers([{ "d/x": "" }], { options: [`${context},static_nlink`] });
		expect(overlay.mount.log).toContain(`mounted without ${context}: the kernel does not take it here`);
		expect(overlay.mount.log).not.toContain("unknown");
		expect(lstatSync(overlay.at("d")).nlink).toBe(1);
		await overlay.remount({ options: [] });
		expect(overlay.mount.log.split("mounted without")).toHaveLength(2);
	},
);

test.each(["threaded=0", "threaded=1", "threaded"])(
	"%s is accepted, as against an unknown option",
	async (option) => {
		await using overlay = await mountLayers([{ a: "a" }], { options: [option] });
		expect([overlay.mount.stderr, overlay.mount.log]).toEqual(["", ""]);
		expect(readFileSync(overlay.at("a"), "utf8")).toBe("a");
		await overlay.remount({ options: ["threadedly=1"] });
		expect(overlay.mount.stderr + overlay.mount.log).toContain("unknown argument ignored: threadedly=1");
	},
);

describe.skipIf(lacks("closed files"))("syncing", () => {
	/** How often the daemon has the disk written while a lower file is opened, written and synced. */
	async function countSyncs(options: string[]): Promise<number> {
		await using overlay = await mountLayers([{ a: "lower" }], { options });
		const trace = overlay.tree.join(`trace-${randomUUID()}`);
		const pids = overlay.mount.daemons.flatMap((pid) => ["-p", String(pid)]);
		const calls = "trace=fsync,fdatasync,syncfs,sync_file_range,io_submit";
		const strace = Bun.spawn(["strace", "-f", "-qq", "-e", calls, "-o", trace, ...pids]);
		try {
			await until(() => isTraced(overlay.mount.daemons), "strace does not attach");
			using handle = open(overlay.at("a"), "r+");
			writeSync(handle.fd, "new");
			fsyncSync(handle.fd);
			using directoryHandle = open(overlay.path);
			fsyncSync(directoryHandle.fd);
		} finally {
			strace.kill("SIGINT");
			await strace.exited;
		}
		return readFileSync(trace, "utf8")
			.split("\n")
			.filter((line) => /sync|io_submit/.test(line)).length;
	}

	const isTraced = (pids: readonly number[]) =>
		pids.every((pid) => !/^TracerPid:\t0$/m.test(readFileSync(`/proc/${pid}/status`, "utf8")));

	test.each(["fsync=0", "volatile"])(
		"%s: nothing has the disk written, else copy-up and callers do",
		async (option) => {
			expect(await countSyncs([])).toBeGreaterThanOrEqual(3);
			expect(await countSyncs([option])).toBe(0);
		},
	);
});

test("timeout: how long the kernel does without asking", async () => {
	await using overlay = await mountLayers([{ a: file("x", { mode: 0o600 }) }]);
	const change = (mode: number) => {
		lstatSync(overlay.at("a"));
		chmodSync(overlay.inLower("a"), mode);
		return lstatSync(overlay.at("a")).mode & 0o777;
	};
	expect(change(0o644)).toBe(0o600);
	await overlay.remount({ options: ["timeout=0"] });
	expect(change(0o640)).toBe(0o640);
});

test.skipIf(lacks("the write cache"))("writeback: whether the kernel gathers what is written", async () => {
	await using overlay = await mountLayers([{}], { options: ["passthrough=off"] });
	const sizeOnDisk = (name: string) => {
		using handle = open(overlay.at(name), "w");
		writeSync(handle.fd, "content");
		return lstatSync(overlay.inUpper(name)).size;
	};
	expect(sizeOnDisk("gathered")).toBe(0);
	await overlay.remount({ options: ["passthrough=off,writeback=0"] });
	expect(sizeOnDisk("direct")).toBe(7);
	expect(readFileSync(overlay.at("gathered"), "utf8")).toBe("content");
});
