/** Tests as root. */

import { join } from "node:path";
import type { Run } from "./lanes.ts";
import { projectDirectory } from "./program.ts";

/**
 * Each file mounts where nobody else sees it: who copies the machine's table of mounts meanwhile, as containers do,
 * would keep mounts of the tests alive after their unmount.
 */
const ownMounts = ["unshare", "--mount", "--propagation", "private", "--"];

/** Tests as root, of a program and with variables that the tests and the program mind. */
export function rootRun(
	title: string,
	paths: readonly string[],
	program: string,
	variables: Readonly<Record<string, string>> = {},
): Run {
	return {
		title,
		paths,
		enter(scratch) {
			const report = join(scratch, "report.xml");
			return {
				project: projectDirectory,
				starter: ownMounts,
				environment: { FUSE_OVERLAYFS_PROGRAM: program, ...variables },
				report: [report, report],
			};
		},
	};
}
