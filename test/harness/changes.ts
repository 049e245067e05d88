/** Changes of a tree that take all an overlay can write: whiteouts, opaque directories, copies, links. */

import { expect } from "bun:test";
import {
	existsSync,
	linkSync,
	mkdirSync,
	readdirSync,
	readFileSync,
	renameSync,
	rmSync,
	symlinkSync,
	unlinkSync,
	writeFileSync,
} from "node:fs";
import type { Description } from "./layers.ts";

const read = (path: string) => readFileSync(path, "utf8");

/** A lower layer for {@link changeMuch}. */
export const changeable: Description = {
	gone: "gone",
	changed: "lower",
	moved: "moved",
	"merged/lower": "lower",
	"merged/hidden": "hidden",
	"replaced/lower": "lower",
	"removed/deep/lower": "lower",
};

/** Makes every kind of change of which an overlay keeps a note in its upper layer. */
export function changeMuch(at: (name: string) => string): void {
	unlinkSync(at("gone"));
	writeFileSync(at("changed"), "changed");
	renameSync(at("moved"), at("elsewhere"));
	unlinkSync(at("merged/hidden"));
	writeFileSync(at("merged/new"), "new");
	rmSync(at("replaced"), { recursive: true });
	mkdirSync(at("replaced"));
	writeFileSync(at("replaced/own"), "own");
	rmSync(at("removed"), { recursive: true });
	mkdirSync(at("directory"));
	renameSync(at("directory"), at("gone"));
	symlinkSync("changed", at("link"));
	linkSync(at("changed"), at("second"));
	writeFileSync(at("short-lived"), "x");
	unlinkSync(at("short-lived"));
}

const changed = {
	".": ["changed", "elsewhere", "gone", "link", "merged", "replaced", "second"],
	merged: ["lower", "new"],
	replaced: ["own"],
	gone: [],
};

/** What {@link changeMuch} leaves to be seen. */
export function expectChanged(at: (name: string) => string): void {
	for (const [directory, names] of Object.entries(changed)) {
		expect({ directory, names: readdirSync(at(directory)).sort() }).toEqual({ directory, names });
	}
	expect([read(at("link")), read(at("second")), read(at("elsewhere"))]).toEqual([
		"changed",
		"changed",
		"moved",
	]);
	for (const name of ["moved", "removed", "merged/hidden", "replaced/lower", "short-lived"]) {
		expect({ name, exists: existsSync(at(name)) }).toEqual({ name, exists: false });
	}
}
