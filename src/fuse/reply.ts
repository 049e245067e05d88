/**
 * Where a request leaves: every answer to the kernel, in the kernel's own layout (linux/fuse.h).
 * Each request is answered exactly once.
 */
import { fuseAttr, fuseAttrOut, fuseEntryOut, fuseOpenOut, fuseWriteOut, statx } from "../native/layout.ts";
import type { FuseRequest, Libfuse } from "../native/libfuse/library.ts";
import { bytes, copy64, type Offset, reserveScratch, setNumber, shorts, words } from "../native/memory.ts";
import { WRITTEN } from "../overlay/nodes/flags.ts";
import { NO_NODE, type NodeId } from "../overlay/nodes/node.ts";
import type { State } from "../overlay/nodes/state.ts";
import type { Overlay } from "../overlay/overlay.ts";
import { STAT } from "../overlay/reading/attributes.ts";
import { kernelId, LARGEST_WRITE, requestId } from "./request.ts";

/** Room for the largest answer: READ's data. */
export const REPLY: Offset = reserveScratch(LARGEST_WRITE + 4096);
export const REPLY_SIZE = LARGEST_WRITE;

const NANOSECONDS = 1e9;
/** Nanoseconds; the kernel makes it one tick of its clock. */
const ONE_CALL = 1e6;

export class Replies {
	private readonly libfuse: Libfuse;
	private readonly overlay: Overlay;
	private readonly state: State | undefined;
	private readonly validSeconds: number;
	private readonly validNanoseconds: number;
	/** The request being handled; 0 once it is answered. */
	private request = 0 as FuseRequest;

	/**
	 * @param timeout seconds the kernel may keep names and attributes
	 * @param state to note in what the kernel was told of; undefined: nobody goes on after this process
	 */
	constructor(libfuse: Libfuse, overlay: Overlay, timeout: number, state: State | undefined) {
		this.state = state;
		this.libfuse = libfuse;
		this.overlay = overlay;
		this.validSeconds = Math.floor(timeout);
		this.validNanoseconds = Math.floor((timeout - this.validSeconds) * NANOSECONDS);
	}

	/** `request` is the one that the answers go to from now on. */
	begin(request: FuseRequest): void {
		this.request = request;
	}

	get isAnswered(): boolean {
		return this.request === 0;
	}

	/** Takes the request out of here, to be answered after a later {@link begin}. */
	takeRequest(): FuseRequest {
		const { request } = this;
		this.request = 0 as FuseRequest;
		return request;
	}

	error(errno: number): void {
		this.libfuse.replyError(this.takeRequest(), errno);
	}

	success(): void {
		this.error(0);
	}

	/** Ends the request without an answer, as FORGET wants it. */
	none(): void {
		this.libfuse.replyNone(this.takeRequest());
	}

	/** Answers `size` bytes; false where nobody waits for them any more. */
	bytes(at: Offset, size: number): boolean {
		return this.libfuse.replyBytes(this.takeRequest(), at, size) === 0;
	}

	/** The node that was looked up or made, with the attributes in STAT. Counts the kernel's reference. */
	entry(node: NodeId): void {
		this.writeEntry(REPLY, node);
		this.referring(node, fuseEntryOut.sizeof);
	}

	/** As {@link entry}, for CREATE and TMPFILE, which also open. False where nobody waits for the answer any more. */
	created(node: NodeId, flags: number, backing: number): boolean {
		this.writeEntry(REPLY, node);
		// Even where they must not be kept they last until the kernel has checked them, in the same call.
		if (this.overlay.nodes.flag(node, WRITTEN)) words[(REPLY + fuseEntryOut.attrValidNsec) >>> 2] = ONE_CALL;
		writeOpening(REPLY + fuseEntryOut.sizeof, flags, backing);
		return this.referring(node, fuseEntryOut.sizeof + fuseOpenOut.sizeof);
	}

	/** Opened: FOPEN_* flags, and the kernel's number for the real file if it is passed through. False as in {@link created}. */
	opened(flags: number, backing: number): boolean {
		writeOpening(REPLY, flags, backing);
		return this.bytes(REPLY, fuseOpenOut.sizeof);
	}

	private referring(node: NodeId, size: number): boolean {
		this.refer(node);
		const answered = this.bytes(REPLY, size);
		if (!answered) {
			this.state?.forgetTold();
			this.overlay.nodes.forget(node, 1);
		}
		return answered;
	}

	/** Counts a reference that the kernel gets by the answer. */
	refer(node: NodeId): void {
		const { nodes } = this.overlay;
		this.state?.beginReferring(node, nodes.lookupCount(node) + 1);
		nodes.reference(node);
	}

	/** No such name, which the kernel may keep in mind as long as other answers. */
	noEntry(): void {
		bytes.fill(0, REPLY, REPLY + fuseEntryOut.sizeof);
		this.writeValidity(REPLY + fuseEntryOut.entryValid, REPLY + fuseEntryOut.entryValidNsec);
		this.bytes(REPLY, fuseEntryOut.sizeof);
	}

	/** The attributes of a node, in STAT. */
	attributes(node: NodeId): void {
		// What the kernel keeps under an id the node no longer goes by nobody would tell it to drop.
		const isCurrent = requestId() === kernelId(this.overlay, node);
		this.writeAttributeValidity(
			isCurrent ? node : NO_NODE,
			REPLY + fuseAttrOut.attrValid,
			REPLY + fuseAttrOut.attrValidNsec,
		);
		words[(REPLY + fuseAttrOut.attrValidNsec + 4) >>> 2] = 0;
		writeAttributes(REPLY + fuseAttrOut.attr);
		this.bytes(REPLY, fuseAttrOut.sizeof);
	}

	/** How many bytes were written. */
	written(size: number): void {
		words[(REPLY + fuseWriteOut.size) >>> 2] = size;
		words[(REPLY + fuseWriteOut.size + 4) >>> 2] = 0;
		this.bytes(REPLY, fuseWriteOut.sizeof);
	}

	/** A `struct fuse_entry_out` for a node with the attributes in STAT. */
	writeEntry(at: Offset, node: NodeId): void {
		setNumber(at + fuseEntryOut.nodeid, kernelId(this.overlay, node));
		setNumber(at + fuseEntryOut.generation, this.overlay.nodes.generation(node));
		this.writeValidity(at + fuseEntryOut.entryValid, at + fuseEntryOut.entryValidNsec);
		this.writeAttributeValidity(node, at + fuseEntryOut.attrValid, at + fuseEntryOut.attrValidNsec);
		writeAttributes(at + fuseEntryOut.attr);
	}

	/** How long attributes may be kept; not at all for NO_NODE and while they change unheard of. */
	private writeAttributeValidity(node: NodeId, seconds: Offset, nanoseconds: Offset): void {
		if (node !== NO_NODE && !this.overlay.nodes.flag(node, WRITTEN)) {
			this.writeValidity(seconds, nanoseconds);
			return;
		}
		setNumber(seconds, 0);
		words[nanoseconds >>> 2] = 0;
	}

	private writeValidity(seconds: Offset, nanoseconds: Offset): void {
		setNumber(seconds, this.validSeconds);
		words[nanoseconds >>> 2] = this.validNanoseconds;
	}
}

/** A `struct fuse_open_out`. The handle stands for nothing: files are known by their node. */
function writeOpening(at: Offset, flags: number, backing: number): void {
	setNumber(at + fuseOpenOut.fh, 0);
	words[(at + fuseOpenOut.openFlags) >>> 2] = flags;
	words[(at + fuseOpenOut.backingId) >>> 2] = backing;
}

/** STAT as a `struct fuse_attr`. */
function writeAttributes(at: Offset): void {
	copy64(at + fuseAttr.ino, STAT + statx.stxIno);
	copy64(at + fuseAttr.size, STAT + statx.stxSize);
	copy64(at + fuseAttr.blocks, STAT + statx.stxBlocks);
	copy64(at + fuseAttr.atime, STAT + statx.stxAtime);
	copy64(at + fuseAttr.mtime, STAT + statx.stxMtime);
	copy64(at + fuseAttr.ctime, STAT + statx.stxCtime);
	words[(at + fuseAttr.atimensec) >>> 2] = words[(STAT + statx.stxAtime + 8) >>> 2]!;
	words[(at + fuseAttr.mtimensec) >>> 2] = words[(STAT + statx.stxMtime + 8) >>> 2]!;
	words[(at + fuseAttr.ctimensec) >>> 2] = words[(STAT + statx.stxCtime + 8) >>> 2]!;
	words[(at + fuseAttr.mode) >>> 2] = shorts[(STAT + statx.stxMode) >>> 1]!;
	words[(at + fuseAttr.nlink) >>> 2] = words[(STAT + statx.stxNlink) >>> 2]!;
	words[(at + fuseAttr.uid) >>> 2] = words[(STAT + statx.stxUid) >>> 2]!;
	words[(at + fuseAttr.gid) >>> 2] = words[(STAT + statx.stxGid) >>> 2]!;
	const major = words[(STAT + statx.stxRdevMajor) >>> 2]!;
	const minor = words[(STAT + statx.stxRdevMinor) >>> 2]!;
	words[(at + fuseAttr.rdev) >>> 2] = (minor & 0xff) | (major << 8) | ((minor & ~0xff) << 12);
	words[(at + fuseAttr.blksize) >>> 2] = words[(STAT + statx.stxBlksize) >>> 2]!;
	words[(at + fuseAttr.flags) >>> 2] = 0;
}
