/** An open file or directory that is closed at the end of the scope: a mount with open files is busy. */

import { closeSync, constants, openSync, readSync } from "node:fs";
import type { BytePath } from "./native.ts";

export class Descriptor implements Disposable {
	readonly fd: number;
	#isOpen = true;

	constructor(fd: number) {
		this.fd = fd;
	}

	/** `length` bytes from `offset` as text; fewer at the end of the file. */
	text(length = 65536, offset = 0): string {
		const bytes = Buffer.alloc(length);
		return bytes.toString("latin1", 0, readSync(this.fd, bytes, 0, length, offset));
	}

	close(): void {
		if (this.#isOpen) closeSync(this.fd);
		this.#isOpen = false;
	}

	[Symbol.dispose](): void {
		this.close();
	}
}

/** `flags` as node:fs takes them: "r", "w+", or O_ constants. */
export function open(path: BytePath, flags: string | number = "r", mode = 0o666): Descriptor {
	return new Descriptor(openSync(path, flags, mode));
}

/** Not among node's constants on every platform. */
export const O_TMPFILE = 0o20000000 | constants.O_DIRECTORY;
export const O_PATH = 0o10000000;
export const O_DIRECT = process.arch === "arm64" ? 0o200000 : 0o40000;
