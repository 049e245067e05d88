/** Layers at random, as kernel overlayfs or a program of its family might have left them. */

import {
	type Attributes,
	type Description,
	directory,
	type Entry,
	fifo,
	file,
	hardLink,
	kernelsOpaque,
	type OpaqueFormat,
	symlink,
	whiteout,
} from "../../harness/layers.ts";
import { oneOf } from "../random.ts";

export type Random = (below: number) => number;

/** Few, so that layers meet on them often. */
export const names: readonly string[] = ["a", "b", "c", "d", "e"];
export const deepest = 3;
/** Leads nowhere that a path could go on from, and to nothing that root could change by mistake. */
export const deadEnd = "/proc/self/maps";

/** What the objects of a layer are like; of each list one is drawn. */
export interface LayerStyle {
	readonly fileModes: readonly number[];
	readonly directoryModes: readonly number[];
	readonly uids: readonly number[];
	readonly gids: readonly number[];
	/** Nanoseconds; undefined: as the clock says. */
	time(random: Random): bigint | undefined;
	file(random: Random, path: string, attributes: Attributes): Entry;
	/** How directories are marked as opaque, if not as by the kernel without `userxattr`. */
	readonly opaque?: OpaqueFormat;
}

const modes = [0o644, 0o755, 0o600, 0o4755];
export const plainStyle: LayerStyle = {
	fileModes: modes,
	directoryModes: modes,
	uids: [0, 0, 1000],
	gids: [0, 0, 50],
	time: () => undefined,
	file: (random, path, attributes) => file(`${path} ${random(1000)}`, attributes),
};

/** Paths that a pile of layers shows, to `DT_`-like kinds in words. */
type Shown = Map<string, "directory" | "other">;

/**
 * A layer at random to be put on a pile that shows `shown`, which is brought up to date. As from the kernel's own hand,
 * whiteouts are only where there is something to hide.
 */
function randomLayer(random: Random, shown: Shown, style: LayerStyle): Description {
	const made: Record<string, Entry> = {};
	const files: string[] = [];
	const timed = (): Attributes => {
		const time = style.time(random);
		return time === undefined ? {} : { time };
	};
	const attributes = (modes: readonly number[]): Attributes => ({
		mode: oneOf(random, modes),
		uid: oneOf(random, style.uids),
		gid: oneOf(random, style.gids),
		...(random(3) === 0 ? { xattrs: { "user.note": `n${random(5)}` } } : {}),
		...timed(),
	});
	const hide = (path: string) => {
		for (const name of shown.keys()) if (name === path || name.startsWith(`${path}/`)) shown.delete(name);
	};
	const put = (path: string, entry: Entry) => {
		hide(path);
		made[path] = entry;
		shown.set(path, "other");
	};
	const fill = (prefix: string, depth: number) => {
		for (const name of names) {
			const path = `${prefix}${name}`;
			const choice = random(depth === 0 ? 8 : 12);
			if (choice <= 2) {
				put(path, style.file(random, path, attributes(style.fileModes)));
				files.push(path);
			} else if (choice <= 5 && depth < deepest) {
				const isOpaque = shown.has(path) && random(4) === 0;
				if (isOpaque || shown.get(path) === "other") hide(path);
				made[path] = directory({
					...attributes(style.directoryModes),
					...(isOpaque ? { opaque: style.opaque ?? kernelsOpaque } : {}),
				});
				shown.set(path, "directory");
				fill(`${path}/`, depth + 1);
			} else if (choice === 6) {
				put(path, oneOf(random, [symlink(deadEnd, timed()), fifo({ mode: 0o640, ...timed() })]));
			} else if (choice === 7 && shown.has(path)) {
				hide(path);
				made[path] = whiteout();
			} else if (choice === 8 && files.length > 0) {
				put(path, hardLink(oneOf(random, files)));
			}
		}
	};
	fill("", 0);
	return made;
}

/** Topmost first. */
export function randomLayers(random: Random, style: LayerStyle = plainStyle): Description[] {
	const shown: Shown = new Map();
	return Array.from({ length: 1 + random(3) }, () => randomLayer(random, shown, style)).reverse();
}
