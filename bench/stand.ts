/** One fresh mount for one workload: upper layer, mount, daemon, and the end of all three. */

import { chownSync } from "node:fs";
import { join } from "node:path";
import { detachMountsUnder } from "../test/harness/mount-table.ts";
import type { Client, ClientCommand, Timing } from "./client.ts";
import { daemonsOf, endProcesses, haveLeft, MARKER_VARIABLE, type Memory, memoryOf } from "./daemon.ts";
import { mountCommand, type Peer } from "./peers.ts";
import { removeTree, type Scratch } from "./scratch.ts";
import { type Session, USER_ID } from "./user.ts";

/** For an unmount, which writes out what waits to be written. */
const PATIENCE_MS = 60_000;
/** A daemon that takes less than a millisecond of processor time in this time has nothing to do. */
const QUIET_MS = 1000;

export class Stand implements AsyncDisposable {
	readonly merged: string;
	/** What mounting took, until the first stat was answered, with the processor time of all stages of the program. */
	readonly ready: Timing;
	private readonly client: Client;
	private readonly session: Session;
	private readonly daemons: readonly number[];
	private readonly directory: string;

	private constructor(
		client: Client,
		session: Session,
		directory: string,
		merged: string,
		ready: Timing,
		daemons: readonly number[],
	) {
		this.client = client;
		this.session = session;
		this.directory = directory;
		this.merged = merged;
		this.ready = ready;
		this.daemons = daemons;
	}

	/** Mounts the `layers` first layers of `tree` by `peer`, as the session's user, who is the client's. Throws StepFailed. */
	static async open(
		scratch: Scratch,
		client: Client,
		session: Session,
		peer: Peer,
		tree: string,
		layers: number,
	): Promise<Stand> {
		const directory = scratch.directory("stand");
		const merged = scratch.directory("stand", "merged");
		const upper = scratch.directory("stand", "upper");
		const work = scratch.directory("stand", "work");
		if (session.user !== "root") for (const path of [merged, upper, work]) chownSync(path, USER_ID, USER_ID);
		// Relative, as container engines have it: 40 absolute paths may exceed what the kernel takes.
		const lower = Array.from({ length: layers }, (_, index) => index).join(":");
		const options = `lowerdir=${lower},upperdir=${upper},workdir=${work}`;
		try {
			const command = mountCommand(peer, options, merged, session.user);
			const ready = await client.run(["ready", join(merged, "."), ...command], {
				cwd: tree,
				watched: "all",
				environment: { [MARKER_VARIABLE]: scratch.path },
			});
			if (session.findMount(merged) === undefined) throw new Error(`${peer.name} did not mount`);
			return new Stand(client, session, directory, merged, ready, daemonsOf(scratch.path));
		} catch (error) {
			await endProcesses(daemonsOf(scratch.path));
			await detach(session, directory, merged);
			await removeTree(directory);
			throw error;
		}
	}

	/** Runs the command with an eye on the daemon. */
	measure(command: ClientCommand): Promise<Timing> {
		return this.client.run(command, { watched: this.daemons });
	}

	/** Of the daemon; undefined without one. */
	memory(): Memory | undefined {
		return this.daemons.length === 0 ? undefined : memoryOf(this.daemons);
	}

	/** Waits until the daemon has nothing left to do. */
	async quiet(): Promise<void> {
		for (let used = -1, before = -2; used - before > 1; await Bun.sleep(QUIET_MS)) {
			before = used;
			used = (await this.measure(["idle"])).processorTotal;
		}
	}

	/** Whatever waits for an answer of the daemon gets an error instead. */
	async kill(): Promise<void> {
		await endProcesses(this.daemons);
	}

	async [Symbol.asyncDispose](): Promise<void> {
		const impatience = setTimeout(() => this.kill(), PATIENCE_MS);
		const isUnmounted = await this.session.unmount(this.merged);
		clearTimeout(impatience);
		// A daemon that does not leave would take processor time from those measured after it.
		if (!isUnmounted || !(await haveLeft(this.daemons))) await this.kill();
		await detach(this.session, this.directory, this.merged);
		await removeTree(this.directory);
	}
}

/** Lazily, what is left mounted; its daemon has ended. */
async function detach(session: Session, directory: string, merged: string): Promise<void> {
	if (session.user === "root") detachMountsUnder(directory);
	else if (session.findMount(merged) !== undefined) await session.unmount(merged, "--lazy");
}
