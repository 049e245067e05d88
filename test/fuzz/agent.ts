/**
 * One actor: a process with a user and groups of its own. It does each step it is sent on every side, one after the
 * other, and answers what came of it. A line of JSON each way.
 */

import "./unwatched.ts";
import { readSync, writeSync } from "node:fs";
import { snapshot } from "../harness/snapshot.ts";
import type { Message, Outcome } from "./actors.ts";
import type { Step } from "./operation.ts";
import { operations } from "./operations.ts";
import { Side } from "./side.ts";

/** Marks of ours that kernel overlayfs does not know are not hidden by it; users have no others. */
const lookOptions = { maySeeClosed: true, ignoreAttributes: /^user\.fuseoverlayfs\./ };
let sides: Side[] = [];

function perform(side: Side, { operation, args }: Step): Outcome {
	try {
		return { answer: operations[operation]?.perform(side, args) ?? "done" };
	} catch (error) {
		const { code } = error as { code?: unknown };
		if (typeof code === "string") return { error: code };
		return { error: String(error) };
	}
}

function serve(message: Message): unknown {
	if ("step" in message) return sides.map((side) => perform(side, message.step));
	if ("look" in message) return snapshot(message.look, lookOptions);
	for (const side of sides) side.releaseAll();
	const { roots, ...abilities } = message;
	sides = roots.map((root) => Object.assign(new Side(), { root, ...abilities }));
	return "ready";
}

process.umask(0o022);
const chunk = Buffer.alloc(65536);
let unread = "";
for (;;) {
	const length = readSync(0, chunk, 0, chunk.length, null);
	if (length === 0) break;
	const lines = (unread + chunk.toString("utf8", 0, length)).split("\n");
	unread = lines.pop() ?? "";
	for (const line of lines) writeSync(1, `${JSON.stringify(serve(JSON.parse(line)))}\n`);
}
