/** What is in files: reading, writing, open flags, holes, space, copies and mappings. */

import { expect } from "bun:test";
import {
	constants,
	fdatasyncSync,
	fsyncSync,
	ftruncateSync,
	openSync,
	readFileSync,
	readSync,
	renameSync,
	truncateSync,
	writeFileSync,
	writeSync,
} from "node:fs";
import { O_DIRECT, open } from "../../harness/descriptor.ts";
import { directory, file, sparseFile, symlink } from "../../harness/layers.ts";
import {
	codeOf,
	copyFileRange,
	FALLOC_FL_COLLAPSE_RANGE,
	FALLOC_FL_KEEP_SIZE,
	FALLOC_FL_PUNCH_HOLE,
	FALLOC_FL_ZERO_RANGE,
	fallocate,
	ioctl,
	lseek,
	mapMemory,
	preadInto,
	pwriteFrom,
	SEEK_DATA,
	SEEK_HOLE,
	stableBuffer,
} from "../../harness/native.ts";
import { run, statOf, textOf } from "../observe.ts";
import { changing, looking, type Subject } from "../statement.ts";

const pages = "0123456789abcdef".repeat(1024);
const content = { f: "content", big: pages };
/** Of more than 1 MiB. */
const large = { large: pages.repeat(65) };
const sparse = () => sparseFile(3 << 20, { [1 << 20]: "x".repeat(4096) });
const FS_IOC_FIEMAP = 0xc020660b;
const FS_IOC_GETVERSION = 0x80087601;
const FS_IOC_FSGETXATTR = 0x801c581f;

export const data: Subject = {
	"is read whole and in pieces, at the end and beyond": looking(content, ({ at }) => {
		using handle = open(at("big"));
		expect([textOf(at("f")), textOf(at("big")) === pages]).toEqual(["content", true]);
		expect(handle.text(10, 4090)).toBe(pages.slice(4090, 4100));
		expect(handle.text(100, pages.length - 3)).toBe(pages.slice(-3));
		expect(readSync(handle.fd, Buffer.alloc(10), 0, 10, pages.length + 5)).toBe(0);
	}),

	"is written over, into, behind and far behind": changing(content, ({ at }) => {
		using handle = open(at("f"), "r+");
		writeSync(handle.fd, "CON", 0);
		writeSync(handle.fd, "!", 7);
		writeSync(handle.fd, "far", 10_000);
		expect(textOf(at("f"))).toBe(`CONtent!${"\0".repeat(9992)}far`);
	}),

	"a description opened before sees what is written after": changing(content, ({ at }) => {
		using reader = open(at("f"));
		expect(reader.text()).toBe("content");
		writeFileSync(at("f"), "written by another", { flag: "r+" });
		expect(reader.text()).toBe("written by another");
		truncateSync(at("f"), 3);
		expect(reader.text()).toBe("wri");
	}),

	"a description of a large file opened before sees what is written after": changing(large, ({ at }) => {
		using reader = open(at("large"));
		expect(reader.text(7)).toBe("0123456");
		using writer = open(at("large"), "r+");
		writeSync(writer.fd, "written", 0);
		expect(reader.text(7)).toBe("written");
		truncateSync(at("large"), 3);
		expect(reader.text(7)).toBe("wri");
	}),

	"a large file opened after it was written shows it, whoever has it open since before": changing(
		large,
		({ at }) => {
			using before = open(at("large"));
			expect(before.text(3)).toBe("012");
			writeFileSync(at("large"), "written by another", { flag: "r+" });
			using after = open(at("large"));
			expect(after.text(18)).toBe("written by another");
			expect(statOf(before.fd).ino).toBe(statOf(after.fd).ino);
			expect(textOf(at("large")).length).toBe(pages.length * 65);
		},
	),

	"O_APPEND writes at the end, whoever wrote before": changing(content, ({ at }) => {
		using one = open(at("f"), constants.O_WRONLY | constants.O_APPEND);
		using other = open(at("f"), constants.O_WRONLY | constants.O_APPEND);
		for (const handle of [one, other, one]) writeSync(handle.fd, "+");
		truncateSync(at("f"), 2);
		writeSync(other.fd, "end");
		expect(textOf(at("f"))).toBe("coend");
	}),

	"O_TRUNC empties, also when only opened for reading": changing(content, ({ at }) => {
		open(at("f"), "w").close();
		expect(statOf(at("f")).size).toBe(0n);
		open(at("big"), constants.O_RDONLY | constants.O_TRUNC).close();
		expect(statOf(at("big")).size).toBe(0n);
	}),

	"O_DIRECTORY, O_NOFOLLOW and kinds are respected": looking(
		{ f: "x", d: directory(), l: symlink("f") },
		({ at }) => {
			expect(codeOf(() => openSync(at("f"), constants.O_DIRECTORY))).toBe("ENOTDIR");
			expect(codeOf(() => openSync(at("l"), constants.O_NOFOLLOW))).toBe("ELOOP");
			expect(codeOf(() => openSync(at("d"), constants.O_RDWR))).toMatch(/EISDIR|EROFS/);
		},
	),

	"O_DIRECT reads and writes past the cache": changing(content, ({ at }) => {
		using memory = mapMemory(4096);
		using handle = open(at("big"), constants.O_RDWR | O_DIRECT);
		expect(preadInto(handle.fd, memory, 4096, 4096)).toBe(4096);
		expect(memory.bytes.toString("latin1")).toBe(pages.slice(4096, 8192));
		memory.bytes.fill("D");
		expect(pwriteFrom(handle.fd, memory, 4096, 8192)).toBe(4096);
		expect(textOf(at("big"))).toBe(pages.slice(0, 8192) + "D".repeat(4096) + pages.slice(12288));
	}),

	"truncating shortens and lengthens with zeros": changing(content, ({ at }) => {
		truncateSync(at("f"), 3);
		truncateSync(at("f"), 6);
		using handle = open(at("big"), "r+");
		ftruncateSync(handle.fd, 5);
		expect([textOf(at("f")), textOf(at("big"))]).toEqual(["con\0\0\0", "01234"]);
	}),

	"a file beyond 4 GiB": changing(content, ({ at }) => {
		using handle = open(at("f"), "r+");
		writeSync(handle.fd, "far", 5_000_000_000);
		expect([statOf(at("f")).size, handle.text(10, 5_000_000_000)]).toEqual([5_000_000_003n, "far"]);
		ftruncateSync(handle.fd, 7);
	}),

	"SEEK_DATA and SEEK_HOLE find data and holes": looking({ f: sparse() }, ({ at }) => {
		using handle = open(at("f"));
		expect(lseek(handle.fd, 0, SEEK_DATA)).toBe(1 << 20);
		expect(lseek(handle.fd, 0, SEEK_HOLE)).toBe(0);
		expect(lseek(handle.fd, 1 << 20, SEEK_HOLE)).toBe((1 << 20) + 4096);
		expect(codeOf(() => lseek(handle.fd, 2 << 20, SEEK_DATA))).toBe("ENXIO");
		expect(codeOf(() => lseek(handle.fd, (3 << 20) + 1, SEEK_HOLE))).toBe("ENXIO");
	}),

	"holes stay holes when something else is changed": changing({ f: sparse() }, ({ at }) => {
		using handle = open(at("f"), "r+");
		writeSync(handle.fd, "start", 0);
		fsyncSync(handle.fd);
		expect(lseek(handle.fd, 65536, SEEK_DATA)).toBe(1 << 20);
		expect(statOf(at("f")).blocks).toBeLessThan(1024n);
		expect(handle.text(5, (1 << 20) + 4094)).toBe("xx\0\0\0");
	}),

	"fallocate reserves, with and without growing": changing(content, ({ at }) => {
		using handle = open(at("f"), "r+");
		fallocate(handle.fd, FALLOC_FL_KEEP_SIZE, 0, 100_000);
		expect(statOf(handle.fd).size).toBe(7n);
		fallocate(handle.fd, 0, 0, 20_000);
		expect([statOf(handle.fd).size, handle.text(10)]).toEqual([20_000n, "content\0\0\0"]);
	}),

	"fallocate punches holes": changing(content, ({ at }) => {
		using handle = open(at("big"), "r+");
		fallocate(handle.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, 8192);
		expect(textOf(at("big"))).toBe(pages.slice(0, 4096) + "\0".repeat(8192) + pages.slice(12288));
		expect(lseek(handle.fd, 0, SEEK_HOLE)).toBe(4096);
	}),

	"fallocate zeroes ranges": changing(content, ({ at }) => {
		using handle = open(at("big"), "r+");
		fallocate(handle.fd, FALLOC_FL_ZERO_RANGE, 100, 50);
		expect(textOf(at("big"))).toBe(pages.slice(0, 100) + "\0".repeat(50) + pages.slice(150));
	}),

	"fallocate of nonsense is an error": changing(content, ({ at }) => {
		using handle = open(at("f"), "r+");
		expect(codeOf(() => fallocate(handle.fd, 0, 0, 0))).toBe("EINVAL");
		expect(codeOf(() => fallocate(handle.fd, FALLOC_FL_PUNCH_HOLE, 0, 1))).toBe("ENOTSUP");
		using reader = open(at("f"), "r");
		expect(codeOf(() => fallocate(reader.fd, 0, 0, 10))).toBe("EBADF");
	}),

	"fallocate collapses ranges": changing(content, ({ at }) => {
		using handle = open(at("big"), "r+");
		fallocate(handle.fd, FALLOC_FL_COLLAPSE_RANGE, 4096, 4096);
		expect(textOf(at("big"))).toBe(pages.slice(0, 4096) + pages.slice(8192));
	}),

	"copy_file_range copies between files and within one": changing(content, ({ at }) => {
		using from = open(at("big"));
		using to = open(at("f"), "r+");
		expect(copyFileRange(from.fd, 100, to.fd, 7, 50)).toBe(50);
		expect(textOf(at("f"))).toBe(`content${pages.slice(100, 150)}`);
		using within = open(at("big"), "r+");
		expect(copyFileRange(within.fd, 0, within.fd, pages.length, 4096)).toBe(4096);
		expect(textOf(at("big"))).toBe(pages + pages.slice(0, 4096));
		expect(copyFileRange(from.fd, pages.length + 4096, to.fd, 0, 10)).toBe(0);
	}),

	"copy_file_range sees data that is not synced": changing(content, ({ at }) => {
		writeFileSync(at("new"), "fresh data");
		using from = open(at("new"));
		using to = open(at("f"), "r+");
		expect(copyFileRange(from.fd, 0, to.fd, 0, 10)).toBe(10);
		expect(textOf(at("f"))).toBe("fresh data");
	}),

	"cp, with and without reflinks where they can be had, copies": changing(content, ({ at }) => {
		run("cp", "--reflink=auto", at("big"), at("copy"));
		run("cp", "--reflink=never", at("copy"), at("copy2"));
		run("cp", "--sparse=always", at("copy2"), at("copy3"));
		expect([textOf(at("copy")) === pages, textOf(at("copy3")) === pages]).toEqual([true, true]);
	}),

	"FICLONE shares blocks": changing(content, ({ at }) => {
		run("cp", "--reflink=always", at("big"), at("copy"));
		expect(textOf(at("copy"))).toBe(pages);
	}),

	"fiemap tells where a file's data lies": looking(content, ({ at }) => {
		using handle = open(at("big"));
		const map = stableBuffer(32 + 56 * 8);
		map.writeBigUInt64LE(0xffffffffffffffffn, 8);
		map.writeUInt32LE(8, 24);
		ioctl(handle.fd, FS_IOC_FIEMAP, map);
		expect(map.readUInt32LE(20)).toBeGreaterThan(0);
	}),

	"FS_IOC_FSGETXATTR answers": looking(content, ({ at }) => {
		using handle = open(at("f"));
		expect(codeOf(() => ioctl(handle.fd, FS_IOC_FSGETXATTR, stableBuffer(28)))).toBeUndefined();
	}),

	"FS_IOC_GETVERSION answers": looking(content, ({ at }) => {
		using handle = open(at("f"));
		expect(codeOf(() => ioctl(handle.fd, FS_IOC_GETVERSION, stableBuffer(8)))).toBeUndefined();
	}),

	"what was not changed can be synced, directories too": looking({ f: "x", d: directory() }, ({ at }) => {
		for (const name of ["f", "d"]) {
			using handle = open(at(name));
			fsyncSync(handle.fd);
			fdatasyncSync(handle.fd);
		}
	}),

	"what was made and moved is synced, with its directory": changing({ f: "x", d: directory() }, ({ at }) => {
		writeFileSync(at("d/new"), "new");
		renameSync(at("f"), at("d/f"));
		for (const name of ["d", "d/f", "d/new"]) {
			using handle = open(at(name));
			fsyncSync(handle.fd);
		}
		expect(textOf(at("d/f"))).toBe("x");
	}),

	"unknown ioctls are ENOTTY": looking(content, ({ at }) => {
		using handle = open(at("f"));
		expect(codeOf(() => ioctl(handle.fd, 0x5401, stableBuffer(64)))).toBe("ENOTTY");
	}),

	"chattr sets and shows flags": changing(content, ({ at }) => {
		run("chattr", "+d", at("f"));
		expect(run("lsattr", at("f")).slice(0, 20)).toContain("d");
		writeFileSync(at("f"), "still written");
	}),

	"chattr +i and +a say that they cannot": changing(content, ({ at }) => {
		writeFileSync(at("new"), "");
		expect(() => run("chattr", "+i", at("f"))).toThrow(/not supported/i);
		expect(() => run("chattr", "+a", at("f"))).toThrow(/not supported/i);
		writeFileSync(at("f"), "changed");
	}),

	"a shared mapping is written, and a second opener sees it": changing(content, ({ at }) => {
		using handle = open(at("big"), "r+");
		using mapping = mapMemory(pages.length, handle.fd);
		expect(mapping.bytes.toString("latin1", 0, 16)).toBe(pages.slice(0, 16));
		mapping.bytes.write("MAPPED", 5000, "latin1");
		using other = open(at("big"));
		expect(other.text(6, 5000)).toBe("MAPPED");
		using another = mapMemory(pages.length, other.fd === handle.fd ? undefined : handle.fd);
		expect(another.bytes.toString("latin1", 5000, 5006)).toBe("MAPPED");
		mapping.sync();
		expect(textOf(at("big"))).toBe(`${pages.slice(0, 5000)}MAPPED${pages.slice(5006)}`);
	}),

	"a mapping made before sees what is written after": changing(content, ({ at }) => {
		using handle = open(at("big"), "r+");
		using mapping = mapMemory(4096, handle.fd);
		expect(mapping.bytes.toString("latin1", 0, 4)).toBe("0123");
		writeSync(handle.fd, "WRITTEN", 0);
		expect(mapping.bytes.toString("latin1", 0, 7)).toBe("WRITTEN");
	}),

	"what was written to a mapping and never synced is there": changing(content, ({ at }) => {
		using handle = open(at("big"), "r+");
		using mapping = mapMemory(4096, handle.fd);
		mapping.bytes.write("UNSYNCED", 0, "latin1");
		expect(readFileSync(at("big")).toString("latin1", 0, 8)).toBe("UNSYNCED");
	}),

	"programs are run, before and after they are changed": changing(
		{ tool: file("#!/bin/sh\necho first\n", { mode: 0o755 }) },
		({ at }) => {
			expect(run(at("tool"))).toBe("first\n");
			writeFileSync(at("tool"), "#!/bin/sh\necho second\n");
			expect(run(at("tool"))).toBe("second\n");
		},
	),
};
