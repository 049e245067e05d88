/** The processes that do the steps: two of root, one each of two users with different groups. */

import { closeSync, openSync, readSync, writeSync } from "node:fs";
import { join } from "node:path";
import { type TemporaryTree, temporaryTree } from "../harness/layers.ts";
import { mknod } from "../harness/native.ts";
import { type ReachableProject, reachableProject } from "../harness/reachable.ts";
import type { Step } from "./operation.ts";

interface Identity {
	readonly name: string;
	readonly uid: number;
	readonly gid: number;
	readonly groups: readonly number[];
}

export const identities: readonly Identity[] = [
	{ name: "root", uid: 0, gid: 0, groups: [0] },
	{ name: "root, another process", uid: 0, gid: 0, groups: [0] },
	{ name: "user 1000", uid: 1000, gid: 1000, groups: [50] },
	{ name: "user 1001", uid: 1001, gid: 50, groups: [1001] },
];

export type Message =
	| { readonly roots: readonly string[]; readonly passesThrough: boolean }
	| { readonly step: Step };

/** What came of a step on one side. */
export type Outcome = { readonly answer: unknown } | { readonly error: string };

/** One process and the two pipes to it. Talking to it blocks: a step is done when its answer is there. */
class Actor {
	readonly #child;
	readonly #requests: number;
	readonly #replies: number;
	readonly #chunk = Buffer.alloc(65536);

	constructor({ uid, gid, groups }: Identity, tree: TemporaryTree, project: string, index: number) {
		const [inward, outward] = ["in", "out"].map((name) => {
			const path = tree.join(`${name}${index}`);
			mknod(path, 0o010600);
			// Open for both first, so that neither end waits for the other.
			const both = openSync(path, "r+");
			const ends = { read: openSync(path, "r"), write: openSync(path, "w") };
			closeSync(both);
			return ends;
		});
		const identity = [`--reuid=${uid}`, `--regid=${gid}`, `--groups=${groups.join(",")}`];
		const bun = join(project, "node_modules/bun/bin/bun.exe");
		this.#child = Bun.spawn(["setpriv", ...identity, "--", bun, join(project, "test/fuzz/agent.ts")], {
			cwd: "/",
			stdio: [inward!.read, outward!.write, "inherit"],
		});
		closeSync(inward!.read);
		closeSync(outward!.write);
		this.#requests = inward!.write;
		this.#replies = outward!.read;
	}

	ask(message: Message): unknown {
		writeSync(this.#requests, `${JSON.stringify(message)}\n`);
		let answer = "";
		while (!answer.endsWith("\n")) {
			const length = readSync(this.#replies, this.#chunk, 0, this.#chunk.length, null);
			if (length === 0) throw new Error(`the actor died during ${JSON.stringify(message)}`);
			answer += this.#chunk.toString("utf8", 0, length);
		}
		return JSON.parse(answer);
	}

	async stop(): Promise<void> {
		closeSync(this.#requests);
		await this.#child.exited;
		closeSync(this.#replies);
	}
}

export class Actors implements AsyncDisposable {
	readonly #tree = temporaryTree();
	readonly #project: ReachableProject = reachableProject();
	readonly #actors = identities.map((one, index) => new Actor(one, this.#tree, this.#project.path, index));

	/** What each side's tree is from now on; all that was held open is let go. */
	enter(roots: readonly string[], passesThrough: boolean): void {
		for (const actor of this.#actors) actor.ask({ roots, passesThrough });
	}

	/** The outcome on each side. */
	perform(step: Step): readonly Outcome[] {
		const actor = this.#actors[step.actor];
		if (actor === undefined) throw new Error(`no actor ${step.actor}`);
		return actor.ask({ step }) as readonly Outcome[];
	}

	async [Symbol.asyncDispose](): Promise<void> {
		for (const actor of this.#actors) await actor.stop();
		this.#project[Symbol.dispose]();
		this.#tree[Symbol.dispose]();
	}
}
