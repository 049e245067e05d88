/** What layers hold that older peers do not read as today's do: they are compared with where there is none of it. */

import { lstatSync, readdirSync } from "node:fs";
import { codeOf, listxattr } from "./native.ts";
import { lacks, overlayAttributes } from "./setting.ts";

interface Found {
	readonly isDirectory: boolean;
	/** Names of attributes. */
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

/** All below a layer's root, by path. */
function contentOf(layer: string): Content {
	const found = new Map<string, Found>();
	const walk = (directory: Buffer, below: string) => {
		for (const name of whereOpen(() => readdirSync(directory, { encoding: "buffer" }))) {
			const path = Buffer.concat([directory, Buffer.from("/"), name]);
			const shown = below + name.toString("latin1");
			const stats = lstatSync(path);
			const isDirectory = stats.isDirectory();
			const marks = isDirectory || stats.isFile() ? whereOpen(() => listxattr(path)) : [];
			found.set(shown, { isDirectory, marks });
			if (isDirectory) walk(path, `${shown}/`);
		}
	};
	walk(Buffer.from(layer), "");
	return found;
}

const hasAny = (layers: readonly string[], is: (found: Found) => boolean) =>
	layers.some((layer) => [...contentOf(layer).values()].some(is));

export function hasWhiteoutAttributes(layers: readonly string[]): boolean {
	return hasAny(layers, ({ marks }) => marks.includes(`${overlayAttributes}.overlay.whiteout`));
}

/** Directories that are opaque by `user.overlay.opaque` alone. What this program marks as a user has both attributes. */
export function hasUsersMarks(layers: readonly string[]): boolean {
	return hasAny(
		layers,
		({ marks }) => marks.includes("user.overlay.opaque") && !marks.includes("user.fuseoverlayfs.opaque"),
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
