/** The lower layers of a benchmark. */

import { join } from "node:path";
import { type Client, runStep } from "./client.ts";
import type { Scratch } from "./scratch.ts";
import type { Session } from "./user.ts";
import type { Scale, Tree } from "./workloads/workload.ts";

/** The lower layers on disk, the session's user's, each tree built when it is first asked for. */
export class TreeStore {
	private readonly scratch: Scratch;
	private readonly client: Client;
	private readonly scale: Scale;
	private readonly session: Session;
	private readonly signal: AbortSignal;
	/** A tree that could not be built fails each time it is asked for. */
	private readonly built = new Map<Tree, Promise<string>>();

	constructor(scratch: Scratch, client: Client, scale: Scale, session: Session, signal: AbortSignal) {
		this.scratch = scratch;
		this.client = client;
		this.scale = scale;
		this.session = session;
		this.signal = signal;
	}

	/** The tree's directory, the layers in it being 0 (the topmost), 1, ... */
	get(tree: Tree): Promise<string> {
		const found = this.built.get(tree);
		if (found !== undefined) return found;
		const building = this.build(tree);
		this.built.set(tree, building);
		return building;
	}

	private async build(tree: Tree): Promise<string> {
		const directory = this.scratch.directory("trees", tree.name);
		const log = join(this.scratch.path, "build-tree.log");
		for (let layer = 0; layer < tree.layers; layer++)
			this.scratch.directory("trees", tree.name, String(layer));
		await tree.build({
			directory,
			layer: (index) => join(directory, String(index)),
			scale: this.scale,
			client: this.client,
			execute: async (...command) => {
				await runStep(command, log, this.signal, { cwd: directory });
			},
		});
		const giving = this.session.giving(directory);
		if (giving !== undefined) await runStep(giving, log, this.signal);
		return directory;
	}
}
