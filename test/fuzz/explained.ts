/**
 * Differences from kernel overlayfs that are meant, each as narrow as can be and with its reason. Anything else that
 * the fuzzer finds is a defect.
 *
 * Where a difference would make all that follows differ, the operation avoids it; there the reason stands in the
 * operation:
 *
 * - opening a file with several names for writing (open-file.ts): the kernel copies up at open, we at the first change
 * - truncate(2) to the size that a file has (path-operations.ts): FUSE with a write cache lets no time change
 * - removing the access ACL of what has the setgid bit (path-operations.ts): overlayfs takes the bit away, too
 * - the time of a store through mapped memory (descriptor-operations.ts): not promised
 * - RENAME_WHITEOUT is not drawn: kernel overlayfs refuses it, we do it
 * - O_TMPFILE is not drawn: it depends on the version of libfuse
 * - fallocate(2) modes that a layer's file system lacks are not drawn: the FUSE client changes the times before it asks
 */

import type { Outcome } from "./actors.ts";
import type { Step } from "./operation.ts";

export interface Observation {
	readonly step: Step;
	readonly ours: Outcome;
	readonly kernels: Outcome;
	readonly plain: Outcome;
}

export interface Explanation {
	readonly reason: string;
	/** From now on what is open differs, so all of it must be closed. */
	readonly parts?: boolean;
	holds(observation: Observation): boolean;
}

const ofOpenFile = ["fchmod", "fchown", "futimens", "fsetxattr"];

export const explanations: readonly Explanation[] = [
	{
		reason:
			"kernel overlayfs cannot copy up a removed file that is still open; a plain directory can change it, and we can",
		parts: true,
		holds: ({ step, ours, kernels }) =>
			ofOpenFile.includes(step.operation) &&
			"answer" in ours &&
			"error" in kernels &&
			["ENOENT", "EEXIST"].includes(kernels.error),
	},
	{
		reason:
			"a removed name of a lower file with several names has no link for us, the others' number for kernel overlayfs",
		holds({ step, ours, kernels }) {
			const [told, expected] = [linesOf(ours), linesOf(kernels)];
			return (
				step.operation === "fstat" &&
				told.length > 0 &&
				told.every((line, index) => line === expected[index] || line === "links 0")
			);
		},
	},
];

/** What fstat told; empty when it failed. */
function linesOf(outcome: Outcome): readonly unknown[] {
	return "answer" in outcome && Array.isArray(outcome.answer) ? outcome.answer : [];
}

/** What a difference is due to; undefined: it is a defect. */
export function explain(observation: Observation): Explanation | undefined {
	return explanations.find(({ holds }) => holds(observation));
}
