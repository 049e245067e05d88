/** What statements look at, in the words they use. */

import { type BigIntStats, fstatSync, lstatSync, readdirSync, readFileSync } from "node:fs";
import type { BytePath } from "../harness/native.ts";

/** Of the object itself, symlinks included. */
export function statOf(what: BytePath | number): BigIntStats {
	return typeof what === "number" ? fstatSync(what, { bigint: true }) : lstatSync(what, { bigint: true });
}

/** Permission, set-id and sticky bits. */
export function modeOf(what: BytePath | number): number {
	return Number(statOf(what).mode) & 0o7777;
}

export function ownerOf(what: BytePath | number): string {
	const { uid, gid } = statOf(what);
	return `${uid}:${gid}`;
}

export function textOf(path: BytePath): string {
	return readFileSync(path, "latin1");
}

export function namesIn(path: BytePath): string[] {
	return readdirSync(path).sort();
}

export function withUmask<Result>(mask: number, action: () => Result): Result {
	const before = process.umask(mask);
	try {
		return action();
	} finally {
		process.umask(before);
	}
}

/** The kernel's clock for times of change has moved on: its coarse step is at most 10 ms. */
export function letTheClockTick(): void {
	Bun.sleepSync(11);
}

/** Runs a command to its end; what it wrote on stderr, and its status, when it failed. */
export function run(...command: readonly string[]): string {
	const { exitCode, stdout, stderr } = Bun.spawnSync([...command], { env: { ...process.env, LC_ALL: "C" } });
	if (exitCode !== 0) throw new Error(`${command[0]} failed with status ${exitCode}: ${stderr}`);
	return stdout.toString();
}
