/** Reading directories: every name once, whatever is made and removed meanwhile. */

import { expect } from "bun:test";
import {
	mkdirSync,
	readdirSync,
	renameSync,
	rmdirSync,
	rmSync,
	statSync,
	unlinkSync,
	writeFileSync,
} from "node:fs";
import { open } from "../../harness/descriptor.ts";
import {
	device,
	directory,
	fifo,
	file,
	hardLink,
	kernelsOpaque,
	socket,
	symlink,
	whiteout,
} from "../../harness/layers.ts";
import {
	asUser,
	codeOf,
	type DirectoryRecord,
	lseek,
	readDirectoryRecords,
	SEEK_SET,
} from "../../harness/native.ts";
import { namesIn, statOf } from "../observe.ts";
import { changing, looking, type Subject } from "../statement.ts";

const numbered = (count: number, prefix: string) =>
	Object.fromEntries(Array.from({ length: count }, (_, index) => [`${prefix}${index}`, ""]));
const hundred = numbered(100, "d/f");

/** By links to a few files, which are made faster than as many files. */
const manyNames = (count: number) =>
	Object.fromEntries(
		Array.from({ length: count }, (_, index) => [`d/${index}`, index < 4 ? "" : hardLink(`d/${index % 4}`)]),
	);

/** All records of an open directory from where it stands, asked for in pieces of `size` bytes. */
function recordsFrom(fd: number, size = 512): DirectoryRecord[] {
	const all: DirectoryRecord[] = [];
	for (;;) {
		const piece = readDirectoryRecords(fd, size);
		if (piece.length === 0) return all;
		all.push(...piece);
	}
}
const namesFrom = (fd: number, size?: number) => recordsFrom(fd, size).map(({ name }) => name);
const sorted = (names: readonly string[]) => [...names].sort();

export const listing: Subject = {
	"every name once, and the dots": looking(hundred, ({ at }) => {
		using handle = open(at("d"));
		const expected = [".", "..", ...Object.keys(hundred).map((name) => name.slice(2))];
		expect(sorted(namesFrom(handle.fd))).toEqual(sorted(expected));
	}),

	"pieces of any size hold the same names": looking(hundred, ({ at }) => {
		const listed = (size: number) => {
			using handle = open(at("d"));
			return sorted(namesFrom(handle.fd, size));
		};
		expect(listed(40)).toEqual(listed(65536));
		expect(listed(1000)).toEqual(listed(65536));
	}),

	"a piece too small for one record is EINVAL": looking(hundred, ({ at }) => {
		using handle = open(at("d"));
		expect(codeOf(() => readDirectoryRecords(handle.fd, 16))).toBe("EINVAL");
	}),

	"number and kind of each record are those of stat": looking(
		{
			f: "x",
			d: directory(),
			l: symlink("f"),
			p: fifo(),
			s: socket(),
			c: device("char", 1, 3),
			b: device("block", 7, 0),
			"d/x": "",
		},
		({ path, at }) => {
			using handle = open(path);
			for (const { name, ino, type } of recordsFrom(handle.fd)) {
				if (name === "..") continue;
				const stats = statOf(at(name));
				expect({ name, ino, type: BigInt(type) }).toEqual({
					name,
					ino: stats.ino,
					type: (stats.mode >> 12n) & 15n,
				});
			}
		},
	),

	"rewound, it shows what was made and removed meanwhile": changing(hundred, ({ at }) => {
		using handle = open(at("d"));
		readDirectoryRecords(handle.fd, 512);
		unlinkSync(at("d/f7"));
		writeFileSync(at("d/new"), "");
		lseek(handle.fd, 0, SEEK_SET);
		const names = namesFrom(handle.fd);
		expect([names.includes("f7"), names.includes("new"), names.length]).toEqual([false, true, 102]);
	}),

	"any earlier offset leads back to its place": looking(hundred, ({ at }) => {
		using handle = open(at("d"));
		const records = recordsFrom(handle.fd);
		for (const [index, { nextOffset }] of records.entries()) {
			if (index % 17 !== 0) continue;
			lseek(handle.fd, nextOffset, SEEK_SET);
			expect(namesFrom(handle.fd, 4096)).toEqual(records.slice(index + 1).map(({ name }) => name));
		}
	}),

	"an earlier offset holds after names before and behind it were removed": changing(hundred, ({ at }) => {
		using handle = open(at("d"));
		const names = recordsFrom(handle.fd);
		const place = names[50];
		const isDot = (name: string) => name === "." || name === "..";
		const gone = names.filter(({ name }, index) => index % 3 === 0 && !isDot(name)).map(({ name }) => name);
		for (const name of gone) unlinkSync(at("d", name));
		lseek(handle.fd, place?.nextOffset ?? 0n, SEEK_SET);
		// POSIX leaves open whether what was removed since the directory was opened still shows.
		const stayed = (list: readonly string[]) => sorted(list.filter((name) => !gone.includes(name)));
		expect(stayed(namesFrom(handle.fd))).toEqual(stayed(names.slice(51).map(({ name }) => name)));
	}),

	"a name that stays is seen exactly once, whatever is made and removed meanwhile": changing(
		hundred,
		({ at }) => {
			using handle = open(at("d"));
			const seen: string[] = [];
			for (let round = 0; ; round++) {
				const piece = readDirectoryRecords(handle.fd, 256);
				if (piece.length === 0) break;
				seen.push(...piece.map(({ name }) => name));
				writeFileSync(at(`d/made${round}`), "");
				if (round > 0) unlinkSync(at(`d/made${round - 1}`));
				if (round < 20) unlinkSync(at(`d/f${round}`));
			}
			for (let index = 20; index < 100; index++) {
				expect(seen.filter((name) => name === `f${index}`)).toEqual([`f${index}`]);
			}
		},
	),

	"a name renamed away and back meanwhile does not disturb the others": changing(hundred, ({ at }) => {
		using handle = open(at("d"));
		const seen: string[] = [];
		for (;;) {
			const piece = readDirectoryRecords(handle.fd, 256);
			if (piece.length === 0) break;
			seen.push(...piece.map(({ name }) => name));
			renameSync(at("d/f5"), at("d/elsewhere"));
			renameSync(at("d/elsewhere"), at("d/f5"));
		}
		for (let index = 6; index < 100; index++) {
			expect(seen.filter((name) => name === `f${index}`)).toEqual([`f${index}`]);
		}
	}),

	"removing each name as it is read empties the directory": changing(hundred, ({ at }) => {
		using handle = open(at("d"));
		for (;;) {
			const piece = readDirectoryRecords(handle.fd, 300);
			if (piece.length === 0) break;
			for (const { name } of piece) if (name !== "." && name !== "..") unlinkSync(at("d", name));
		}
		expect(namesIn(at("d"))).toEqual([]);
		rmdirSync(at("d"));
	}),

	"two who read at the same time do not disturb each other": looking(hundred, ({ at }) => {
		using one = open(at("d"));
		using other = open(at("d"));
		const seen: string[][] = [[], []];
		for (let isDone = false; !isDone; ) {
			const pieces = [readDirectoryRecords(one.fd, 256), readDirectoryRecords(other.fd, 600)];
			pieces.forEach((piece, index) => {
				seen[index]?.push(...piece.map(({ name }) => name));
			});
			isDone = pieces.every((piece) => piece.length === 0);
		}
		expect([new Set(seen[0]).size, new Set(seen[1]).size, seen[0]?.length, seen[1]?.length]).toEqual([
			102, 102, 102, 102,
		]);
	}),

	"a removed directory that is still open is ENOENT to list": changing({ d: directory() }, ({ at }) => {
		using handle = open(at("d"));
		rmdirSync(at("d"));
		expect(codeOf(() => namesFrom(handle.fd))).toBe("ENOENT");
	}),

	"a directory made anew under a removed name lists what it has": changing(
		{ "d/old": "", "e/x": "" },
		({ at }) => {
			namesIn(at("d"));
			rmSync(at("d"), { recursive: true });
			mkdirSync(at("d"));
			writeFileSync(at("d/new"), "");
			expect(namesIn(at("d"))).toEqual(["new"]);
		},
	),

	"listing needs permission to read": looking({ d: directory({ mode: 0o711 }), "d/x": "" }, ({ at }) => {
		expect(asUser(1000, 1000, () => codeOf(() => readdirSync(at("d"))), [])).toBe("EACCES");
	}),

	"what is no directory is ENOTDIR": looking({ f: file("x"), l: symlink("f") }, ({ at }) => {
		expect(codeOf(() => readdirSync(at("f")))).toBe("ENOTDIR");
		expect(codeOf(() => readdirSync(at("l")))).toBe("ENOTDIR");
		expect(codeOf(() => readdirSync(at("missing")))).toBe("ENOENT");
	}),

	"names of several layers show once, hidden ones not at all": looking(
		[
			{
				"d/upper": "",
				"d/both": "",
				"d/gone": whiteout(),
				opaque: directory({ opaque: kernelsOpaque }),
				"opaque/u": "",
			},
			{ "d/lower": "", "d/both": "", "d/gone": "", "d/gone2": whiteout(), "opaque/l": "" },
			{ "d/lowest": "", "d/both": "", "d/gone": "", "d/gone2": "", "opaque/l": "" },
		],
		({ at }) => {
			expect(readdirSync(at("d")).sort()).toEqual(["both", "lower", "lowest", "upper"]);
			expect(readdirSync(at("opaque"))).toEqual(["u"]);
			expect(codeOf(() => statSync(at("d/gone")))).toBe("ENOENT");
		},
	),

	"100,000 names are listed once each": looking(
		manyNames(100_000),
		({ at }) => {
			using handle = open(at("d"));
			const names = namesFrom(handle.fd, 65536);
			expect([names.length, new Set(names).size]).toEqual([100_002, 100_002]);
		},
		{ isLong: true },
	),
};
