/**
 * What a request costs: the system calls the daemon makes for it, counted by strace. Left out is what it makes for
 * every message (reading it, answering it, waiting) and what the JavaScript engine makes for itself.
 */

import { expect, test } from "bun:test";
import {
	appendFileSync,
	chmodSync,
	chownSync,
	closeSync,
	lstatSync,
	mkdirSync,
	openSync,
	readFileSync,
	renameSync,
	rmdirSync,
	unlinkSync,
	writeSync,
} from "node:fs";
import { codeOf } from "../harness/native.ts";
import { mountLayers, type Overlay } from "../harness/overlay.ts";
import { lacks } from "../harness/setting.ts";
import { traced } from "../harness/strace.ts";

const count = 100;
/** Not counted: messages, waiting, and the engine's memory and threads. */
const others =
	"read,writev,poll,restart_syscall,futex,sched_yield,madvise,mmap,munmap,mprotect,clone3,rseq,gettid,getpid," +
	"rt_sigprocmask,set_robust_list,sched_getaffinity,prctl,getrandom,newfstatat,membarrier,tgkill,rt_sigreturn";

/** System calls the daemon's main thread makes while `action` runs. */
function callsDuring(overlay: Overlay, action: () => void): Promise<string[]> {
	return traced(overlay, [`trace=!${others}`], action);
}

/** An operation on the file, or name, of a number; what it costs at most; and what has to be done before. */
interface Case {
	readonly most: number;
	readonly operation: (overlay: Overlay, index: number) => void;
	readonly before?: (overlay: Overlay, index: number) => void;
}

const at = (overlay: Overlay, index: number) => overlay.at(`d/f${index}`);
const made = (overlay: Overlay, index: number) => overlay.at(`d/new${index}`);

function make(overlay: Overlay, index: number): void {
	const fd = openSync(made(overlay, index), "wx");
	writeSync(fd, "content");
	closeSync(fd);
}

const cases: Readonly<Record<string, Case>> = {
	"lookup of a lower file": { most: 1, operation: (overlay, index) => lstatSync(at(overlay, index)) },
	"lookup of a name that is absent": {
		most: 0,
		operation: (overlay, index) => expect(codeOf(() => lstatSync(made(overlay, index)))).toBe("ENOENT"),
	},
	"stat of what is known": {
		most: 0,
		before: (overlay, index) => lstatSync(at(overlay, index)),
		operation: (overlay, index) => lstatSync(at(overlay, index)),
	},
	// Looked at, opened, asked whether its data is its own, looked at, read, given to the kernel.
	"first reading of a small lower file": {
		most: 6,
		operation: (overlay, index) => readFileSync(at(overlay, index)),
	},
	// With it the attributes of the directory, which the kernel asks for anew after each change in it.
	"making, writing and closing a file": { most: 9, operation: make },
	"removing a new file": {
		most: 3,
		before: make,
		operation: (overlay, index) => unlinkSync(made(overlay, index)),
	},
	"removing a lower file": { most: 5, operation: (overlay, index) => unlinkSync(at(overlay, index)) },
	"renaming a new file": {
		most: 3,
		before: make,
		operation: (overlay, index) => renameSync(made(overlay, index), `${made(overlay, index)}.renamed`),
	},
	"making a directory": { most: 5, operation: (overlay, index) => mkdirSync(made(overlay, index)) },
	"removing a new directory": {
		most: 4,
		before: (overlay, index) => mkdirSync(made(overlay, index)),
		operation: (overlay, index) => rmdirSync(made(overlay, index)),
	},
	// Its own attributes, and those of the directory it is in, whose links are not counted anew.
	"changing the owner of a directory among many": {
		most: 6,
		before: (overlay, index) => mkdirSync(made(overlay, index)),
		operation: (overlay, index) => {
			chownSync(made(overlay, index), 5, 6);
			expect(lstatSync(overlay.at("d")).nlink).toBe(count + 3);
		},
	},
	"copy-up by a change of mode": {
		// One of them closes the copy, which was open for writing, a moment later: on a slow machine within the count.
		most: 22,
		operation: (overlay, index) => chmodSync(at(overlay, index), 0o600),
	},
	"copy-up by an append": {
		most: 28,
		operation: (overlay, index) => appendFileSync(at(overlay, index), "x"),
	},
};

// What is counted is what is left to do beside passthrough, for which root of the machine is needed.
test.skipIf(lacks("the machine's root")).each(Object.entries(cases))(
	"%s",
	async (_, { most, operation, before }) => {
		const files: Record<string, string> = {};
		for (let index = 0; index < count; index++) files[`d/f${index}`] = "content";
		await using overlay = await mountLayers([files, { "d/below": "merged" }], {
			options: ["passthrough=on"],
		});
		// The directory is copied up and in memory, as it is after the first few requests.
		mkdirSync(overlay.at("d/up"));
		for (let index = 0; index < 5; index++) codeOf(() => lstatSync(overlay.at(`d/absent${index}`)));
		for (let index = 0; index < count; index++) before?.(overlay, index);
		const calls = await callsDuring(overlay, () => {
			for (let index = 0; index < count; index++) operation(overlay, index);
		});
		const average = calls.length / count;
		expect(average, `the last calls:\n${calls.slice(-Math.ceil(average) - 1).join("\n")}`).toBeLessThan(
			most + 0.5,
		);
	},
);
