/** Jobs of the overlay that end when a test says so, and what then waits. */

import { type Jobs, perform, type Task } from "../../../src/overlay/jobs/job.ts";
import { Deferred } from "../../../src/overlay/nodes/deferred.ts";
import type { NodeId } from "../../../src/overlay/nodes/node.ts";

/** Jobs that are done when the test says so. */
export class LateJobs implements Jobs {
	hasOthers = false;
	hasRoom = true;
	shareSyncs = true;
	readonly steps: (() => boolean)[] = [];
	readonly tasks: { readonly task: Task; readonly done: (result: number) => void }[] = [];

	run(task: Task, done: (result: number) => void): void {
		this.tasks.push({ task, done });
	}

	inSteps(step: () => boolean): void {
		this.steps.push(step);
	}

	/** Does all steps; returns their number. */
	advance(): number {
		let count = 0;
		for (let step = this.steps.shift(); step !== undefined; step = this.steps.shift()) {
			do count++;
			while (!step());
		}
		return count;
	}

	/** Does the oldest, or has it fail with a negative errno. */
	finish(failure = 0): void {
		const { task, done } = this.tasks.shift()!;
		done(failure === 0 ? perform(task) : failure);
	}
}

/** The node that `action` must wait for; undefined: it is done. */
export function waitsFor(action: () => unknown): NodeId | undefined {
	try {
		action();
	} catch (error) {
		if (error instanceof Deferred) return error.node;
		throw error;
	}
	return undefined;
}
