/** The text that goes with the binary: what is in it, whose that is, and under which licences. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import licences from "spdx-license-list/full.js";
import { type Part, whole } from "./parts.ts";

const project = join(import.meta.dir, "../..");
const line = "-".repeat(78);

/** All notices, then each licence once. */
export function licenceText(): string {
	const program = whole();
	const parts = [program, ...contained(program)];
	const names = new Set(parts.flatMap(({ licence }) => licenceNames(licence)));
	names.delete(program.licence);
	const texts = [...names]
		.sort()
		.map((name) => `${line}\n${licences[name]?.name} (${name})\n${line}\n\n${textOf(name)}`);
	return `${introduction}
${parts.map(describe).join("\n")}

${parts.flatMap(({ name, notice }) => (notice === undefined ? [] : [`${line}\nNotice of ${name}\n${line}\n\n${notice}\n`])).join("\n")}
${line}
${program.licence}
${line}

${readFileSync(join(project, "LICENSE"), "utf8").trim()}

${texts.join("\n")}`;
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

function textOf(name: string): string {
	const text = licences[name]?.licenseText;
	if (text === undefined) throw new Error(`${name}: no such licence`);
	return `${text.trim()}\n`;
}

function contained({ parts = [] }: Part): Part[] {
	return parts.flatMap((part) => [part, ...contained(part)]);
}

function describe({ name, version, licence, copyright }: Part): string {
	return `${version === undefined ? name : `${name} ${version}`}\n    Copyright (c) ${copyright}\n    ${licence}`;
}
