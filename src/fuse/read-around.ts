/**
 * Reading at random: the kernel asks for page after page of a file, as it reads ahead only where reading goes on in
 * order. Here it is given what lies around them, where that costs no waiting for the disk.
 *
 * Only lower files, and only without write cache: what the kernel has of them is never newer than what it is given.
 */

import type { Int64 } from "../native/memory.ts";
import { BUSY } from "../overlay/nodes/flags.ts";
import type { NodeId } from "../overlay/nodes/node.ts";
import type { Overlay } from "../overlay/overlay.ts";
import { LARGEST_STRETCH, type Notifications } from "./notify.ts";
import { kernelId } from "./request.ts";

/** A READ of at most so many bytes comes from reading at random. */
const LARGEST_RANDOM = 16 << 10;
/** A stretch is given after so many of one file, */
const PATIENCE = 8;
/** and the next after so many more: what is given for nothing costs little more than they did. */
const INTERVAL = 3;
/** In larger files places are rarely met again. */
const LARGEST_FILE = 2 ** 30;
/** Files to keep in mind. */
const LARGEST_COUNT = 16;

interface Pattern {
	/** Not counting those that earlier stretches were given for. */
	reads: number;
	/** A bit for each stretch of LARGEST_STRETCH bytes: the kernel was given it. */
	readonly given: Uint32Array;
}

export class ReadAround {
	private readonly overlay: Overlay;
	private readonly notifications: Notifications;
	private readonly patterns = new Map<number, Pattern>();

	constructor(overlay: Overlay, notifications: Notifications) {
		this.overlay = overlay;
		this.notifications = notifications;
	}

	/** Told of every READ that was answered. */
	note(node: NodeId, offset: Int64, size: number): void {
		const { overlay } = this;
		if (size > LARGEST_RANDOM || offset >= LARGEST_FILE || overlay.isUpper(node)) return;
		// The kernel would take for the file's what lies behind its end.
		if (overlay.metacopies.isCut(node)) return;
		const id = kernelId(overlay, node);
		const pattern = this.patternOf(id);
		if (++pattern.reads < PATIENCE) return;
		const stretch = Math.floor(Number(offset) / LARGEST_STRETCH);
		const bit = 1 << (stretch & 31);
		if ((pattern.given[stretch >>> 5]! & bit) !== 0) {
			// The kernel has let go of it since then.
			pattern.given[stretch >>> 5]! &= ~bit;
			return;
		}
		if (!this.give(node, id, stretch * LARGEST_STRETCH)) return;
		pattern.given[stretch >>> 5]! |= bit;
		pattern.reads = PATIENCE - INTERVAL;
	}

	private patternOf(id: number): Pattern {
		let pattern = this.patterns.get(id);
		if (pattern !== undefined) return pattern;
		pattern = { reads: 0, given: new Uint32Array(LARGEST_FILE / LARGEST_STRETCH / 32) };
		if (this.patterns.size === LARGEST_COUNT) {
			const [oldest] = this.patterns.keys();
			this.patterns.delete(oldest!);
		}
		this.patterns.set(id, pattern);
		return pattern;
	}

	/** Copy-up, and whatever else changes the file, waits until the kernel has it. */
	private give(node: NodeId, id: number, offset: number): boolean {
		const { overlay, notifications } = this;
		if (overlay.nodes.flag(node, BUSY)) return false;
		const given = notifications.storeLater(id, overlay.files.readable(node), offset, () =>
			overlay.markIdle(node),
		);
		if (given) overlay.nodes.setFlag(node, BUSY, true);
		return given;
	}
}
