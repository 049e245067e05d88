/** A mount's life: libfuse session, the loop that serves requests, signals, and the end. */

import { display } from "../display.ts";
import type { Log } from "../log.ts";
import {
	EAGAIN,
	EINTR,
	ENODEV,
	ENOENT,
	F_GETFL,
	F_SETFL,
	FUSE_BATCH_FORGET,
	FUSE_FORGET,
	FUSE_INTERRUPT,
	fuseInHeader,
	O_NONBLOCK,
	O_RDONLY,
	POLLERR,
	POLLIN,
	POLLPRI,
	SIGUSR1,
	SIGUSR2,
	SIGXCPU,
	signalfdSiginfo,
} from "../native/layout.ts";
import { check, Errno, errnoName } from "../native/libc/errno.ts";
import { close, type Fd, NO_FD, openAt, read, WORKING_DIRECTORY } from "../native/libc/file.ts";
import { MOUNT_TABLE } from "../native/libc/mount-table.ts";
import { PollSet } from "../native/libc/poll-set.ts";
import { descriptorControl, yieldProcessor } from "../native/libc/process.ts";
import { mindedSignals, openSignals } from "../native/libc/signals.ts";
import type { FuseSession, Libfuse } from "../native/libfuse/library.ts";
import { operationsTable } from "../native/libfuse/operations.ts";
import { bytes, reserve, store, words } from "../native/memory.ts";
import type { ByteString } from "../options.ts";
import { sooner, type WorkerJobs } from "../overlay/jobs/worker-jobs.ts";
import type { Overlay } from "../overlay/overlay.ts";
import { CallerProcessor } from "./caller-processor.ts";
import type { Dispatcher } from "./dispatch.ts";
import { answerInit, type Features } from "./handshake.ts";
import { Idleness } from "./idleness.ts";
import { MountFailed, type Mountpoint } from "./mountpoint.ts";
import { beginMessage, copyMessage, opcode, REQUEST, REQUEST_SIZE } from "./request.ts";
import type { Succession, Survival } from "./survival.ts";

/**
 * How long to ask again after the last request before sleeping, in nanoseconds: most requests come right after another,
 * and waking up costs more than that.
 */
const PATIENCE = 50_000;

/** So many requests, less one (a power of two), are served before it is seen which jobs are done. */
const LONGEST_TURN = 15;
/** After as many requests the mount is in use, and what serves it is worth to be compiled. */
const FIRST_REQUESTS = 4;

/** In milliseconds. */
const LONGEST_PARTING = 1000;
/** Likewise: who has made the mount uses it at once, and what can be done later is not to be in the way. */
const FIRST_PAUSE = 20;

const SIGNAL = reserve(signalfdSiginfo.sizeof);
const polled = new PollSet(7);
const TABLE = store(MOUNT_TABLE as ByteString);

/** What a session is made of. */
export interface SessionParts {
	readonly libfuse: Libfuse;
	readonly overlay: Overlay;
	readonly dispatcher: Dispatcher;
	readonly jobs: WorkerJobs;
	readonly log: Log;
	/** undefined: nobody goes on after this process. */
	readonly survival: Survival | undefined;
}

export class Session {
	private readonly libfuse: Libfuse;
	private readonly session: FuseSession;
	private readonly dispatcher: Dispatcher;
	private readonly overlay: Overlay;
	private readonly jobs: WorkerJobs;
	private readonly log: Log;
	private readonly signals: Fd;
	private readonly mountpoint: Mountpoint;
	private fd = NO_FD;
	/** Open once the mount is to end: it may have to be uncovered first. */
	private mountTable = NO_FD;
	private ended = false;
	/** Counts requests. The first turn is short: it ends after {@link FIRST_REQUESTS}. */
	private turns = LONGEST_TURN + 1 - FIRST_REQUESTS;
	private readonly callerProcessor = new CallerProcessor();
	private readonly idleness: Idleness;
	/** The kernel has given the mount up: nothing is left to unmount. */
	private gone = false;
	private readonly survival: Survival | undefined;
	private succession: Succession | undefined;
	private whenServing: (() => void) | undefined;
	private isToBeReplaced = false;

	/** @param options libfuse's. @param idleAfter see {@link Idleness}. Throws MountFailed where libfuse refuses the options. */
	constructor(parts: SessionParts, options: ByteString, mountpoint: Mountpoint, idleAfter: number) {
		const { libfuse, dispatcher, overlay, jobs, log, survival } = parts;
		this.survival = survival;
		this.libfuse = libfuse;
		this.mountpoint = mountpoint;
		this.dispatcher = dispatcher;
		this.overlay = overlay;
		this.jobs = jobs;
		this.log = log;
		const table = operationsTable(dispatcher.handlers);
		const session = libfuse.newSession(options, table, libfuse.operationsSize());
		if (session === undefined) throw new MountFailed(`libfuse does not accept the options ${options}`);
		this.session = session;
		this.signals = openSignals(mindedSignals(survival !== undefined));
		jobs.hasRequests = () => this.hasMessage();
		this.idleness = new Idleness(overlay, dispatcher, jobs, idleAfter);
	}

	/** Mounts; the kernel waits with the first request until {@link begin}. Throws MountFailed. */
	mount(): void {
		if (!this.libfuse.mount(this.session, store(this.mountpoint.target)))
			throw new MountFailed("cannot mount");
		this.fd = this.libfuse.descriptor(this.session);
		// A mount that was unmounted has left the table before the kernel gives it up.
		this.mountpoint.find(() => this.hasHungUp(LONGEST_PARTING));
	}

	private connect(): void {
		this.dispatcher.notifications.fd = this.fd;
		this.dispatcher.interrupts.fd = this.fd;
		if (this.survival !== undefined) this.survival.fd = this.fd;
	}

	/**
	 * Agrees with the kernel on what it may ask. Returns the message for a successor to {@link resume} with; undefined where the
	 * mount is gone already. Throws MountFailed, HandshakeFailed.
	 */
	begin(features: Features): Uint8Array | undefined {
		this.connect();
		const flags = check(descriptorControl(this.fd, F_GETFL, 0));
		check(descriptorControl(this.fd, F_SETFL, flags | O_NONBLOCK));
		const size = this.receive();
		// Unmounted before it was used.
		if (size === 0) return undefined;
		if (!answerInit(this.fd, features, this.dispatcher.agreed)) {
			this.gone = true;
			this.ended = true;
			return undefined;
		}
		this.overlay.acl &&= this.dispatcher.agreed.acl;
		this.libfuse.process(this.session, REQUEST, size);
		return copyMessage();
	}

	/** Goes on where a predecessor has ended, with what {@link begin} has returned there. */
	resume(init: Uint8Array): void {
		this.connect();
		const { agreed, notifications } = this.dispatcher;
		const message = reserve(init.length);
		bytes.set(init, message);
		this.overlay.acl &&= agreed.acl;
		// Nobody waits for the answer, and that is no failure.
		this.libfuse.process(this.session, message, init.length);
		this.dispatcher.restore();
		// That is not sent again.
		if (opcode() === FUSE_FORGET || opcode() === FUSE_BATCH_FORGET) {
			const size = words[(REQUEST + fuseInHeader.len) >>> 2]!;
			beginMessage(size);
			this.libfuse.process(this.session, REQUEST, size);
		}
		if (agreed.resends) notifications.resend();
	}

	/** The connection to the kernel. */
	get connection(): Fd {
		return this.fd;
	}

	/** Has somebody go on with the mount once this process has ended. */
	succeedBy(succession: Succession): void {
		this.succession = succession;
		succession.renew();
	}

	/** Serves requests until the mount ends or a signal says so. `whenServing` is called once the first one is answered. */
	serve(whenServing?: () => void): void {
		const { survival } = this;
		this.whenServing = whenServing;
		while (!this.ended) {
			if (this.isToBeReplaced && !this.dispatcher.notifications.areUnderWay) this.replace();
			// However many requests there are, those that wait for a job must not wait for their end.
			if ((++this.turns & LONGEST_TURN) === 0) {
				if (this.turns === LONGEST_TURN + 1) Bun.unsafe.setJITPolicy?.(1);
				this.jobs.advance();
				this.collectReady();
				const now = Bun.nanoseconds();
				this.overlay.files.rest(now);
				this.dispatcher.interrupts.rest(now);
			}
			const ready = this.dispatcher.takeReady();
			const size = ready !== 0 ? ready : this.receive();
			if (size === 0) return;
			this.callerProcessor.note();
			if (survival === undefined || this.dispatcher.admit())
				this.libfuse.process(this.session, REQUEST, size);
			survival?.end();
			this.overlay.trim();
			if (this.whenServing !== undefined) this.tellServing();
		}
	}

	private tellServing(): void {
		const { whenServing } = this;
		this.whenServing = undefined;
		whenServing?.();
	}

	/** Another program takes this one's place, once what has been begun is done. */
	private replace(): void {
		this.isToBeReplaced = false;
		this.tellServing();
		const { dispatcher, jobs } = this;
		this.finishJobs();
		// What waits is sent again, or else must be answered first.
		while (!dispatcher.agreed.resends && dispatcher.isWaiting) {
			for (let size = dispatcher.takeReady(); size !== 0; size = dispatcher.takeReady())
				this.libfuse.process(this.session, REQUEST, size);
			if (jobs.count === 0) break;
			this.finishJobs();
		}
		this.succession?.replace();
	}

	private finishJobs(): void {
		while (this.jobs.count > 0) {
			this.wait(true, -1);
			this.jobs.collect();
		}
	}

	/** Unmounts, if the mount is still there, and lets go of everything. */
	close(): void {
		this.succession?.end();
		this.finishJobs();
		this.jobs.close();
		this.callerProcessor.close();
		// The device number of a file system that is gone may be another's by now.
		const isThere = !this.gone && !this.hasHungUp(0);
		close(this.fd);
		if (isThere) for (const failure of this.mountpoint.unmount()) this.log.error(failure);
		this.overlay.close();
	}

	/** Whether a message waits to be read. */
	private hasMessage(): boolean {
		polled.set(0, this.fd, POLLIN);
		return polled.wait(1, 0) === 1;
	}

	/** Whether the kernel has given the mount up, or does so within so many milliseconds. */
	private hasHungUp(longest: number): boolean {
		// Errors are told without being asked for.
		polled.set(0, this.fd, 0);
		return polled.wait(1, longest) === 1 && (polled.seen(0) & POLLERR) !== 0;
	}

	/** The next message, in the place of a request; returns its size, 0 at the end of the mount. */
	private receive(): number {
		let idleSince = 0;
		for (;;) {
			const size = read(this.fd, REQUEST, REQUEST_SIZE);
			if (size >= fuseInHeader.sizeof) {
				beginMessage(size);
				if (opcode() === FUSE_INTERRUPT) this.dispatcher.interrupts.take();
				return size;
			}
			if (size > 0) {
				this.log.error(`a message of ${size} bytes, too few for any: it is not answered`);
				continue;
			}
			if (size === -ENODEV || size === 0) {
				this.gone = true;
				this.ended = true;
				return 0;
			}
			// ENOENT: the request was interrupted before it could be read.
			if (size === -EINTR || size === -ENOENT) continue;
			if (size !== -EAGAIN) check(size);
			if (this.ended) return 0;
			const advanced = this.jobs.advance();
			const now = Bun.nanoseconds();
			if (idleSince === 0) idleSince = now;
			const isSoon = !this.callerProcessor.isShared && !this.jobs.waitsForDistant;
			if (!advanced && isSoon && now - idleSince < PATIENCE) {
				// Whoever wants the processor may be the one to send the next request.
				yieldProcessor();
				const ready = this.collectReady() ? this.dispatcher.takeReady() : 0;
				if (ready !== 0) return ready;
				continue;
			}
			const isNew = this.whenServing !== undefined;
			this.wait(false, advanced ? 0 : isNew ? FIRST_PAUSE : this.longestRest(now));
			if (isNew && !this.hasMessage()) this.tellServing();
			idleSince = 0;
			if (this.isToBeReplaced && !this.dispatcher.notifications.areUnderWay) this.replace();
			const ready = this.dispatcher.takeReady();
			if (ready !== 0) return ready;
		}
	}

	/** Gives back what has not been used for some time; in how many milliseconds to look again, -1: not before a request. */
	private longestRest(now: number): number {
		const files = this.overlay.files.rest(now);
		const soonest = sooner(sooner(files, this.jobs.rest(now)), this.idleness.rest(now));
		return sooner(soonest, this.dispatcher.interrupts.rest(now));
	}

	/** Goes on with jobs that are done, without waiting; returns whether a message may go on by that. */
	private collectReady(): boolean {
		if (!this.jobs.isActive) return false;
		this.jobs.collect();
		return this.dispatcher.isReady;
	}

	/** Sleeps, for `longest` milliseconds (-1: ever), until a message, a signal or, alone if `jobsOnly`, the end of a job. */
	private wait(jobsOnly: boolean, longest: number): void {
		polled.set(0, this.jobs.results, POLLIN);
		polled.set(1, this.jobs.syncsEnded, POLLIN);
		polled.set(2, this.jobs.callsEnded, POLLIN);
		polled.set(3, this.signals, POLLIN);
		polled.set(4, this.fd, POLLIN);
		polled.set(5, this.mountTable, POLLPRI);
		polled.set(6, this.succession?.fd ?? NO_FD, 0);
		const count = polled.wait(jobsOnly ? 3 : 7, longest);
		if (count < 0 && count !== -EINTR) throw Errno.of(-count);
		const [hasSignal, hasChanged] = [polled.seen(3) !== 0, polled.seen(5) !== 0];
		const hasNobody = polled.seen(6) !== 0;
		if (polled.seen(0) !== 0 || polled.seen(1) !== 0 || polled.seen(2) !== 0) this.jobs.collect();
		if (jobsOnly) return;
		if (hasSignal) this.takeSignal();
		if (hasNobody) this.succession?.renew();
		if (this.mountTable !== NO_FD && hasChanged) this.leave();
	}

	/** Ends the mount as soon as its path leads to it: what is mounted over it is not ours to take away. */
	private leave(): void {
		const isFirst = this.mountTable === NO_FD;
		// poll(2) tells of changes since this was opened: after a look at the table, one in between would be missed.
		if (isFirst) this.mountTable = check(openAt(WORKING_DIRECTORY, TABLE, O_RDONLY));
		const covered = this.mountpoint.coveredPath();
		if (covered === undefined) this.end();
		else if (isFirst)
			this.log.warn(
				`something else is mounted over ${display(covered)}: the mount there ends when that is unmounted, or with another signal`,
			);
	}

	private end(): void {
		this.dispatcher.notifications.end(() => {
			this.ended = true;
		});
	}

	private takeSignal(): void {
		const size = read(this.signals, SIGNAL, signalfdSiginfo.sizeof);
		if (size < 0) {
			if (size !== -EAGAIN) this.log.error(`reading a signal: ${errnoName(-size)}`);
			return;
		}
		const signal = words[(SIGNAL + signalfdSiginfo.ssiSigno) >>> 2]!;
		if (signal === SIGUSR1) {
			for (const line of this.statistics()) this.log.error(line);
			return;
		}
		if (signal === SIGUSR2) {
			this.isToBeReplaced = true;
			return;
		}
		if (signal === SIGXCPU) this.log.error("the limit on processor time (ulimit -t) is reached: unmounting");
		// Whoever asks a second time will not wait.
		if (this.mountTable !== NO_FD) this.end();
		else this.leave();
	}

	/** The lines SIGUSR1 asks for. */
	private statistics(): string[] {
		const { nodes } = this.overlay;
		const memory = process.memoryUsage.rss();
		return [
			`# INODES: ${nodes.count}`,
			`# NODES: ${nodes.count}`,
			`# REQUESTS: ${this.dispatcher.handled}`,
			`# RESIDENT BYTES: ${memory}`,
		];
	}
}
