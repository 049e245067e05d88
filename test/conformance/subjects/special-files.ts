/** FIFOs, sockets, devices and symlinks: they stay what they are, whatever is done to them. */

import { expect } from "bun:test";
import {
	chmodSync,
	chownSync,
	lchownSync,
	readlinkSync,
	renameSync,
	statSync,
	symlinkSync,
	unlinkSync,
	writeFileSync,
} from "node:fs";
import { device, directory, fifo, file, socket, symlink } from "../../harness/layers.ts";
import { codeOf } from "../../harness/native.ts";
import { modeOf, ownerOf, run, statOf, textOf } from "../observe.ts";
import { changing, looking, type Subject } from "../statement.ts";

const content = {
	p: fifo({ mode: 0o640, uid: 5, gid: 6 }),
	s: socket({ mode: 0o600, uid: 5, gid: 6 }),
	c: device("char", 1, 3, { mode: 0o622, uid: 5, gid: 6 }),
	b: device("block", 259, 70_000, { mode: 0o660, uid: 5, gid: 6 }),
};
const kinds = { p: 1n, s: 12n, c: 2n, b: 6n };
const numbers = { p: 0n, s: 0n, c: 0x103n, b: (70_000n & 0xffn) | (259n << 8n) | ((70_000n >> 8n) << 20n) };
type Name = keyof typeof kinds;
const every = Object.keys(kinds) as Name[];

function expectKept(at: (name: string) => string, suffix = ""): void {
	for (const name of every) {
		const { mode, rdev } = statOf(at(name + suffix));
		expect({ name, kind: mode >> 12n, rdev }).toEqual({ name, kind: kinds[name], rdev: numbers[name] });
	}
}

export const specialFiles: Subject = {
	"have kind, number, owner and mode": looking(content, ({ at }) => {
		expectKept(at);
		expect(every.map((name) => modeOf(at(name)))).toEqual([0o640, 0o600, 0o622, 0o660]);
		expect(every.map((name) => ownerOf(at(name)))).toEqual(["5:6", "5:6", "5:6", "5:6"]);
	}),

	"chmod and chown leave the kind": changing(content, ({ at }) => {
		for (const name of every) {
			chmodSync(at(name), 0o604);
			chownSync(at(name), 7, 8);
			expect([modeOf(at(name)), ownerOf(at(name))]).toEqual([0o604, "7:8"]);
		}
		expectKept(at);
	}),

	"rename leaves the kind": changing(content, ({ at }) => {
		for (const name of every) renameSync(at(name), at(`${name}2`));
		expectKept(at, "2");
		expect(every.map((name) => ownerOf(at(`${name}2`)))).toEqual(["5:6", "5:6", "5:6", "5:6"]);
	}),

	"cp -a and mv leave the kind": changing(content, ({ at }) => {
		for (const name of every) run("cp", "-a", at(name), at(`${name}2`));
		for (const name of every) run("mv", at(`${name}2`), at(`${name}3`));
		expectKept(at, "3");
	}),

	"a FIFO carries data": changing({ p: fifo({ mode: 0o600 }) }, ({ at }) => {
		chmodSync(at("p"), 0o666);
		expect(run("sh", "-c", `cat "${at("p")}" & echo through >"${at("p")}"; wait`)).toBe("through\n");
	}),

	"a FIFO that was only read and written is not changed": changing({ p: fifo({ time: 5n }) }, ({ at }) => {
		expect(run("sh", "-c", `cat "${at("p")}" & echo through >"${at("p")}"; wait`)).toBe("through\n");
		unlinkSync(at("p"));
	}),

	"a socket of no server refuses, one bound here is there": changing({ d: directory() }, async ({ at }) => {
		const server = Bun.listen({ unix: at("d/s"), socket: { data() {} } });
		expect(statOf(at("d/s")).mode >> 12n).toBe(12n);
		server.stop(true);
	}),

	"symlinks are read as they are, and owned by themselves": changing(
		{ f: file("x"), l: symlink("f", { uid: 5, gid: 6 }), dangling: symlink("/no/such/place") },
		({ at }) => {
			expect([readlinkSync(at("l")), readlinkSync(at("dangling"))]).toEqual(["f", "/no/such/place"]);
			lchownSync(at("l"), 7, 8);
			expect([ownerOf(at("l")), ownerOf(at("f")), readlinkSync(at("l"))]).toEqual(["7:8", "0:0", "f"]);
			renameSync(at("dangling"), at("d2"));
			expect(readlinkSync(at("d2"))).toBe("/no/such/place");
		},
	),

	"chmod, chown and writing through a symlink change what it points to": changing(
		{ f: file("x"), l: symlink("f") },
		({ at }) => {
			chmodSync(at("l"), 0o600);
			chownSync(at("l"), 5, 6);
			writeFileSync(at("l"), "written");
			expect([modeOf(at("f")), ownerOf(at("f")), textOf(at("f")), ownerOf(at("l"))]).toEqual([
				0o600,
				"5:6",
				"written",
				"0:0",
			]);
		},
	),

	"a loop of symlinks is ELOOP, a dangling one ENOENT": looking(
		{ a: symlink("b"), b: symlink("a"), dangling: symlink("missing") },
		({ at }) => {
			expect(codeOf(() => statSync(at("a")))).toBe("ELOOP");
			expect(codeOf(() => statSync(at("dangling")))).toBe("ENOENT");
			expect(statOf(at("a")).mode >> 12n).toBe(10n);
		},
	),

	"symlinks lead through directories of any layer": changing(
		{ "d/e/f": "f", l: symlink("d/e"), up: symlink("d/../d/e/f") },
		({ at }) => {
			expect([textOf(at("l/f")), textOf(at("up"))]).toEqual(["f", "f"]);
			writeFileSync(at("l/new"), "new");
			symlinkSync("../l/new", at("d/back"));
			expect([textOf(at("d/e/new")), textOf(at("d/back"))]).toEqual(["new", "new"]);
		},
	),
};
