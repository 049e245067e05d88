import { describe, expect, test } from "bun:test";
import {
	fstatSync,
	fsyncSync,
	lstatSync,
	readFileSync,
	statfsSync,
	statSync,
	writeFileSync,
	writeSync,
} from "node:fs";
import { O_TMPFILE, open } from "../harness/descriptor.ts";
import { directory, file, smallDisk, sparseFile } from "../harness/layers.ts";
import { runProgram, until } from "../harness/mount.ts";
import {
	asUser,
	codeOf,
	copyFileRange,
	FALLOC_FL_KEEP_SIZE,
	FALLOC_FL_PUNCH_HOLE,
	FALLOC_FL_ZERO_RANGE,
	fallocate,
	ioctl,
	linkDescriptor,
	lseek,
	SEEK_DATA,
	SEEK_HOLE,
	stableBuffer,
} from "../harness/native.ts";
import { mountLayers } from "../harness/overlay.ts";
import { lacks } from "../harness/setting.ts";

const O_RDWR = 2;
const read = (path: string) => readFileSync(path, "latin1");

describe("statfs", () => {
	test.skipIf(lacks("mounting"))(
		"tells of the upper layer's file system, and names of 255 bytes",
		async () => {
			await using overlay = await mountLayers([{ a: "a" }], { disk: smallDisk });
			const here = statfsSync(overlay.path);
			const upper = statfsSync(overlay.layers.upper);
			expect([here.bsize, here.blocks, here.files]).toEqual([upper.bsize, upper.blocks, upper.files]);
			writeFileSync(overlay.at("new"), Buffer.alloc(500_000));
			using written = open(overlay.at("new"), "r+");
			fsyncSync(written.fd);
			expect(statfsSync(overlay.path).bfree).toBe(statfsSync(overlay.layers.upper).bfree);
			expect(Bun.spawnSync(["stat", "-f", "-c", "%l", overlay.path]).stdout.toString().trim()).toBe("255");
		},
	);

	test("without an upper layer, of the topmost lower one", async () => {
		await using overlay = await mountLayers([{ a: "a" }, { b: "b" }], { readOnly: true });
		const here = statfsSync(overlay.path);
		const lower = statfsSync(overlay.inLower());
		expect([here.bsize, here.blocks]).toEqual([lower.bsize, lower.blocks]);
	});
});

describe("fallocate", () => {
	test("reserves, with and without growing the file", async () => {
		await using overlay = await mountLayers([{ a: "content", b: "content" }]);
		using grown = open(overlay.at("a"), "r+");
		fallocate(grown.fd, 0, 0, 1_000_000);
		using kept = open(overlay.at("b"), "r+");
		fallocate(kept.fd, FALLOC_FL_KEEP_SIZE, 0, 1_000_000);
		expect([statSync(overlay.at("a")).size, statSync(overlay.at("b")).size]).toEqual([1_000_000, 7]);
		expect(grown.text(7)).toBe("content");
		expect(statSync(overlay.at("b")).blocks).toBeGreaterThan(1900);
		grown.close();
		kept.close();
		await overlay.expectLasting();
	});

	const full = "x".repeat(40_000);
	const zeroed = (from: number, length: number) =>
		`${full.slice(0, from)}${"\0".repeat(length)}${full.slice(from + length)}`;

	test("punches holes, of lower files too", async () => {
		await using overlay = await mountLayers([{ hole: full }]);
		using hole = open(overlay.at("hole"), "r+");
		fallocate(hole.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, 8192);
		expect(hole.text()).toBe(zeroed(4096, 8192));
		hole.close();
		await overlay.expectLasting();
	});

	test.skipIf(lacks("zeroing of ranges"))("zeroes ranges, of lower files too", async () => {
		await using overlay = await mountLayers([{ zero: full }]);
		using zero = open(overlay.at("zero"), "r+");
		fallocate(zero.fd, FALLOC_FL_ZERO_RANGE, 100, 200);
		expect(zero.text()).toBe(zeroed(100, 200));
		zero.close();
		await overlay.expectLasting();
	});

	test("sees data that was written and not synced yet", async () => {
		await using overlay = await mountLayers([{}]);
		using handle = open(overlay.at("new"), "w+");
		writeSync(handle.fd, "x".repeat(10_000));
		fallocate(handle.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096);
		expect(handle.text()).toBe(`${"\0".repeat(4096)}${"x".repeat(5904)}`);
		expect(codeOf(() => fallocate(handle.fd, 0, 0, 0))).toBe("EINVAL");
	});
});

describe("set-id bits", () => {
	test.skipIf(lacks("the machine's root"))(
		"are lost when another user than root punches a hole, and kept for root",
		async () => {
			await using overlay = await mountLayers([{ a: file("x".repeat(8192), { mode: 0o4777 }) }]);
			using handle = open(overlay.at("a"), "r+");
			fallocate(handle.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096);
			expect(fstatSync(handle.fd).mode & 0o7777).toBe(0o4777);
			asUser(1000, 1000, () => fallocate(handle.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, 4096));
			expect(fstatSync(handle.fd).mode & 0o7777).toBe(0o777);
		},
	);
});

describe("copy_file_range", () => {
	test("copies within and between files of any layer", async () => {
		const content = Array.from({ length: 10_000 }, (_, index) => `${index},`).join("");
		await using overlay = await mountLayers([{ lower: content, target: "short" }], {
			upper: { upper: content },
		});
		for (const name of ["lower", "upper"]) {
			using source = open(overlay.at(name));
			using target = open(overlay.at("target"), "w+");
			let copied = 0;
			while (copied < content.length) {
				const step = copyFileRange(source.fd, copied, target.fd, copied, content.length - copied);
				expect(step).toBeGreaterThan(0);
				copied += step;
			}
			expect(read(overlay.at("target"))).toBe(content);
		}
		using within = open(overlay.at("upper"), "r+");
		expect(copyFileRange(within.fd, 0, within.fd, 20_000, 1000)).toBe(1000);
		within.close();
		expect(read(overlay.at("upper")).slice(20_000, 21_000)).toBe(content.slice(0, 1000));
		await overlay.expectLasting();
	});

	test("copies data that was written and not synced yet; cp does", async () => {
		await using overlay = await mountLayers([{ "d/x": "" }]);
		writeFileSync(overlay.at("a"), "fresh data");
		expect(Bun.spawnSync(["cp", overlay.at("a"), overlay.at("d/b")]).exitCode).toBe(0);
		expect(read(overlay.at("d/b"))).toBe("fresh data");
		await overlay.expectLasting();
	});
});

describe("SEEK_DATA and SEEK_HOLE", () => {
	test("find the data and the holes of sparse files of any layer", async () => {
		const sparse = () => sparseFile(3_000_000, { 1048576: "data" });
		await using overlay = await mountLayers([{ lower: sparse() }], { upper: { upper: sparse() } });
		for (const name of ["lower", "upper"]) {
			using handle = open(overlay.at(name));
			using plain = open(name === "lower" ? overlay.inLower(name) : overlay.inUpper(name));
			for (const [offset, whence] of [
				[0, SEEK_DATA],
				[0, SEEK_HOLE],
				[1_048_576, SEEK_HOLE],
				[1_100_000, SEEK_HOLE],
			] as const) {
				const found = lseek(handle.fd, offset, whence);
				expect({ name, offset, whence, found }).toEqual({
					name,
					offset,
					whence,
					found: lseek(plain.fd, offset, whence),
				});
			}
			expect(codeOf(() => lseek(handle.fd, 2_900_000, SEEK_DATA))).toBe("ENXIO");
			expect(codeOf(() => lseek(handle.fd, 3_000_001, SEEK_HOLE))).toBe("ENXIO");
		}
	});

	test.skipIf(lacks("requests sent again", "the write cache"))(
		"take all for data where another daemon is to go on and the kernel gathers writes",
		async () => {
			await using overlay = await mountLayers([{ f: sparseFile(3_000_000, { 1048576: "data" }) }], {
				options: ["failover=on,passthrough=off"],
			});
			using handle = open(overlay.at("f"), "r+");
			writeSync(handle.fd, "end", 3_000_000);
			expect([lseek(handle.fd, 0, SEEK_DATA), lseek(handle.fd, 0, SEEK_HOLE)]).toEqual([0, 3_000_003]);
			expect(codeOf(() => lseek(handle.fd, 3_000_003, SEEK_DATA))).toBe("ENXIO");
		},
	);

	test("find data that was written and synced", async () => {
		await using overlay = await mountLayers([{}]);
		using handle = open(overlay.at("new"), "w+");
		writeSync(handle.fd, "data", 2_000_000);
		fsyncSync(handle.fd);
		expect(lseek(handle.fd, 0, SEEK_HOLE)).toBe(0);
		expect(lseek(handle.fd, 0, SEEK_DATA)).toBeGreaterThan(1_900_000);
		expect(lseek(handle.fd, 0, SEEK_DATA)).toBeLessThanOrEqual(2_000_000);
	});
});

describe("O_TMPFILE", () => {
	/** libfuse passes it on since 3.17. */
	async function isSupported(): Promise<boolean> {
		const { stdout } = await runProgram(["--version"]);
		const [, major = "0", minor = "0"] = /FUSE library version:? (\d+)\.(\d+)/.exec(stdout) ?? [];
		return Number(major) > 3 || Number(minor) >= 17;
	}

	test("makes a file without a name, which linkat can name; or is honestly refused", async () => {
		await using overlay = await mountLayers([{ d: directory({ mode: 0o777 }) }]);
		if (!(await isSupported())) {
			expect(codeOf(() => open(overlay.at("d"), O_TMPFILE | O_RDWR))).toBe("ENOTSUP");
			return;
		}
		const make = () => open(overlay.at("d"), O_TMPFILE | O_RDWR, 0o640);
		const maker = lacks("other ids") ? process.getuid!() : 1000;
		using unnamed = lacks("other ids") ? make() : asUser(maker, 1000, make);
		writeSync(unnamed.fd, "content");
		expect(unnamed.text()).toBe("content");
		linkDescriptor(unnamed.fd, overlay.at("d/named"));
		unnamed.close();
		expect(read(overlay.at("d/named"))).toBe("content");
		expect(lstatSync(overlay.at("d/named")).uid).toBe(maker);
		await overlay.expectLasting();
	});
});

describe("ioctl", () => {
	const FS_IOC_GETFLAGS = 0x80086601;
	const FS_IOC_SETFLAGS = 0x40086602;
	const FS_IOC_GETVERSION = 0x80087601;
	const FS_IOC_FSGETXATTR = 0x801c581f;
	const FS_NODUMP_FL = 0x40;

	function flagsOf(fd: number): number {
		const flags = stableBuffer(8);
		ioctl(fd, FS_IOC_GETFLAGS, flags);
		return flags.readUInt32LE(0);
	}

	test("gets and sets the flags of chattr, on files of any layer and on directories", async () => {
		await using overlay = await mountLayers([{ a: file("a"), d: directory() }], { upper: { u: "u" } });
		for (const name of ["a", "u", "d"]) {
			using handle = open(overlay.at(name));
			const flags = stableBuffer(8);
			flags.writeUInt32LE(flagsOf(handle.fd) | FS_NODUMP_FL, 0);
			ioctl(handle.fd, FS_IOC_SETFLAGS, flags);
			expect(flagsOf(handle.fd) & FS_NODUMP_FL).toBe(FS_NODUMP_FL);
		}
		await overlay.remount();
		for (const name of ["a", "u", "d"]) {
			using handle = open(overlay.at(name));
			expect(flagsOf(handle.fd) & FS_NODUMP_FL).toBe(FS_NODUMP_FL);
		}
		using lower = open(overlay.inLower("a"));
		expect(flagsOf(lower.fd) & FS_NODUMP_FL).toBe(0);
	});

	test("changing the flags of chattr moves ctime", async () => {
		await using overlay = await mountLayers([{ d: directory() }]);
		using handle = open(overlay.at("d"));
		const changed = () => statSync(overlay.at("d"), { bigint: true }).ctimeNs;
		const before = changed();
		const flags = stableBuffer(8);
		// The clock of times may stand still for a few milliseconds.
		await until(() => {
			flags.writeUInt32LE(flagsOf(handle.fd) ^ FS_NODUMP_FL, 0);
			ioctl(handle.fd, FS_IOC_SETFLAGS, flags);
			return changed() > before;
		}, "ctime stays");
	});

	test.skipIf(lacks("the machine's root"))(
		"immutable and append-only are refused, because opening such a file could not be",
		async () => {
			await using overlay = await mountLayers([{ a: "a" }]);
			for (const flag of ["+i", "+a"]) {
				const { exitCode, stderr } = Bun.spawnSync(["chattr", flag, overlay.at("a")]);
				expect(stderr.toString()).toContain("not supported");
				expect(exitCode).not.toBe(0);
			}
			expect(Bun.spawnSync(["chattr", "+d", overlay.at("a")]).exitCode).toBe(0);
			writeFileSync(overlay.at("a"), "b");
			expect(read(overlay.at("a"))).toBe("b");
		},
	);

	test("GETVERSION and FSGETXATTR answer, unknown ones are ENOTTY", async () => {
		await using overlay = await mountLayers([{ a: "a" }]);
		using handle = open(overlay.at("a"));
		expect(codeOf(() => ioctl(handle.fd, FS_IOC_GETVERSION, stableBuffer(8)))).toBeUndefined();
		expect(codeOf(() => ioctl(handle.fd, FS_IOC_FSGETXATTR, stableBuffer(28)))).toBeUndefined();
		expect(codeOf(() => ioctl(handle.fd, 0x5401, stableBuffer(64)))).toBe("ENOTTY");
		expect(codeOf(() => ioctl(handle.fd, 0x80086699, stableBuffer(8)))).toBe("ENOTTY");
	});
});
