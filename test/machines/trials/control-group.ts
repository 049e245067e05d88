/** Control groups (version 2): limits of memory and processes for what is started in them. */

import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { mount } from "../../harness/native.ts";

const root = "/sys/fs/cgroup";

/** Files of the group and what is written to them, such as `memory.max`. */
export type Limits = Readonly<Record<string, string | number>>;

export class ControlGroup implements Disposable {
	readonly #path: string;

	constructor(name: string, limits: Limits) {
		if (!existsSync(join(root, "cgroup.subtree_control"))) mount("none", root, "cgroup2", 0, "");
		writeFileSync(join(root, "cgroup.subtree_control"), "+memory +pids");
		this.#path = join(root, name);
		mkdirSync(this.#path);
		this.limit(limits);
	}

	limit(limits: Limits): void {
		for (const [name, value] of Object.entries(limits)) writeFileSync(join(this.#path, name), String(value));
	}

	/** What a file of the group says. */
	read(name: string): string {
		return readFileSync(join(this.#path, name), "utf8").trim();
	}

	/** What a file of lines `KEY NUMBER` says of a key. */
	count(name: string, key: string): number {
		return Number(new RegExp(`^${key} (\\d+)$`, "m").exec(this.read(name))?.[1]);
	}

	/** Makes the file `path`, a program that runs another one in the group. */
	wrap(program: string, path: string): string {
		const script = `#!/bin/sh\necho 0 >${this.#path}/cgroup.procs && exec ${program} "$@"\n`;
		writeFileSync(path, script, { mode: 0o755 });
		return path;
	}

	/** Nothing may run in it any more. */
	[Symbol.dispose](): void {
		rmdirSync(this.#path);
	}
}
