/**
 * The load: changes files in the mount in all ways that bring them into the upper layer, until the mount is gone. After
 * each sync it writes a line to the file of marks: what was synced must be there after any crash from then on.
 *
 * Arguments: the mountpoint, the file of marks, a seed, how many changes at most, whether directories are renamed: "moves".
 */

import {
	chmodSync,
	closeSync,
	fsyncSync,
	linkSync,
	mkdirSync,
	openSync,
	readdirSync,
	renameSync,
	unlinkSync,
	writeSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { setxattr } from "../harness/native.ts";
import { oneOf, randomNumbers } from "../overlay/random.ts";
import { fileCount, fileOf, type LoadFile, removable, stations, travellers } from "./files.ts";
import { blockSize, isWrittenInPlace, stampedBlock, stampedFile } from "./stamp.ts";

const [mountpoint = "", marks = "", seed = "1", most = "100000", moves = ""] = process.argv.slice(2);
const random = randomNumbers(Number(seed));
const marking = openSync(marks, "a");
let version = 0;
let temporary = 0;

function mark(text: string): void {
	writeSync(marking, `${text}\n`);
}

/** Opens, acts, closes. */
function using<Result>(path: string, flags: string, action: (fd: number) => Result): Result {
	const fd = openSync(path, flags);
	try {
		return action(fd);
	} finally {
		closeSync(fd);
	}
}

/** Some blocks anew, in place; synced half of the time. */
function writeInPlace({ id, path, blocks }: LoadFile): void {
	const written = [random(blocks), random(blocks)];
	const isSynced = random(2) === 0;
	using(path, "r+", (fd) => {
		for (const index of written) {
			writeSync(fd, stampedBlock({ id, version, blocks }, index), 0, blockSize, index * blockSize);
		}
		if (isSynced) fsyncSync(fd);
	});
	if (isSynced) for (const index of written) mark(`${id} ${index} ${version}`);
}

/** The whole file anew, as careful programs do: beside it, synced, and moved over it. */
function replace({ id, path, blocks }: LoadFile): void {
	const beside = `${path}.${temporary++}`;
	using(beside, "wx", (fd) => {
		writeSync(fd, stampedFile({ id, version, blocks }));
		fsyncSync(fd);
	});
	renameSync(beside, path);
	if (random(2) === 0) return;
	using(join(path, ".."), "r", fsyncSync);
	mark(`${id} 0 ${version}`);
}

/** Copies up and changes no content. */
function touchMetadata({ path }: LoadFile): void {
	const choice = random(5);
	if (choice < 2) chmodSync(path, oneOf(random, [0o600, 0o644, 0o666]));
	else if (choice < 4) setxattr(path, "user.note", `${version}`);
	else linkForAMoment(path);
}

function linkForAMoment(path: string): void {
	const beside = `${path}.${temporary++}`;
	linkSync(path, beside);
	unlinkSync(beside);
}

function removeOrMake(file: LoadFile): void {
	try {
		unlinkSync(file.path);
	} catch {
		replace(file);
	}
}

function makeDirectory(): void {
	const path = join(mountpoint, `new${temporary++}`);
	mkdirSync(path);
	renameSync(path, `${path}.moved`);
}

const places = new Map(travellers.map((name) => [name, join(mountpoint, name)]));

/** Renames a directory with lower content, to where it goes by a path or by another name in the same directory. */
function travel(): void {
	const name = oneOf(random, travellers);
	const from = places.get(name) ?? "";
	const to = join(
		random(2) === 0 ? dirname(from) : oneOf(random, stations(mountpoint)),
		`${name}.${temporary++}`,
	);
	renameSync(from, to);
	places.set(name, to);
	renameWithin(to);
}

/** Renames the file of such a directory, or what that is in, or changes its mode. */
function renameWithin(directory: string): void {
	const [parent = ""] = readdirSync(directory);
	const deep = join(directory, parent);
	const [name = ""] = readdirSync(deep);
	const choice = random(3);
	if (choice === 0) chmodSync(join(deep, name), oneOf(random, [0o600, 0o644]));
	else if (choice === 1) renameSync(join(deep, name), join(deep, `f.${temporary++}`));
	else renameSync(deep, join(directory, `deep.${temporary++}`));
}

try {
	for (; version < Number(most); ) {
		version++;
		const file = fileOf(mountpoint, random(fileCount));
		if (random(20) === 0) makeDirectory();
		else if (moves !== "" && random(8) === 0) travel();
		else if (removable(file.id)) removeOrMake(file);
		else if (random(3) === 0) touchMetadata(file);
		else if (isWrittenInPlace(file.id)) writeInPlace(file);
		else replace(file);
	}
} catch (error) {
	// The mount is gone, as is to be expected.
	const { code } = error as { code?: string };
	if (code !== "ENOTCONN" && code !== "ECONNABORTED" && code !== "EIO") throw error;
}
