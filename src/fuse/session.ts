/** A mount's life: libfuse session, the loop that serves requests, signals, and the end. */

import type { Log } from "../log.ts";
import {
	EAGAIN,
	EINTR,
	ENODEV,
	ENOENT,
	F_GETFL,
	F_SETFL,
	fuseInHeader,
	O_NONBLOCK,
	POLLIN,
	pollfd,
	SIGUSR1,
	signalfdSiginfo,
} from "../native/layout.ts";
import { check, Errno, errnoName } from "../native/libc/errno.ts";
import { type Fd, read } from "../native/libc/file.ts";
import { descriptorControl, openSignals, poll, SIGNALS, yieldProcessor } from "../native/libc/process.ts";
import type { FuseSession, Libfuse } from "../native/libfuse/library.ts";
import { operationsTable } from "../native/libfuse/operations.ts";
import { reserve, store, view } from "../native/memory.ts";
import type { ByteString } from "../options.ts";
import type { Overlay } from "../overlay/overlay.ts";
import type { WorkerJobs } from "../overlay/worker-jobs.ts";
import type { Dispatcher } from "./dispatch.ts";
import { answerInit, type Features } from "./handshake.ts";
import { beginMessage, REQUEST, REQUEST_SIZE } from "./request.ts";

/**
 * How long to ask again after the last request before sleeping, in nanoseconds: most requests come right after another,
 * and waking up costs more than that.
 */
const PATIENCE = 50_000;

/** So many requests, less one (a power of two), are served before it is seen which jobs are done. */
const LONGEST_TURN = 15;

const SIGNAL = reserve(signalfdSiginfo.sizeof);
const POLLED = reserve(3 * pollfd.sizeof);

/** A mount that could not be made. */
export class MountFailed extends Error {
	override readonly name = "MountFailed";
}

export class Session {
	private readonly libfuse: Libfuse;
	private readonly session: FuseSession;
	private readonly dispatcher: Dispatcher;
	private readonly overlay: Overlay;
	private readonly jobs: WorkerJobs;
	private readonly log: Log;
	private readonly signals: Fd;
	private fd = -1 as Fd;
	private ended = false;
	private turns = 0;
	/** The kernel has given the mount up: nothing is left to unmount. */
	private gone = false;

	/** Throws MountFailed where libfuse refuses the options. */
	constructor(
		libfuse: Libfuse,
		options: ByteString,
		dispatcher: Dispatcher,
		overlay: Overlay,
		jobs: WorkerJobs,
		log: Log,
	) {
		this.libfuse = libfuse;
		this.dispatcher = dispatcher;
		this.overlay = overlay;
		this.jobs = jobs;
		this.log = log;
		const session = libfuse.newSession(
			options,
			operationsTable(dispatcher.handlers),
			libfuse.operationsSize(),
		);
		if (session === undefined) throw new MountFailed(`libfuse does not accept the options ${options}`);
		this.session = session;
		this.signals = openSignals(SIGNALS);
	}

	/** Mounts; the kernel waits with the first request until {@link begin}. Throws MountFailed. */
	mount(mountpoint: ByteString): void {
		if (!this.libfuse.mount(this.session, store(mountpoint))) throw new MountFailed("cannot mount");
	}

	/** Agrees with the kernel on what it may ask. Throws MountFailed, HandshakeFailed. */
	begin(features: Features): void {
		this.fd = this.libfuse.descriptor(this.session);
		this.dispatcher.notifications.fd = this.fd;
		const flags = check(descriptorControl(this.fd, F_GETFL, 0));
		check(descriptorControl(this.fd, F_SETFL, flags | O_NONBLOCK));
		const size = this.receive();
		// Unmounted before it was used.
		if (size === 0) return;
		if (!answerInit(this.fd, features, this.dispatcher.agreed)) {
			this.gone = true;
			this.ended = true;
			return;
		}
		this.overlay.acl &&= this.dispatcher.agreed.acl;
		this.libfuse.process(this.session, REQUEST, size);
	}

	/** Serves requests until the mount ends or a signal says so. */
	serve(): void {
		while (!this.ended) {
			// However many requests there are, those that wait for a job must not wait for their end.
			if ((++this.turns & LONGEST_TURN) === 0) {
				this.jobs.advance();
				this.collectReady();
			}
			const ready = this.dispatcher.takeReady();
			const size = ready !== 0 ? ready : this.receive();
			if (size === 0) return;
			this.libfuse.process(this.session, REQUEST, size);
			this.overlay.trim();
		}
	}

	/** Unmounts, if the mount is still there, and lets go of everything. */
	close(): void {
		while (this.jobs.count > 0) {
			this.wait(true, -1);
			this.jobs.collect();
		}
		this.jobs.close();
		// A path says nothing of whose mount is there by now: only a live connection is unmounted.
		if (!this.gone) this.libfuse.unmount(this.session);
		for (const layer of this.overlay.layers) layer.close();
		this.overlay.work?.close();
	}

	/** The next message, in the place of a request; returns its size, 0 at the end of the mount. */
	private receive(): number {
		let idleSince = 0;
		for (;;) {
			const size = read(this.fd, REQUEST, REQUEST_SIZE);
			if (size >= fuseInHeader.sizeof) {
				beginMessage(size);
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
			const advanced = this.jobs.advance();
			const now = Bun.nanoseconds();
			if (idleSince === 0) idleSince = now;
			if (!advanced && now - idleSince < PATIENCE) {
				// Whoever wants the processor may be the one to send the next request.
				yieldProcessor();
				if (this.collectReady()) return this.dispatcher.takeReady();
				continue;
			}
			this.wait(false, advanced ? 0 : -1);
			idleSince = 0;
			if (this.ended) return 0;
			const ready = this.dispatcher.takeReady();
			if (ready !== 0) return ready;
		}
	}

	/** Goes on with jobs that are done, without waiting; returns whether a message may go on by that. */
	private collectReady(): boolean {
		if (this.jobs.count === 0) return false;
		this.jobs.collect();
		return this.dispatcher.isReady;
	}

	/** Sleeps, for `longest` milliseconds (-1: ever), until a message, a signal or, alone if `jobsOnly`, the end of a job. */
	private wait(jobsOnly: boolean, longest: number): void {
		this.setPolled(0, this.jobs.results);
		this.setPolled(1, this.signals);
		this.setPolled(2, this.fd);
		const count = poll(POLLED, jobsOnly ? 1 : 3, longest);
		if (count < 0 && count !== -EINTR) throw Errno.of(-count);
		if (this.isReady(0)) this.jobs.collect();
		if (!jobsOnly && this.isReady(1)) this.takeSignal();
	}

	private setPolled(index: number, fd: Fd): void {
		const at = POLLED + index * pollfd.sizeof;
		view.setInt32(at + pollfd.fd, fd, true);
		view.setInt16(at + pollfd.events, POLLIN, true);
		view.setInt16(at + pollfd.revents, 0, true);
	}

	private isReady(index: number): boolean {
		return view.getInt16(POLLED + index * pollfd.sizeof + pollfd.revents, true) !== 0;
	}

	private takeSignal(): void {
		const size = read(this.signals, SIGNAL, signalfdSiginfo.sizeof);
		if (size < 0) {
			if (size !== -EAGAIN) this.log.error(`reading a signal: ${errnoName(-size)}`);
			return;
		}
		if (view.getUint32(SIGNAL + signalfdSiginfo.ssiSigno, true) !== SIGUSR1) {
			this.ended = true;
			return;
		}
		for (const line of this.statistics()) this.log.error(line);
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
