/** Tests as root. */

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Run } from "./lanes.ts";
import { projectDirectory } from "./program.ts";

/**
 * Each file mounts where nobody else sees it: who copies the machine's table of mounts meanwhile, as containers do,
 * would keep mounts of the tests alive after their unmount. And it has a /dev/null of its own, in the directory $1: crun
 * gives stdin to a container's root, who may then change the machine's.
 */
const ownMounts = ["unshare", "--mount", "--propagation", "private", "--"];
const ownNull = `set -e
mount -t tmpfs -o mode=755 none "$1"
mknod -m 666 "$1/null" c 1 3
mount --bind "$1/null" /dev/null
shift
exec "$@"`;

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
			const place = join(scratch, "place");
			mkdirSync(place);
			return {
				project: projectDirectory,
				starter: [...ownMounts, "sh", "-c", ownNull, "sh", place],
				environment: { FUSE_OVERLAYFS_PROGRAM: program, ...variables },
				report: [report, report],
			};
		},
	};
}
