/** The C program that does the clients' work: compiled when a benchmark starts, then run once per step. */

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Placement } from "./placement.ts";
import type { Session } from "./user.ts";

/** A command of client.c with its arguments. */
export type ClientCommand = readonly string[];

export interface Timing {
	/** Wall-clock time, in milliseconds. */
	readonly elapsed: number;
	/** Processor time of the watched processes during the command, user and system together, in milliseconds. */
	readonly processor: number;
	/** The same since the processes were started. */
	readonly processorTotal: number;
	/** Of the single answers that the command timed, if it did. */
	readonly latency?: Latency;
}

/** Of many answers: what half of them took at most, what 99 in 100 took at most, and the longest; in milliseconds. */
export interface Latency {
	readonly p50: number;
	readonly p99: number;
	readonly max: number;
}

/** A step that did not work; the message is what the program wrote. */
export class StepFailed extends Error {
	override readonly name = "StepFailed";
}

/** Runs a program until it ends; throws StepFailed with what it wrote, or the signal's reason. Returns its stdout. */
export async function runStep(
	command: readonly string[],
	log: string,
	signal: AbortSignal,
	options: { readonly cwd?: string; readonly environment?: Readonly<Record<string, string>> } = {},
): Promise<string> {
	signal.throwIfAborted();
	writeFileSync(log, "");
	// stderr is a file: a daemon that keeps it open must not be waited for.
	const child = Bun.spawn([...command], {
		cwd: options.cwd ?? "/",
		env: { ...process.env, ...options.environment },
		stdio: ["ignore", "pipe", Bun.file(log)],
		signal,
		killSignal: "SIGKILL",
	});
	const ended = Promise.all([new Response(child.stdout).text(), child.exited]);
	// What waits for a file system that hangs ends only with its daemon: at an abort nothing is waited for.
	const [stdout, exitCode] = await Promise.race([ended, aborted(signal)]);
	signal.throwIfAborted();
	if (exitCode !== 0) {
		const text = readFileSync(log, "utf8").trim();
		throw new StepFailed(text === "" ? `${command[0]} ended with exit code ${exitCode}` : text);
	}
	return stdout;
}

function aborted(signal: AbortSignal): Promise<never> {
	return new Promise((_, reject) => {
		signal.addEventListener("abort", () => reject(signal.reason), { once: true });
	});
}

export class Client {
	readonly program: string;
	private readonly log: string;
	private readonly signal: AbortSignal;
	private readonly placement: Placement;
	private readonly session: Session | undefined;

	private constructor(
		program: string,
		log: string,
		signal: AbortSignal,
		placement: Placement,
		session?: Session,
	) {
		this.program = program;
		this.log = log;
		this.signal = signal;
		this.placement = placement;
		this.session = session;
	}

	/** Compiles it into `directory`. The signal ends its running commands. */
	static async compile(directory: string, signal: AbortSignal): Promise<Client> {
		const program = join(directory, "client");
		const log = join(directory, "client.log");
		const sources = ["client.c", "processes.c", "processor-time.c"].map((name) =>
			join(import.meta.dir, name),
		);
		await runStep(["cc", "-O2", "-o", program, ...sources], log, signal);
		return new Client(program, log, signal, "free");
	}

	/** The same, all of whose commands run where the placement says, and as the session's user. */
	placed(placement: Placement, session?: Session): Client {
		return new Client(this.program, this.log, this.signal, placement, session);
	}

	/**
	 * Runs one command, and says what it took; `watched` are process ids, or all that the command starts, until it ends. Of a
	 * program that mounts these are all its processes until the mount answers, also those that have ended by then. Throws
	 * StepFailed.
	 */
	async run(
		command: ClientCommand,
		options: {
			readonly watched?: readonly number[] | "all";
			readonly cwd?: string;
			readonly environment?: Readonly<Record<string, string>>;
			/** Goes before the client's own program, untimed, in place of what the session has. */
			readonly starter?: readonly string[];
		} = {},
	): Promise<Timing> {
		const { watched = [], starter = this.session?.starter(options.cwd ?? "/") ?? [] } = options;
		const watch = watched === "all" ? ["-a"] : watched.flatMap((pid) => ["-p", String(pid)]);
		const program = [...starter, this.program, "-c", this.placement, ...watch];
		const output = await runStep([...program, ...command], this.log, this.signal, options);
		const [elapsed = 0, processor = 0, processorTotal = 0, p50, p99 = 0, max = 0] = output
			.trim()
			.split(" ")
			.map((nanoseconds) => Number(nanoseconds) / 1e6);
		const timing = { elapsed, processor, processorTotal };
		return p50 === undefined ? timing : { ...timing, latency: { p50, p99, max } };
	}
}
