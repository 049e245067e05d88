/**
 * Other processes, for statements about several callers: what one holds, or does at the same moment, as seen by
 * another. They are started when first needed, serve all statements, and end with the test process.
 */

import { join } from "node:path";
import type { RecordLock } from "../harness/native.ts";

/** What a neighbour can be asked for; neighbour.ts does it. */
export type Request =
	/** Opens the file as writers do, or for reading only, and holds it. */
	| { readonly do: "hold"; readonly path: string; readonly isWriter: boolean }
	/** Locks a range of what it holds; EAGAIN does not wait. */
	| { readonly do: "lock"; readonly kind: RecordLock; readonly start: number; readonly length: number }
	/** flock(2) of what it holds. */
	| { readonly do: "flock"; readonly operation: number }
	/** Closes what it holds. */
	| { readonly do: "release" }
	/** Makes, changes, moves and removes names in the directory, at random. */
	| { readonly do: "contend"; readonly directory: string; readonly seed: number; readonly steps: number }
	/** Tries to be the one who makes each of the numbered names. */
	| { readonly do: "make"; readonly directory: string; readonly count: number }
	/** Replaces the file by renaming new ones over it. */
	| { readonly do: "replace"; readonly path: string; readonly own: string; readonly times: number };

/** The code of the error that ended it; else what `contend` and `make` tell: unexpected errors, and names made. */
export interface Answer {
	readonly code?: string;
	readonly told?: readonly string[];
}

class Neighbour {
	#answered: ((answer: Answer) => void) | undefined;
	readonly #process = Bun.spawn([process.execPath, join(import.meta.dir, "neighbour.ts")], {
		cwd: "/",
		stdio: ["ignore", "inherit", "inherit"],
		ipc: (answer) => this.#answered?.(answer as Answer),
	});

	constructor() {
		this.#process.unref();
	}

	get pid(): number {
		return this.#process.pid;
	}

	ask(request: Request): Promise<Answer> {
		const answer = new Promise<Answer>((resolve, reject) => {
			this.#answered = resolve;
			this.#process.exited.then((status) => reject(new Error(`a neighbour ended with status ${status}`)));
		});
		this.#process.send(request);
		return answer;
	}

	/** As {@link ask}, for what can fail in one way only. */
	async code(request: Request): Promise<string | undefined> {
		return (await this.ask(request)).code;
	}
}

const started: Neighbour[] = [];

export function neighbours(count: number): readonly Neighbour[] {
	while (started.length < count) started.push(new Neighbour());
	return started.slice(0, count);
}

/** One neighbour, who lets go of what it was made to hold when the statement ends. */
export async function withNeighbour(action: (neighbour: Neighbour) => Promise<void>): Promise<void> {
	const [neighbour] = neighbours(1);
	if (neighbour === undefined) return;
	try {
		await action(neighbour);
	} finally {
		await neighbour.ask({ do: "release" });
	}
}
