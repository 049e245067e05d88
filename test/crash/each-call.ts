/**
 * The daemon is killed at each of the system calls that it makes for an operation, and between each two steps of what a successor
 * goes by: who has asked for the operation hears nothing of it, and finds it done once.
 */

import { expect } from "bun:test";
import {
	appendFileSync,
	chmodSync,
	closeSync,
	existsSync,
	fchmodSync,
	fstatSync,
	linkSync,
	mkdirSync,
	openSync,
	readdirSync,
	readFileSync,
	readSync,
	renameSync,
	rmdirSync,
	rmSync,
	statSync,
	symlinkSync,
	truncateSync,
	unlinkSync,
	utimesSync,
	writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { type Description, file, type TemporaryTree, temporaryTree } from "../harness/layers.ts";
import { type MountRequest, mountOverlay, until } from "../harness/mount.ts";
import { getxattr, removexattr, renameat2, setxattr } from "../harness/native.ts";
import { Overlay } from "../harness/overlay.ts";
import { differences, snapshot } from "../harness/snapshot.ts";

/** An operation on the things of a number. What it returns must be the same whenever the daemon was killed. */
interface Operation {
	/** Made by users before, in the mount. */
	readonly before?: (at: (name: string) => string) => void;
	readonly run: (at: (name: string) => string) => unknown;
}

const RENAME_EXCHANGE = 2;
const XATTR_CREATE = 1;

const mode = (path: string) => statSync(path).mode & 0o7777;

/** `lower`, `lower directory` with `inside`, and `other` are in the lower layer. */
export const operations: Readonly<Record<string, Operation>> = {
	"creates a file": {
		run: (at) => {
			writeFileSync(at("new"), "content", { flag: "wx", mode: 0o2640 });
			return [readFileSync(at("new"), "utf8"), mode(at("new"))];
		},
	},
	"creates a file in a lower directory": {
		run: (at) => {
			writeFileSync(at("directory/new"), "content", { flag: "wx" });
			return readdirSync(at("directory")).sort();
		},
	},
	"creates a file where a lower one was removed": {
		before: (at) => unlinkSync(at("lower")),
		run: (at) => {
			writeFileSync(at("lower"), "content", { flag: "wx" });
			return readFileSync(at("lower"), "utf8");
		},
	},
	"makes a directory": {
		run: (at) => {
			mkdirSync(at("new"));
			return readdirSync(at("new"));
		},
	},
	"makes a directory where a lower one was removed": {
		before: (at) => {
			unlinkSync(at("directory/inside"));
			rmdirSync(at("directory"));
		},
		run: (at) => {
			mkdirSync(at("directory"));
			return readdirSync(at("directory"));
		},
	},
	"makes a symlink": { run: (at) => symlinkSync("target", at("new")) },
	"links a file": {
		before: (at) => writeFileSync(at("upper"), "content"),
		run: (at) => {
			linkSync(at("upper"), at("new"));
			return [statSync(at("new")).nlink, statSync(at("new")).ino === statSync(at("upper")).ino];
		},
	},
	"links a lower file": {
		run: (at) => {
			linkSync(at("lower"), at("new"));
			return readFileSync(at("new"), "utf8");
		},
	},
	"removes a file": {
		before: (at) => writeFileSync(at("upper"), "content"),
		run: (at) => {
			unlinkSync(at("upper"));
			return existsSync(at("upper"));
		},
	},
	"removes a file that is open": {
		before: (at) => writeFileSync(at("upper"), "content"),
		run: (at) => {
			const fd = openSync(at("upper"), "r");
			unlinkSync(at("upper"));
			const bytes = Buffer.alloc(10);
			const length = readSync(fd, bytes, 0, 10, 0);
			const { nlink } = fstatSync(fd);
			closeSync(fd);
			return [length, bytes.toString("latin1"), nlink];
		},
	},
	"removes a lower file": {
		run: (at) => {
			unlinkSync(at("lower"));
			return existsSync(at("lower"));
		},
	},
	"removes a copied-up file": {
		before: (at) => chmodSync(at("lower"), 0o600),
		run: (at) => {
			unlinkSync(at("lower"));
			return existsSync(at("lower"));
		},
	},
	"removes a directory": {
		before: (at) => mkdirSync(at("upper")),
		run: (at) => {
			rmdirSync(at("upper"));
			return existsSync(at("upper"));
		},
	},
	"removes a directory that is open": {
		before: (at) => mkdirSync(at("upper"), 0o750),
		run: (at) => {
			const fd = openSync(at("upper"), "r");
			rmdirSync(at("upper"));
			const before = fstatSync(fd).mode;
			fchmodSync(fd, 0o711);
			const { mode, nlink } = fstatSync(fd);
			closeSync(fd);
			return [before, mode, nlink];
		},
	},
	"removes a directory with whiteouts": {
		before: (at) => unlinkSync(at("directory/inside")),
		run: (at) => {
			rmdirSync(at("directory"));
			return existsSync(at("directory"));
		},
	},
	"renames a file": {
		before: (at) => writeFileSync(at("upper"), "content"),
		run: (at) => {
			renameSync(at("upper"), at("new"));
			return [existsSync(at("upper")), readFileSync(at("new"), "utf8")];
		},
	},
	"renames a lower file over another": {
		run: (at) => {
			renameSync(at("lower"), at("other"));
			return [existsSync(at("lower")), readFileSync(at("other"), "utf8")];
		},
	},
	"renames a directory over an empty one": {
		before: (at) => {
			mkdirSync(at("upper"));
			writeFileSync(at("upper/x"), "x");
			unlinkSync(at("directory/inside"));
		},
		run: (at) => {
			renameSync(at("upper"), at("directory"));
			return [existsSync(at("upper")), readdirSync(at("directory"))];
		},
	},
	"exchanges two files": {
		before: (at) => writeFileSync(at("upper"), "content"),
		run: (at) => {
			renameat2(at("upper"), at("lower"), RENAME_EXCHANGE);
			return [readFileSync(at("upper"), "utf8"), readFileSync(at("lower"), "utf8")];
		},
	},
	"sets a new attribute": {
		run: (at) => {
			setxattr(at("lower"), "user.note", "value", XATTR_CREATE);
			return getxattr(at("lower"), "user.note").toString("latin1");
		},
	},
	"removes an attribute": {
		before: (at) => setxattr(at("lower"), "user.note", "value"),
		run: (at) => removexattr(at("lower"), "user.note"),
	},
	"changes a mode": {
		run: (at) => {
			chmodSync(at("lower"), 0o4711);
			return mode(at("lower"));
		},
	},
	"changes times of a directory": {
		run: (at) => {
			utimesSync(at("directory"), 1000, 2000);
			return statSync(at("directory")).mtimeMs;
		},
	},
	"cuts a file": {
		run: (at) => {
			truncateSync(at("lower"), 2);
			return readFileSync(at("lower"), "utf8");
		},
	},
	"appends to a file": {
		run: (at) => {
			appendFileSync(at("lower"), " and more");
			return readFileSync(at("lower"), "utf8");
		},
	},
	"writes a file anew": {
		run: (at) => {
			writeFileSync(at("lower"), "anew");
			return readFileSync(at("lower"), "utf8");
		},
	},
	"lists a directory": {
		run: (at) =>
			readdirSync(at("directory"), { withFileTypes: true }).map(({ name }) => [
				name,
				statSync(at(`directory/${name}`)).size,
			]),
	},
};

/** How the daemon ends at a certain one of many places. */
interface Way {
	/** How many places an operation has at most, those between operations included. */
	readonly most: number;
	/** Runs in the tree that the mount is made in; what to mount with. */
	prepare?(tree: TemporaryTree): Partial<MountRequest>;
	/** The daemon ends at the place of that number from now on. */
	arm(overlay: Overlay, place: number): Promise<Killer>;
}

interface Killer {
	/** Ends with it; returns whether the daemon was killed. */
	end(): Promise<boolean>;
}

const planOf = (tree: TemporaryTree) => tree.join("plan");

export const ways = {
	/** At a system call of its main thread. */
	call: {
		most: 120,
		async arm({ mount }, place) {
			const [pid = 0] = mount.serving;
			const inject = `inject=all:signal=SIGKILL:when=${place}`;
			const strace = Bun.spawn(
				["strace", "-qq", "-e", "trace=all", "-e", inject, "-o", "/dev/null", "-p", `${pid}`],
				{ stdio: ["ignore", "ignore", "inherit"] },
			);
			const isTraced = () => /^TracerPid:\t[1-9]/m.test(readFileSync(`/proc/${pid}/status`, "latin1"));
			await until(() => strace.exitCode !== null || isTraced(), "strace is not there");
			return {
				async end() {
					const isKilled = !mount.serving.includes(pid);
					strace.kill("SIGINT");
					await strace.exited;
					return isKilled;
				},
			};
		},
	},
	/** Between two steps of what a successor goes by: see dying-program.ts. */
	step: {
		most: 200,
		prepare(tree) {
			const program = tree.join("program");
			const script = join(import.meta.dir, "dying-program.ts");
			writeFileSync(program, `#!/bin/sh\nexec '${process.execPath}' '${script}' "$@"\n`, { mode: 0o755 });
			return { program, environment: { DYING_PLAN: planOf(tree) } };
		},
		async arm({ tree, mount }, place) {
			const [pid = 0] = mount.serving;
			writeFileSync(planOf(tree), String(place));
			return {
				async end() {
					rmSync(planOf(tree), { force: true });
					return !mount.serving.includes(pid);
				},
			};
		},
	},
} satisfies Record<string, Way>;

function lowerFor(count: number): Description {
	const things = { lower: "lower content", other: "other", "directory/inside": "inside" };
	const numbered = (index: number) =>
		Object.entries(things).map(([name, content]) => [`${index}/${name}`, file(content)]);
	return Object.fromEntries(Array.from({ length: count }, (_, index) => numbered(index)).flat());
}

/**
 * Does the operation once without a kill, then with one at each `stride`th place from `first` on, until there is none any more.
 * Throws where a result differs. Returns how often the daemon was killed.
 */
export async function killAtEach(
	kind: keyof typeof ways,
	name: string,
	options: readonly string[],
	first: number,
	stride: number,
): Promise<number> {
	const operation = operations[name]!;
	const way: Way = ways[kind];
	using tree = temporaryTree();
	const request = { options: ["failover=on", ...options], ...way.prepare?.(tree) };
	const layers = tree.layers([lowerFor(way.most)]);
	await using mount = await mountOverlay({ ...layers, ...request });
	const overlay = new Overlay(tree, layers, mount, false);
	const within = (index: number) => (path: string) => overlay.at(String(index), path);
	operation.before?.(within(0));
	const expected = operation.run(within(0));
	let kills = 0;
	for (let place = first; place < way.most; place += stride) {
		operation.before?.(within(place));
		readdirSync(overlay.at(String(place)));
		const killer = await way.arm(overlay, place);
		const result = operation.run(within(place));
		const isKilled = await killer.end();
		expect({ name, kind, place, result }).toEqual({ name, kind, place, result: expected });
		const look = (index: number) => snapshot(overlay.at(String(index)), { ignoreTimes: true });
		const wrong = differences(look(place), look(0));
		expect({ name, kind, place, wrong }).toEqual({ name, kind, place, wrong: [] });
		if (!isKilled) break;
		kills++;
		await until(() => mount.serving.length === 1, "no other daemon goes on");
	}
	// The others are mounted without that option.
	await overlay.expectLasting({
		debian: false,
		kernel: !options.some((option) => option.includes("metacopy")),
	});
	return kills;
}
