/**
 * Whether to wait for the disk in the thread that serves requests. Where it answers fast that takes less time than
 * having another thread wait, which must be woken and must wake; where it does not, others would be kept waiting.
 */

import type { Fd } from "../../native/libc/file.ts";
import { type Durability, makeDurable } from "./durability.ts";

/** The longest that others may be kept waiting without consequences, in nanoseconds. */
const LONGEST_WAIT = 3e6;
/** How many copies are then left to other threads before it is tried again; twice as many each time it is slow again. */
const SHORTEST_RESPITE = 64;
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

	/** As {@link makeDurable}. */
	makeDurable(fd: Fd, durability: Durability): number {
		const start = Bun.nanoseconds();
		const result = makeDurable(fd, durability);
		if (Bun.nanoseconds() - start > LONGEST_WAIT) this.isSlow();
		else this.nextRespite = SHORTEST_RESPITE;
		return result;
	}

	/** The disk keeps one waiting: others wait for it for some time. */
	isSlow(): void {
		this.respite = this.nextRespite;
		this.nextRespite = Math.min(this.nextRespite * 2, LONGEST_RESPITE);
	}
}
