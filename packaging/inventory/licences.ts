/** The text that goes with the binary: what is in it, whose that is, and under which licences. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import licences from "spdx-license-list/full.js";
import { type Part, whole } from "./parts.ts";

const project = join(import.meta.dir, "../..");
const line = "-".repeat(78);

/**
 * All notices, then each licence once; of those in `elsewhere`, by their SPDX names, the path where the system that is
 * installed to has the text.
 */
export function licenceText(elsewhere: ReadonlyMap<string, string> = new Map()): string {
	const program = whole();
	const parts = [program, ...contained(program)];
	const names = new Set(parts.flatMap(({ licence }) => licenceNames(licence)));
	const text = (name: string): string => {
		const path = elsewhere.get(name);
		if (path !== undefined) return `The text is in ${path}.\n`;
		return name === program.licence ? readFileSync(join(project, "LICENSE"), "utf8") : textOf(name);
	};
	const notices = parts.flatMap(({ name, notice }) =>
		notice === undefined ? [] : [titled(`Notice of ${name}`, notice)],
	);
	const texts = [...names].sort().map((name) => titled(`${licences[name]?.name} (${name})`, text(name)));
	return [introduction, ...parts.map(describe), "", ...notices, ...texts].join("\n");
}

function titled(title: string, text: string): string {
	return `${line}\n${title}\n${line}\n\n${text.trim()}\n`;
}

const introduction = `fuse-overlayfs is one file that holds the program, the packages citty and consola, and Bun with what is linked
into Bun. This file names the parts and their licences; the texts of these follow. Parts under Apache-2.0 do not
go with version 2 of the GPL: who passes the file on as a whole does so under version 3 of it.

JavaScriptCore and TinyCC may be replaced by versions that you have changed: build Bun with them, from its sources
and WebKit's, which the Bun project publishes, then the program with that Bun: bun packaging/build.ts, run by it,
in the sources of fuse-overlayfs.
`;

/** The names of an expression's licences; what an exception permits beyond one is not written out. */
export function licenceNames(expression: string): string[] {
	return expression.replace(/ WITH \S+/g, "").split(/ (?:AND|OR) /);
}

/** The text that SPDX has. Throws where it has none. */
function textOf(name: string): string {
	const text = licences[name]?.licenseText;
	if (text === undefined) throw new Error(`${name}: no such licence`);
	return text;
}

function contained({ parts = [] }: Part): Part[] {
	return parts.flatMap((part) => [part, ...contained(part)]);
}

function describe({ name, version, licence, copyright }: Part): string {
	return `${version === undefined ? name : `${name} ${version}`}\n    Copyright (c) ${copyright}\n    ${licence}`;
}
