/**
 * Who goes on after the daemon: a shell of a few lines, started once the mount has answered, that holds all that a successor needs
 * (the connection to the kernel, the layers, the state) and waits for the end of a pipe that only the daemon holds. If that comes
 * without a word it starts the program again, some times if that ends before it serves. A daemon whose keeper has ended starts
 * another, and so does a successor, which then ends the one that has started it.
 */

import { SIGKILL } from "./native/layout.ts";
import { readText } from "./native/libc/by-path.ts";
import { describeErrno, Errno } from "./native/libc/errno.ts";
import { close, type Fd, NO_FD, write } from "./native/libc/file.ts";
import { openPipe, reap, type Start, spawnDetached } from "./native/libc/process.ts";
import { kill } from "./native/libc/signals.ts";
import { lengthOf, store } from "./native/memory.ts";
import type { ByteString } from "./options.ts";

const SHELL = "/bin/sh" as ByteString;
/** A word on its standard input says that the daemon has ended as it should, and the end without one that it has not. */
const SCRIPT =
	'read -r word && exit 0; n=0; while n=$((n + 1)); [ $n -le 5 ]; do "$@" && exit 0; done' as ByteString;
const WORD = store("end\n" as ByteString);

export class Keeper {
	/** poll(2) tells an error of it once the keeper has ended. */
	fd: Fd = NO_FD;
	pid = 0;
	private readonly successor: Start;
	private readonly kept: readonly Fd[];
	private readonly onStart: (keeper: Keeper) => void;
	private readonly warn: (message: string) => void;

	/**
	 * @param successor the program that is to go on
	 * @param kept the descriptors it needs
	 * @param onStart told of each keeper started
	 */
	constructor(
		successor: Start,
		kept: readonly Fd[],
		onStart: (keeper: Keeper) => void,
		warn: (message: string) => void,
	) {
		this.successor = successor;
		this.kept = kept;
		this.onStart = onStart;
		this.warn = warn;
	}

	/** Starts a keeper; where that fails, says so: then nobody goes on. */
	start(): void {
		const { program, args, environment } = this.successor;
		const shell = {
			program: SHELL,
			args: ["sh", "-c", SCRIPT, "sh", program, ...args.slice(1)] as ByteString[],
			environment,
		};
		const [reading, writing] = openPipe(false);
		try {
			this.pid = spawnDetached(shell, this.kept, reading);
			this.fd = writing;
			this.onStart(this);
		} catch (error) {
			if (!(error instanceof Errno)) throw error;
			close(writing);
			this.warn(
				`cannot start ${SHELL}: ${describeErrno(error.code)}: if this process ends, so does the mount`,
			);
		} finally {
			close(reading);
		}
	}

	/** The keeper has ended: starts another. */
	renew(): void {
		this.letGo();
		this.start();
	}

	/** Ends the keeper: nobody is to go on. */
	end(): void {
		if (this.fd === NO_FD) return;
		tellEnd(this.fd);
		this.letGo();
	}

	private letGo(): void {
		close(this.fd);
		this.fd = NO_FD;
		reap(this.pid);
	}
}

function tellEnd(pipe: Fd): void {
	// One that has ended need not be told.
	write(pipe, WORD, lengthOf(WORD));
}

/** Ends the keeper that this very process had as another program, by its pipe. */
export function endOwn(pipe: Fd, pid: number): void {
	tellEnd(pipe);
	close(pipe);
	reap(pid);
}

/** Ends the keeper that has started this process, which need not be the last one of the predecessor. */
export function endStarter(): void {
	const { ppid } = process;
	if (isKeeper(ppid)) kill(ppid, SIGKILL);
}

/** Who has become the parent of a process whose own has ended is somebody else. */
function isKeeper(pid: number): boolean {
	try {
		return readText(`/proc/${pid}/cmdline`).includes(SCRIPT);
	} catch (error) {
		if (!(error instanceof Errno)) throw error;
		return false;
	}
}
