/** Tests as root. */

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Run } from "./lanes.ts";
import { ownDisk } from "./own-disk.ts";
import { projectDirectory } from "./program.ts";

/** A short path, because conmon cannot use sockets whose paths are long. */
const temporary = "/mnt";

/**
 * Each file mounts where nobody else sees it: who copies the machine's table of mounts meanwhile, as containers do,
 * would keep mounts of the tests alive after their unmount. And it has a disk and a /dev/null of its own, in the directory
 * $1: crun gives stdin to a container's root, who may then change the machine's.
 */
const ownMounts = ["unshare", "--mount", "--propagation", "private", "--"];
const ownPlaces = `set -e
${ownDisk}
mkdir "$1/dev" "$1/tmp"
own_disk "$1/disk" "$1/tmp"
mount -t tmpfs -o mode=755 none "$1/dev"
mknod -m 666 "$1/dev/null" c 1 3
mount --bind "$1/dev/null" /dev/null
mount --bind "$1/tmp" ${temporary}
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
				starter: [...ownMounts, "sh", "-c", ownPlaces, "sh", place],
				environment: { FUSE_OVERLAYFS_PROGRAM: program, TMPDIR: temporary, ...variables },
				report: [report, report],
			};
		},
	};
}
