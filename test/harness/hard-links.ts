/** What tests of `index=on` mount and look at. */

import { existsSync, lstatSync, readdirSync, readFileSync } from "node:fs";
import {
	type Description,
	device,
	fifo,
	hardLink,
	type Layers,
	symlink,
	type TemporaryTree,
} from "./layers.ts";

/** One file with the names a, b and d/c, and others with two. */
export const lower: Description = {
	a: "lower",
	b: hardLink("a"),
	"d/c": hardLink("a"),
	single: "single",
	link: symlink("target"),
	"d/link": hardLink("link"),
	fifo: fifo(),
	"d/fifo": hardLink("fifo"),
	zero: device("char", 1, 5),
	"d/zero": hardLink("zero"),
};
export const names = ["a", "b", "d/c"];

export const layersIn = (tree: TemporaryTree, lowers: readonly Description[] = [lower]) =>
	tree.layers(lowers);
export const entries = ({ work }: Layers) => readdirSync(`${work}/index`);
export const entryPath = (layers: Layers) => `${layers.work}/index/${entries(layers)[0]}`;

/** Content, inode number and link count of each name; "" where it is not there. */
export function seen(root: string, paths: readonly string[] = names): string[] {
	return paths.map((path) => {
		if (!existsSync(`${root}/${path}`)) return "";
		const { ino, nlink } = lstatSync(`${root}/${path}`);
		return `${readFileSync(`${root}/${path}`, "latin1")} ${ino} ${nlink}`;
	});
}

/** What {@link seen} tells where all names are of one file. */
export function all(content: string, inode: number, links: number, count = links): string[] {
	return Array.from({ length: count }, () => `${content} ${inode} ${links}`);
}

export const inode = (layers: Layers, name = "a") => lstatSync(`${layers.lower[0]}/${name}`).ino;
