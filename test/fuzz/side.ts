/** One of the trees that a step is done on, as one actor sees it: its root, and what the actor holds open in it. */

import { closeSync, constants, fchmodSync, fstatSync, readFileSync } from "node:fs";
import { type Mapping, SystemCallError } from "../harness/native.ts";

const EBADF = 9;
/** O_ACCMODE of open(2). */
const accessModes = 3;
const setIdBits = 0o6000;
const modeBits = 0o7777;

export class Side {
	root = "";
	/** One side is a mount with passthrough: what it cannot do is left out on all. */
	passesThrough = false;
	readonly #open = new Map<number, number>();
	readonly mappings = new Map<number, Mapping>();

	/** `a/b` below the root; `@3/a` below the directory that slot 3 holds open. */
	at(path: string): string {
		const held = /^@(\d+)(.*)$/.exec(path);
		return held === null ? `${this.root}/${path}` : `/proc/self/fd/${this.fd(Number(held[1]))}${held[2]}`;
	}

	fd(slot: number): number {
		const fd = this.#open.get(slot);
		if (fd === undefined) throw new SystemCallError("slot", EBADF);
		return fd;
	}

	/** To be called before something is written: passthrough takes set-id bits away from root's files, too. */
	prepareWrite(fd: number): void {
		if (!this.passesThrough || process.getuid?.() !== 0) return;
		// What is open for reading only cannot be written to, and kernel overlayfs not change it once it is removed.
		const flags = /^flags:\s*(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, "latin1"))?.[1] ?? "0";
		if ((Number.parseInt(flags, 8) & accessModes) === constants.O_RDONLY) return;
		const { mode } = fstatSync(fd);
		if ((mode & setIdBits) !== 0) fchmodSync(fd, mode & modeBits & ~setIdBits);
	}

	hold(slot: number, fd: number): void {
		this.release(slot);
		this.#open.set(slot, fd);
	}

	unmap(slot: number): void {
		this.mappings.get(slot)?.[Symbol.dispose]();
		this.mappings.delete(slot);
	}

	release(slot: number): void {
		this.unmap(slot);
		const fd = this.#open.get(slot);
		this.#open.delete(slot);
		if (fd !== undefined) closeSync(fd);
	}

	releaseAll(): void {
		for (const slot of [...this.#open.keys()]) this.release(slot);
	}
}
