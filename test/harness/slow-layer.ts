/** Layers that take their time, as those on other machines do. */

import { mkdirSync } from "node:fs";
import { compiled, run } from "./compile.ts";

export interface Delay {
	/** Milliseconds after which each request is answered, or from how many to how many: "0-3". */
	readonly milliseconds: string;
	/** Seconds that the kernel may keep names and attributes. */
	readonly timeout: number;
}

/** Mounts what passes `directory` through on `target`, which is made; its daemon ends with it. */
export function slowLayer(directory: string, target: string, { milliseconds, timeout }: Delay): string {
	const program = compiled("../../bench/slow-layer.c", "-pthread");
	mkdirSync(target, { recursive: true });
	run(program, directory, target, milliseconds, String(timeout));
	return target;
}
