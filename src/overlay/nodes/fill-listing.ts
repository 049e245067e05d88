/** Reading the layers' directories into one listing. */

import {
	DT_CHR,
	DT_REG,
	DT_UNKNOWN,
	EACCES,
	EBADF,
	linuxDirent64,
	NAME_MAX,
	S_IFMT,
	SEEK_SET,
	statx,
} from "../../native/layout.ts";
import { isDot, readEntries } from "../../native/libc/directory.ts";
import { check, succeeds } from "../../native/libc/errno.ts";
import { close, duplicate, type Fd, NO_FD, seek } from "../../native/libc/file.ts";
import {
	bytes,
	lengthOf,
	type Name,
	readString,
	release,
	reserve,
	shorts,
	words,
	writeString,
} from "../../native/memory.ts";
import type { ByteString } from "../../options.ts";
import { areDistant } from "../layers/distance.ts";
import type { Layer } from "../layers/layer.ts";
import { isRemovedName } from "../layers/removed-name.ts";
import {
	ATTRIBUTE_WHITEOUTS,
	hiddenName,
	isMarker,
	isReserved,
	isWhiteoutDevice,
	isWhiteoutFile,
} from "../marks/whiteout.ts";
import type { Directory } from "./directory.ts";
import type { DirectoryCache } from "./directory-cache.ts";
import type { Listing, Slot } from "./listing.ts";
import { measure } from "./name.ts";

/** What is read in one step. */
const ENTRIES_SIZE = 1 << 15;
const ENTRIES = reserve(ENTRIES_SIZE);
const STAT = reserve(statx.sizeof);
const HIDDEN = reserve(NAME_MAX + 1) as Name;

/** The reading of a directory's layers, topmost first, into an empty listing: some entries at a time. */
export class Reading {
	readonly listing: Listing;
	/** Bytes of entries read up to now. */
	bytes = 0;
	/** What has become of names meanwhile; each name is a block of its own. */
	readonly changes: { readonly name: Name; readonly change: (listing: Listing, slot: Slot) => void }[] = [];
	private readonly layers: readonly Layer[];
	private readonly directories: DirectoryCache;
	private readonly directory: Directory;
	/** Which of the directory's layers is being read. */
	private at = 0;
	private reader = NO_FD;
	private isOwnReader = false;
	private isLasting = false;
	/** How far into the entries that were read last, when asking more about one of them takes another attempt. */
	private taken = 0;
	/** `.wh.NAME` counts for the layers below only, so these are entered after the layer's own names. */
	private whiteoutFiles: ByteString[] = [];

	constructor(layers: readonly Layer[], directories: DirectoryCache, directory: Directory, listing: Listing) {
		this.layers = layers;
		this.directories = directories;
		this.directory = directory;
		this.listing = listing;
	}

	/** Whether it may take long, whatever there is to read. */
	get isDistant(): boolean {
		return areDistant(this.directory.layers.map((layer) => this.layers[layer]!));
	}

	/** Reads some more; true: the listing is complete. Throws what reading may; then {@link abandon}. */
	step(): boolean {
		const { directory } = this;
		const index = directory.layers[this.at];
		if (index === undefined) {
			// Replaced in the upper layer by others, it has lost all layers but that.
			this.closeReader();
			return true;
		}
		const layer = this.layers[index]!;
		if (this.reader === NO_FD) this.beginLayer(layer);
		const length = check(readEntries(this.reader, ENTRIES, ENTRIES_SIZE));
		if (length > 0) {
			this.take(layer, directory.marks[this.at]!, length);
			this.bytes += length;
			return false;
		}
		this.endLayer(layer);
		return ++this.at === directory.layers.length;
	}

	/** From now on other requests may come between the steps: descriptors of the cache may be closed. */
	makeLasting(): void {
		this.isLasting = true;
		if (this.reader === NO_FD || this.isOwnReader) return;
		this.reader = check(duplicate(this.reader));
		this.isOwnReader = true;
	}

	/** Lets go of everything, the listing too. */
	abandon(): void {
		this.listing.release();
		this.end();
		this.closeReader();
	}

	/** To be called at the end. */
	end(): void {
		for (const { name } of this.changes.splice(0)) release(name, lengthOf(name) + 1);
	}

	/** Sets the reader to the first entry; a descriptor of its own where the cache's is for looking names up only. */
	private beginLayer(layer: Layer): void {
		const fd = this.directories.borrow(this.directory, layer.index);
		const result = seek(fd, 0, SEEK_SET);
		const isForNamesOnly = result === -EBADF;
		if (!isForNamesOnly) check(result);
		this.isOwnReader = isForNamesOnly || this.isLasting;
		if (isForNamesOnly) this.reader = check(this.directories.openReader(fd, layer));
		else this.reader = this.isLasting ? check(duplicate(fd)) : fd;
	}

	private take(layer: Layer, marks: number, length: number): void {
		let at = ENTRIES + this.taken;
		try {
			for (; at < ENTRIES + length; at += shorts[(at + linuxDirent64.dReclen) >>> 1]!) {
				const name = (at + linuxDirent64.dName) as Name;
				if (bytes[name] === 0x2e) {
					if (isDot(name)) continue;
					if (isReserved(name)) {
						if (!isMarker(name)) this.whiteoutFiles.push(readString(hiddenName(name)));
						continue;
					}
					if (layer.removedName !== undefined && isRemovedName(layer.removedName, name)) continue;
				}
				addEntry(layer, this.reader, marks, this.listing, at, name);
			}
			at = ENTRIES;
		} finally {
			this.taken = at - ENTRIES;
		}
	}

	private closeReader(): void {
		if (this.isOwnReader) close(this.reader);
		this.isOwnReader = false;
		this.reader = NO_FD;
	}

	private endLayer(layer: Layer): void {
		this.closeReader();
		for (const hidden of this.whiteoutFiles) {
			writeString(HIDDEN, hidden);
			this.listing.addWhiteout(layer.index, HIDDEN, measure(HIDDEN), true);
		}
		this.whiteoutFiles = [];
	}
}

function addEntry(layer: Layer, fd: Fd, marks: number, listing: Listing, at: number, name: Name): void {
	let type = bytes[at + linuxDirent64.dType]!;
	const attributes = (marks & ATTRIBUTE_WHITEOUTS) !== 0;
	if (type === DT_CHR || type === DT_UNKNOWN || (attributes && type === DT_REG)) {
		const found = layer.stat(fd, name, STAT);
		// In a directory that its owner may list but not search. Who is refused that could have made no other device.
		if (found === -EACCES && type === DT_CHR) {
			listing.addWhiteout(layer.index, name, measure(name), false);
			return;
		}
		// Removed meanwhile, or not to be seen by us: then it is listed as it is.
		if (succeeds(found)) {
			type = (shorts[(STAT + statx.stxMode) >>> 1]! & S_IFMT) >> 12;
			if (isWhiteoutDevice(STAT) || isWhiteoutFile(fd, marks, name, STAT)) {
				listing.addWhiteout(layer.index, name, measure(name), false);
				return;
			}
		}
	}
	const low = words[(at + linuxDirent64.dIno) >>> 2]!;
	const high = words[(at + linuxDirent64.dIno + 4) >>> 2]!;
	listing.add(layer.index, name, measure(name), type, low, high);
}
