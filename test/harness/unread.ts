/** What layers hold that older peers do not read as today's do: they are compared with where there is none of it. */

import { lstatSync, readdirSync } from "node:fs";
import { codeOf, getxattr, listxattr } from "./native.ts";
import { lacks, overlayAttributes } from "./setting.ts";

interface Found {
	readonly isDirectory: boolean;
	/** Attributes of overlays, `NAME=VALUE`. */
	readonly marks: readonly string[];
}

type Content = ReadonlyMap<string, Found>;

/** What `look` lists; nothing where the caller may not look. */
function whereOpen<Listed>(look: () => readonly Listed[]): readonly Listed[] {
	let listed: readonly Listed[] = [];
	const refusal = codeOf(() => {
		listed = look();
	});
	if (refusal !== undefined && refusal !== "EACCES") throw new Error(`a layer cannot be read: ${refusal}`);
	return listed;
}

function marksOf(path: Buffer): readonly string[] {
	return whereOpen(() =>
		listxattr(path)
			.filter((name) => /^(trusted|user)\.(overlay|fuseoverlayfs)\./.test(name))
			.map((name) => `${name}=${getxattr(path, name).toString("latin1")}`),
	);
}

/** All below a layer's root, by path. */
function contentOf(layer: string): Content {
	const found = new Map<string, Found>();
	const walk = (directory: Buffer, below: string) => {
		for (const name of whereOpen(() => readdirSync(directory, { encoding: "buffer" }))) {
			const path = Buffer.concat([directory, Buffer.from("/"), name]);
			const shown = below + name.toString("latin1");
			const stats = lstatSync(path);
			const isDirectory = stats.isDirectory();
			found.set(shown, { isDirectory, marks: isDirectory || stats.isFile() ? marksOf(path) : [] });
			if (isDirectory) walk(path, `${shown}/`);
		}
	};
	walk(Buffer.from(layer), "");
	return found;
}

const hasAny = (layers: readonly string[], is: (found: Found) => boolean) =>
	layers.some((layer) => [...contentOf(layer).values()].some(is));

export function hasWhiteoutAttributes(layers: readonly string[]): boolean {
	const mark = `${overlayAttributes}.overlay.whiteout=`;
	return hasAny(layers, ({ marks }) => marks.some((each) => each.startsWith(mark)));
}

/** Directories that are opaque by `user.overlay.opaque` alone. What this program marks as a user has both attributes. */
export function hasUsersMarks(layers: readonly string[]): boolean {
	return hasAny(
		layers,
		({ marks }) => marks.includes("user.overlay.opaque=y") && !marks.includes("user.fuseoverlayfs.opaque=y"),
	);
}

/** A path that is a directory in one of the layers, topmost first, something else further down, and below that a directory. */
export function hasMergeThatEnds(layers: readonly string[]): boolean {
	const contents = layers.map(contentOf);
	const paths = new Set(contents.flatMap((content) => [...content.keys()]));
	return [...paths].some((path) => {
		const kinds = contents.flatMap((content) => content.get(path)?.isDirectory ?? []);
		const other = kinds.indexOf(false);
		return other > 0 && kinds.includes(true, other);
	});
}

/** Whether kernel overlayfs shows these layers otherwise than newer kernels do. */
export function isUnreadByKernel(layers: readonly string[]): boolean {
	return lacks("whiteouts as attributes") && hasWhiteoutAttributes(layers);
}

/** The same of Debian's fuse-overlayfs. */
export function isUnreadByDebian(layers: readonly string[]): boolean {
	return (
		(lacks("users' marks in Debian's program") && hasUsersMarks(layers)) ||
		(lacks("ends of merges in Debian's program") && hasMergeThatEnds(layers))
	);
}
