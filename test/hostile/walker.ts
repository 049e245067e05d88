/**
 * Works in a mount as its root directory, as a container does, while somebody swaps files and directories of its layers
 * for symlinks: `bun walker.ts MOUNTPOINT ENOUGH`. In the root an absolute symlink leads nowhere, so what is found can
 * come from nowhere but through the mount. Goes on until it has seen each of the names as a symlink and as itself ENOUGH
 * times, and prints, as JSON, how often, and every content and name it came across.
 */

import { dlopen } from "bun:ffi";
import {
	appendFileSync,
	chmodSync,
	chownSync,
	existsSync,
	linkSync,
	lstatSync,
	mkdirSync,
	readdirSync,
	readFileSync,
	renameSync,
	rmdirSync,
	truncateSync,
	unlinkSync,
	utimesSync,
	writeFileSync,
} from "node:fs";

export interface Walk {
	readonly asSymlink: number;
	readonly asItself: number;
	/** Contents and names. */
	readonly seen: readonly string[];
	readonly errors: Readonly<Record<string, number>>;
}

const [mountpoint = "", enough = "0"] = process.argv.slice(2);
const { chroot } = dlopen("libc.so.6", { chroot: { args: ["cstring"], returns: "i32" } }).symbols;
process.chdir(mountpoint);
if (chroot(Buffer.from(".\0")) !== 0) throw new Error("chroot failed");

const seen = new Set<string>();
const errors: Record<string, number> = {};
let asSymlink = 0;
let asItself = 0;

function tryTo(action: () => unknown): void {
	try {
		action();
	} catch (error) {
		const { code } = error as { code?: string };
		if (code === undefined) throw error;
		errors[code] = (errors[code] ?? 0) + 1;
	}
}

function look(directory: string, file: string): void {
	tryTo(() => {
		if (lstatSync(file).isSymbolicLink()) asSymlink++;
		else asItself++;
	});
	tryTo(() => {
		for (const name of readdirSync(directory)) seen.add(name);
	});
	for (const path of [`${directory}/f`, `${directory}/deep/f`, file]) {
		tryTo(() => seen.add(readFileSync(path, "utf8").slice(0, 40)));
		tryTo(() => existsSync(path));
	}
}

function change(directory: string, file: string, turn: number): void {
	const name = `${directory}/n${turn % 7}`;
	const actions = [
		() => writeFileSync(name, "new"),
		() => appendFileSync(`${directory}/f`, "+"),
		() => truncateSync(`${directory}/deep/f`, 4),
		() => chmodSync(`${directory}/f`, 0o606),
		() => chownSync(`${directory}/f`, 3, 4),
		() => utimesSync(`${directory}/deep`, 5, 6),
		() => renameSync(name, `${directory}/deep/n${turn % 5}`),
		() => linkSync(`${directory}/f`, `${directory}/l${turn % 3}`),
		() => unlinkSync(`${directory}/l${turn % 3}`),
		() => mkdirSync(`${directory}/m${turn % 4}`),
		() => rmdirSync(`${directory}/m${turn % 4}`),
		() => unlinkSync(`${directory}/deep/n${turn % 5}`),
		() => appendFileSync(file, "+"),
		() => chmodSync(file, 0o604),
		() => chownSync(directory, 5, 6),
		() => unlinkSync(`${directory}/g`),
	];
	tryTo(actions[turn % actions.length] as () => unknown);
}

for (let turn = 0; asSymlink < Number(enough) || asItself < Number(enough); turn++) {
	for (const directory of ["/lower-d", "/lower-e", "/upper-d", "/upper-e"]) {
		const file = directory.replace(/.$/, "f");
		look(directory, file);
		change(directory, file, turn);
	}
}
console.log(JSON.stringify({ asSymlink, asItself, seen: [...seen], errors } satisfies Walk));
