/** Times of access, modification and change: to the nanosecond, moved by what changes and by nothing else. */

import { expect } from "bun:test";
import {
	chmodSync,
	chownSync,
	constants,
	fsyncSync,
	linkSync,
	mkdirSync,
	readdirSync,
	readFileSync,
	readlinkSync,
	renameSync,
	rmdirSync,
	statSync,
	truncateSync,
	unlinkSync,
	writeFileSync,
	writeSync,
} from "node:fs";
import { open } from "../../harness/descriptor.ts";
import { directory, fifo, file, symlink } from "../../harness/layers.ts";
import {
	codeOf,
	mapMemory,
	mapToRead,
	removexattr,
	setTimes,
	setTimesOf,
	setxattr,
} from "../../harness/native.ts";
import { letTheClockTick, modeOf, statOf, textOf } from "../observe.ts";
import { changing, inPassing, looking, type Place, type Subject } from "../statement.ts";

const second = 1_000_000_000n;
/** Early in 2001: nothing that a test does is as old. */
const old = 981_173_106n * second + 123_456_789n;
const content = {
	f: file("content", { time: old, xattrs: inPassing({ "user.a": "1" }) }),
	d: directory({ time: old }),
	"d/x": file("x", { time: old }),
	"d/sub": directory({ time: old }),
	l: symlink("f", { time: old }),
};

const modified = (path: string) => statOf(path).mtimeNs;

/** Asserts that `change` moves exactly the named times of `name`. */
function expectMoved(
	{ at }: Place,
	name: string,
	moved: { readonly modification: boolean; readonly change: boolean },
	change: () => void,
): void {
	const before = statOf(at(name));
	letTheClockTick();
	change();
	const after = statOf(at(name));
	expect({
		modification: after.mtimeNs !== before.mtimeNs,
		change: after.ctimeNs > before.ctimeNs,
	}).toEqual(moved);
	if (moved.modification) expect(after.mtimeNs).toBeGreaterThan(before.mtimeNs);
}
const both = { modification: true, change: true };
const onlyChange = { modification: false, change: true };
const neither = { modification: false, change: false };

export const times: Subject = {
	"are shown to the nanosecond, of files, directories and symlinks": looking(content, ({ at }) => {
		expect(["f", "d", "d/x", "l"].map((name) => modified(at(name)))).toEqual([old, old, old, old]);
	}),

	"are set to the nanosecond": changing(content, ({ at }) => {
		const accessed = 1_234_567_890n * second + 1n;
		const changed = 1_234_567_891n * second + 999_999_999n;
		for (const name of ["f", "d", "l"]) {
			setTimes(at(name), accessed, changed);
			const { atimeNs, mtimeNs } = statOf(at(name));
			expect({ name, atimeNs, mtimeNs }).toEqual({ name, atimeNs: accessed, mtimeNs: changed });
		}
		expect(modified(at("d/x"))).toBe(old);
	}),

	"before 1970 are kept, fractions included": changing(content, ({ at }) => {
		for (const time of [-1n, -second, -1_500_000_000n, -1_000_000_000n * second - 7n]) {
			setTimes(at("f"), time, time);
			expect([statOf(at("f")).atimeNs, modified(at("f"))]).toEqual([time, time]);
		}
	}),

	"far in the future are kept": changing(content, ({ at }) => {
		// 2038 and 2106, where 32 bits end, and 2400.
		for (const seconds of [2n ** 31n, 2n ** 32n + 5n, 13_569_465_600n]) {
			const time = seconds * second + 1n;
			setTimes(at("f"), time, time);
			expect([statOf(at("f")).atimeNs, modified(at("f"))]).toEqual([time, time]);
		}
	}),

	"UTIME_OMIT leaves one as it is, by path and by descriptor": changing(content, ({ at }) => {
		setTimes(at("f"), 5n * second, "omit");
		expect([statOf(at("f")).atimeNs, modified(at("f"))]).toEqual([5n * second, old]);
		using handle = open(at("f"), "r");
		setTimesOf(handle.fd, "omit", 7n * second);
		expect([statOf(handle.fd).atimeNs, statOf(handle.fd).mtimeNs]).toEqual([5n * second, 7n * second]);
	}),

	"UTIME_NOW is now, alone and beside a given one": changing(content, ({ at }) => {
		const before = BigInt(Date.now() - 1000) * 1_000_000n;
		setTimes(at("f"), "now", 7n);
		expect(modified(at("f"))).toBe(7n);
		expect(statOf(at("f")).atimeNs).toBeGreaterThan(before);
		setTimes(at("f"), "now", "now");
		expect(modified(at("f"))).toBeGreaterThan(before);
		expect(modified(at("f"))).toBeLessThan(BigInt(Date.now() + 1000) * 1_000_000n);
	}),

	"setting them moves the time of change": changing(content, (place) => {
		expectMoved(place, "f", onlyChange, () => setTimes(place.at("f"), 1n, "omit"));
		expectMoved(place, "d", onlyChange, () => setTimes(place.at("d"), 1n, "omit"));
	}),

	"reading moves neither": looking(content, (place) => {
		expectMoved(place, "f", neither, () => {
			readFileSync(place.at("f"));
			using handle = open(place.at("f"), "r");
			using mapping = mapToRead(7, handle.fd);
			expect([handle.text(), mapping.bytes.toString("latin1")]).toEqual(["content", "content"]);
		});
		expectMoved(place, "d", neither, () => readdirSync(place.at("d")));
		expectMoved(place, "l", neither, () => {
			readlinkSync(place.at("l"));
			statSync(place.at("l"));
		});
	}),

	"opening for writing moves no time of modification": changing(content, ({ at }) => {
		open(at("f"), "r+").close();
		open(at("f"), constants.O_WRONLY | constants.O_APPEND).close();
		expect(modified(at("f"))).toBe(old);
		chmodSync(at("f"), 0o600);
	}),

	"writing moves both": changing(content, (place) => {
		expectMoved(place, "f", both, () => {
			using handle = open(place.at("f"), "r+");
			writeSync(handle.fd, "new");
		});
	}),

	"writing moves them at once, not at the close or the sync": changing(content, (place) => {
		using handle = open(place.at("f"), "r+");
		const before = statOf(handle.fd);
		letTheClockTick();
		writeSync(handle.fd, "new");
		const written = statOf(place.at("f"));
		expect(written.mtimeNs).toBeGreaterThan(before.mtimeNs);
		letTheClockTick();
		fsyncSync(handle.fd);
		handle.close();
		expect(modified(place.at("f"))).toBe(written.mtimeNs);
	}),

	"a time set after writing stays": changing(content, ({ at }) => {
		using handle = open(at("f"), "r+");
		writeSync(handle.fd, "new");
		setTimesOf(handle.fd, old, old);
		fsyncSync(handle.fd);
		handle.close();
		expect(modified(at("f"))).toBe(old);
	}),

	"reading through a mapping that could be written moves neither": changing(content, (place) => {
		using handle = open(place.at("f"), "r+");
		using mapping = mapMemory(7, handle.fd);
		expectMoved(place, "f", neither, () => {
			expect(mapping.bytes.toString("latin1")).toBe("content");
			mapping.sync();
		});
		expect(modified(place.at("f"))).toBe(old);
	}),

	"writing to a shared mapping moves both": changing(content, (place) => {
		expectMoved(place, "f", both, () => {
			using handle = open(place.at("f"), "r+");
			using mapping = mapMemory(7, handle.fd);
			mapping.bytes.write("MAPPED!", "latin1");
			mapping.sync();
			fsyncSync(handle.fd);
		});
		expect(textOf(place.at("f"))).toBe("MAPPED!");
	}),

	"truncating moves both": changing(content, (place) => {
		expectMoved(place, "f", both, () => truncateSync(place.at("f"), 2));
		expectMoved(place, "f", both, () => truncateSync(place.at("f"), 10));
	}),

	"opening with O_TRUNC moves both": changing(content, (place) => {
		expectMoved(place, "f", both, () => open(place.at("f"), "w").close());
	}),

	"mode, owner and attributes move the time of change alone": changing(content, (place) => {
		for (const change of [
			(path: string) => chmodSync(path, 0o700),
			(path: string) => chownSync(path, 5, 6),
			(path: string) => chownSync(path, -1, -1),
			(path: string) => setxattr(path, "user.b", "2"),
			(path: string) => removexattr(path, "user.b"),
		]) {
			expectMoved(place, "f", onlyChange, () => change(place.at("f")));
			expectMoved(place, "d", onlyChange, () => change(place.at("d")));
		}
	}),

	"a link moves the file's time of change, and the directory's both": changing(content, (place) => {
		expectMoved(place, "f", onlyChange, () => linkSync(place.at("f"), place.at("g")));
		expectMoved(place, "d", both, () => linkSync(place.at("g"), place.at("d/h")));
	}),

	"removing one of two names moves the file's time of change": changing(content, (place) => {
		linkSync(place.at("f"), place.at("g"));
		expectMoved(place, "f", onlyChange, () => unlinkSync(place.at("g")));
	}),

	"a rename leaves the file's time of modification": changing(content, ({ at }) => {
		renameSync(at("f"), at("g"));
		renameSync(at("g"), at("d/g"));
		expect(modified(at("d/g"))).toBe(old);
	}),

	"a symlink's own are kept by rename and chown": changing(content, ({ at }) => {
		renameSync(at("l"), at("l2"));
		expect(modified(at("l2"))).toBe(old);
		expect(modified(at("f"))).toBe(old);
	}),

	"of a directory are moved by every change of its names": changing(content, (place) => {
		const { at } = place;
		for (const change of [
			() => writeFileSync(at("d/new"), ""),
			() => mkdirSync(at("d/newdir")),
			() => linkSync(at("f"), at("d/link")),
			() => renameSync(at("d/new"), at("d/renamed")),
			() => renameSync(at("d/renamed"), at("out")),
			() => renameSync(at("out"), at("d/in")),
			() => unlinkSync(at("d/in")),
			() => rmdirSync(at("d/newdir")),
			() => unlinkSync(at("d/x")),
		]) {
			expectMoved(place, "d", both, change);
		}
	}),

	"of a directory are not moved by changes in its files": changing(content, ({ at }) => {
		writeFileSync(at("d/x"), "changed");
		chmodSync(at("d/x"), 0o600);
		expect(modified(at("d"))).toBe(old);
	}),

	"of a directory are not moved by changes further down": changing(content, ({ at }) => {
		writeFileSync(at("d/sub/new"), "");
		expect(modified(at("d"))).toBe(old);
	}),

	"of a directory stay when only its attributes change": changing(content, ({ at }) => {
		chmodSync(at("d"), 0o700);
		chownSync(at("d"), 5, 6);
		expect([modified(at("d")), modeOf(at("d"))]).toEqual([old, 0o700]);
	}),

	"a failed change of names moves nothing": changing(content, ({ at }) => {
		writeFileSync(at("other"), "");
		expect(codeOf(() => mkdirSync(at("d/x")))).toBe("EEXIST");
		expect(codeOf(() => unlinkSync(at("d/missing")))).toBe("ENOENT");
		expect(codeOf(() => rmdirSync(at("d/x")))).toBe("ENOTDIR");
		expect(modified(at("d"))).toBe(old);
	}),

	"of FIFOs can be set and stay": changing({ p: fifo({ time: old }) }, ({ at }) => {
		expect(modified(at("p"))).toBe(old);
		chmodSync(at("p"), 0o600);
		expect(modified(at("p"))).toBe(old);
		setTimes(at("p"), 1n, -2n);
		expect(modified(at("p"))).toBe(-2n);
	}),

	"a new file's and directory's are now": changing(content, ({ at }) => {
		const before = BigInt(Date.now() - 1000) * 1_000_000n;
		writeFileSync(at("d/new"), "");
		mkdirSync(at("d/newdir"));
		for (const name of ["d/new", "d/newdir", "d"]) expect(modified(at(name))).toBeGreaterThan(before);
	}),
};
