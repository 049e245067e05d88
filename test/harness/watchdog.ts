/**
 * The process that keeps a test run from hanging or littering: it is told of every mount and temporary tree,
 * and hears a sign of life each second.
 *
 * A test process that blocks in a system call on a hung mount cannot help itself, so after a long silence, in which it has not
 * run either, this one aborts the FUSE connections. When the test process is gone, whatever it left is unmounted and removed.
 * One JSON array a line on stdin: ["alive"], ["mount", path, connection], ["unmounted", path],
 * ["tree", path], ["tree-gone", path].
 */

import { mkdtempSync, readFileSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { detachMountsUnder } from "./mount-table.ts";
import { mount, umount } from "./native.ts";

const longestSilenceMs = 30_000;
const mounts = new Map<string, number>();
const trees = new Set<string>();
let lastSign = Date.now();
let lastSeen = "";

/** What the thread that runs the tests has had of a processor, in all: while it is blocked that stays as it is. */
function schedulingOfTests(): string {
	try {
		return readFileSync(`/proc/${process.ppid}/schedstat`, "latin1");
	} catch {
		return ""; // It has ended, which the end of stdin tells.
	}
}

function abortConnection(path: string, connection: number): void {
	console.error(`watchdog: no sign of life for ${longestSilenceMs / 1000} s: aborting the mount on ${path}`);
	// The control file system is not mounted everywhere.
	const control = mkdtempSync(join(tmpdir(), "fuse-overlayfs-watchdog-"));
	try {
		mount("fusectl", control, "fusectl", 0, "");
		writeFileSync(join(control, String(connection), "abort"), "1");
	} catch (error) {
		console.error(`watchdog: ${error}`);
	}
	try {
		umount(control);
	} catch {
		// It was the mount that had failed.
	}
	rmdirSync(control);
}

const check = setInterval(() => {
	const seen = schedulingOfTests();
	// On a busy machine a loop of many calls may take long.
	if (seen !== lastSeen) lastSign = Date.now();
	lastSeen = seen;
	if (Date.now() - lastSign < longestSilenceMs) return;
	for (const [path, connection] of mounts) abortConnection(path, connection);
	mounts.clear();
}, 1000);

function take([kind, path, connection]: [string, string, number]): void {
	lastSign = Date.now();
	if (kind === "mount") mounts.set(path, connection);
	else if (kind === "unmounted") mounts.delete(path);
	else if (kind === "tree") trees.add(path);
	else if (kind === "tree-gone") trees.delete(path);
}

function cleanUp(): void {
	for (const path of mounts.keys()) {
		console.error(`watchdog: left behind by the tests, unmounted: ${path}`);
		detachMountsUnder(path);
	}
	for (const path of trees) {
		console.error(`watchdog: left behind by the tests, removed: ${path}`);
		detachMountsUnder(path);
		rmSync(path, { recursive: true, force: true });
	}
}

let unread = "";
for await (const chunk of Bun.stdin.stream()) {
	const lines = (unread + new TextDecoder().decode(chunk)).split("\n");
	unread = lines.pop() ?? "";
	for (const line of lines) take(JSON.parse(line));
}
clearInterval(check);
cleanUp();
