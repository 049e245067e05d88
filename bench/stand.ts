/** One fresh mount for one workload: upper layer, mount, daemon, and the end of all three. */

import { join } from "node:path";
import { detachMountsUnder, findMount } from "../test/harness/mount-table.ts";
import type { Client, ClientCommand, Timing } from "./client.ts";
import { daemonsOf, endProcesses, haveLeft, MARKER_VARIABLE, type Memory, memoryOf } from "./daemon.ts";
import { mountCommand, type Peer } from "./peers.ts";
import { removeTree, type Scratch } from "./scratch.ts";

/** For an unmount, which writes out what waits to be written. */
const PATIENCE_MS = 60_000;
/** A daemon that takes less than a millisecond of processor time in this time has nothing to do. */
const QUIET_MS = 1000;

export class Stand implements AsyncDisposable {
	readonly merged: string;
	/** What mounting took, until the first stat was answered, with the processor time of all stages of the program. */
	readonly ready: Timing;
	private readonly client: Client;
	private readonly daemons: readonly number[];
	private readonly directory: string;

	private constructor(
		client: Client,
		directory: string,
		merged: string,
		ready: Timing,
		daemons: readonly number[],
	) {
		this.client = client;
		this.directory = directory;
		this.merged = merged;
		this.ready = ready;
		this.daemons = daemons;
	}

	/** Mounts the `layers` first layers of `tree` by `peer`. Throws StepFailed. */
	static async open(
		scratch: Scratch,
		client: Client,
		peer: Peer,
		tree: string,
		layers: number,
	): Promise<Stand> {
		const directory = scratch.directory("stand");
		const merged = scratch.directory("stand", "merged");
		const upper = scratch.directory("stand", "upper");
		const work = scratch.directory("stand", "work");
		// Relative, as container engines have it: 40 absolute paths may exceed what the kernel takes.
		const lower = Array.from({ length: layers }, (_, index) => index).join(":");
		const options = `lowerdir=${lower},upperdir=${upper},workdir=${work}`;
		try {
			const command = mountCommand(peer, options, merged);
			const ready = await client.run(["ready", join(merged, "."), ...command], {
				cwd: tree,
				watched: "all",
				environment: { [MARKER_VARIABLE]: scratch.path },
			});
			if (findMount(merged) === undefined) throw new Error(`${peer.name} did not mount`);
			return new Stand(client, directory, merged, ready, daemonsOf(scratch.path));
		} catch (error) {
			await endProcesses(daemonsOf(scratch.path));
			detachMountsUnder(directory);
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
		const unmounting = Bun.spawn(["umount", this.merged], { stdio: ["ignore", "ignore", "ignore"] });
		const exitCode = await unmounting.exited;
		clearTimeout(impatience);
		// A daemon that does not leave would take processor time from those measured after it.
		if (exitCode !== 0 || !(await haveLeft(this.daemons))) await this.kill();
		detachMountsUnder(this.directory);
		await removeTree(this.directory);
	}
}
