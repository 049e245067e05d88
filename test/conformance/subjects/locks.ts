/** Locks: flock(2), POSIX locks and locks of descriptions, within a process and between two. */

import { expect } from "bun:test";
import { writeSync } from "node:fs";
import { open } from "../../harness/descriptor.ts";
import {
	codeOf,
	flock,
	holderOfRange,
	LOCK_EX,
	LOCK_NB,
	LOCK_SH,
	LOCK_UN,
	lockRange,
	lockRangeOfDescription,
} from "../../harness/native.ts";
import { withNeighbour } from "../neighbours.ts";
import { changing, looking, type Subject } from "../statement.ts";

const content = { f: "content" };
/** Of more than 1 MiB. */
const large = { large: "0123456789abcdef".repeat(65 << 10) };
const all = { start: 0, length: 0 };
const busy = "EAGAIN";

export const locks: Subject = {
	"flock: shared ones together, an exclusive one alone": looking(content, ({ at }) => {
		using one = open(at("f"));
		using other = open(at("f"));
		flock(one.fd, LOCK_SH | LOCK_NB);
		flock(other.fd, LOCK_SH | LOCK_NB);
		expect(codeOf(() => flock(one.fd, LOCK_EX | LOCK_NB))).toBe("EAGAIN");
		flock(other.fd, LOCK_UN);
		flock(one.fd, LOCK_EX | LOCK_NB);
		expect(codeOf(() => flock(other.fd, LOCK_SH | LOCK_NB))).toBe("EAGAIN");
	}),

	"a lock holds through the first write": changing(content, ({ at }) => {
		using one = open(at("f"), "r+");
		flock(one.fd, LOCK_EX);
		writeSync(one.fd, "C");
		using other = open(at("f"), "r+");
		expect(codeOf(() => flock(other.fd, LOCK_EX | LOCK_NB))).toBe("EAGAIN");
		one.close();
		flock(other.fd, LOCK_EX | LOCK_NB);
	}),

	"flock holds against other processes, and is gone with the description": looking(content, ({ at }) =>
		withNeighbour(async (neighbour) => {
			await neighbour.ask({ do: "hold", path: at("f"), isWriter: false });
			using handle = open(at("f"));
			flock(handle.fd, LOCK_SH | LOCK_NB);
			expect(await neighbour.code({ do: "flock", operation: LOCK_EX | LOCK_NB })).toBe(busy);
			expect(await neighbour.code({ do: "flock", operation: LOCK_SH | LOCK_NB })).toBeUndefined();
			handle.close();
			expect(await neighbour.code({ do: "flock", operation: LOCK_EX | LOCK_NB })).toBeUndefined();
			using again = open(at("f"));
			expect(codeOf(() => flock(again.fd, LOCK_SH | LOCK_NB))).toBe(busy);
			await neighbour.ask({ do: "release" });
			flock(again.fd, LOCK_EX | LOCK_NB);
		}),
	),

	"POSIX locks for writing keep other processes from the bytes they name": changing(content, ({ at }) =>
		withNeighbour(async (neighbour) => {
			using handle = open(at("f"), "r+");
			lockRange(handle.fd, "write", { start: 10, length: 10 });
			await neighbour.ask({ do: "hold", path: at("f"), isWriter: true });
			const attempt = (start: number, length: number) =>
				neighbour.code({ do: "lock", kind: "write", start, length });
			expect([await attempt(15, 10), await attempt(0, 0), await attempt(0, 11)]).toEqual([busy, busy, busy]);
			expect([await attempt(0, 10), await attempt(20, 0)]).toEqual([undefined, undefined]);
			expect(codeOf(() => lockRange(handle.fd, "write", { start: 19, length: 2 }))).toBe(busy);
			expect(holderOfRange(handle.fd, "read", all)).toBe(neighbour.pid);
			lockRange(handle.fd, "none", { start: 10, length: 5 });
			expect([await attempt(10, 5), await attempt(10, 6)]).toEqual([undefined, busy]);
			await neighbour.ask({ do: "release" });
			expect(holderOfRange(handle.fd, "write", all)).toBeUndefined();
		}),
	),

	"POSIX locks for reading are held together, and keep writers away": looking(content, ({ at }) =>
		withNeighbour(async (neighbour) => {
			using handle = open(at("f"));
			lockRange(handle.fd, "read", all);
			await neighbour.ask({ do: "hold", path: at("f"), isWriter: false });
			expect(await neighbour.code({ do: "lock", kind: "read", start: 3, length: 4 })).toBeUndefined();
			expect(holderOfRange(handle.fd, "write", all)).toBe(neighbour.pid);
			expect(holderOfRange(handle.fd, "read", all)).toBeUndefined();
			// A lock for writing is for who may write.
			expect(await neighbour.code({ do: "lock", kind: "write", start: 0, length: 1 })).toBe("EBADF");
		}),
	),

	"POSIX locks are the process's: they do not keep it away, and closing any description drops them": changing(
		content,
		({ at }) =>
			withNeighbour(async (neighbour) => {
				using one = open(at("f"), "r+");
				using other = open(at("f"), "r+");
				lockRange(one.fd, "write", all);
				lockRange(other.fd, "write", all);
				await neighbour.ask({ do: "hold", path: at("f"), isWriter: true });
				const attempt = { do: "lock", kind: "write", ...all } as const;
				expect(await neighbour.code(attempt)).toBe(busy);
				other.close();
				expect(await neighbour.code(attempt)).toBeUndefined();
			}),
	),

	"locks of descriptions keep other descriptions away, in the same process too": changing(
		content,
		({ at }) => {
			using one = open(at("f"), "r+");
			using other = open(at("f"), "r+");
			lockRangeOfDescription(one.fd, "write", { start: 0, length: 10 });
			expect(codeOf(() => lockRangeOfDescription(other.fd, "read", { start: 9, length: 2 }))).toBe(busy);
			lockRangeOfDescription(other.fd, "write", { start: 10, length: 10 });
			one.close();
			lockRangeOfDescription(other.fd, "write", all);
		},
	),

	"a reader's lock holds against who writes first": changing(content, ({ at }) =>
		withNeighbour(async (neighbour) => {
			await neighbour.ask({ do: "hold", path: at("f"), isWriter: false });
			expect(await neighbour.code({ do: "lock", kind: "read", ...all })).toBeUndefined();
			using writer = open(at("f"), "r+");
			expect(codeOf(() => lockRange(writer.fd, "write", all))).toBe(busy);
			writeSync(writer.fd, "C", 0);
			expect(codeOf(() => lockRange(writer.fd, "write", all))).toBe(busy);
			await neighbour.ask({ do: "release" });
			lockRange(writer.fd, "write", all);
		}),
	),

	"a reader's lock of a large file holds against who writes first": changing(large, ({ at }) =>
		withNeighbour(async (neighbour) => {
			await neighbour.ask({ do: "hold", path: at("large"), isWriter: false });
			expect(await neighbour.code({ do: "lock", kind: "read", ...all })).toBeUndefined();
			using writer = open(at("large"), "r+");
			writeSync(writer.fd, "C", 0);
			expect(codeOf(() => lockRange(writer.fd, "write", all))).toBe(busy);
		}),
	),

	"flock and POSIX locks do not know of each other": changing(content, ({ at }) =>
		withNeighbour(async (neighbour) => {
			using handle = open(at("f"), "r+");
			flock(handle.fd, LOCK_EX | LOCK_NB);
			await neighbour.ask({ do: "hold", path: at("f"), isWriter: true });
			expect(await neighbour.code({ do: "lock", kind: "write", ...all })).toBeUndefined();
		}),
	),
};
