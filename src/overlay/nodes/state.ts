/**
 * What a mount's next daemon has to know of this one, however that ends: in one piece of memory that outlives the process. This
 * is laid out as state-layout.ts says; whoever owns a part keeps it, and all else is derived anew.
 *
 * A daemon may end between any two instructions. Hence what the kernel is to rely on is in here before it is told of it.
 */

import { fuseInHeader } from "../../native/layout.ts";
import { close, type Fd } from "../../native/libc/file.ts";
import { createSharedMemory } from "../../native/libc/shared-memory.ts";
import {
	getNumber,
	type Offset,
	readBytes,
	reserveEnd,
	setNumber,
	share,
	words,
	writeString,
} from "../../native/memory.ts";
import type { ByteString } from "../../options.ts";
import { SharedColumns, StateUnusable } from "./shared-columns.ts";
import {
	FACTS,
	field,
	IS_AGAIN,
	JOURNAL_AT,
	LAYOUT,
	LOST,
	LOST_AT,
	LOST_HEADER,
	MAGIC,
	MESSAGE,
	MESSAGE_SIZE,
	MOST_FACTS,
	OPENINGS_AT,
	REFERRED,
	REFERRED_AT,
	REMOVED_AT,
	SIZE,
} from "./state-layout.ts";

export class State {
	/** The memory, for who inherits it. */
	readonly fd: Fd;
	readonly columns: SharedColumns;
	private readonly at: Offset;

	private constructor(fd: Fd, at: Offset) {
		this.fd = fd;
		this.at = at;
		this.columns = new SharedColumns(at, this.get(field.highestNode));
	}

	/** Memory for a new mount, in which `message` lies from now on. Throws StateUnusable where there is none to be had. */
	static create(message: Offset): State {
		const fd = createSharedMemory(SIZE);
		if (fd < 0) throw new StateUnusable("no memory can be had that outlives the process");
		let state: State;
		try {
			state = State.map(fd, message);
		} catch (error) {
			close(fd);
			throw error;
		}
		state.set(field.magic, MAGIC);
		state.set(field.layout, LAYOUT);
		return state;
	}

	/** That of a mount whose daemon has ended. Throws StateUnusable. */
	static takeOver(fd: Fd, message: Offset): State {
		const state = State.map(fd, message);
		if (state.get(field.magic) !== MAGIC) throw new StateUnusable("it is not the state of a mount");
		const layout = state.get(field.layout);
		if (layout !== LAYOUT)
			throw new StateUnusable(`it is of layout ${layout}, and this program has layout ${LAYOUT}`);
		state.columns.check();
		return state;
	}

	private static map(fd: Fd, message: Offset): State {
		const at = reserveEnd(SIZE);
		if (at === undefined || !share(at, SIZE, fd, 0) || !share(message, MESSAGE_SIZE, fd, MESSAGE))
			throw new StateUnusable("there is no address space for it: raise the limit (ulimit -v)");
		return new State(fd, at);
	}

	get(name: number): number {
		return words[(this.at + name) >>> 2]!;
	}

	set(name: number, value: number): void {
		words[(this.at + name) >>> 2] = value;
	}

	/** Where the record of the change in hand is. */
	get journal(): Offset {
		return this.at + JOURNAL_AT;
	}

	/** Where removed directories are noted. */
	get removed(): Offset {
		return this.at + REMOVED_AT;
	}

	/** Where the request in hand is, as `message` everywhere else. */
	get message(): Offset {
		return this.at + MESSAGE;
	}

	get openings(): Offset {
		return this.at + OPENINGS_AT;
	}

	/** `count` is about to become the number of a node's references, by the answer to the request in hand. */
	beginReferring(node: number, count: number): void {
		const { at } = this;
		const place = words[(at + field.referred) >>> 2]!;
		if (place === REFERRED) return;
		if (place === 0) this.noteRequest();
		words[this.firstReferred + place] = node;
		setNumber(at + field.count, count);
		words[(at + field.referred) >>> 2] = place + 1;
	}

	/** The same, by the FORGET in hand or, where it has several, that in `place` of it. */
	beginForgetting(node: number, count: number, place: number): void {
		const { at } = this;
		words[(at + field.forgottenNode) >>> 2] = node;
		setNumber(at + field.count, count);
		words[(at + field.forgotten) >>> 2] = place + 1;
	}

	/** Finishes what a predecessor was at: the last count may not have become what it was to. */
	redo(): void {
		const referred = this.get(field.referred);
		if (referred > 0) this.setCount(words[this.firstReferred + Math.min(referred, REFERRED) - 1]!);
		else if (this.get(field.forgotten) > 0) this.setCount(this.get(field.forgottenNode));
	}

	private setCount(node: number): void {
		if (node <= this.columns.highest) this.columns.arrays.lookups[node] = getNumber(this.at + field.count);
	}

	/** The answer to the request in hand counts an opening, see `field.opened`. */
	open(opened: number): void {
		this.noteRequest();
		this.set(field.opened, opened);
	}

	/** Whose answer it is that tells of nodes and openings. */
	private noteRequest(): void {
		const { at } = this;
		const unique = (at + MESSAGE + fuseInHeader.unique) >>> 2;
		words[(at + field.toldLow) >>> 2] = words[unique]!;
		words[(at + field.toldHigh) >>> 2] = words[unique + 1]! & ~IS_AGAIN;
	}

	/** Nobody is told of anything, or has been. */
	forgetTold(): void {
		const { at } = this;
		words[(at + field.referred) >>> 2] = 0;
		words[(at + field.opened) >>> 2] = 0;
	}

	/** One more request was handled. */
	countHandled(): void {
		words[(this.at + field.handled) >>> 2]!++;
	}

	/** Whether this is the RELEASE that was counted last; if not, it is from now on. `high` is without {@link IS_AGAIN}. */
	isReleased(low: number, high: number): boolean {
		const { at } = this;
		const isSame =
			words[(at + field.releasedLow) >>> 2] === low && words[(at + field.releasedHigh) >>> 2] === high;
		if (isSame) return true;
		words[(at + field.releasedLow) >>> 2] = low;
		words[(at + field.releasedHigh) >>> 2] = high;
		return false;
	}

	/** Keeps what an answer was to tell of, in case that was never read, until {@link takeLost} or {@link forgetLost}. */
	keepLost(): void {
		const count = this.get(field.referred);
		const [opened, used] = [this.get(field.opened), this.get(field.lost)];
		this.forgetTold();
		if ((count === 0 && opened === 0) || used + count + LOST_HEADER > LOST) return;
		const at = ((this.at + LOST_AT) >>> 2) + used;
		words.set([this.get(field.toldLow), this.get(field.toldHigh), opened, count], at);
		words.copyWithin(at + LOST_HEADER, this.firstReferred, this.firstReferred + count);
		this.set(field.lost, used + LOST_HEADER + count);
	}

	/** What the answer to a request was to tell of; undefined: nothing. */
	takeLost(low: number, high: number): { readonly referred: number[]; readonly opened: number } | undefined {
		const first = (this.at + LOST_AT) >>> 2;
		for (let at = first; at < first + this.get(field.lost); at += LOST_HEADER + words[at + 3]!) {
			if (words[at] !== low || words[at + 1] !== high) continue;
			words[at] = 0;
			words[at + 1] = 0;
			const nodes = at + LOST_HEADER;
			return { referred: [...words.subarray(nodes, nodes + words[at + 3]!)], opened: words[at + 2]! };
		}
		return undefined;
	}

	/** All of them were read. */
	forgetLost(): void {
		this.set(field.lost, 0);
	}

	private get firstReferred(): number {
		return (this.at + REFERRED_AT) >>> 2;
	}

	/** What was settled when the mount was made. */
	get facts(): unknown {
		const length = this.get(field.factsLength);
		if (length > MOST_FACTS) throw new StateUnusable("its facts are damaged");
		try {
			return JSON.parse(readBytes(this.at + FACTS, length));
		} catch {
			throw new StateUnusable("its facts are damaged");
		}
	}

	/** Throws StateUnusable where they are too many. */
	set facts(facts: unknown) {
		const text = JSON.stringify(facts) as ByteString;
		if (text.length >= MOST_FACTS) throw new StateUnusable("the mount has too many layers");
		writeString(this.at + FACTS, text);
		this.set(field.factsLength, text.length);
	}
}
