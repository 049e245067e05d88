/** What must hold of the layers after any crash. */

import { lstatSync, readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { lacksData } from "../harness/metacopies.ts";
import { fileCount, fileOf, lowerOwner, removable, stations, travellers } from "./files.ts";
import { readStamps } from "./stamp.ts";

/** Regular files below a directory. */
function filesBelow(directory: string): string[] {
	return readdirSync(directory, { withFileTypes: true }).flatMap((entry) => {
		const path = join(directory, entry.name);
		if (entry.isDirectory()) return filesBelow(path);
		return entry.isFile() ? [path] : [];
	});
}

/** What the load itself was still writing, beside the file to be replaced. */
function isTemporary(path: string): boolean {
	return /\.\d+$/.test(path);
}

/** What is wrong in the upper layer: files that are not whole. */
export function brokenFiles(upper: string): string[] {
	return filesBelow(upper).flatMap((path) => {
		if (isTemporary(path)) return [];
		const name = path.slice(upper.length + 1);
		const { uid } = lstatSync(path);
		const belongs = () => (uid === lowerOwner ? [] : [`${name}: a copy that belongs to ${uid}`]);
		// What is not whole here is so in the mount.
		if (lacksData(path)) return belongs();
		const content = readFileSync(path);
		if (travellers.includes(content.toString())) return belongs();
		const found = readStamps(content);
		if (typeof found === "string") return [`${name}: ${found}`];
		// Only a copy has anything of version 0.
		return found.versions.includes(0) ? belongs() : [];
	});
}

/**
 * What is wrong in the merged tree: files that are missing or not whole, or lack what was synced.
 * @param marks lines `ID BLOCK VERSION` of what was synced before the crash
 */
export function lostContent(merged: string, marks: readonly string[]): string[] {
	const lost: string[] = [];
	const versions = new Map<number, readonly number[]>();
	for (let id = 0; id < fileCount; id++) {
		const { path } = fileOf(merged, id);
		if (removable(id) && lstatSync(path, { throwIfNoEntry: false }) === undefined) continue;
		const found = readStamps(readFileSync(path));
		if (typeof found === "string") lost.push(`${path.slice(merged.length + 1)}: ${found}`);
		else versions.set(id, found.versions);
	}
	for (const line of marks) {
		const [id = 0, block = 0, version = 0] = line.split(" ").map(Number);
		if (removable(id)) continue;
		const there = versions.get(id)?.[block];
		if (there !== undefined && there < version)
			lost.push(`file ${id}, block ${block}: ${there}, synced was ${version}`);
	}
	return lost;
}

/** What is wrong with directories that were renamed: each is in one place, with all that is in it. */
export function lostDirectories(merged: string): string[] {
	const found = stations(merged).flatMap((station) =>
		readdirSync(station)
			.filter((name) => travellers.includes(name.split(".")[0] ?? ""))
			.map((name) => join(station, name)),
	);
	return travellers.flatMap((traveller) => {
		const places = found.filter((path) => basename(path).split(".")[0] === traveller);
		const contents = places.flatMap((path) => filesBelow(path)).map((path) => readFileSync(path, "utf8"));
		const isWhole = places.length === 1 && contents.join() === traveller;
		return isWhole
			? []
			: [`${traveller} is in ${places.join(", ") || "no place"} with ${contents.join(", ")}`];
	});
}

/** What a crash left in the workdir and the mount did not clear away; the whiteout to link to is the mount's own. */
export function rubbish(work: string): string[] {
	return readdirSync(join(work, "work")).filter((name) => name !== "#whiteout");
}
