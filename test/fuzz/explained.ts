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
 * - the setgid bit without group execution is not drawn: whether a write takes it away depends on groups of the writer
 *   that FUSE does not tell
 * - copy_file_range between layers on different file systems (descriptor-operations.ts): EXDEV there, done here
 * - copy_file_range is not drawn where kernel overlayfs is in a user namespace, too (descriptor-operations.ts,
 *   edge-operations.ts): it notes no origins there, so a copied-up file may be two inodes, one of which goes by an old size
 * - copying more than 16 MiB by one copy_file_range (edge-operations.ts): the rest is left to the caller, as elsewhere
 * - RENAME_WHITEOUT is not drawn: as kernel overlayfs we refuse it
 * - O_TMPFILE is left out where the version of libfuse does not have it
 * - fallocate(2) modes that a layer's file system may lack are drawn only where the times are set anyway
 *   (edge-operations.ts): the FUSE client changes them before it asks. Those it does not know itself are not drawn
 * - SEEK_DATA and SEEK_HOLE are not drawn where daemons are killed and the kernel gathers writes (picker.ts): the kernel then
 *   takes a file for data as a whole
 * - writing where the upper layer's file system has no file so long (picker.ts): what is gathered fails at any later fsync
 */

import { SEEK_DATA, SEEK_HOLE } from "../harness/native.ts";
import type { Outcome } from "./actors.ts";
import { isKernelUsers } from "./identities.ts";
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

const largestOnExt4 = 2n ** 44n - 4096n;
const ofOpenFile = ["fchmod", "fchown", "futimens", "fsetxattr"];

export const explanations: readonly Explanation[] = [
	{
		reason:
			"kernel overlayfs cannot copy up a removed file or directory that is still open; a plain directory can change it, and we can",
		parts: true,
		holds: ({ step, ours, kernels }) =>
			ofOpenFile.includes(step.operation) &&
			"answer" in ours &&
			"error" in kernels &&
			["ENOENT", "EEXIST", "ENOTDIR", "EIO"].includes(kernels.error),
	},
	{
		reason:
			"kernel overlayfs may still count the removed names of an open file; we tell what is on disk, and none for a removed lower name",
		holds({ step, ours, kernels }) {
			const [told, expected] = [linesOf(ours), linesOf(kernels)];
			const isSameOrFewer = (line: unknown, index: number) =>
				line === expected[index] || linksIn(line) < linksIn(expected[index]);
			return step.operation === "fstat" && told.length > 0 && told.every(isSameOrFewer);
		},
	},
	{
		reason:
			"removing an ACL that is not there fails for a lower object only; kernel overlayfs has copied up at open",
		holds: ({ step, ours, kernels }) =>
			step.operation === "removexattr" &&
			String(step.args.name).startsWith("system.posix_acl_") &&
			"error" in ours &&
			ours.error === "ENODATA" &&
			"answer" in kernels,
	},
	{
		reason:
			"in a user namespace kernel overlayfs notes no origins, so a file may be another after its copy-up; to us it is the same",
		holds({ step, ours, kernels, plain }) {
			const isQuestion = ["isSame", "isOpenAt"].includes(step.operation);
			return isKernelUsers && isQuestion && "answer" in kernels && Bun.deepEquals(ours, plain);
		},
	},
	{
		reason: "kernel overlayfs copies up in pieces of 1 MiB, and fills the holes in them; we leave holes",
		holds: ({ step, ours, kernels, plain }) =>
			step.operation === "seekEdge" &&
			(step.args.whence === SEEK_DATA || step.args.whence === SEEK_HOLE) &&
			"answer" in kernels &&
			Bun.deepEquals(ours, plain),
	},
	{
		reason:
			"kernel overlayfs may not know two names of a copied-up object for one, and refuses to rename it to the other; that does nothing, or the trees will differ",
		holds: ({ step, ours, kernels }) =>
			step.operation === "rename" && "error" in kernels && kernels.error === "ESTALE" && "answer" in ours,
	},
	{
		reason: "the same of a rename over a file that is open",
		holds({ step, ours, kernels }) {
			const [told, expected] = [toldBy(ours), toldBy(kernels)];
			const isRefused = told[0] === "done" && expected[0] === "ESTALE";
			return (
				step.operation === "renameOverOpen" && isRefused && Bun.deepEquals(told.slice(1), expected.slice(1))
			);
		},
	},
	{
		reason:
			"nor does kernel overlayfs see by one of them what mode the other was given: root may not run what has become executable",
		holds: ({ step, ours, kernels, plain }) =>
			isKernelUsers &&
			step.operation === "access" &&
			"error" in kernels &&
			kernels.error === "EACCES" &&
			"answer" in ours &&
			Bun.deepEquals(ours, plain),
	},
	{
		reason:
			"kernel overlayfs moves the time of a file when it brings up data that was left below; opening it changes nothing",
		holds({ step, ours, kernels, plain }) {
			const [told, expected, known] = [linesOf(ours), linesOf(kernels), linesOf(plain)];
			const isQuestion = ["stat", "fstat", "openUp"].includes(step.operation);
			const isMoved = told.length > 0 && Bun.deepEquals([...told.slice(0, -1), "now"], expected);
			return isQuestion && isMoved && told.at(-1) === known.at(-1);
		},
	},
	{
		reason: "the FUSE client does not know how large a file can be on the upper layer's file system",
		holds: ({ step, ours, kernels }) =>
			step.operation === "seekEdge" &&
			"error" in kernels &&
			kernels.error === "EINVAL" &&
			"answer" in ours &&
			BigInt(String(ours.answer)) > largestOnExt4,
	},
	{
		reason:
			"a file whose set-id bits a write took away may not be linked by others until the FUSE client has asked for its mode; here it fails anyway",
		holds: ({ step, ours, kernels }) =>
			["link", "linkOpen", "linkThenUnlink", "linkTree"].includes(step.operation) &&
			"error" in ours &&
			ours.error === "EPERM" &&
			"error" in kernels,
	},
];

/** NaN, which is never fewer, for what is no count of links. */
function linksIn(line: unknown): number {
	return Number(/^links (\d+)$/.exec(String(line))?.[1]);
}

/** What a sequence of calls told, one after the other; empty where there was none. */
function toldBy(outcome: Outcome): readonly unknown[] {
	const answer = "answer" in outcome ? outcome.answer : undefined;
	const isSequence = typeof answer === "object" && answer !== null && "told" in answer;
	return isSequence && Array.isArray(answer.told) ? answer.told : [];
}

/** What fstat told; empty when it failed. */
function linesOf(outcome: Outcome): readonly unknown[] {
	return "answer" in outcome && Array.isArray(outcome.answer) ? outcome.answer : [];
}

/** What a difference is due to; undefined: it is a defect. */
export function explain(observation: Observation): Explanation | undefined {
	return explanations.find(({ holds }) => holds(observation));
}
