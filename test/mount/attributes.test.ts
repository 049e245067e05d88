import { describe, expect, test } from "bun:test";
import {
	accessSync,
	chmodSync,
	chownSync,
	constants,
	fchmodSync,
	fchownSync,
	ftruncateSync,
	lchownSync,
	lstatSync,
	mkdirSync,
	readFileSync,
	rmdirSync,
	statSync,
	truncateSync,
	writeFileSync,
	writeSync,
} from "node:fs";
import { open } from "../harness/descriptor.ts";
import { device, directory, fifo, file, hardLink, symlink } from "../harness/layers.ts";
import { asUser, codeOf, copyFileRange, fallocate, setTimes, setTimesOf } from "../harness/native.ts";
import { mountLayers } from "../harness/overlay.ts";
import { lacks } from "../harness/setting.ts";

const time = 1_111_111_111_987_654_321n;
const bigint = { bigint: true } as const;
const modeOf = (path: string) => lstatSync(path).mode & 0o7777;

describe("attributes", () => {
	test.skipIf(lacks("devices"))("are those of the object in the layer", async () => {
		await using overlay = await mountLayers([
			{
				file: file("content", { mode: 0o4751, uid: 7, gid: 8, time }),
				dir: directory({ mode: 0o1777, uid: 9, time }),
				link: symlink("file", { uid: 3, gid: 4, time }),
				pipe: fifo({ mode: 0o640, gid: 5, time }),
				null: device("char", 1, 3, { time }),
				again: hardLink("file"),
			},
		]);
		for (const name of ["file", "dir", "link", "pipe", "null", "again"]) {
			const pick = ({ mode, uid, gid, size, rdev, mtimeNs, ctimeNs, blocks }: ReturnType<typeof inMount>) => {
				return { name, mode, uid, gid, size, rdev, mtimeNs, ctimeNs, blocks };
			};
			const inMount = (path: string) => lstatSync(path, bigint);
			expect(pick(inMount(overlay.at(name)))).toEqual(pick(inMount(overlay.inLower(name))));
		}
		expect(statSync(overlay.at("file")).nlink).toBe(2);
	});

	test.skipIf(lacks("trusted attributes"))(
		"st_dev is the mount's own, st_ino that of the layer and constant through copy-up and remount",
		async () => {
			await using overlay = await mountLayers([
				{ file: "x", "dir/x": "", link: symlink("x") },
				{ "dir/y": "" },
			]);
			const numbers = () =>
				["file", "dir", "dir/x", "link"].map((name) => lstatSync(overlay.at(name), bigint).ino);
			const devices = new Set(["", "file", "dir"].map((name) => lstatSync(overlay.at(name)).dev));
			expect(devices.size).toBe(1);
			expect(devices.has(lstatSync(overlay.inLower("file")).dev)).toBeFalse();
			const before = numbers();
			expect(before[0]).toBe(lstatSync(overlay.inLower("file"), bigint).ino);
			writeFileSync(overlay.at("file"), "copied up");
			chmodSync(overlay.at("dir"), 0o700);
			chmodSync(overlay.at("dir/x"), 0o600);
			lchownSync(overlay.at("link"), 1, 1);
			expect(numbers()).toEqual(before);
			await overlay.remount();
			expect(numbers()).toEqual(before);
		},
	);

	test("a directory's link count is 2 and one more for each directory in it", async () => {
		await using overlay = await mountLayers([
			{ "d/a/x": "", "d/file": "" },
			{ "d/b/y": "", "d/a/z": "" },
		]);
		const links = () => statSync(overlay.at("d")).nlink;
		expect(links()).toBe(4);
		mkdirSync(overlay.at("d/new"));
		expect(links()).toBe(5);
		rmdirSync(overlay.at("d/new"));
		expect(links()).toBe(4);
		expect(statSync(overlay.at("d/a")).nlink).toBe(2);
	});

	test("with static_nlink a directory's link count is 1", async () => {
		await using overlay = await mountLayers([{ "d/a/x": "" }], { options: ["static_nlink"] });
		expect(statSync(overlay.at("d")).nlink).toBe(1);
		mkdirSync(overlay.at("d/new"));
		expect(statSync(overlay.at("d")).nlink).toBe(1);
		expect(statSync(overlay.at("d/a/x")).nlink).toBe(1);
	});

	test.skipIf(lacks("closed files"))("chmod, of lower and upper objects, by path and by handle", async () => {
		await using overlay = await mountLayers([{ a: "a", b: "b", "d/x": "" }], { upper: { c: "c" } });
		chmodSync(overlay.at("a"), 0o444);
		chmodSync(overlay.at("d"), 0o2750);
		chmodSync(overlay.at("c"), 0o6711);
		using b = open(overlay.at("b"));
		fchmodSync(b.fd, 0);
		b.close();
		expect(["a", "b", "c", "d"].map((name) => modeOf(overlay.at(name)))).toEqual([0o444, 0, 0o6711, 0o2750]);
		expect(readFileSync(overlay.at("a"), "utf8")).toBe("a");
		await overlay.expectLasting();
		expect(modeOf(overlay.inLower("a"))).toBe(0o644);
	});

	test.skipIf(lacks("all ids"))(
		"chown, of lower and upper objects, by path and by handle, symlinks themselves",
		async () => {
			await using overlay = await mountLayers([{ a: "a", b: "b", "d/x": "", l: symlink("a") }], {
				upper: { c: "c" },
			});
			chownSync(overlay.at("a"), 10, 20);
			chownSync(overlay.at("d"), 11, 21);
			chownSync(overlay.at("c"), 12, 4_000_000_000);
			lchownSync(overlay.at("l"), 13, 23);
			using b = open(overlay.at("b"));
			fchownSync(b.fd, 14, 24);
			b.close();
			const owners = ["a", "b", "c", "d", "l"].map((name) => {
				const { uid, gid } = lstatSync(overlay.at(name));
				return `${uid}:${gid}`;
			});
			expect(owners).toEqual(["10:20", "14:24", "12:4000000000", "11:21", "13:23"]);
			await overlay.expectLasting();
		},
	);

	test("times, to the nanosecond, before 1970, now and omitted, by path and by handle", async () => {
		await using overlay = await mountLayers([
			{ a: file("a", { time }), b: "b", d: directory(), l: symlink("a") },
		]);
		const times = (name: string) => {
			const { atimeNs, mtimeNs } = lstatSync(overlay.at(name), bigint);
			return [atimeNs, mtimeNs];
		};
		setTimes(overlay.at("a"), 5n, "omit");
		expect(times("a")).toEqual([5n, time]);
		setTimes(overlay.at("d"), -1_500_000_000n, 7_000_000_001n);
		expect(times("d")).toEqual([-1_500_000_000n, 7_000_000_001n]);
		setTimes(overlay.at("l"), 1n, 2n);
		expect(times("l")).toEqual([1n, 2n]);
		using b = open(overlay.at("b"));
		setTimesOf(b.fd, 3n, 4n);
		b.close();
		expect(times("b")).toEqual([3n, 4n]);
		setTimes(overlay.at("a"), "omit", "now");
		expect(Number(times("a")[1]) / 1e6).toBeCloseTo(Date.now(), -5);
		await overlay.expectLasting();
	});

	test("the time of a file just written is its time for good", async () => {
		await using overlay = await mountLayers([{ old: file("x", { time }) }]);
		for (const name of ["new", "old"]) writeFileSync(overlay.at(name), "written");
		const times = () => ["new", "old"].map((name) => lstatSync(overlay.at(name), bigint).mtimeNs);
		const before = times();
		await overlay.remount();
		expect(times()).toEqual(before);
	});

	test.skipIf(lacks("other ids"))("ctime moves with every change of attributes", async () => {
		await using overlay = await mountLayers([{ a: file("a", { time }) }]);
		const changed = () => lstatSync(overlay.at("a"), bigint).ctimeNs;
		let last = changed();
		const changes = [
			() => chmodSync(overlay.at("a"), 0o600),
			() => chownSync(overlay.at("a"), 1, 1),
			() => setTimes(overlay.at("a"), 1n, 1n),
			() => truncateSync(overlay.at("a"), 0),
		];
		for (const change of changes) {
			await Bun.sleep(5); // longer than the clock's step in the kernel
			change();
			expect(changed()).toBeGreaterThan(last);
			last = changed();
		}
	});

	test.skipIf(lacks("the write cache"))(
		"with the write cache, truncate to the same size moves no time, now or after a remount",
		async () => {
			const settings = { upper: { empty: "" }, options: ["passthrough=off"] };
			await using overlay = await mountLayers([{ lower: file("x") }], settings);
			Bun.spawnSync(["touch", "-d", "@1", overlay.at("empty")]);
			for (const [name, size] of [
				["empty", 0],
				["lower", 1],
			] as const) {
				const { mtimeNs } = lstatSync(overlay.at(name), { bigint: true });
				truncateSync(overlay.at(name), size);
				expect(lstatSync(overlay.at(name), { bigint: true }).mtimeNs).toBe(mtimeNs);
			}
			await overlay.expectLasting();
		},
	);

	test("without the write cache, setting the size that a file has moves mtime", async () => {
		await using overlay = await mountLayers([{ empty: file("", { time }), full: file("12345", { time }) }], {
			options: ["passthrough=off,writeback=0"],
		});
		open(overlay.at("empty"), "w").close();
		truncateSync(overlay.at("full"), 5);
		for (const name of ["empty", "full"]) {
			expect(lstatSync(overlay.at(name), bigint).mtimeNs).toBeGreaterThan(time);
		}
		await overlay.expectLasting();
	});

	test("the time of what is allocated and copied is the same after a remount", async () => {
		await using overlay = await mountLayers([{ source: "0123456789" }], { options: ["passthrough=off"] });
		using source = open(overlay.at("source"));
		// Many, because the clock of file times ticks slowly: some are changed just before it does.
		for (let index = 0; index < 300; index++) {
			using target = open(overlay.at(`file${index}`), "wx");
			if (index % 2 === 0) fallocate(target.fd, 0, 0, 100_000);
			else copyFileRange(source.fd, 0, target.fd, 0, 10);
		}
		source.close();
		await overlay.expectLasting();
	});

	test("truncate shortens and lengthens, by path and by handle, and moves mtime", async () => {
		await using overlay = await mountLayers([
			{
				short: file("0123456789", { time }),
				long: file("0123456789", { time }),
				handle: file("0123456789", { time }),
			},
		]);
		truncateSync(overlay.at("short"), 4);
		truncateSync(overlay.at("long"), 100_000);
		using handle = open(overlay.at("handle"), "r+");
		ftruncateSync(handle.fd, 2);
		handle.close();
		expect(readFileSync(overlay.at("short"), "utf8")).toBe("0123");
		expect(readFileSync(overlay.at("long"))).toEqual(
			Buffer.concat([Buffer.from("0123456789"), Buffer.alloc(99_990)]),
		);
		expect(readFileSync(overlay.at("handle"), "utf8")).toBe("01");
		for (const name of ["short", "long", "handle"]) {
			expect(lstatSync(overlay.at(name), bigint).mtimeNs).toBeGreaterThan(time);
		}
		await overlay.expectLasting();
		expect(readFileSync(overlay.inLower("short"), "utf8")).toBe("0123456789");
	});

	test.skipIf(lacks("other ids"))("chown takes the set-id bits off a file, also for root", async () => {
		const entries = { a: file("x", { mode: 0o6777 }), b: file("x", { mode: 0o6777 }) };
		await using overlay = await mountLayers([entries], { upper: { c: file("x", { mode: 0o6777 }) } });
		chownSync(overlay.at("a"), 5, 5);
		chownSync(overlay.at("c"), 5, 5);
		expect([modeOf(overlay.at("a")), modeOf(overlay.at("c"))]).toEqual([0o777, 0o777]);
		expect(modeOf(overlay.at("b"))).toBe(0o6777);
		await overlay.expectLasting();
	});

	test.skipIf(lacks("other ids"))(
		"writing and truncating by another user take the set-id bits off",
		async () => {
			const suid = () => file("content", { mode: 0o6777 });
			await using overlay = await mountLayers([{ write: suid(), truncate: suid() }], {
				upper: { upper: suid() },
			});
			asUser(1000, 1000, () => {
				for (const name of ["write", "upper"]) {
					using written = open(overlay.at(name), "r+");
					writeSync(written.fd, "new");
				}
				truncateSync(overlay.at("truncate"), 1);
			});
			expect(["write", "upper", "truncate"].map((name) => modeOf(overlay.at(name)))).toEqual([
				0o777, 0o777, 0o777,
			]);
			await overlay.expectLasting();
		},
	);

	test.skipIf(lacks("the machine's root"))("root's writing leaves the set-id bits", async () => {
		await using overlay = await mountLayers([{ a: file("content", { mode: 0o6755 }) }]);
		using written = open(overlay.at("a"), "r+");
		writeSync(written.fd, "new");
		written.close();
		expect(modeOf(overlay.at("a"))).toBe(0o6755);
		await overlay.expectLasting();
	});

	test.skipIf(lacks("other ids"))(
		"only the owner may change mode and times, only root the owner",
		async () => {
			await using overlay = await mountLayers([
				{ mine: file("x", { uid: 1000, gid: 1000 }), other: file("x", { uid: 2000, mode: 0o666 }) },
			]);
			asUser(1000, 1000, () => {
				expect(codeOf(() => chmodSync(overlay.at("mine"), 0o600))).toBeUndefined();
				expect(codeOf(() => setTimes(overlay.at("mine"), 1n, 1n))).toBeUndefined();
				expect(codeOf(() => chmodSync(overlay.at("other"), 0o600))).toBe("EPERM");
				expect(codeOf(() => setTimes(overlay.at("other"), 1n, 1n))).toBe("EPERM");
				expect(codeOf(() => setTimes(overlay.at("other"), "now", "now"))).toBeUndefined();
				expect(codeOf(() => chownSync(overlay.at("mine"), 2000, 1000))).toBe("EPERM");
			});
			expect(modeOf(overlay.at("mine"))).toBe(0o600);
		},
	);

	test.skipIf(lacks("other ids"))("permission bits are checked for the caller", async () => {
		await using overlay = await mountLayers([
			{
				secret: file("x", { mode: 0o600 }),
				shown: file("x", { mode: 0o644 }),
				tool: file("x", { mode: 0o755 }),
			},
		]);
		const may = (name: string, mode: number) => codeOf(() => accessSync(overlay.at(name), mode));
		// access(2) asks with the real ids: an opened file is what the file system ids decide.
		asUser(1000, 1000, () => {
			expect(codeOf(() => readFileSync(overlay.at("secret")))).toBe("EACCES");
			expect(codeOf(() => readFileSync(overlay.at("shown")))).toBeUndefined();
			expect(codeOf(() => writeFileSync(overlay.at("shown"), ""))).toBe("EACCES");
		});
		expect(may("secret", constants.R_OK | constants.W_OK)).toBeUndefined();
		expect(may("shown", constants.X_OK)).toBe("EACCES");
		expect(may("tool", constants.X_OK)).toBeUndefined();
	});

	test.skipIf(lacks("other ids"))(
		"set-id bits that a write takes are not seen any more, either",
		async () => {
			await using overlay = await mountLayers([{}], { options: ["passthrough=off"] });
			const as = [
				"setpriv",
				"--reuid=1000",
				"--regid=1000",
				"--clear-groups",
				"dd",
				"if=/dev/zero",
				"bs=4096",
			];
			for (const flag of ["append", "direct"]) {
				const path = overlay.at(flag);
				writeFileSync(path, "made just now");
				chmodSync(path, 0o6777);
				// Which asks for the mode alone: the kernel asks us anew for what else a write changes.
				const shown = () => Bun.spawnSync(["stat", "--format=%a", path]).stdout.toString().trim();
				expect(shown()).toBe("6777");
				const { stderr, exitCode } = Bun.spawnSync([
					...as,
					"count=1",
					`oflag=${flag}`,
					"conv=notrunc",
					`of=${path}`,
				]);
				expect({ exitCode, stderr: exitCode === 0 ? "" : stderr.toString() }).toEqual({
					exitCode: 0,
					stderr: "",
				});
				expect(shown()).toBe("777");
			}
			await overlay.expectLasting();
		},
	);

	test.skipIf(lacks("all ids"))("a size beyond 4 GiB and numbers beyond 16 bits arrive whole", async () => {
		await using overlay = await mountLayers([{ a: file("x", { uid: 3_000_000_000, gid: 4_294_967_294 }) }]);
		truncateSync(overlay.at("a"), 5_000_000_000);
		const { size, uid, gid } = lstatSync(overlay.at("a"));
		expect([size, uid, gid]).toEqual([5_000_000_000, 3_000_000_000, 4_294_967_294]);
	});
});
