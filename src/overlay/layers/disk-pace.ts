/**
 * Whether to wait for the disk in the thread that serves requests. Where it answers fast that takes less time than
 * having another thread wait, which must be woken and must wake; where it does not, others would be kept waiting.
 */

import type { Fd } from "../../native/libc/file.ts";
import { type Durability, makeDurable } from "./durability.ts";

/** The longest that others may be kept waiting without consequences, in nanoseconds. */
const LONGEST_WAIT = 3e6;
/** The same where nobody else came meanwhile. */
const LONGEST_LONELY_WAIT = 30e6;
/** How many copies are then left to other threads before it is tried again; twice as many each time it is slow again. */
const SHORTEST_RESPITE = 8;
const LONGEST_RESPITE = 1 << 16;

export class DiskPace {
	private respite = 0;
	private nextRespite = SHORTEST_RESPITE;

	/** Whether to wait here; each answer counts. */
	isQuick(): boolean {
		if (this.respite === 0) return true;
		this.respite--;
		return false;
	}

	/** As {@link makeDurable}. `hasOthers` tells, afterwards, whether somebody waits. */
	makeDurable(fd: Fd, durability: Durability, hasOthers: () => boolean): number {
		const start = Bun.nanoseconds();
		const result = makeDurable(fd, durability);
		const taken = Bun.nanoseconds() - start;
		if (taken > LONGEST_WAIT && (taken > LONGEST_LONELY_WAIT || hasOthers())) this.isSlow();
		else this.nextRespite = SHORTEST_RESPITE;
		return result;
	}

	/** The disk keeps one waiting: others wait for it for some time. */
	isSlow(): void {
		this.respite = this.nextRespite;
		this.nextRespite = Math.min(this.nextRespite * 2, LONGEST_RESPITE);
	}
}
