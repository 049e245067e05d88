/** A neighbour's process: does what neighbours.ts asks it for, one thing after the other. */

import {
	chmodSync,
	closeSync,
	linkSync,
	lstatSync,
	mkdirSync,
	openSync,
	readdirSync,
	readFileSync,
	renameSync,
	rmdirSync,
	unlinkSync,
	writeFileSync,
} from "node:fs";
import { codeOf, flock, lockRange } from "../harness/native.ts";
import { oneOf, randomNumbers } from "../overlay/random.ts";
import { contendedDirectories, contendedFiles, contentOf } from "./contention.ts";
import type { Answer, Request } from "./neighbours.ts";

let held: number | undefined;

function release(): void {
	if (held !== undefined) closeSync(held);
	held = undefined;
}

function holding(action: (fd: number) => void): Answer {
	const fd = held;
	if (fd === undefined) throw new Error("nothing is held");
	const code = codeOf(() => action(fd));
	return code === undefined ? {} : { code };
}

/** What may come of each operation when others work on the same names. */
function contend(directory: string, seed: number, steps: number): Answer {
	const random = randomNumbers(seed);
	const file = () => `${directory}/${oneOf(random, contendedFiles)}`;
	const below = () => `${directory}/${oneOf(random, contendedDirectories)}`;
	const operations: readonly (readonly [string, readonly string[], () => void])[] = [
		["write", [], () => writeFileSync(file(), contentOf(seed))],
		["make anew", ["EEXIST"], () => writeFileSync(file(), contentOf(seed), { flag: "wx" })],
		["read", ["ENOENT"], () => readFileSync(file())],
		["stat", ["ENOENT"], () => lstatSync(file())],
		["chmod", ["ENOENT"], () => chmodSync(file(), 0o640)],
		["unlink", ["ENOENT"], () => unlinkSync(file())],
		["rename", ["ENOENT"], () => renameSync(file(), file())],
		["link", ["ENOENT", "EEXIST"], () => linkSync(file(), file())],
		["mkdir", ["EEXIST"], () => mkdirSync(below())],
		["rmdir", ["ENOENT", "ENOTEMPTY"], () => rmdirSync(below())],
		["write below", ["ENOENT"], () => writeFileSync(`${below()}/x`, contentOf(seed))],
		["move down", ["ENOENT"], () => renameSync(file(), `${below()}/x`)],
		["move up", ["ENOENT"], () => renameSync(`${below()}/x`, file())],
		["unlink below", ["ENOENT"], () => unlinkSync(`${below()}/x`)],
		["list", [], () => readdirSync(directory)],
	];
	const unexpected = new Set<string>();
	for (let step = 0; step < steps; step++) {
		const [name, expected, operation] = oneOf(random, operations);
		const code = codeOf(operation);
		if (code !== undefined && !expected.includes(code)) unexpected.add(`${name}: ${code}`);
	}
	return { told: [...unexpected] };
}

/** By turns as files and directories. */
function make(directory: string, count: number): Answer {
	const made: string[] = [];
	for (let index = 0; index < count; index++) {
		const path = `${directory}/${index}`;
		const code = codeOf(() => (index % 2 === 0 ? closeSync(openSync(path, "wx")) : mkdirSync(path)));
		if (code === undefined) made.push(String(index));
		else if (code !== "EEXIST") return { code };
	}
	return { told: made };
}

function replace(path: string, own: string, times: number): Answer {
	const code = codeOf(() => {
		for (let time = 0; time < times; time++) {
			writeFileSync(own, contentOf(time));
			renameSync(own, path);
			readFileSync(path);
		}
	});
	return code === undefined ? {} : { code };
}

function serve(request: Request): Answer {
	switch (request.do) {
		case "hold":
			release();
			held = openSync(request.path, request.isWriter ? "r+" : "r");
			return {};
		case "lock":
			return holding((fd) => lockRange(fd, request.kind, request));
		case "flock":
			return holding((fd) => flock(fd, request.operation));
		case "release":
			release();
			return {};
		case "contend":
			return contend(request.directory, request.seed, request.steps);
		case "make":
			return make(request.directory, request.count);
		case "replace":
			return replace(request.path, request.own, request.times);
	}
}

process.on("message", (request: Request) => process.send?.(serve(request)));
process.on("disconnect", () => process.exit());
