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
import type { FuseRequest, Libfuse } from "../native/libfuse/library.ts";
import type { Handler, Operation } from "../native/libfuse/operations.ts";
import { bytes, getNumber } from "../native/memory.ts";
import { Deferred } from "../overlay/nodes/deferred.ts";
import type { NodeId } from "../overlay/nodes/node.ts";
import type { Overlay } from "../overlay/overlay.ts";
import type { Context, DispatchOptions } from "./context.ts";
import { dataOperations } from "./data-operations.ts";
import { describeNode, describeRequest } from "./describe.ts";
import type { Agreement } from "./handshake.ts";
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
	kernelId,
	nodeOfId,
	REQUEST,
} from "./request.ts";

/** A fault may hit every request: how long one of a kind is not told again, in nanoseconds. */
const SILENCE = 1e9;

/** A request to be handled again, once the node it waits for is idle. */
type Waiting = Uint8Array;

export class Dispatcher {
	readonly handlers: ReadonlyMap<Operation, Handler>;
	/** Requests handled, for statistics. */
	handled = 0;
	readonly notifications: Notifications;
	/** To be replaced by what INIT settles. */
	readonly agreed: Agreement = {
		writeback: false,
		passthrough: false,
		acl: false,
		extendedSetxattr: false,
	};
	private readonly context: Context;
	private readonly waiting = new Map<NodeId, Waiting[]>();
	/** Messages that may go on, oldest first. */
	private readonly ready: Waiting[] = [];
	/** By errno, when it was told last. */
	private readonly told = new Map<number, number>();

	constructor(libfuse: Libfuse, overlay: Overlay, options: DispatchOptions, log: Log) {
		const replies = new Replies(libfuse, overlay, options.timeout);
		this.notifications = new Notifications(overlay.jobs);
		const resume: Context["resume"] = (name, node, request, rest) =>
			this.run(() => describeNode(overlay, name, node), request, rest);
		const { agreed, notifications } = this;
		const passthrough = new Passthrough(overlay, agreed, notifications, options.partsReaders);
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
		overlay.onIdle = (node) => this.wake(node);
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
		return (request) => {
			this.handled++;
			this.run(describe, request, operation);
		};
	}

	/** Sees to it that a request is answered once, whatever happens in its operation. */
	private run(describe: () => string, request: FuseRequest, operation: () => void): void {
		const { replies, log } = this.context;
		replies.begin(request);
		try {
			operation();
			if (!replies.isAnswered) throw new Error("the operation gave no answer");
			log.debug?.(`${describe()}: answered`);
		} catch (error) {
			this.answerFailure(describe, error);
		}
	}

	private answerFailure(describe: () => string, error: unknown): void {
		const { replies, log } = this.context;
		try {
			if (error instanceof Deferred) {
				this.defer(error.node);
				return;
			}
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

	/** Keeps the message until `node` is idle. Nothing has been changed by it yet. */
	private defer(node: NodeId): void {
		const message = copyMessage();
		const queue = this.waiting.get(node);
		if (queue === undefined) this.waiting.set(node, [message]);
		else queue.push(message);
		// Frees libfuse's side of the request; the kernel waits on.
		this.context.replies.none();
	}

	private wake(node: NodeId): void {
		const queue = this.waiting.get(node);
		if (queue === undefined) return;
		this.waiting.delete(node);
		this.ready.push(...queue);
	}

	/** Whether a message may go on. */
	get isReady(): boolean {
		return this.ready.length > 0;
	}

	/** Puts the oldest message that may go on back in the place of a request; returns its size, 0 if there is none. */
	takeReady(): number {
		const message = this.ready.shift();
		if (message === undefined) return 0;
		bytes.set(message, REQUEST);
		beginMessage(message.length);
		return message.length;
	}

	private forget(): void {
		const { overlay, replies } = this.context;
		// First: a failure is nobody's answer either.
		replies.none();
		overlay.nodes.forget(nodeOfId(REQUEST + fuseInHeader.nodeid), Number(argument64(fuseForgetIn.nlookup)));
	}

	private forgetMany(): void {
		const { overlay, replies } = this.context;
		replies.none();
		const count = argument32(fuseBatchForgetIn.count);
		const first = argumentAt(fuseBatchForgetIn.sizeof, count * fuseForgetOne.sizeof);
		for (let index = 0; index < count; index++) {
			const at = first + index * fuseForgetOne.sizeof;
			overlay.nodes.forget(nodeOfId(at + fuseForgetOne.nodeid), getNumber(at + fuseForgetOne.nlookup));
		}
	}
}
