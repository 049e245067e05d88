/**
 * What is made is never anybody else's, and never more open than it ends up, not for a moment: whatever appears in the
 * upper layer appears with the owner and mode it keeps. All else is done in the workdir, which nobody but the daemon can
 * enter. Read from the daemon's system calls, because a watcher could look away at that moment.
 */

import { describe, expect, test } from "bun:test";
import {
	chmodSync,
	closeSync,
	lstatSync,
	mkdirSync,
	openSync,
	renameSync,
	symlinkSync,
	truncateSync,
	writeFileSync,
} from "node:fs";
import { device, directory, file, symlink, temporaryTree, whiteout } from "../harness/layers.ts";
import { mountOverlay } from "../harness/mount.ts";
import { asUser, mknod } from "../harness/native.ts";
import { mountLayers, type Overlay } from "../harness/overlay.ts";
import { lacks } from "../harness/setting.ts";
import { traced } from "../harness/strace.ts";

/** Left out: messages, waiting, and the engine's memory. All others, because strace may not know fchmodat2 by its name. */
const others = "read,writev,poll,futex,sched_yield,madvise,mmap,munmap,mprotect,rseq,getpid,gettid";

/** The daemon's system calls while `action` runs, in their order, with the paths of descriptors. */
async function callsDuring(overlay: Overlay, action: () => void): Promise<string[]> {
	return named(await traced(overlay, [`trace=!${others}`, "decode-fds=path"], action));
}

/** The same, where strace knows fchmodat2 by its number only: then the name that it changes is not known, and is `*`. */
function named(lines: readonly string[]): string[] {
	const places = new Map<number, string>();
	return lines.map((line) => {
		for (const [, fd, place = ""] of line.matchAll(/\b(\d+)<([^>]*)>/g)) places.set(Number(fd), place);
		return line.replace(/^syscall_0x1c4\((0x[0-9a-f]+),/, (_, fd) => {
			const place = places.get(Number(fd));
			return `fchmodat2(${Number(fd)}<${place ?? "unknown"}>, "*",`;
		});
	});
}

interface Made {
	readonly call: string;
	readonly path: string;
	/** Whether anybody but the daemon can come there. */
	readonly isOpen: boolean;
}

const making = /^(openat|mkdirat|mknodat|symlinkat|linkat)\((.*)\) += (\d+)/;

/** What was made, by which call. */
function madeBy(lines: readonly string[]): Made[] {
	return lines.flatMap((line) => {
		const [, call = "", args = ""] = making.exec(line) ?? [];
		if (call === "" || (call === "openat" && !args.includes("O_CREAT"))) return [];
		// The last directory and name that are given: a symlink's target and a link's source come before.
		const [, place = "", name = ""] = [...args.matchAll(/\d+<([^>]*)>, "((?:[^"\\]|\\.)*)"/g)].at(-1) ?? [];
		const path = `${place}/${name}`;
		return [{ call, path, isOpen: !path.includes("/work/work/") }];
	});
}

/** Calls that change owner or mode of a path. */
function changesTo(lines: readonly string[], path: string): string[] {
	const [, place = "", name = ""] = /^(.*)\/([^/]*)$/.exec(path) ?? [];
	return lines.filter(
		(line) =>
			(/^(fchownat|fchmodat2?)\(/.test(line) &&
				[`<${place}>, "${name}"`, `<${place}>, "*"`, "<unknown>"].some((target) => line.includes(target))) ||
			(/^(fchown|fchmod)\(/.test(line) && line.includes(`<${path}>`)),
	);
}

const user = 1000;
const as = (action: (at: (name: string) => string) => void) => (overlay: Overlay) =>
	asUser(user, user, () => action((name) => overlay.at("open", name)));

/** Each makes one thing or more; by user 1000, unless root does. */
const makers: Readonly<Record<string, (overlay: Overlay) => void>> = {
	"a file": as((at) => writeFileSync(at("file"), "x", { mode: 0o640 })),
	"a private file": as((at) => closeSync(openSync(at("private"), "wx", 0o600))),
	"a file of a writer with a strict umask": as((at) => {
		const before = process.umask(0o077);
		writeFileSync(at("strict"), "x");
		process.umask(before);
	}),
	"a directory": as((at) => mkdirSync(at("directory"), 0o700)),
	"a symlink": as((at) => symlinkSync("target", at("symlink"))),
	"a FIFO": as((at) => mknod(at("pipe"), 0o010600)),
	"a device": (overlay) => mknod(overlay.at("open/device"), 0o020600, 1, 3),
	"over a whiteout, a file": as((at) => writeFileSync(at("gone"), "x", { mode: 0o600 })),
	"over a whiteout, a directory": as((at) => mkdirSync(at("gone-directory"), 0o700)),
	"in a directory with its group": as((at) => writeFileSync(at("grouped/file"), "x", { mode: 0o600 })),
	"in a directory with a default ACL": as((at) => mkdirSync(at("listed/directory"), 0o700)),
	"by copy-up, a private file": as((at) => writeFileSync(at("lower/private"), "changed", { flag: "r+" })),
	"by copy-up, a program with set-id bits": (overlay) => truncateSync(overlay.at("open/lower/set-id"), 3),
	"by copy-up, a private directory": as((at) => mkdirSync(at("lower/closed/new"), 0o700)),
	"by copy-up, a symlink": as((at) => renameSync(at("lower/link"), at("lower/moved"))),
	"by copy-up, a large file": (overlay) => truncateSync(overlay.at("open/lower/large"), (3 << 20) - 1),
};

describe.skipIf(lacks("other ids", "devices"))(
	"is never for a moment more open, or another's, than it ends up",
	() => {
		const mine = { uid: user, gid: user };
		const lower = {
			"open/gone": "lower",
			"open/gone-directory/x": "lower",
			"open/lower": directory({ ...mine, mode: 0o755 }),
			"open/lower/private": file("private", { ...mine, mode: 0o600 }),
			"open/lower/set-id": file("#!/bin/true", { ...mine, mode: 0o6755 }),
			"open/lower/large": file(Buffer.alloc(3 << 20, "x"), { ...mine, mode: 0o600 }),
			"open/lower/closed": directory({ ...mine, mode: 0o700 }),
			"open/lower/link": symlink("private", mine),
			"open/lower/null": device("char", 1, 3),
		};
		const upper = {
			open: directory({ mode: 0o777 }),
			"open/gone": whiteout(),
			"open/gone-directory": whiteout(),
			"open/grouped": directory({ mode: 0o2777, gid: 77 }),
			"open/listed": directory({ mode: 0o777 }),
		};

		test.each([[[]], [["xattr_permissions=2"]], [["uidmapping=0:0:2000,gidmapping=0:0:2000"]]])(
			"whatever is made, by whom, with options %p",
			async (options: string[]) => {
				await using overlay = await mountLayers([lower], { upper, options });
				Bun.spawnSync(["setfacl", "-d", "-m", "u:7:rwx", overlay.at("open/listed")]);
				const all: Record<string, readonly Made[]> = {};
				for (const [title, make] of Object.entries(makers)) {
					const lines = await callsDuring(overlay, () => make(overlay));
					const made = madeBy(lines);
					all[title] = made;
					for (const { path, isOpen } of made) {
						const changed = isOpen ? changesTo(lines, path) : [];
						expect({ title, path, changed }).toEqual({ title, path, changed: [] });
					}
				}
				// Every one of them was seen to be made, and some in the open: the reading of the calls works.
				expect(Object.entries(all).filter(([, made]) => made.length === 0)).toEqual([]);
				if (!options.includes("xattr_permissions=2"))
					expect(all["a file"]?.map(({ isOpen }) => isOpen)).toEqual([true]);
				for (const name of ["file", "private", "strict", "directory", "symlink", "pipe", "gone"])
					expect(lstatSync(overlay.at("open", name)).uid).toBe(user);
				expect(lstatSync(overlay.at("open/strict")).mode & 0o777).toBe(0o600);
				expect(lstatSync(overlay.at("open/grouped/file")).gid).toBe(77);
			},
		);

		test("the workdir is closed to all others, whatever it was before, and has no default ACL", async () => {
			using tree = temporaryTree();
			const layers = tree.layers([{ a: "a" }]);
			tree.layer("work/work");
			for (const path of [layers.work, tree.join("work/work")]) {
				chmodSync(path, 0o777);
				expect(Bun.spawnSync(["setfacl", "-d", "-m", "u:7:rwx", path]).exitCode).toBe(0);
			}
			await using _ = await mountOverlay({ ...layers });
			expect((lstatSync(tree.join("work/work")).mode & 0o7777).toString(8)).toBe("700");
			const acl = Bun.spawnSync(["getfacl", "-dcE", "--absolute-names", tree.join("work/work")]);
			expect(acl.stdout.toString().trim()).toBe("");
		});
	},
);
