/** Ids in the layers against ids in the mount: `uidmapping` and `gidmapping`. */
import type { IdRange } from "../../options.ts";

/** No such id: what chown(2) calls "leave it". */
export const NO_ID = 0xffffffff;

export class IdMap {
	private readonly ranges: readonly IdRange[];
	private readonly overflow: number;

	/**
	 * @param ranges the later one wins; none at all maps every id to itself
	 * @param overflow shown for ids no range covers (/proc/sys/kernel/overflowuid)
	 */
	constructor(ranges: readonly IdRange[], overflow: number) {
		this.ranges = [...ranges].reverse();
		this.overflow = overflow;
	}

	/** The id in the mount for one on disk. */
	shown(onDisk: number): number {
		if (this.ranges.length === 0) return onDisk;
		for (const range of this.ranges) {
			const place = onDisk - range.onDisk;
			if (place >= 0 && place < range.length) return range.shown + place;
		}
		return this.overflow;
	}

	/** The id on disk for one in the mount; NO_ID where no range covers it. */
	onDisk(shown: number): number {
		if (this.ranges.length === 0) return shown;
		for (const range of this.ranges) {
			const place = shown - range.shown;
			if (place >= 0 && place < range.length) return range.onDisk + place;
		}
		return NO_ID;
	}

	/** The id on disk of what one in the mount makes: the overflow id where no range covers it, as with C fuse-overlayfs. */
	ofNew(shown: number): number {
		const id = this.onDisk(shown);
		return id === NO_ID ? this.overflow : id;
	}
}
