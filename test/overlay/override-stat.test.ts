/** Owner, mode and device in an extended attribute: what containers/storage writes, and garbage. */
import { describe, expect, it, test } from "bun:test";
import { S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFREG, S_IFSOCK } from "../../src/native/layout.ts";
import { formatOverrideStat, parseOverrideStat } from "../../src/overlay/marks/override-stat.ts";
import { randomNumbers } from "./random.ts";

const none = { major: 0, minor: 0 };

describe("values", () => {
	it.each([
		["0:0:755", { uid: 0, gid: 0, mode: 0o755, ...none }],
		["1000:1001:0644", { uid: 1000, gid: 1001, mode: 0o644, ...none }],
		["0:0:7777:dir", { uid: 0, gid: 0, mode: S_IFDIR | 0o7777, ...none }],
		["5:6:0600:file", { uid: 5, gid: 6, mode: S_IFREG | 0o600, ...none }],
		["0:0:0777:symlink", { uid: 0, gid: 0, mode: S_IFLNK | 0o777, ...none }],
		["1:2:0620:pipe", { uid: 1, gid: 2, mode: S_IFIFO | 0o620, ...none }],
		["1:2:0700:socket", { uid: 1, gid: 2, mode: S_IFSOCK | 0o700, ...none }],
		["1006:1017:0600:char-1-3", { uid: 1006, gid: 1017, mode: S_IFCHR | 0o600, major: 1, minor: 3 }],
		["0:6:0660:block-8-17", { uid: 0, gid: 6, mode: S_IFBLK | 0o660, major: 8, minor: 17 }],
		["0:0:0:char-0-0", { uid: 0, gid: 0, mode: S_IFCHR, ...none }],
		["4294967295:4294967294:0644", { uid: 0xffffffff, gid: 0xfffffffe, mode: 0o644, ...none }],
		["0:0:0600:char-4095-1048575", { uid: 0, gid: 0, mode: S_IFCHR | 0o600, major: 4095, minor: 1048575 }],
	])("%s", (value, expected) => {
		expect(parseOverrideStat(value)).toEqual(expected);
	});

	it.each(["0:0:100644", "0:0:40755", "0:0:020666"])(
		"%s: the kind in a whole st_mode is not shown",
		(value) => {
			expect(parseOverrideStat(value)?.mode).toBe(Number.parseInt(value.split(":")[2] ?? "", 8) & 0o7777);
		},
	);
});

describe("garbage is refused", () => {
	it.each([
		"",
		":",
		"::",
		"0:0",
		"0:0:",
		"0:0:755:",
		":0:755",
		"0::755",
		"0:0:755 ",
		" 0:0:755",
		"0:0:755\n",
		"0:0:755\0",
		"0:0:0755:unknown",
		"0:0:0755:DIR",
		"0:0:0755:dir:",
		"0:0:0755:dir-1-2",
		"0:0:0600:char",
		"0:0:0600:char-",
		"0:0:0600:char-1",
		"0:0:0600:char-1-",
		"0:0:0600:char-1-3-5",
		"0:0:0600:char--1-3",
		"0:0:0600:char-4096-0",
		"0:0:0600:block-0-1048576",
		"-1:0:0755",
		"+1:0:0755",
		"0x10:0:0755",
		"1e3:0:0755",
		"1.5:0:0755",
		"0:0:0789",
		"0:0:0o755",
		"0:0:rwxr-xr-x",
		"4294967296:0:0755",
		"0:4294967296:0755",
		"99999999999999999999:0:0755",
		"0:0:77777777777777777777",
		"root:root:0755",
		"٣:0:0755",
		"0:0:0755\u2028",
	])("%p", (value) => {
		expect(parseOverrideStat(value)).toBeUndefined();
	});

	test("of a megabyte as quickly as of a byte", () => {
		for (const part of ["0", ":", "0:", "-", "char-"]) {
			const started = performance.now();
			expect(parseOverrideStat(part.repeat(1 << 20))).toBeUndefined();
			expect(performance.now() - started).toBeLessThan(500);
		}
	});
});

describe("what is written", () => {
	it.each([
		[{ uid: 0, gid: 0, mode: S_IFDIR | 0o755, ...none }, "0:0:0755:dir"],
		[{ uid: 1, gid: 2, mode: S_IFREG | 0o4, ...none }, "1:2:0004:file"],
		[{ uid: 1, gid: 2, mode: S_IFREG | 0o4755, ...none }, "1:2:4755:file"],
		[{ uid: 0, gid: 0, mode: S_IFLNK | 0o777, ...none }, "0:0:0777:symlink"],
		[{ uid: 0, gid: 0, mode: S_IFIFO | 0o600, ...none }, "0:0:0600:pipe"],
		[{ uid: 0, gid: 0, mode: S_IFSOCK | 0o600, ...none }, "0:0:0600:socket"],
		[{ uid: 1006, gid: 1017, mode: S_IFCHR | 0o600, major: 1, minor: 3 }, "1006:1017:0600:char-1-3"],
		[{ uid: 0, gid: 6, mode: S_IFBLK | 0o660, major: 8, minor: 17 }, "0:6:0660:block-8-17"],
		// A device number of something that is no device means nothing.
		[{ uid: 0, gid: 0, mode: S_IFREG | 0o644, major: 5, minor: 6 }, "0:0:0644:file"],
		[{ uid: 0, gid: 0, mode: 0o644, ...none }, "0:0:0644"],
	])("%j is %s", (override, value) => {
		expect(formatOverrideStat(override)).toBe(value);
	});

	test("is read as what it was", () => {
		const random = randomNumbers(5);
		for (let turn = 0; turn < 2000; turn++) {
			const format = [S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFREG, S_IFSOCK][random(7)]!;
			const isDevice = format === S_IFBLK || format === S_IFCHR;
			const override = {
				uid: random(0xffffffff),
				gid: random(0xffffffff),
				mode: format | random(0o10000),
				major: isDevice ? random(4096) : 0,
				minor: isDevice ? random(1 << 20) : 0,
			};
			expect(parseOverrideStat(formatOverrideStat(override))).toEqual(override);
		}
	});
});
