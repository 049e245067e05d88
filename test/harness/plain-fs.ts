/** A disk for upper and work that lacks what some file systems lack, and on which a crash can be had at any change. */

import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { compiled, run } from "./compile.ts";

/** What it is to lack: see plain-fs.c. */
export type Lack =
	| "rename-flags"
	| "trusted"
	| "user"
	| "security"
	| "acl"
	| "xattrs"
	| "types"
	| "link"
	| "whiteouts";

export class PlainDisk {
	readonly #lacks: readonly Lack[];
	#budget = "";

	constructor(lacks: readonly Lack[]) {
		this.#lacks = lacks;
	}

	/** As layers.ts takes it. Unmounting ends its daemon. */
	readonly mount = (path: string): void => {
		const content = `${path}.content`;
		this.#budget = `${path}.budget`;
		mkdirSync(content);
		this.allow(-1);
		// Nothing is kept by the kernel, least of all link counts, which are of names here.
		const options = "allow_other,attr_timeout=0,entry_timeout=0";
		const program = compiled("plain-fs.c", "-D_FILE_OFFSET_BITS=64", "-I/usr/include/fuse3", "-lfuse3");
		run(program, content, this.#budget, this.#lacks.join() || "none", "-s", "-o", options, path);
	};

	/** As many further changes are made, the rest fail; any number if negative. */
	allow(changes: number): void {
		const bytes = Buffer.alloc(4);
		bytes.writeInt32LE(changes);
		writeFileSync(this.#budget, bytes, { flag: existsSync(this.#budget) ? "r+" : "w" });
	}

	/** How many are left. */
	get left(): number {
		return readFileSync(this.#budget).readInt32LE();
	}
}
