/** The processes that do the steps: two of root, one each of two users with different groups. */

import { closeSync, openSync, readSync, unlinkSync, writeSync } from "node:fs";
import { join, relative } from "node:path";
import { type TemporaryTree, temporaryTree } from "../harness/layers.ts";
import { mknod } from "../harness/native.ts";
import { program, projectDirectory } from "../harness/program.ts";
import { type ReachableProject, reachableProject } from "../harness/reachable.ts";
import { setting } from "../harness/setting.ts";
import type { Snapshot } from "../harness/snapshot.ts";
import { watchdog } from "../harness/watchdog-client.ts";
import { type Identity, identities } from "./identities.ts";
import type { Step } from "./operation.ts";

/** What the sides of a run can and cannot do: what one of them cannot is left out on all. */
export interface Abilities {
	readonly hasNameless: boolean;
	readonly hasAcls: boolean;
}

export type Message =
	| ({ readonly roots: readonly string[] } & Abilities)
	| { readonly look: string }
	| { readonly step: Step };

/** What came of a step on one side. */
export type Outcome = { readonly answer: unknown } | { readonly error: string };

/** One process and the two pipes to it. Talking to it blocks: a step is done when its answer is there. */
class Actor {
	readonly #identity: Identity;
	readonly #tree: TemporaryTree;
	readonly #project: string;
	#child: Bun.Subprocess | undefined;
	#requests = -1;
	#replies = -1;
	readonly #chunk = Buffer.alloc(65536);

	constructor(identity: Identity, tree: TemporaryTree, project: string) {
		this.#identity = identity;
		this.#tree = tree;
		this.#project = project;
		this.#start();
	}

	#start(): void {
		const [inward, outward] = ["in", "out"].map((name) => {
			const path = this.#tree.join(name);
			mknod(path, 0o010600);
			// Open for both first, so that neither end waits for the other.
			const both = openSync(path, "r+");
			const ends = { read: openSync(path, "r"), write: openSync(path, "w") };
			closeSync(both);
			unlinkSync(path);
			return ends;
		});
		const { uid, gid, groups } = this.#identity;
		const identity = [`--reuid=${uid}`, `--regid=${gid}`, `--groups=${groups.join(",")}`];
		// Where only one id exists, even setting the groups to what they are is refused.
		const become = setting === "one id" ? [] : ["setpriv", ...identity, "--"];
		const bun = join(this.#project, "node_modules/bun/bin/bun.exe");
		this.#child = Bun.spawn([...become, bun, join(this.#project, "test/fuzz/agent.ts")], {
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
			if (length === 0) {
				this.#close();
				this.#start();
				throw new Error(`the actor died during ${JSON.stringify(message)}`);
			}
			watchdog.tell("alive");
			answer += this.#chunk.toString("utf8", 0, length);
		}
		return JSON.parse(answer);
	}

	#close(): void {
		closeSync(this.#requests);
		closeSync(this.#replies);
	}

	async stop(): Promise<void> {
		this.#close();
		await this.#child?.exited;
	}
}

export class Actors implements AsyncDisposable {
	readonly #tree = temporaryTree();
	readonly #project: ReachableProject = reachableProject();
	readonly #actors = identities.map((one) => new Actor(one, this.#tree, this.#project.path));

	/** What each side's tree is from now on; all that was held open is let go. */
	enter(roots: readonly string[], abilities: Abilities): void {
		for (const actor of this.#actors) actor.ask({ roots, ...abilities });
	}

	/** What the first actor sees below `path`. */
	look(path: string): Snapshot {
		return this.#actors[0]!.ask({ look: path }) as Snapshot;
	}

	/** The program where all actors can start it. */
	get program(): string {
		const inProject = relative(projectDirectory, program);
		return inProject.startsWith("..") ? program : join(this.#project.path, inProject);
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
