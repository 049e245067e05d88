/**
 * Where in the memory that outlives a daemon what lies: the one place that says so, for every program that goes on with it.
 *
 *     header      what it is; a few numbers; the change being made (journal.ts); what removed directories were like; facts, as text
 *     message     the request in hand, where the kernel has written it
 *     referred    the nodes that the answer to it refers to
 *     lost        the same of answers that may not have been read
 *     openings    files that are passed through (fuse/passthrough.ts)
 *     columns     what nodes are (columns.ts), one entry each
 *     names       their names
 */

import { CHUNK } from "../../native/memory.ts";
import { COLUMNS } from "./columns.ts";

/** To be raised with any change of the layout, or of what something in it means. */
export const LAYOUT = 2;
export const MAGIC = 0x4f564653;
/** Of a request that the kernel sends again (FUSE_UNIQUE_RESEND), in the upper half of its number. */
export const IS_AGAIN = 0x80000000;
export const SIZE = 1 << 29;

/** Most nodes there can be; most files open at a time that are passed through; most entries of a READDIRPLUS. */
export const NODES = 1 << 22;
export const OPENINGS = 1 << 18;
export const REFERRED = 1 << 15;

export const opening = { idLow: 0, idHigh: 4, backing: 8, layer: 12, openings: 16, writers: 20, sizeof: 24 };

export const HEADER_SIZE = CHUNK;
export const FACTS = 16384;
export const MOST_FACTS = HEADER_SIZE - FACTS;
/** Where the parts begin. */
export const MESSAGE = HEADER_SIZE;
export const MESSAGE_SIZE = (1 << 20) + CHUNK;
export const REFERRED_AT = MESSAGE + MESSAGE_SIZE;
export const LOST_AT = REFERRED_AT + REFERRED * 4;
/** In words; and of each answer in it: the request, an opening, how many nodes follow. */
export const LOST = REFERRED;
export const LOST_HEADER = 4;
export const OPENINGS_AT = LOST_AT + LOST * 4;
export const COLUMNS_AT = OPENINGS_AT + OPENINGS * opening.sizeof;
/** Bytes of a node in all columns. */
const ENTRY_SIZE = Object.values(COLUMNS).reduce((sum, { BYTES_PER_ELEMENT }) => sum + BYTES_PER_ELEMENT, 0);
export const NAMES_AT = COLUMNS_AT + ENTRY_SIZE * NODES;

/** Numbers in the header, by where they are. */
export const field = {
	magic: 0,
	layout: 4,
	highestNode: 8,
	factsLength: 12,
	/** Requests that were handled. */
	handled: 16,
	/** Of these, at the last death. */
	handledAtDeath: 20,
	/** Deaths in a row without a request handled between. */
	fruitless: 24,
	/** The request that was in hand at the last death, and at how many deaths one after the other. */
	suspectLow: 28,
	suspectHigh: 32,
	suspectDeaths: 36,
	/** Nodes in `referred`, and the request whose answer they are of. */
	referred: 40,
	toldLow: 92,
	toldHigh: 96,
	/** How often another daemon has gone on. */
	successions: 124,
	/** Words in `lost`. */
	lost: 100,
	/** What the count of references becomes, in 64 bits, of the last node in `referred`, or by the last FORGET of `forgotten`. */
	count: 104,
	forgottenNode: 112,
	/** The opening that the same answer counts: twice its place, and 1 more where it is there to write; 0: none. */
	opened: 44,
	/** Of a message of several FORGETs, how many are done, or begun with. */
	forgotten: 48,
	/** The kernel has refused passthrough; it was had; the upper layer's file system cannot be passed through to. */
	isRefused: 52,
	isHad: 56,
	isUnfit: 60,
	/** Entries of `openings` ever used, and of `removed`. */
	openings: 64,
	removed: 116,
	/** The daemon's keeper, and its pipe to that. */
	keeper: 80,
	pipe: 84,
	/** The RELEASE that was counted last. */
	releasedLow: 68,
	releasedHigh: 72,
} as const;

/** Where removed directories are noted, and how many can be (removed-directories.ts). `times`: two `struct timespec`. */
export const REMOVED_AT = 4096;
export const REMOVED = 256;
export const removed = { node: 0, mode: 4, uid: 8, gid: 12, times: 16, sizeof: 48 } as const;

/** Where the journal keeps the change in hand, and those that were found done. */
export const JOURNAL_AT = 1024;
