/**
 * Where a request enters: one function for each operation. It takes the message apart, calls the overlay, and answers
 * once; whatever the overlay throws is answered here and nowhere else.
 */

import type { Log } from "../log.ts";
import {
	EACCES,
	EIO,
	EROFS,
	fuseBatchForgetIn,
	fuseForgetIn,
	fuseForgetOne,
	fuseInHeader,
} from "../native/layout.ts";
import { describeErrno, Errno, errnoName, isFault } from "../native/libc/errno.ts";
import { beginRun, discard, endRun, Pending, type Replay, whenEnded } from "../native/libc/replay.ts";
import type { FuseRequest, Libfuse } from "../native/libfuse/library.ts";
import type { Handler, Operation } from "../native/libfuse/operations.ts";
import { bytes, getNumber } from "../native/memory.ts";
import { Deferred } from "../overlay/nodes/deferred.ts";
import { NO_NODE, type NodeId } from "../overlay/nodes/node.ts";
import { field } from "../overlay/nodes/state-layout.ts";
import type { Overlay } from "../overlay/overlay.ts";
import type { Context, DispatchOptions } from "./context.ts";
import { dataOperations } from "./data-operations.ts";
import { describeNode, describeRequest } from "./describe.ts";
import type { Agreement } from "./handshake.ts";
import { Interrupts, type Waiting } from "./interrupts.ts";
import { namespaceOperations } from "./namespace-operations.ts";
import { Notifications } from "./notify.ts";
import { openOperations } from "./open-operations.ts";
import { Passthrough } from "./passthrough.ts";
import { Replies } from "./reply.ts";
import {
	argument32,
	argument64,
	argumentAt,
	beginMessage,
	copyMessage,
	endForget,
	kernelId,
	nodeOfId,
	REQUEST,
} from "./request.ts";
import type { Survival } from "./survival.ts";

/** A fault may hit every request: how long one of a kind is not told again, in nanoseconds. */
const SILENCE = 1e9;
/** Operations that are asked for also where nobody uses the mount: by the kernel, and by who watches over disks. */
const UNUSING: readonly string[] = ["forget", "forgetMulti", "statfs"] satisfies Operation[];

export class Dispatcher {
	readonly handlers: ReadonlyMap<Operation, Handler>;
	/** Requests handled, for statistics. */
	handled = 0;
	/** Of these, the {@link UNUSING}. */
	unusing = 0;
	readonly notifications: Notifications;
	readonly interrupts = new Interrupts();
	/** To be replaced by what INIT settles. */
	readonly agreed: Agreement = {
		writeback: false,
		passthrough: false,
		acl: false,
		resends: false,
		extendedSetxattr: false,
		prunes: false,
	};
	private readonly context: Context;
	private readonly survival: Survival | undefined;
	private readonly waiting = new Map<NodeId, Waiting[]>();
	/** Requests that wait until there may be a further job. */
	private readonly roomless: Waiting[] = [];
	/** Requests that may go on, oldest first. */
	private readonly ready: Waiting[] = [];
	/** Of the request that goes on. */
	private replay: Replay | undefined;
	/** By errno, when it was told last. */
	private readonly told = new Map<number, number>();

	/** @param survival undefined: nobody goes on after this process */
	constructor(libfuse: Libfuse, overlay: Overlay, options: DispatchOptions, log: Log, survival?: Survival) {
		this.survival = survival;
		const replies = new Replies(libfuse, overlay, options.timeout, survival?.state);
		this.notifications = new Notifications(overlay.jobs);
		const resume: Context["resume"] = (name, node, request, rest) =>
			this.goOn(() => describeNode(overlay, name, node), request, rest);
		const { agreed, notifications } = this;
		const passthrough = new Passthrough(
			overlay,
			agreed,
			notifications,
			options.partsReaders,
			survival?.openings,
		);
		this.context = { overlay, replies, options, agreed, passthrough, notifications, resume, log };
		const operations = {
			...namespaceOperations(this.context),
			...openOperations(this.context),
			...dataOperations(this.context),
		};
		const handlers = new Map<Operation, Handler>();
		for (const [name, operation] of Object.entries(operations)) {
			handlers.set(name as Operation, this.guarded(name, operation));
		}
		handlers.set(
			"forget",
			this.guarded("forget", () => this.forget()),
		);
		handlers.set(
			"forgetMulti",
			this.guarded("forgetMulti", () => this.forgetMany()),
		);
		handlers.set("destroy", () => {});
		this.handlers = handlers;
		overlay.mayBeOpen = (node) => passthrough.mayBeOpen(node);
		overlay.onIdle = (node) => this.wake(node);
		// Who has started a job is the first to wait for it.
		overlay.isAwaited = (node) => this.waiting.get(node)?.[0]?.isOver !== true;
		overlay.refusals.onRefused = (message) => log.warn(message);
		overlay.metacopies.onBlocks = (node) => notifications.invalidateAttributes(kernelId(overlay, node));
		overlay.onParted = (node, directory) => {
			this.notifications.invalidateAttributes(kernelId(overlay, node));
			// The kernel keeps listings of directories, with inode numbers.
			this.notifications.flushPages(kernelId(overlay, directory), 0, () => {});
		};
	}

	private guarded(name: string, operation: () => void): Handler {
		const describe = () => describeRequest(this.context.overlay, name);
		const isUnusing = UNUSING.includes(name);
		return (request) => {
			this.handled++;
			if (isUnusing) this.unusing++;
			this.run(describe, request, operation);
		};
	}

	/** Goes on with a request that was taken out of its message. */
	private goOn(describe: () => string, request: FuseRequest, rest: () => void): void {
		this.run(describe, request, rest, () => this.goOn(describe, request, rest));
	}

	/**
	 * Sees to it that a request is answered once, whatever happens in its operation.
	 * @param again how it is run again, if not by its message
	 */
	private run(describe: () => string, request: FuseRequest, operation: () => void, again?: () => void): void {
		const { replies, log } = this.context;
		replies.begin(request);
		beginRun(this.replay);
		this.replay = undefined;
		let waitsFor: Deferred | Pending | undefined;
		try {
			operation();
			if (!replies.isAnswered) throw new Error("the operation gave no answer");
			log.debug?.(`${describe()}: answered`);
		} catch (error) {
			if (error instanceof Deferred || error instanceof Pending) waitsFor = error;
			else this.answerFailure(describe, error);
		}
		const replay = endRun(waitsFor === undefined);
		if (waitsFor !== undefined) this.defer(waitsFor, replay, again);
	}

	private answerFailure(describe: () => string, error: unknown): void {
		const { replies, log } = this.context;
		try {
			if (error instanceof Errno) {
				this.tell(describe, error.code);
				if (!replies.isAnswered) replies.error(error.code);
				return;
			}
			log.error(`${describe()}: ${error instanceof Error ? error.stack : String(error)}`);
		} catch (nested) {
			log.error(String(nested));
		}
		if (!replies.isAnswered) replies.error(EIO);
	}

	private tell(describe: () => string, code: number): void {
		const { log } = this.context;
		const isWorthIt = this.isWorthTelling(code);
		if (log.debug === undefined && !isWorthIt) return;
		const message = `${describe()}: ${errnoName(code)}`;
		if (isWorthIt) log.warn(`${message}: ${describeErrno(code)}`);
		else log.debug?.(message);
	}

	/** Whether an errno speaks of the layers' state or of this process's, not of what the caller asked. */
	private isWorthTelling(code: number): boolean {
		const isRefusal = code === EACCES || (code === EROFS && this.context.overlay.work !== undefined);
		if (!isRefusal && !isFault(code)) return false;
		const now = Bun.nanoseconds();
		if (now - (this.told.get(code) ?? Number.NEGATIVE_INFINITY) < SILENCE) return false;
		this.told.set(code, now);
		return true;
	}

	/** Keeps the request until what it waits for has ended. Nothing has been changed by it yet. */
	private defer(waitsFor: Deferred | Pending, replay: Replay | undefined, again?: () => void): void {
		const waiting: Waiting = { request: again ?? copyMessage(), replay, isOver: false };
		// What goes on without its message is not of one that can be told to end.
		if (again === undefined) this.interrupts.add(waiting);
		if (waitsFor instanceof Pending) {
			whenEnded(() => this.ready.push(waiting));
		} else if (waitsFor.node === NO_NODE) {
			this.roomless.push(waiting);
		} else {
			const queue = this.waiting.get(waitsFor.node);
			if (queue === undefined) this.waiting.set(waitsFor.node, [waiting]);
			else queue.push(waiting);
		}
		// Frees libfuse's side of the request; the kernel waits on.
		if (again === undefined) this.context.replies.none();
		else this.context.replies.takeRequest();
	}

	/** Goes on with what a predecessor has left: which files are open. */
	restore(): void {
		this.context.passthrough.restore();
	}

	/** Whether the request in its place is to be handled: one that a predecessor had in hand may not be. */
	admit(): boolean {
		const { survival } = this;
		return !survival?.isCatchingUp || this.admitTo(survival);
	}

	private admitTo(survival: Survival): boolean {
		const { overlay, passthrough, log } = this.context;
		const undo = (referred: readonly number[], opened: number) => {
			for (const node of referred) overlay.nodes.forget(node as NodeId, 1);
			passthrough.undo(opened);
		};
		return survival.admit(undo, (message) => log.error(message));
	}

	/** Whether requests wait for something. */
	get isWaiting(): boolean {
		const { waiting, roomless, ready, interrupts } = this;
		return waiting.size > 0 || roomless.length > 0 || ready.length > 0 || interrupts.count > 0;
	}

	private wake(node: NodeId): void {
		const queue = this.waiting.get(node);
		if (queue === undefined) return;
		this.waiting.delete(node);
		this.ready.push(...queue);
	}

	/** Whether a request may go on. */
	get isReady(): boolean {
		return this.ready.length > 0 || (this.roomless.length > 0 && this.context.overlay.jobs.hasRoom);
	}

	private nextReady(): Waiting | undefined {
		if (this.ready.length > 0) return this.ready.shift();
		return this.isReady ? this.roomless.shift() : undefined;
	}

	/** Puts the oldest message that may go on back in the place of a request; returns its size, 0 if there is none. */
	takeReady(): number {
		const { failures, listings } = this.context.overlay;
		for (let next = this.nextReady(); next !== undefined; next = this.nextReady()) {
			const { request, replay } = next;
			this.interrupts.delete(next);
			if (next.isOver) {
				discard(replay);
				continue;
			}
			this.replay = replay;
			if (typeof request === "function") {
				request();
				continue;
			}
			bytes.set(request, REQUEST);
			beginMessage(request.length);
			return request.length;
		}
		// Who waited for what has failed was told so, or has been killed: nobody else is to be.
		if (failures.size > 0) failures.clear();
		if (listings.failures.size > 0) listings.failures.clear();
		return 0;
	}

	private forget(): void {
		const { replies } = this.context;
		// First: a failure is nobody's answer either.
		replies.none();
		const count = Number(argument64(fuseForgetIn.nlookup));
		if (!this.isForgotten(0)) this.forgetNode(nodeOfId(REQUEST + fuseInHeader.nodeid), count, 0);
		this.endForget();
	}

	private forgetMany(): void {
		const { replies } = this.context;
		replies.none();
		const count = argument32(fuseBatchForgetIn.count);
		const first = argumentAt(fuseBatchForgetIn.sizeof, count * fuseForgetOne.sizeof);
		for (let index = 0; index < count; index++) {
			const at = first + index * fuseForgetOne.sizeof;
			if (this.isForgotten(index)) continue;
			this.forgetNode(nodeOfId(at + fuseForgetOne.nodeid), getNumber(at + fuseForgetOne.nlookup), index);
		}
		this.endForget();
	}

	/** Whether a predecessor has done this part of the message. */
	private isForgotten(index: number): boolean {
		return this.survival !== undefined && index < this.survival.state.get(field.forgotten);
	}

	private forgetNode(node: NodeId, count: number, index: number): void {
		const { nodes } = this.context.overlay;
		const state = this.survival?.state;
		if (state === undefined || !nodes.has(node)) {
			nodes.forget(node, count);
			return;
		}
		state.beginForgetting(node, Math.max(0, nodes.lookupCount(node) - count), index);
		nodes.forget(node, count);
	}

	private endForget(): void {
		if (this.survival === undefined) return;
		endForget();
		this.survival.state.set(field.forgotten, 0);
	}
}
