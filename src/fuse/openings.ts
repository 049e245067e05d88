/**
 * Files that are open and passed through, as a successor of this daemon must know them: the kernel keeps the real files by
 * numbers, and one that was given a file twice would refuse it.
 */

import { ENFILE, fuseInHeader } from "../native/layout.ts";
import { fail } from "../native/libc/errno.ts";
import { getNumber, type Offset, setNumber, words } from "../native/memory.ts";
import type { State } from "../overlay/nodes/state.ts";
import { field, IS_AGAIN, OPENINGS, opening } from "../overlay/nodes/state-layout.ts";
import { REQUEST } from "./request.ts";

/** A file that somebody has open, by the id the kernel knows it under. */
export interface OpenedFile {
	readonly id: number;
	/** The kernel's number for the real file; 0: this program moves the bytes. */
	readonly backing: number;
	/** The layer of the real file. */
	readonly layer: number;
	openings: number;
	/** How many of them may write. */
	writers: number;
	/** Where it is noted for a successor; 0: nowhere. */
	place: number;
}

export class Openings {
	private readonly state: State;
	private readonly free: number[] = [];

	constructor(state: State) {
		this.state = state;
	}

	/** What a predecessor has noted. */
	*restore(): Generator<OpenedFile> {
		const used = Math.min(this.state.get(field.openings), OPENINGS - 1);
		for (let place = used; place > 0; place--) {
			const at = this.at(place);
			const openings = words[(at + opening.openings) >>> 2]!;
			if (openings === 0) {
				this.free.push(place);
				continue;
			}
			yield {
				id: getNumber(at + opening.idLow),
				backing: words[(at + opening.backing) >>> 2]!,
				layer: words[(at + opening.layer) >>> 2]!,
				openings,
				writers: words[(at + opening.writers) >>> 2]!,
				place,
			};
		}
	}

	/** Notes how often a file is open. Throws ENFILE where there are too many. */
	note(file: OpenedFile): void {
		if (file.place === 0) this.add(file);
		const at = this.at(file.place);
		words[(at + opening.writers) >>> 2] = file.writers;
		words[(at + opening.openings) >>> 2] = file.openings;
		if (file.openings === 0) this.free.push(file.place);
	}

	private add(file: OpenedFile): void {
		const { state } = this;
		let place = this.free.pop();
		if (place === undefined) {
			place = state.get(field.openings) + 1;
			if (place === OPENINGS) fail(ENFILE);
			state.set(field.openings, place);
		}
		const at = this.at(place);
		setNumber(at + opening.idLow, file.id);
		words[(at + opening.backing) >>> 2] = file.backing;
		words[(at + opening.layer) >>> 2] = file.layer;
		file.place = place;
	}

	/** Notes one of `field.isRefused`, `field.isHad`, `field.isUnfit`. */
	learn(what: number): void {
		this.state.set(what, 1);
	}

	has(what: number): boolean {
		return this.state.get(what) === 1;
	}

	/** The answer to the request in hand tells of an opening of this file; see `field.opened`. */
	noteOpened(file: OpenedFile, writing: boolean): void {
		this.state.open(file.place * 2 + Number(writing));
	}

	/** Whether the RELEASE in hand was counted before, and only not answered; if not, it is from now on. */
	isReleased(): boolean {
		const low = words[(REQUEST + fuseInHeader.unique) >>> 2]!;
		const high = words[(REQUEST + fuseInHeader.unique + 4) >>> 2]!;
		return this.state.isReleased(low, high & ~IS_AGAIN) && (high & IS_AGAIN) !== 0;
	}

	private at(place: number): Offset {
		return this.state.openings + place * opening.sizeof;
	}
}
