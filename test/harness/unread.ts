/** What layers hold that older peers do not read as today's do: they are compared with where there is none of it. */

import { type Dirent, readdirSync } from "node:fs";
import { type BytePath, codeOf, listxattr } from "./native.ts";
import { lacks, overlayAttributes } from "./setting.ts";

interface Found {
	readonly isDirectory: boolean;
	/** Names of attributes. */
	readonly marks: readonly string[];
}

/** All below a layer's root, by path; without what the caller may not look into. */
function contentOf(layer: string): Map<string, Found> {
	const found = new Map<string, Found>();
	const walk = (directory: Buffer, below: string) => {
		let entries: Dirent<Buffer>[] = [];
		const refusal = codeOf(() => {
			entries = readdirSync(directory, { encoding: "buffer", withFileTypes: true });
		});
		if (refusal !== undefined && refusal !== "EACCES") throw new Error(`${layer}/${below}: ${refusal}`);
		for (const entry of entries) {
			const path = Buffer.concat([directory, Buffer.from("/"), entry.name]);
			const name = below + entry.name.toString("latin1");
			const isDirectory = entry.isDirectory();
			found.set(name, { isDirectory, marks: isDirectory || entry.isFile() ? marksOf(path) : [] });
			if (isDirectory) walk(path, `${name}/`);
		}
	};
	walk(Buffer.from(layer), "");
	return found;
}

function marksOf(path: BytePath): readonly string[] {
	let names: readonly string[] = [];
	codeOf(() => {
		names = listxattr(path);
	});
	return names;
}

/** Whether a path is a directory, in a layer below something else, and in one below that a directory again. */
function hasMergeThatEnds(contents: readonly Map<string, Found>[]): boolean {
	const paths = new Set(contents.flatMap((content) => [...content.keys()]));
	return [...paths].some((path) => {
		const kinds = contents.flatMap((content) => content.get(path)?.isDirectory ?? []);
		const other = kinds.indexOf(false);
		return other > 0 && kinds.includes(true, other);
	});
}

/** Whether kernel overlayfs shows these layers, topmost first, otherwise than newer kernels do. */
export function isUnreadByKernel(layers: readonly string[]): boolean {
	if (!lacks("whiteouts as attributes")) return false;
	const whiteout = `${overlayAttributes}.overlay.whiteout`;
	return layers.some((layer) => [...contentOf(layer).values()].some(({ marks }) => marks.includes(whiteout)));
}

/** The same of Debian's fuse-overlayfs. */
export function isUnreadByDebian(layers: readonly string[]): boolean {
	const lacksMarks = lacks("users' marks in Debian's program");
	const lacksEnds = lacks("ends of merges in Debian's program");
	if (!lacksMarks && !lacksEnds) return false;
	const contents = layers.map(contentOf);
	// What this program writes as a user has the mark that all versions read, too.
	const isUnread = ({ marks }: Found) =>
		marks.includes("user.overlay.opaque") && !marks.includes("user.fuseoverlayfs.opaque");
	return (
		(lacksMarks && contents.some((content) => [...content.values()].some(isUnread))) ||
		(lacksEnds && hasMergeThatEnds(contents))
	);
}
