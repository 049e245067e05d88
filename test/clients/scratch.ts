/**
 * A private folder for a test that lets other programs mount things, and the promise that nothing of it stays:
 * children have a deadline, and a mount whose daemon no longer answers is cut off rather than waited for.
 */
import {
	existsSync,
	mkdirSync,
	mkdtempSync,
	readdirSync,
	readlinkSync,
	realpathSync,
	rmdirSync,
	rmSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { until } from "../harness/mount.ts";
import { detachMountsUnder, type MountedPath, mountTable } from "../harness/mount-table.ts";
import { watchdog } from "../harness/watchdog-client.ts";

export interface Result {
	/** undefined when a signal ended it. */
	code: number | undefined;
	stdout: string;
	stderr: string;
}

export interface RunOptions {
	cwd?: string;
	env?: Record<string, string | undefined>;
	input?: Uint8Array | string;
	/** Milliseconds until the child counts as stuck; 60,000 when left out. */
	timeout?: number;
}

/**
 * Why a test that needs these tools cannot run, or undefined when it can.
 * @param tools command name to the Debian package that holds it
 */
export function missingTools(tools: Record<string, string>): string | undefined {
	const packages = Object.entries(tools).flatMap(([tool, name]) => (Bun.which(tool) ? [] : [name]));
	return packages.length === 0 ? undefined : `skipped, needs: apt-get install ${packages.join(" ")}`;
}

/** What is mounted at or below a folder, in the order it was mounted. */
export function mountsBelow(dir: string): MountedPath[] {
	return mountTable().filter(({ path }) => path === dir || path.startsWith(`${dir}/`));
}

/** Processes that hold a file or folder below `dir` open: a daemon does as long as it lives. */
export function holdersOf(dir: string): number[] {
	const holders: number[] = [];
	for (const entry of readdirSync("/proc")) {
		const pid = Number(entry);
		if (!Number.isInteger(pid) || pid === process.pid) continue;
		if (openPaths(pid).some((path) => path === dir || path.startsWith(`${dir}/`))) holders.push(pid);
	}
	return holders;
}

function openPaths(pid: number): string[] {
	try {
		return readdirSync(`/proc/${pid}/fd`).map((fd) => readlinkOr(`/proc/${pid}/fd/${fd}`));
	} catch {
		return []; // it has left meanwhile
	}
}

function readlinkOr(path: string): string {
	try {
		return readlinkSync(path);
	} catch {
		return "";
	}
}

/** Ends a process, or with a negative number its group, if it still lives. */
function kill(pid: number): void {
	try {
		process.kill(pid, "SIGKILL");
	} catch {
		// it has left meanwhile
	}
}

export class Scratch implements AsyncDisposable {
	readonly dir: string;
	/** FUSE mounts that the watchdog knows of: it cuts them off when this process itself hangs on one. */
	readonly #watched = new Set<string>();

	/** @param parent where the folder is made; the system's temporary folder when left out */
	constructor(parent: string = tmpdir()) {
		mkdirSync(parent, { recursive: true });
		this.dir = realpathSync(mkdtempSync(join(parent, "fuse-overlayfs-test-")));
		watchdog.tell("tree", this.dir);
	}

	path(...names: string[]): string {
		return join(this.dir, ...names);
	}

	/** Makes folders below this one and returns the path of the first. */
	mkdir(...names: string[]): string {
		for (const name of names) mkdirSync(this.path(name), { recursive: true });
		return this.path(names[0]!);
	}

	/** Writes files below this folder, and the folders they need. */
	async write(files: Record<string, string>): Promise<void> {
		for (const [name, content] of Object.entries(files)) {
			mkdirSync(dirname(this.path(name)), { recursive: true });
			await Bun.write(this.path(name), content);
		}
	}

	/**
	 * Runs a program to its end. A child past its deadline loses this folder's mounts, then its life; and what it
	 * leaves in the background must have let go of its output, as the callers of a mount program demand.
	 */
	async run(
		argv: string[],
		{ cwd = this.dir, env, input, timeout = 60_000 }: RunOptions = {},
	): Promise<Result> {
		const child = Bun.spawn(argv, {
			cwd,
			env: { ...process.env, ...env },
			stdin: input === undefined ? "ignore" : Buffer.from(input),
			stdout: "pipe",
			stderr: "pipe",
			detached: true, // a process group of its own, so that its children can be ended with it
		});
		const output = Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
		let late = false;
		// A child that waits for an answer from a silent daemon cannot be killed before the connection is cut.
		const timer = setTimeout(async () => {
			late = true;
			await this.#cutConnections();
			kill(-child.pid);
		}, timeout);
		await child.exited;
		clearTimeout(timer);
		this.#tellWatchdog();
		const texts = await Promise.race([output, Bun.sleep(5_000)]);
		const command = argv.join(" ");
		if (texts === undefined) throw new Error(`${command}: ended, but something still holds its output`);
		const [stdout, stderr] = texts;
		if (late) throw new Error(`${command}: no end after ${timeout} ms\n${stdout}\n${stderr}`);
		return { code: child.exitCode ?? undefined, stdout, stderr };
	}

	/** Like `run`, but anything other than exit code 0 throws with all the child said. Returns its stdout. */
	async must(argv: string[], options: RunOptions = {}): Promise<string> {
		const { code, stdout, stderr } = await this.run(argv, options);
		if (code !== 0) throw new Error(`${argv.join(" ")}: exit code ${code}\n${stdout}\n${stderr}`);
		return stdout;
	}

	/** Unmounts, and waits until the daemon has let go of the layers. */
	async unmount(target: string): Promise<void> {
		await this.must(["umount", target]);
		await until(() => holdersOf(this.dir).length === 0, "the daemon stays after the unmount");
	}

	#tellWatchdog(): void {
		const mounts = mountsBelow(this.dir).filter(({ type }) => type.startsWith("fuse"));
		for (const path of this.#watched) {
			if (mounts.some((mounted) => mounted.path === path)) continue;
			watchdog.tell("unmounted", path);
			this.#watched.delete(path);
		}
		for (const { path, minor } of mounts) {
			if (!this.#watched.has(path)) watchdog.tell("mount", path, minor);
			this.#watched.add(path);
		}
	}

	/** Ends every FUSE connection below this folder: whoever waits for an answer gets ENOTCONN. */
	async #cutConnections(): Promise<void> {
		const stuck = mountsBelow(this.dir).filter(({ type }) => type.startsWith("fuse"));
		if (stuck.length === 0) return;
		const control = mkdtempSync(join(tmpdir(), "fuse-control-"));
		try {
			await Bun.$`mount -t fusectl none ${control}`.quiet().nothrow();
			for (const { minor } of stuck) {
				const abort = join(control, `${minor}/abort`);
				if (existsSync(abort)) writeFileSync(abort, "1");
			}
		} finally {
			await Bun.$`umount --lazy ${control}`.quiet().nothrow();
			rmdirSync(control);
		}
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.#cutConnections();
		detachMountsUnder(this.dir);
		this.#tellWatchdog();
		await until(() => holdersOf(this.dir).length === 0, "daemons stay").catch(() => {
			for (const pid of holdersOf(this.dir)) kill(pid);
		});
		// Never delete through a mount that would not go.
		if (mountsBelow(this.dir).length > 0) throw new Error(`still mounted below ${this.dir}`);
		rmSync(this.dir, { recursive: true, force: true });
		watchdog.tell("tree-gone", this.dir);
	}
}
