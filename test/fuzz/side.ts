/** One of the trees that a step is done on, as one actor sees it: its root, and what the actor holds open in it. */

import { closeSync, constants, readFileSync, writeSync } from "node:fs";
import { type Mapping, SystemCallError } from "../harness/native.ts";

const EBADF = 9;
/** O_ACCMODE of open(2). */
const accessModes = 3;

export class Side {
	root = "";
	/** O_TMPFILE is there on all sides: it needs a newer libfuse than the oldest one supported. */
	hasNameless = false;
	/** ACLs are heeded on all sides. */
	hasAcls = true;
	#lastSign = Date.now();
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

	isWritable(fd: number): boolean {
		const flags = /^flags:\s*(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, "latin1"))?.[1] ?? "0";
		return (Number.parseInt(flags, 8) & accessModes) !== constants.O_RDONLY;
	}

	/** To be called often where a step takes long: who waits for its answer gets a blank now and then. */
	showLife(): void {
		if (Date.now() - this.#lastSign < 1000) return;
		this.#lastSign = Date.now();
		writeSync(1, " ");
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
