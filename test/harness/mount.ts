/**
 * Mounts as a user would: the program is run, goes to the background and answers; then it is unmounted, and
 * its daemon must leave.
 */

import { randomUUID } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { detachMountsUnder, findMount } from "./mount-table.ts";
import { mount as mountSystemCall, umount } from "./native.ts";
import { isKernel, program as programUnderTest } from "./program.ts";
import { overlayAttributes, setting } from "./setting.ts";
import { watchdog } from "./watchdog-client.ts";

/** Names the daemon in /proc/PID/environ, whatever it calls itself. */
const markerVariable = "FUSE_OVERLAYFS_TEST_RUN";
/** Longer than anything healthy on a busy machine; short enough for a test to fail by itself. */
const patienceMs = 15_000;

export interface ProgramResult {
	/** null: it was still running when patience ended, and was killed. */
	readonly exitCode: number | null;
	readonly stdout: string;
	readonly stderr: string;
	/** Identifies the daemon it may have left, for {@link daemonsOf}. */
	readonly run: string;
}

export interface RunOptions {
	readonly program?: string;
	readonly cwd?: string;
	readonly environment?: Readonly<Record<string, string>>;
	/** Run as this user and group. */
	readonly user?: number;
	/** Its hard limit on open files. Default: that of the tests. */
	readonly openFiles?: number;
	/** The processors it may use, as taskset(1) lists them. Default: those of the tests. */
	readonly processors?: string;
	/** Descriptors it finds open as 3, 4 and so on. */
	readonly inherit?: readonly number[];
}

/** Starts the program without waiting for it. */
export function startProgram(args: readonly string[], options: RunOptions = {}) {
	const run = randomUUID();
	const command = [options.program ?? programUnderTest, ...args];
	const id = String(options.user);
	const asUser =
		options.user === undefined ? [] : ["setpriv", `--reuid=${id}`, `--regid=${id}`, "--clear-groups", "--"];
	const limit = options.openFiles === undefined ? [] : ["prlimit", `--nofile=${options.openFiles}`, "--"];
	const placed = options.processors === undefined ? [] : ["taskset", "--cpu-list", options.processors];
	const child = Bun.spawn([...asUser, ...limit, ...placed, ...command], {
		cwd: options.cwd ?? "/",
		env: { ...process.env, ...options.environment, [markerVariable]: run },
		stdio: ["ignore", "pipe", "pipe", ...(options.inherit ?? [])],
	});
	return { child, run };
}

/** Runs the program until it exits and, as callers such as podman do, reads its output to the end. */
export async function runProgram(args: readonly string[], options: RunOptions = {}): Promise<ProgramResult> {
	const { child, run } = startProgram(args, options);
	const impatience = setTimeout(() => {
		for (const pid of daemonsOf(run)) process.kill(pid, "SIGKILL");
	}, patienceMs);
	try {
		const [stdout, stderr] = await Promise.all([
			new Response(child.stdout).text(),
			new Response(child.stderr).text(),
		]);
		await child.exited;
		return { exitCode: child.exitCode, stdout, stderr, run };
	} finally {
		clearTimeout(impatience);
	}
}

async function runUmount(path: string): Promise<ProgramResult> {
	const result = await runProgram([path], { program: "umount" });
	// An ordinary user's umount(8) of util-linux 2.36 does not take away a mount whose daemon was killed.
	const isRefused = setting === "fusermount" && result.stderr.includes("Transport endpoint is not connected");
	return isRefused ? runProgram(["-u", path], { program: "fusermount3" }) : result;
}

/** The living processes that a run of the program left, the program itself included. */
export function daemonsOf(run: string): number[] {
	return readdirSync("/proc")
		.filter((name) => /^\d+$/.test(name))
		.filter((pid) => {
			try {
				const environment = readFileSync(`/proc/${pid}/environ`, "latin1");
				return environment.includes(`${markerVariable}=${run}`) && isRunning(Number(pid));
			} catch {
				return false; // It has left meanwhile.
			}
		})
		.map(Number);
}

/** What a process calls itself; empty if it is gone. */
function commandOf(pid: number): string {
	try {
		return readFileSync(`/proc/${pid}/comm`, "latin1").trim();
	} catch {
		return "";
	}
}

function isServing(pid: number): boolean {
	return commandOf(pid) === "fuse-overlayfs";
}

/** False only once the process has let go of all it had open. */
function isRunning(pid: number): boolean {
	try {
		// The first thread may be one already while others still end.
		const isZombie = /^State:\tZ/m.test(readFileSync(`/proc/${pid}/status`, "latin1"));
		return !isZombie || readdirSync(`/proc/${pid}/task`).length > 1;
	} catch {
		return false;
	}
}

/** Resolves when `condition` holds; rejects with `complaint` when patience ends before. */
export async function until(condition: () => boolean, complaint: string | (() => string)): Promise<void> {
	for (const end = Date.now() + patienceMs; !condition(); await Bun.sleep(2)) {
		if (Date.now() > end) throw new Error(typeof complaint === "string" ? complaint : complaint());
	}
}

/** What each thread of a process waits for, a line each: for complaints about one that does not end. */
function threadsOf(pid: number): string {
	const read = (path: string) => readFileSync(path, "latin1").trim();
	return readdirSync(`/proc/${pid}/task`)
		.map((thread) => {
			const directory = `/proc/${pid}/task/${thread}`;
			return `${read(`${directory}/comm`)}: ${read(`${directory}/wchan`)}, ${read(`${directory}/syscall`)}`;
		})
		.join("\n");
}

export interface MountRequest extends RunOptions {
	/** Topmost first. */
	readonly lower: readonly string[];
	/** Layers that are searched for data alone. */
	readonly dataOnly?: readonly string[];
	readonly upper?: string | undefined;
	readonly work?: string | undefined;
	readonly mountpoint: string;
	/** Each becomes an `-o` of its own. */
	readonly options?: readonly string[];
	/** The mount serves several tests: the end of one does not release it. Default: false. */
	readonly isShared?: boolean;
}

type LayerRequest = Pick<MountRequest, "lower" | "dataOnly" | "upper" | "work">;

export function layerOptions({ lower, dataOnly = [], upper, work }: LayerRequest): string {
	const parts = [`lowerdir=${[lower.join(":"), ...dataOnly].join("::")}`];
	if (upper !== undefined) parts.push(`upperdir=${upper}`);
	if (work !== undefined) parts.push(`workdir=${work}`);
	return parts.join(",");
}

function programArguments(request: MountRequest): string[] {
	const options = [layerOptions(request), ...(request.options ?? [])];
	return [...options.flatMap((option) => ["-o", option]), request.mountpoint];
}

/** Mounts that are to be released when a test ends in any way. */
const openMounts = new Set<OverlayMount>();
/** Why mounts could not be unmounted at the end of a scope; reported after the test. */
const failedDisposals: unknown[] = [];

export class OverlayMount implements AsyncDisposable {
	readonly path: string;
	#request: MountRequest;
	/** What the program wrote while it started. */
	stderr = "";
	#run = "";
	/** Set from the first unmount on: a test that timed out may unmount at the same time as its clean-up. */
	#leaving: Promise<void> | undefined;
	readonly #log: string;

	constructor(request: MountRequest) {
		this.#request = request;
		this.path = request.mountpoint;
		this.#log = join(dirname(request.mountpoint), `${basename(request.mountpoint)}.log`);
	}

	/** A path in the mount: `names` are text; for other names see {@link bytes}. */
	at(...names: string[]): string {
		return join(this.path, ...names);
	}

	/** A path in the mount whose last name is no text, one char code a byte. */
	bytes(latin1: string): Buffer {
		return Buffer.concat([Buffer.from(`${this.path}/`), Buffer.from(latin1, "latin1")]);
	}

	get isShared(): boolean {
		return this.#request.isShared ?? false;
	}

	get daemons(): number[] {
		return this.#run === "" ? [] : daemonsOf(this.#run);
	}

	/** Those of them that serve the mount, or are about to: not who waits for their end. */
	get serving(): number[] {
		return this.daemons.filter(isServing);
	}

	/**
	 * With `failover=on`: resolves, with the pid of who serves, once somebody waits for its end. Seen in one look: who is to
	 * wait is called what it comes from until it runs its own program.
	 */
	async settled(): Promise<number> {
		let serving: number[] = [];
		await until(() => {
			const { daemons } = this;
			serving = daemons.filter(isServing);
			return serving.length === 1 && daemons.length === 2;
		}, "no daemon, or nobody who waits for its end");
		return serving[0]!;
	}

	/** Ends the daemon as a crash does. */
	killDaemon(): void {
		for (const pid of this.serving) process.kill(pid, "SIGKILL");
	}

	/** What the daemon logged up to now. */
	get log(): string {
		return existsSync(this.#log) ? readFileSync(this.#log, "latin1") : "";
	}

	async start(): Promise<void> {
		this.#leaving = undefined;
		if (isKernel && this.#request.program === undefined) {
			mountKernelOverlay(this.#request);
			openMounts.add(this);
			return;
		}
		const environment = { FUSE_OVERLAYFS_DEBUG_LOG: this.#log, ...this.#request.environment };
		const result = await runProgram(programArguments(this.#request), { ...this.#request, environment });
		this.#run = result.run;
		this.stderr = result.stderr;
		const mounted = findMount(this.path);
		if (result.exitCode !== 0 || mounted === undefined || !mounted.type.startsWith("fuse")) {
			await this.#leave();
			throw new Error(`mounting failed with exit code ${result.exitCode}: ${result.stderr}`);
		}
		openMounts.add(this);
		watchdog.tell("mount", this.path, mounted.minor);
	}

	/** Unmounts and expects the daemon to leave by itself. */
	unmount(): Promise<void> {
		this.#leaving ??= this.#unmount();
		return this.#leaving;
	}

	async #unmount(): Promise<void> {
		const { daemons } = this;
		const { exitCode, stderr } = await runUmount(this.path);
		try {
			if (exitCode !== 0) throw new Error(`umount: ${stderr}`);
			await until(
				() => !daemons.some(isRunning) && this.daemons.length === 0,
				() =>
					`the daemon stays after the unmount; its threads:\n${this.daemons.map(threadsOf).join("\n")}\nits log:\n${this.log}`,
			);
		} finally {
			await this.#leave();
		}
	}

	/** Unmounts and mounts again: all that is seen afterwards comes from the layers. */
	async remount(changes: Partial<MountRequest> = {}): Promise<void> {
		await this.unmount();
		this.#request = { ...this.#request, ...changes };
		await this.start();
	}

	/** For a test that has unmounted by itself. */
	forget(): Promise<void> {
		return this.#leave();
	}

	/** Whatever has gone wrong: no mount and no daemon remain. */
	async #leave(): Promise<void> {
		detachMountsUnder(this.path);
		const endAll = () => {
			const { daemons } = this;
			for (const pid of daemons) process.kill(pid, "SIGKILL");
			return daemons.length === 0;
		};
		await until(endAll, "the daemon survives SIGKILL");
		openMounts.delete(this);
		watchdog.tell("unmounted", this.path);
	}

	/** Does not throw: that would hide what the test itself complains of. */
	async [Symbol.asyncDispose](): Promise<void> {
		try {
			if (openMounts.has(this)) await this.unmount();
		} catch (error) {
			failedDisposals.push(error);
		}
	}
}

export async function mountOverlay(request: MountRequest): Promise<OverlayMount> {
	const mount = new OverlayMount(request);
	await mount.start();
	return mount;
}

/** After each test: unmounts what a timed-out test left, and tells what went wrong with its clean-up. */
export async function releaseOpenMounts(): Promise<void> {
	for (const mount of openMounts) if (!mount.isShared) await mount[Symbol.asyncDispose]();
	const [failure] = failedDisposals.splice(0);
	if (failure !== undefined) throw failure;
}

/** Kernel overlayfs on the same layers, for comparing. Never a mountpoint that is in use. */
export function mountKernelOverlay(
	request: MountRequest,
	...options: readonly string[]
): Disposable & { readonly path: string } {
	mkdirSync(request.mountpoint, { recursive: true });
	// In a user namespace the kernel reads the attributes that users may set.
	const readUsers = overlayAttributes === "user" ? ["userxattr"] : [];
	const all = [...readUsers, ...options, layerOptions(request)].join();
	mountSystemCall("overlay", request.mountpoint, "overlay", 0, all);
	return {
		path: request.mountpoint,
		[Symbol.dispose]() {
			umount(request.mountpoint);
		},
	};
}
