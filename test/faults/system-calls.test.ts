/**
 * Any system call may fail. Of every operation each call the daemon makes is made to fail in turn: the caller gets that
 * errno or success, sees either what was there before or all of the change, can do it again, and nothing is left over.
 */

import { expect, test } from "bun:test";
import {
	appendFileSync,
	chmodSync,
	existsSync,
	lchownSync,
	linkSync,
	mkdirSync,
	readdirSync,
	readFileSync,
	renameSync,
	rmdirSync,
	symlinkSync,
	truncateSync,
	unlinkSync,
	writeFileSync,
	writeSync,
} from "node:fs";
import { open } from "../harness/descriptor.ts";
import {
	type Description,
	directory,
	fifo,
	file,
	hardLink,
	sparseFile,
	symlink,
	whiteout,
} from "../harness/layers.ts";
import { codeOf, RENAME_EXCHANGE, renameat2 } from "../harness/native.ts";
import { mountLayers, type Overlay } from "../harness/overlay.ts";
import { isKernel } from "../harness/program.ts";
import { refusing } from "../harness/refusing.ts";
import { lacks } from "../harness/setting.ts";
import { differences, snapshot } from "../harness/snapshot.ts";
import { traced } from "../harness/strace.ts";
import { expectNothingLeft, expectNothingOpen } from "./leftovers.ts";

/** The calls with which the daemon uses layers. Those that only tidy up are not among them: close(2). */
const calls = [
	...["openat", "openat2", "statx", "getdents64", "lseek", "readlinkat", "pread64", "pwrite64"],
	...["copy_file_range", "ftruncate", "fdatasync", "fsync", "ioctl", "dup", "fcntl"],
	...["mkdirat", "mknodat", "symlinkat", "linkat", "unlinkat", "renameat2"],
	...["fchmodat", "fchmod", "fchownat", "utimensat"],
	...["getxattr", "lgetxattr", "fgetxattr", "setxattr", "lsetxattr", "fsetxattr"],
	...["removexattr", "lremovexattr", "fremovexattr", "listxattr", "llistxattr", "flistxattr"],
];
const known = new Set(calls);
/** strace may not know by name what came with Linux 6.13, and then cannot have it fail. What is used in its place, it can. */
const older = refusing("ENOSYS", "getxattrat,setxattrat,listxattrat,removexattrat");

/** What each trial has for itself, below a directory of its own. */
const lower: Description = {
	a: file("content of a", { mode: 0o640, xattrs: { "user.note": "kept" } }),
	b: "content of b",
	link: symlink("a"),
	fifo: fifo(),
	"d/x": "x",
	one: "of several names",
	"merged/low": "low",
	below: "content below",
	both: "lower",
	"empty/inner": "hidden",
	"hidden/secret": "secret",
	gone: "hidden",
	"marked/file": "hidden",
	"marked.file/file": "hidden",
	"dir/inner": "hidden",
};
const upper: Description = {
	"merged/up": "up",
	below: sparseFile(13, {}, { xattrs: { "trusted.overlay.metacopy": "" } }),
	both: "upper",
	"empty/inner": whiteout(),
	"up/file": "file",
	u: "upper",
	gone: whiteout(),
	".wh.marked": "",
	hidden: directory({ opaque: "user" }),
	dir: whiteout(),
};

type Operation = (at: (...names: string[]) => string) => unknown;

const operations: Readonly<Record<string, Operation>> = {
	"a file is copied up and written": (at) => appendFileSync(at("a"), " and more"),
	"a file is copied up with its parents": (at) => chmodSync(at("d/x"), 0o600),
	"a symlink is copied up": (at) => lchownSync(at("link"), 1, 1),
	"a FIFO is copied up": (at) => chmodSync(at("fifo"), 0o600),
	"a directory is copied up": (at) => chmodSync(at("d"), 0o700),
	"a file is made": (at) => writeFileSync(at("new"), ""),
	"a directory is made over a whiteout": (at) => mkdirSync(at("dir")),
	"a symlink is made over a whiteout": (at) => symlinkSync("target", at("gone")),
	"a lower file is removed": (at) => unlinkSync(at("a")),
	"an upper file with a lower one below is removed": (at) => unlinkSync(at("both")),
	"a merged directory is removed": (at) => rmdirSync(at("empty")),
	"a lower file is renamed over another": (at) => renameSync(at("a"), at("b")),
	"an upper directory is renamed over a whiteout": (at) => renameSync(at("up"), at("dir")),
	"two files change places": (at) => renameat2(at("a"), at("u"), RENAME_EXCHANGE),
	"a lower directory is renamed into another": (at) => renameSync(at("d"), at("merged", "new")),
	"two merged directories change places": (at) => renameat2(at("merged"), at("d"), RENAME_EXCHANGE),
	"a file whose data is in a layer below is written": (at) => appendFileSync(at("below"), "+"),
	"a file whose data is in a layer below is cut": (at) => truncateSync(at("below"), 5),
	"a file whose data is in a layer below is renamed": (at) => renameSync(at("below"), at("new")),
	"an upper file gets a second name, over a whiteout": (at) => linkSync(at("u"), at("gone")),
};

/** With `metacopy=on`: what is copied up leaves its data below. */
const withoutData: Readonly<Record<string, Operation>> = {
	"a file is copied up without its data": (at) => chmodSync(at("a"), 0o600),
	"a file is renamed without its data": (at) => renameSync(at("a"), at("d", "new")),
	"a file gets a second name without its data": (at) => linkSync(at("a"), at("new")),
	"a file whose data is in a layer below is renamed again": (at) => renameSync(at("below"), at("d", "new")),
	"two files change places without their data": (at) => renameat2(at("a"), at("d", "x"), RENAME_EXCHANGE),
};

/** With `index=on`: what is done to a file's last name, once the other one is gone and the directory has been listed. */
const toLastName: Readonly<Record<string, Operation>> = {
	"the last name of a file in the index is removed": (at) => unlinkSync(at("one")),
	"the last name of a file in the index is renamed over": (at) => renameSync(at("b"), at("one")),
};

const mountTrials = (count: number, further: string) => {
	const below = (description: Description): Description =>
		Object.fromEntries(
			Array.from({ length: count }, (_, trial) =>
				Object.entries(description).map(([name, entry]) => [`${trial}/${name}`, entry]),
			).flat(),
		);
	const names = Array.from({ length: count }, (_, trial) => [`${trial}/other`, hardLink(`${trial}/one`)]);
	const options = ["passthrough=on,redirect_dir=on", further];
	return mountLayers([{ ...below(lower), ...Object.fromEntries(names) }], {
		upper: below(upper),
		options,
		program: older,
	});
};

/** The tree of a trial as a user sees it. */
const seen = (overlay: Overlay, trial: number) => snapshot(overlay.at(String(trial)), { ignoreTimes: true });

/** Which call is to fail: the `index`th of its name, from 1. */
interface Failure {
	readonly call: string;
	readonly index: number;
}

/** One for each call of a run. */
function failuresOf(lines: readonly string[]): Failure[] {
	const counts = new Map<string, number>();
	return lines
		.map((line) => /^\w+/.exec(line)?.[0] ?? "")
		.filter((call) => known.has(call))
		.map((call) => {
			const index = (counts.get(call) ?? 0) + 1;
			counts.set(call, index);
			return { call, index };
		});
}

const most = 64;

const cases = [
	...Object.entries(operations).map(([title, operation]) => [title, operation, "metacopy=off"] as const),
	...Object.entries(withoutData).map(([title, operation]) => [title, operation, "metacopy=on"] as const),
	...Object.entries(toLastName).map(([title, operation]) => [title, operation, "index=on"] as const),
];
test.skipIf(lacks("the machine's root") || isKernel).each(cases)(
	"%s, or not at all",
	async (_, operation, further) => {
		await using overlay = await mountTrials(most, further);
		const act = (trial: number) => operation((...names) => overlay.at(String(trial), ...names));
		const prepare = (trial: number) => {
			if (further !== "index=on") return;
			unlinkSync(overlay.at(String(trial), "other"));
			seen(overlay, trial);
		};
		prepare(0);
		prepare(1);
		const before = seen(overlay, 0);
		act(0);
		const after = seen(overlay, 0);
		const failures = failuresOf(await traced(overlay, ["trace=all"], () => act(1)));
		expect(failures.length).toBeGreaterThan(0);
		expect(failures.length).toBeLessThan(most - 2);
		for (const [number, { call, index }] of failures.entries()) {
			const trial = number + 2;
			const errno = number % 2 === 0 ? "EIO" : "ENOMEM";
			let code: string | undefined;
			prepare(trial);
			const inject = `inject=${call}:error=${errno}:when=${index}`;
			const lines = await traced(overlay, [`trace=${calls.join(",")}`, inject], () => {
				code = codeOf(() => act(trial));
			});
			const injected = lines.find((line) => line.includes("(INJECTED)"));
			const isWhole = [before, after].some((tree) => differences(tree, seen(overlay, trial)).length === 0);
			expect({ injected, code, isWhole }).toEqual({ injected, code: code && errno, isWhole: true });
			const isDone = () => differences(after, seen(overlay, trial)).length === 0;
			expect({ injected, code, isDone: code !== undefined || isDone() }).toEqual({
				injected,
				code,
				isDone: true,
			});
			// What failed after it was done may be there already, and the kernel not know of it yet.
			for (let attempt = 0; attempt < 3 && !isDone(); attempt++) codeOf(() => act(trial));
			expect({ injected, differences: differences(after, seen(overlay, trial)) }).toEqual({
				injected,
				differences: [],
			});
		}
		// Where removing a temporary was what failed, the next mount does it.
		await expectNothingOpen(overlay);
		await overlay.remount();
		await expectNothingLeft(overlay);
		await overlay.expectLasting({ ignoreTimes: true, kernel: false, debian: false });
	},
);

test.skipIf(lacks("the machine's root") || isKernel).each([
	["the move fails", "renameat:error=EIO:when=1"],
	["what it had cannot be removed", "unlinkat:error=EIO:when=2"],
])("a directory with whiteouts that is to be replaced can be used where %s", async (_, failure) => {
	await using overlay = await mountLayers([{ "d/low": "low" }], { upper: { "e/up": "up" } });
	unlinkSync(overlay.at("d/low"));
	let code: string | undefined;
	await traced(overlay, ["trace=renameat,unlinkat", `inject=${failure}`], () => {
		code = codeOf(() => renameSync(overlay.at("e"), overlay.at("d")));
	});
	const names = code === undefined ? ["new", "up"] : ["new"];
	writeFileSync(overlay.at("d", "new"), "new");
	expect(readdirSync(overlay.at("d")).sort()).toEqual(names);
	await overlay.remount();
	expect(readdirSync(overlay.at("d")).sort()).toEqual(names);
	await expectNothingLeft(overlay);
});

test.skipIf(lacks("the machine's root") || isKernel)(
	"what a directory hides does not show where its mark cannot be read",
	async () => {
		await using overlay = await mountLayers([{ "d/secret": "secret" }], {
			upper: { d: directory({ opaque: "user" }) },
		});
		let code: string | undefined;
		await traced(overlay, ["trace=fgetxattr", "inject=fgetxattr:error=EIO"], () => {
			code = codeOf(() => readdirSync(overlay.at("d")));
		});
		expect(code).toBe("EIO");
		expect(readdirSync(overlay.at("d"))).toEqual([]);
	},
);

test.skipIf(lacks("the machine's root") || isKernel)(
	"a file is one under a further name that could not be looked at",
	async () => {
		const most = 4;
		const upper = Object.fromEntries(Array.from({ length: most }, (_, index) => [`${index}/one`, "content"]));
		await using overlay = await mountLayers([{}], { upper, options: ["passthrough=off"] });
		let failures = 0;
		for (let index = 0; index < most; index++) {
			const at = (...names: string[]) => overlay.at(String(index), ...names);
			using one = open(at("one"), "r+");
			let code: string | undefined;
			await traced(overlay, ["trace=statx", `inject=statx:error=EIO:when=${index + 1}`], () => {
				code = codeOf(() => linkSync(at("one"), at("other")));
			});
			// By this the kernel learns of a name that it takes for absent.
			for (let times = 0; times < 2; times++) Bun.spawnSync(["ls", "-l", at()]);
			if (!existsSync(at("other"))) continue;
			if (code !== undefined) failures++;
			readFileSync(at("other"));
			writeSync(one.fd, "CHANGED", 0);
			expect(readFileSync(at("other"), "latin1")).toBe("CHANGED");
		}
		// Otherwise nothing is proved.
		expect(failures).toBeGreaterThan(0);
	},
);
