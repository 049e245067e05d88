/** The files of the lower layer that the load works on. */

import { join } from "node:path";
import { type Description, file } from "../harness/layers.ts";
import { stampedFile } from "./stamp.ts";

export const fileCount = 48;
/** One block, a few, more than is copied at once. */
const lengths = [1, 1, 3, 16, 16, 300];
const firstRemovable = 40;
/** Owns the lower files and their copies, but not what the load makes anew. */
export const lowerOwner = 1234;

export interface LoadFile {
	readonly id: number;
	readonly path: string;
	readonly blocks: number;
}

export function fileOf(root: string, id: number): LoadFile {
	return { id, path: join(root, `d${id % 5}/f${id}`), blocks: lengths[Math.floor(id / 2) % lengths.length]! };
}

/** Whether the load removes and makes it; the others always exist. */
export function removable(id: number): boolean {
	return id >= firstRemovable;
}

/**
 * Directories that the load renames, from `NAME` to `NAME.NUMBER`. Each has a file of its own, `deep/f`, that holds the name; both
 * parts of its path are renamed in the same way.
 */
export const travellers: readonly string[] = ["t0", "t1", "t2"];

/** The directories that these may be in. */
export function stations(root: string): string[] {
	return [root, ...Array.from({ length: 5 }, (_, index) => join(root, `d${index}`))];
}

/** Version 0 of all. */
export function lowerLayer(): Description {
	const ids = Array.from({ length: fileCount }, (_, id) => id);
	return Object.fromEntries([
		...ids.map((id) => {
			const { path, blocks } = fileOf("", id);
			return [path, file(stampedFile({ id, version: 0, blocks }), { uid: lowerOwner })] as const;
		}),
		...travellers.map((name) => [`${name}/deep/f`, file(name, { uid: lowerOwner })] as const),
	]);
}
