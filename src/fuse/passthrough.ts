/**
 * Who moves the bytes of an open file: the kernel by itself, to and from the real file (FUSE passthrough, Linux 6.9),
 * or this program, by READ and WRITE.
 *
 * All that have one of the kernel's inodes open must share one real file. Lower files that can be copied up are passed
 * through only when asked for. Where one is open and has been copied up meanwhile, the node goes on under a new id, and
 * thus as another inode: whoever opened it before keeps reading the lower file.
 */

import {
	DT_REG,
	EINVAL,
	ELOOP,
	ENOTTY,
	EOPNOTSUPP,
	EPERM,
	ESTALE,
	FOPEN_KEEP_CACHE,
	FOPEN_PASSTHROUGH,
	FUSE_DEV_IOC_BACKING_CLOSE,
	FUSE_DEV_IOC_BACKING_OPEN,
	fuseBackingMap,
	statx,
} from "../native/layout.ts";
import { isDistant } from "../native/libc/distant.ts";
import { check, fail } from "../native/libc/errno.ts";
import { control } from "../native/libc/file.ts";
import { statDescriptor } from "../native/libc/metadata.ts";
import { sizeOf } from "../native/libc/stat.ts";
import { bytes, type Offset, reserve, words } from "../native/memory.ts";
import { GIVEN, WRITTEN } from "../overlay/nodes/flags.ts";
import type { NodeId } from "../overlay/nodes/node.ts";
import { field } from "../overlay/nodes/state-layout.ts";
import type { Overlay } from "../overlay/overlay.ts";
import { STAT } from "../overlay/reading/attributes.ts";
import type { Agreement } from "./handshake.ts";
import { LARGEST_STORE, type Notifications } from "./notify.ts";
import type { OpenedFile, Openings } from "./openings.ts";
import { kernelId } from "./request.ts";

const MAP = reserve(fuseBackingMap.sizeof);
const BACKING = reserve(4);
const ATTRIBUTES = reserve(statx.sizeof);
/** Lower files that may be copied up are passed through from this size on, in bytes. */
const SMALLEST_LOWER = 1 << 20;
/** What says that passthrough is not to be had at all. */
const REFUSALS = [-EPERM, -ENOTTY, -EOPNOTSUPP, -EINVAL];

export class Passthrough {
	/** The kernel has refused: there will be none. */
	refused = false;
	/** Answers to the last {@link open}: FOPEN_* flags, and the kernel's number for the real file. */
	flags = 0;
	backing = 0;
	private readonly overlay: Overlay;
	private readonly notifications: Notifications;
	private readonly agreed: Agreement;
	private readonly files = new Map<number, OpenedFile>();
	/** Nodes that may be open by an id that they do not go by any more. */
	private readonly renewed = new Set<NodeId>();
	/** Layers on file systems that cannot be passed through to. */
	private readonly unfit = new Set<number>();
	private readonly parts: boolean;
	private succeeded = false;
	/** undefined: nobody goes on after this process. */
	private readonly openings: Openings | undefined;

	/**
	 * @param parts pass large lower files through, too, although those who have one open do not see its copy
	 * @param openings where to note what is open
	 */
	constructor(
		overlay: Overlay,
		agreed: Agreement,
		notifications: Notifications,
		parts: boolean,
		openings?: Openings,
	) {
		this.openings = openings;
		this.agreed = agreed;
		this.overlay = overlay;
		this.notifications = notifications;
		this.parts = parts;
	}

	/** Counts the opening that comes with the making of a file; its attributes are in STAT. */
	create(node: NodeId, id: number, writing: boolean): void {
		const { overlay } = this;
		const backing = this.acquire(node, STAT);
		this.count(node, this.add(id, backing, overlay.dataLayer(node).index), writing);
	}

	/** Whether new files will be passed through, and need not be open here to be written to. */
	get takesNew(): boolean {
		return this.succeeded && !this.refused && !this.unfit.has(0);
	}

	/** Goes on with what a predecessor has noted. */
	restore(): void {
		const { openings } = this;
		if (openings === undefined) return;
		for (const file of openings.restore()) {
			this.files.set(file.id, file);
			const node = nodeOf(file);
			if (file.id !== kernelId(this.overlay, node)) this.renewed.add(node);
		}
		this.refused = openings.has(field.isRefused);
		this.succeeded = openings.has(field.isHad);
		if (openings.has(field.isUnfit)) this.unfit.add(0);
	}

	/** Takes an opening back that nobody was told of; see `field.opened`. */
	undo(opened: number): void {
		const file = [...this.files.values()].find(({ place }) => place === opened >>> 1);
		if (opened !== 0 && file !== undefined) this.release(nodeOf(file), file.id, (opened & 1) === 1);
	}

	/**
	 * Where others may change the layers, too: what is opened is what was looked up, and stays so. Also once it is refused: the
	 * kernel then leaves it to OPEN to cut a file (FUSE_ATOMIC_O_TRUNC), and without that it would not be cut.
	 */
	get hearsOpenings(): boolean {
		return this.overlay.options.live || this.agreed.passthrough;
	}

	/** Whether somebody may have the node open, or a mapping of it. */
	mayBeOpen(node: NodeId): boolean {
		const isHeard = this.hearsOpenings && this.overlay.nodes.kind(node) === DT_REG;
		return !isHeard || this.files.has(kernelId(this.overlay, node)) || this.renewed.has(node);
	}

	/** Whether the RELEASE in hand was counted by a predecessor. */
	get isReleased(): boolean {
		return this.openings?.isReleased() === true;
	}

	private add(id: number, backing: number, layer: number): OpenedFile {
		const file = { id, backing, layer, openings: 0, writers: 0, place: 0 };
		this.files.set(id, file);
		return file;
	}

	/**
	 * Counts one more opening of a regular file; `id` is what the kernel called it by. Throws ESTALE where the kernel
	 * must look the name up again, and what opening the real file may.
	 */
	open(node: NodeId, id: number, writing: boolean): void {
		const { overlay } = this;
		let file = this.files.get(id);
		const isCurrent = id === kernelId(overlay, node);
		if (!isCurrent && (file === undefined || writing)) fail(ESTALE);
		if (
			isCurrent &&
			file !== undefined &&
			file.backing !== 0 &&
			file.layer !== overlay.dataLayer(node).index
		) {
			this.notifications.invalidateAttributes(id);
			overlay.nodes.renew(node);
			this.renewed.add(node);
			fail(ESTALE);
		}
		// What refuses to be written to says so here: of its own opening the kernel tells EIO, whatever the reason.
		if (writing) overlay.files.writable(node);
		if (file === undefined) {
			check(statDescriptor(overlay.files.readable(node), ATTRIBUTES));
			const backing = this.acquire(node, ATTRIBUTES);
			file = this.add(id, backing, overlay.dataLayer(node).index);
			if (file.backing === 0 && !writing && !this.mayHaveChanged(node)) this.giveContent(node, id);
		}
		this.count(node, file, writing);
	}

	private count(node: NodeId, file: OpenedFile, writing: boolean): void {
		file.openings++;
		if (writing) {
			file.writers++;
			this.overlay.nodes.setFlag(node, WRITTEN, true);
		}
		if (this.openings !== undefined) {
			try {
				this.openings.note(file);
			} catch (error) {
				// Nobody will be told of this opening, and so nobody will close it.
				this.release(node, file.id, writing);
				throw error;
			}
			this.openings.noteOpened(file, writing);
		}
		this.backing = file.backing;
		if (file.backing !== 0) this.flags = FOPEN_PASSTHROUGH;
		else this.flags = this.mayHaveChanged(node) ? 0 : FOPEN_KEEP_CACHE;
	}

	/** One opening less. */
	release(node: NodeId, id: number, writing: boolean): void {
		const file = this.files.get(id);
		if (file === undefined) return;
		if (writing && --file.writers === 0 && id === kernelId(this.overlay, node))
			this.overlay.nodes.setFlag(node, WRITTEN, false);
		file.openings--;
		if (file.place !== 0) this.openings?.note(file);
		if (file.openings > 0) return;
		this.files.delete(id);
		if (this.renewed.size > 0 && id !== kernelId(this.overlay, node)) this.renewed.delete(node);
		if (file.backing === 0) return;
		words[BACKING >>> 2] = file.backing;
		check(control(this.notifications.fd, FUSE_DEV_IOC_BACKING_CLOSE, BACKING, 4));
	}

	/** Spares the kernel the READ of a small lower file, the first time it is opened. */
	private giveContent(node: NodeId, id: number): void {
		const { overlay, notifications } = this;
		const size = sizeOf(ATTRIBUTES);
		if (size === 0 || size > LARGEST_STORE || this.hasUpperData(node) || overlay.nodes.flag(node, GIVEN))
			return;
		if (overlay.metacopies.isCut(node)) return;
		const fd = overlay.files.readable(node);
		if (isDistant(fd)) return;
		overlay.nodes.setFlag(node, GIVEN, true);
		notifications.storeContent(id, fd, Number(size));
	}

	/** Whether the pages the kernel keeps of a file may be older than what was written behind them. */
	private mayHaveChanged(node: NodeId): boolean {
		if (this.overlay.options.live) return true;
		return !this.refused && !this.unfit.has(0) && this.hasUpperData(node);
	}

	private hasUpperData(node: NodeId): boolean {
		return this.overlay.isUpperLayer(this.overlay.dataLayer(node).index);
	}

	/** The kernel's number for the real file of a node with the attributes at `stat`; 0 where this program must move the bytes. */
	private acquire(node: NodeId, stat: Offset): number {
		const { overlay } = this;
		const layer = overlay.dataLayer(node).index;
		// What lies behind the file's end is not shown.
		if (overlay.metacopies.isCut(node)) return 0;
		if (!this.agreed.passthrough || this.refused || this.unfit.has(layer)) return 0;
		// Who has a lower file open is to see what is written to its copy, and locks are to hold between the two.
		const mayBeCopied = overlay.work !== undefined && !this.hasUpperData(node);
		if (mayBeCopied && (!this.parts || sizeOf(stat) < SMALLEST_LOWER)) return 0;
		const fd = overlay.files.readOnly(node);
		bytes.fill(0, MAP, MAP + fuseBackingMap.sizeof);
		words[(MAP + fuseBackingMap.fd) >>> 2] = fd;
		const backing = control(this.notifications.fd, FUSE_DEV_IOC_BACKING_OPEN, MAP, fuseBackingMap.sizeof);
		if (backing > 0) {
			if (!this.succeeded) this.openings?.learn(field.isHad);
			this.succeeded = true;
			return backing;
		}
		if (backing === -ELOOP) {
			this.unfit.add(layer);
			if (layer === 0) this.openings?.learn(field.isUnfit);
		} else if (!this.succeeded && REFUSALS.includes(backing)) {
			this.refused = true;
			this.openings?.learn(field.isRefused);
		}
		return 0;
	}
}

function nodeOf({ id }: OpenedFile): NodeId {
	return (id % 2 ** 32) as NodeId;
}
