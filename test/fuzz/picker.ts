/** Draws the arguments of operations: mostly of what exists, so that steps meet each other. */

import { deepest, names, type Random } from "../overlay/core/random-layers.ts";
import { oneOf } from "../overlay/random.ts";
import { ids } from "./identities.ts";
import type { Content } from "./operation.ts";
import { gathersWrites, type Variant } from "./variant.ts";

export const slotCount = 5;
const pageSize = 4096;
const placeNames = [...names, "f", "g", "h"];
/** More than is copied at once: a copy-up of it is a job. */
const largeSize = 1_100_000;
/** Where numbers change their kind: of 32 bits, of a double, of 64 bits; and the largest file of an ext4. */
const edges = [31n, 32n, 44n, 53n].flatMap((bits) => [2n ** bits - 1n, 2n ** bits, 2n ** bits + 1n]);
const largest = 2n ** 63n - 1n;
/** Of what a step writes at an edge. */
const longestText = 100n;
const extentEnd = 2n ** 44n - BigInt(pageSize);

export class Picker {
	readonly random: Random;
	/** Paths that exist. */
	known: readonly string[] = [];
	/** What the actor holds open. */
	slots: ReadonlyMap<number, "file" | "directory"> = new Map();

	/** What is stored in mapped memory is written at once: without a write cache its time is that of the writing. */
	readonly writesAtOnce: boolean;
	/** Where holes are is told: a daemon that others go on for leaves that to a kernel that gathers writes. */
	readonly tellsHoles: boolean;
	/** A file system of few MiB: to ask it for too much does no harm. */
	readonly isSmallDisk: boolean;
	readonly #openFiles: number | undefined;
	readonly #crowd: number | undefined;

	constructor(random: Random, variant: Variant) {
		this.random = random;
		this.writesAtOnce = !gathersWrites(variant);
		this.tellsHoles = variant.killed === undefined || this.writesAtOnce;
		this.isSmallDisk = variant.onTmpfs === true;
		this.#openFiles = variant.openFiles;
		this.#crowd = variant.crowd;
	}

	number(below: number): number {
		return this.random(below);
	}

	/** True in one of `among` cases. */
	rarely(among: number): boolean {
		return this.random(among) === 0;
	}

	oneOf<Item>(...items: readonly Item[]): Item {
		return oneOf(this.random, items);
	}

	path(): string {
		const directories = [...this.slots].filter(([, kind]) => kind === "directory");
		if (directories.length > 0 && this.rarely(8)) {
			return `@${oneOf(this.random, directories)[0]}/${oneOf(this.random, names)}`;
		}
		if (this.known.length > 0 && this.random(3) > 0) return oneOf(this.random, this.known);
		return Array.from({ length: 1 + this.random(deepest) }, () => oneOf(this.random, names)).join("/");
	}

	/** Where something may be made: mostly in a directory that exists, where half of the names are free. */
	place(): string {
		if (this.known.length === 0 || this.rarely(3)) return this.path();
		const neighbour = oneOf(this.random, this.known);
		return neighbour.slice(0, neighbour.lastIndexOf("/") + 1) + oneOf(this.random, placeNames);
	}

	/** Mostly one that holds something open. */
	slot(): number {
		const open = [...this.slots.keys()];
		return open.length > 0 && this.random(8) > 0 ? oneOf(this.random, open) : this.random(slotCount);
	}

	freeSlot(): number {
		return this.random(slotCount);
	}

	content(): Content {
		return { seed: this.random(1000), length: this.size() };
	}

	size(): number {
		if (this.rarely(100)) return largeSize;
		if (this.rarely(6)) return this.oneOf(pageSize - 1, pageSize, pageSize + 1, 3 * pageSize, 70_000);
		return this.random(20);
	}

	offset(): number {
		return this.rarely(4) ? this.oneOf(pageSize - 2, pageSize, 2 * pageSize, 65_536) : this.random(12);
	}

	/** An offset, length or size where its number is at an edge; as text, because JSON has doubles. */
	edge(): string {
		return String(this.oneOf(0n, BigInt(this.offset()), ...edges, largest, largest, extentEnd));
	}

	mode(): number {
		return this.oneOf(0o644, 0o600, 0o666, 0o755, 0o777, 0o4755, 0o2755, 0o6777, 0o1777, 0o2777, 0o700, 0);
	}

	/** Where something may be written. Of what is gathered first, a later fsync of any descriptor tells that it failed. */
	edgeToWrite(): string {
		const edge = this.edge();
		return this.writesAtOnce || this.isSmallDisk || BigInt(edge) < extentEnd - longestText ? edge : "0";
	}

	/** One that takes rights from the owner. */
	oddMode(): number {
		return this.oneOf(0o444, 0o555, 0, 0o200, 0o400, 0o311);
	}

	mask(): number {
		return this.oneOf(0o022, 0o022, 0, 0o077);
	}

	uid(): number {
		return this.oneOf(...ids.givenTo);
	}

	gid(): number {
		return this.oneOf(...ids.givenToGroups);
	}

	/** More files than the daemon may open, where that is limited. */
	fileCount(): number {
		return this.#openFiles !== undefined && this.rarely(this.#openFiles / 20)
			? (5 * this.#openFiles) / 4
			: 5 + this.random(30);
	}

	/** Names in a directory: more than one answer holds, rarely more than are kept. */
	nameCount(): number {
		return this.#crowd ?? (this.rarely(20) ? 1000 : 20 + this.random(150));
	}
}
