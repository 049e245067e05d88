/**
 * What is done around each request so that a successor of this daemon can go on: it finds in the state (overlay/nodes/state.ts)
 * which request was in hand, what its answer would have told the kernel, and whether it keeps ending daemons.
 */

import {
	EIO,
	FUSE_BATCH_FORGET,
	FUSE_FORGET,
	FUSE_INTERRUPT,
	fuseInHeader,
	fuseOutHeader,
} from "../native/layout.ts";
import { type Fd, NO_FD, write } from "../native/libc/file.ts";
import { copy64, reserve, view, words } from "../native/memory.ts";
import { Journal } from "../overlay/nodes/journal.ts";
import { RemovedDirectories } from "../overlay/nodes/removed-directories.ts";
import type { State } from "../overlay/nodes/state.ts";
import { field, IS_AGAIN } from "../overlay/nodes/state-layout.ts";
import { Openings } from "./openings.ts";
import { opcode, REQUEST } from "./request.ts";

/** Deaths in a row, without a request answered between, after which the mount is given up. */
const MOST_FRUITLESS = 5;
/** Deaths on one request after which it is not carried out any more. */
const MOST_DEATHS = 2;
const UNIQUE = REQUEST + fuseInHeader.unique;
const ANSWER = reserve(fuseOutHeader.sizeof);

/** The number of a request, without the bit that says that it is sent again. */
type Unique = readonly [low: number, high: number];

/** Who goes on with the mount once this process has ended, and how another program does so at once. */
export interface Succession {
	/** poll(2) tells an error of it once there is nobody. */
	readonly fd: Fd;
	/** Begins, or begins again. */
	renew(): void;
	/** Has nobody go on. */
	end(): void;
	/** Has the program that is now at its path go on in this one's place; returns only if that must not be. */
	replace(): void;
}

export class Survival {
	readonly state: State;
	readonly journal: Journal;
	readonly openings: Openings;
	readonly removedDirectories: RemovedDirectories;
	/** The connection to the kernel. */
	fd: Fd = NO_FD;
	/** What a predecessor has not answered may still come: each request is to be {@link admit}ted. */
	isCatchingUp = false;

	constructor(state: State) {
		this.state = state;
		this.journal = new Journal(state);
		this.openings = new Openings(state);
		this.removedDirectories = new RemovedDirectories(state);
	}

	/** Begins where a predecessor has ended. False: the mount is to be given up, as daemons only end. */
	takeOver(): boolean {
		const { state } = this;
		const handled = state.get(field.handled);
		const fruitless = handled === state.get(field.handledAtDeath) ? state.get(field.fruitless) + 1 : 0;
		state.set(field.fruitless, fruitless);
		state.set(field.handledAtDeath, handled);
		if (fruitless >= MOST_FRUITLESS) return false;
		this.suspect();
		if (opcode() !== FUSE_BATCH_FORGET && opcode() !== FUSE_FORGET) state.set(field.forgotten, 0);
		state.keepLost();
		this.isCatchingUp = true;
		return true;
	}

	/** Counts a death on the request in hand. */
	private suspect(): void {
		const { state } = this;
		const [low, high] = inHand();
		// The last daemon has read none.
		if (low === 0 && high === 0) return;
		const isSame = isThe([low, high], [state.get(field.suspectLow), state.get(field.suspectHigh)]);
		state.set(field.suspectDeaths, isSame ? state.get(field.suspectDeaths) + 1 : 1);
		state.set(field.suspectLow, low);
		state.set(field.suspectHigh, high);
		words[UNIQUE >>> 2] = 0;
		words[(UNIQUE + 4) >>> 2] = 0;
	}

	/** The last daemon has ended for good reason: no request is to be suspected. */
	forgive(): void {
		this.state.set(field.suspectDeaths, 0);
		this.state.set(field.fruitless, 0);
	}

	/**
	 * Whether a request is to be handled, while {@link isCatchingUp}. False: it has been answered. `undo` is called where it was
	 * answered before, but nobody has read that, with what that would have told.
	 */
	admit(
		undo: (referred: readonly number[], opened: number) => void,
		log: (message: string) => void,
	): boolean {
		const { state } = this;
		const [low, high] = inHand();
		if ((words[(UNIQUE + 4) >>> 2]! & IS_AGAIN) === 0) {
			if (isUnanswerable()) return true;
			// Those that are sent again come before all others that are answered.
			this.isCatchingUp = false;
			state.forgetLost();
			return true;
		}
		const lost = state.takeLost(low, high);
		if (lost !== undefined) undo(lost.referred, lost.opened);
		const deaths = state.get(field.suspectDeaths);
		const isSuspect = isThe([low, high], [state.get(field.suspectLow), state.get(field.suspectHigh)]);
		if (!isSuspect || deaths < MOST_DEATHS) return true;
		log(`a request (operation ${opcode()}) has ended ${deaths} daemons: it is answered with EIO`);
		this.refuse();
		return false;
	}

	/** To be called with each request once it was handled. */
	end(): void {
		this.journal.end();
		this.state.forgetTold();
		if (!isUnanswerable()) this.state.countHandled();
	}

	private refuse(): void {
		words[(ANSWER + fuseOutHeader.len) >>> 2] = fuseOutHeader.sizeof;
		view.setInt32(ANSWER + fuseOutHeader.error, -EIO, true);
		copy64(ANSWER + fuseOutHeader.unique, UNIQUE);
		// That it is refused says that nobody waits.
		write(this.fd, ANSWER, fuseOutHeader.sizeof);
	}
}

/** The number of the request in hand. */
function inHand(): Unique {
	return [words[UNIQUE >>> 2]!, words[(UNIQUE + 4) >>> 2]! & ~IS_AGAIN];
}

function isThe([low, high]: Unique, [otherLow, otherHigh]: Unique): boolean {
	return low === otherLow && high === otherHigh;
}

/** Messages that nobody waits for an answer to. */
function isUnanswerable(): boolean {
	const code = opcode();
	// None: a FORGET that is done.
	return code === FUSE_FORGET || code === FUSE_BATCH_FORGET || code === FUSE_INTERRUPT || code === 0;
}
