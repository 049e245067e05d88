/** Which ids can be given to nodes: those given back, the latest first, then those never given out. */

import type { Columns } from "./columns.ts";

/** The kind of what is no node. */
const FREE = 0;
/** Generations begin again after as many, so that one stands in the upper half of a safe integer. */
const GENERATIONS = 2 ** 20;
/** As many ids that are free are looked for at once. */
const FREE_AT_ONCE = 1024;

export class FreeIds {
	/** The ids that may be in use are below this one. */
	end: number;
	private first = 0;
	/** From the first of these to before the second one those that are free are in no list. */
	private unlisted = 0;
	private unlistedEnd = 0;
	/** The generation of ids that were never given out, as far as is known. */
	private firstGeneration = 0;
	private columns: Columns;
	/** The next one of the list. */
	private nexts: Uint32Array;

	/** @param end the first id to give out */
	constructor(columns: Columns, nexts: Uint32Array, end: number) {
		this.columns = columns;
		this.nexts = nexts;
		this.end = end;
	}

	/** The columns have moved. */
	use(columns: Columns, nexts: Uint32Array): void {
		this.columns = columns;
		this.nexts = nexts;
	}

	/** An id that was given back; 0: there is none. */
	take(): number {
		if (this.first === 0 && this.unlisted < this.unlistedEnd) this.listFree();
		const id = this.first;
		if (id !== 0) this.first = this.nexts[id]!;
		return id;
	}

	/** An id that was never given out; the columns must have room for it. */
	takeNew(): number {
		const id = this.end++;
		this.columns.generations[id] = this.firstGeneration;
		return id;
	}

	giveBack(id: number): void {
		this.columns.kinds[id] = FREE;
		this.renew(id);
		this.nexts[id] = this.first;
		this.first = id;
	}

	/** Gives the id's node another generation. */
	renew(id: number): void {
		const { generations } = this.columns;
		generations[id] = (generations[id]! + 1) % GENERATIONS;
	}

	/** Those from `start` on that are in use, in order. */
	used(start: number): number[] {
		const used: number[] = [];
		const { kinds } = this.columns;
		for (let id = start; id < this.end; id++) if (kinds[id] !== FREE) used.push(id);
		return used;
	}

	/** Those not in use below `end` are free from now on, and the others never were given out; with generations never had. */
	restart(start: number, end: number): void {
		const { kinds, generations } = this.columns;
		let latest = 0;
		for (let id = start; id < this.end; id++)
			if (kinds[id] === FREE) latest = Math.max(latest, generations[id]!);
		this.firstGeneration = Math.max(this.firstGeneration, (latest + 1) % GENERATIONS);
		this.end = end;
		this.first = 0;
		this.unlisted = start;
		this.unlistedEnd = end;
	}

	/** Lists the next that {@link restart} has left, the lowest first. */
	private listFree(): void {
		const { kinds, generations } = this.columns;
		let last = 0;
		for (let listed = 0; listed < FREE_AT_ONCE && this.unlisted < this.unlistedEnd; ) {
			const id = this.unlisted++;
			if (kinds[id] !== FREE) continue;
			generations[id] = this.firstGeneration;
			if (last === 0) this.first = id;
			else this.nexts[last] = id;
			this.nexts[id] = 0;
			last = id;
			listed++;
		}
	}
}
