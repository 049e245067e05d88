/** How a mount outlives its daemon: what the next one is told, and who starts it. */

import type { Agreement } from "./fuse/handshake.ts";
import { IDLE_AFTER } from "./fuse/idleness.ts";
import { Mountpoint } from "./fuse/mountpoint.ts";
import { REQUEST } from "./fuse/request.ts";
import { Session } from "./fuse/session.ts";
import { sessionArgument, sessionOptions } from "./fuse/session-options.ts";
import { Survival } from "./fuse/survival.ts";
import { endOwn, endStarter, Keeper } from "./keeper.ts";
import type { Log } from "./log.ts";
import { assemble, type Mounted, mounted, type Outliving } from "./mount.ts";
import { F_SETFD, FD_CLOEXEC, LOCK_EX, LOCK_NB, O_RDWR } from "./native/layout.ts";
import { check, describeErrno, Errno } from "./native/libc/errno.ts";
import { type Fd, lock, NO_FD, reopen } from "./native/libc/file.ts";
import { descriptorControl, execute, type Start } from "./native/libc/process.ts";
import type { ByteString, MountOptions } from "./options.ts";
import { takeOver } from "./overlay/changes/take-over.ts";
import { Layer } from "./overlay/layers/layer.ts";
import { devicesOf9p, type OpenedLayers } from "./overlay/layers/open-layers.ts";
import { tryOut } from "./overlay/marks/abilities.ts";
import { seeds, useSeeds } from "./overlay/nodes/name.ts";
import { StateUnusable } from "./overlay/nodes/shared-columns.ts";
import { State } from "./overlay/nodes/state.ts";
import { field, LAYOUT } from "./overlay/nodes/state-layout.ts";
import type { Overlay } from "./overlay/overlay.ts";

/** The layout of what one daemon leaves to the next. */
export const layout = LAYOUT;

/** How another daemon is started that goes on with the mount. */
export interface Restart {
	/** By a keeper, which passes on these descriptors; the first is that of the state. */
	keep(kept: readonly Fd[]): Start;
	/** In this process's place. */
	replace(memory: Fd): Start;
	/** Whether the program that is at its path now goes on with what this one leaves. */
	isFit(): boolean;
}

interface KeptLayer {
	readonly fd: Fd;
	readonly isolated: boolean;
}

/** What was settled when the mount was made. */
interface Facts {
	readonly connection: Fd;
	/** `MAJOR:MINOR` of the mount, if it was made by us. */
	readonly device: string | undefined;
	readonly layers: readonly KeptLayer[];
	readonly dataOnly: readonly KeptLayer[];
	/** The user's work directory, `work` in it, and its path. */
	readonly work: { readonly directory: Fd; readonly fd: Fd; readonly path: ByteString } | undefined;
	readonly agreed: Agreement;
	/** The message with which the kernel began, in hexadecimal digits. */
	readonly init: string;
	/** What the order of listings depends on. */
	readonly seeds: [number, number];
}

/** Has a mount that is to be made outlive this process; undefined, and a word in the log, where that cannot be. */
export function outlive(options: MountOptions, log: Log, restart: Restart): Outliving | undefined {
	const survival = prepareSurvival(options, log);
	if (survival === undefined) return undefined;
	return {
		survival,
		begin(session, device, { overlay, dispatcher }, init) {
			if (overlay.work?.isShared) {
				log.warn("failover=on is without effect: another mount uses the workdir");
				return;
			}
			const facts = factsOf(session.connection, device, overlay, dispatcher.agreed, init);
			beginSuccession(session, survival, facts, restart, log);
		},
	};
}

function prepareSurvival({ index }: MountOptions, log: Log): Survival | undefined {
	const without = (reason: string) => {
		log.warn(`failover=on is without effect: ${reason}`);
		return undefined;
	};
	if (index === "on") return without("the counts of names that index=on keeps would be lost");
	try {
		const state = State.create(REQUEST);
		claimState(state.fd);
		return new Survival(state);
	} catch (error) {
		// Without /proc it cannot be seen to that there is one daemon at a time.
		if (error instanceof Errno) return without(`it cannot be locked: ${describeErrno(error.code)}`);
		if (!(error instanceof StateUnusable)) throw error;
		return without(error.message);
	}
}

function factsOf(
	connection: Fd,
	device: string | undefined,
	{ layers, dataOnly, work }: Overlay,
	agreed: Agreement,
	init: Uint8Array,
): Facts {
	const kept = ({ root, isolated }: Layer) => ({ fd: root, isolated });
	return {
		connection,
		device,
		layers: layers.map(kept),
		dataOnly: dataOnly.map(kept),
		work: work === undefined ? undefined : { directory: work.directory, fd: work.fd, path: work.path },
		agreed,
		init: Buffer.from(init).toString("hex"),
		seeds: seeds(),
	};
}

/** The layers as a predecessor has opened them. */
function inheritedLayers(options: MountOptions, facts: Facts): OpenedLayers {
	const { lowerDirectories, dataDirectories, upperDirectory } = options;
	const merged = upperDirectory === undefined ? lowerDirectories : [upperDirectory, ...lowerDirectories];
	const paths = [...merged, ...dataDirectories];
	if (facts.layers.length !== merged.length || facts.dataOnly.length !== dataDirectories.length)
		throw new StateUnusable("it is of a mount with other layers");
	const on9p = devicesOf9p();
	const all = [...facts.layers, ...facts.dataOnly].map(
		({ fd, isolated }, index) => new Layer(index, paths[index]!, fd, isolated, on9p),
	);
	const { work } = facts;
	return {
		layers: all.slice(0, merged.length),
		dataOnly: all.slice(merged.length),
		work: work === undefined ? undefined : { fd: work.directory, path: work.path },
	};
}

/** Has the mount of a session that answers, or is about to go on, outlive this process. */
function beginSuccession(
	session: Session,
	{ state }: Survival,
	facts: Facts,
	restart: Restart,
	log: Log,
	endFormer: () => void = () => {},
): void {
	const warn = (message: string) => log.warn(message);
	try {
		state.facts = facts;
	} catch (error) {
		if (!(error instanceof StateUnusable)) throw error;
		warn(`failover=on is without effect: ${error.message}`);
		return;
	}
	const start = restart.replace(state.fd);
	const kept = descriptorsOf(facts, state.fd);
	const keeper = new Keeper(
		restart.keep(kept),
		kept,
		({ fd, pid }) => {
			state.set(field.pipe, fd);
			state.set(field.keeper, pid);
		},
		warn,
	);
	if (!facts.agreed.resends)
		warn(
			"this kernel sends nothing a second time (Linux 6.9): the mount ends with this process, but can be replaced",
		);
	session.succeedBy({
		get fd() {
			return keeper.fd;
		},
		renew() {
			if (facts.agreed.resends) keeper.renew();
		},
		end() {
			keeper.end();
		},
		replace() {
			if (!restart.isFit()) {
				warn(`${start.program} cannot go on with this mount: it stays with this program`);
				return;
			}
			if (keeper.fd === NO_FD) state.set(field.keeper, 0);
			const passed = keeper.fd === NO_FD ? kept : [...kept, keeper.fd];
			for (const fd of passed) descriptorControl(fd, F_SETFD, 0);
			const failed = execute(start.program, start.args, start.environment);
			for (const fd of passed) descriptorControl(fd, F_SETFD, FD_CLOEXEC);
			warn(`cannot start ${start.program}: ${describeErrno(-failed)}: the mount stays with this program`);
		},
	});
	endFormer();
}

/** What a successor must have open, under the same numbers. */
function descriptorsOf({ connection, layers, dataOnly, work }: Facts, memory: Fd): Fd[] {
	const ofWork = work === undefined ? [] : [work.directory, work.fd];
	return [memory, connection, ...layers.map(({ fd }) => fd), ...dataOnly.map(({ fd }) => fd), ...ofWork];
}

/** How often, and in what steps in milliseconds, the end of another is waited for. */
const TRIES = 100;
const STEP = 20;

/**
 * Makes this process the one that has the state in `memory`, until it ends. False where another one lives that has it, and goes
 * on living.
 */
function claimState(memory: Fd): boolean {
	// A lock is of what was opened, and the one that is inherited has the predecessor's.
	const own = check(reopen(memory, O_RDWR));
	for (let tries = 0; tries < TRIES; tries++) {
		if (lock(own, LOCK_EX | LOCK_NB) === 0) return true;
		Bun.sleepSync(STEP);
	}
	return false;
}

/** What a predecessor has left. */
interface Left {
	/** The memory with its state. */
	readonly memory: Fd;
	/** It was this very process, as another program. */
	readonly isReplacement: boolean;
}

/** Goes on with the mount of a daemon that has ended, or was this process. Throws StateUnusable and what that may. */
export function resume(
	options: MountOptions,
	log: Log,
	{ memory, isReplacement }: Left,
	restart: Restart,
	idleAfter = IDLE_AFTER,
): Mounted {
	if (!claimState(memory)) throw new StateUnusable("another daemon has it");
	const state = State.takeOver(memory, REQUEST);
	state.redo();
	const facts = state.facts as Facts;
	const survival = new Survival(state);
	if (isReplacement) survival.forgive();
	if (!survival.takeOver())
		throw new StateUnusable("daemons have ended one after the other, and none has answered a request");
	const successions = state.get(field.successions) + 1;
	state.set(field.successions, successions);
	useSeeds(facts.seeds);
	const parts = assemble(options, log, survival, inheritedLayers(options, facts));
	const { overlay, dispatcher } = parts;
	state.columns.keepHeld();
	overlay.nodes.restore();
	const { work } = overlay;
	if (work !== undefined && facts.work !== undefined) {
		work.takeOver(facts.work.fd, successions);
		tryOut(work, overlay.layers[0]!.root);
	}
	takeOver(overlay, survival.journal, (message) => log.error(message));
	Object.assign(dispatcher.agreed, facts.agreed);
	const mountpoint = new Mountpoint(`/dev/fd/${facts.connection}` as ByteString, facts.device);
	const argument = sessionArgument(sessionOptions(options, { context: false }));
	const session = new Session(parts, argument, mountpoint, idleAfter);
	session.mount();
	session.resume(Buffer.from(facts.init, "hex"));
	log.warn(
		isReplacement
			? "another program goes on with the mount"
			: "the daemon has ended: another goes on with the mount",
	);
	const [pipe, keeper] = [state.get(field.pipe) as Fd, state.get(field.keeper)];
	const endFormer = () => {
		if (!isReplacement) endStarter();
		else if (keeper !== 0) endOwn(pipe, keeper);
	};
	return mounted(session, () => beginSuccession(session, survival, facts, restart, log, endFormer));
}
