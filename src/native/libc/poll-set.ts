/** Descriptors of which one is waited for: poll(2). */

import { pollfd } from "../layout.ts";
import { type Offset, reserve, shorts, words } from "../memory.ts";
import type { Fd } from "./file.ts";
import { poll } from "./process.ts";

export class PollSet {
	private readonly at: Offset;

	/** @param size how many there can be */
	constructor(size: number) {
		this.at = reserve(size * pollfd.sizeof);
	}

	/** `events`: POLL* bits; errors are told without being asked for. NO_FD: nothing. */
	set(index: number, fd: Fd, events: number): void {
		const at = this.at + index * pollfd.sizeof;
		words[(at + pollfd.fd) >>> 2] = fd;
		shorts[(at + pollfd.events) >>> 1] = events;
		shorts[(at + pollfd.revents) >>> 1] = 0;
	}

	/** Waits for one of the first `count`, for so many milliseconds (-1: ever). Returns how many are ready, or -errno. */
	wait(count: number, longest: number): number {
		return poll(this.at, count, longest);
	}

	/** What the last {@link wait} saw of one, POLL* bits. */
	seen(index: number): number {
		return shorts[(this.at + index * pollfd.sizeof + pollfd.revents) >>> 1]!;
	}
}
