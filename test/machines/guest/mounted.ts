/** Tests by root whose temporary files, and so all layers, lie on a file system that is mounted for them. */

import { join } from "node:path";
import type { Run } from "../../harness/lanes.ts";
import { projectDirectory } from "../../harness/program.ts";
import type { LayersOn } from "../../harness/setting.ts";

const mountedOn = "/mnt";

/** A test file on what `mount` mounts, a command of the shell that lacks but the mount point. */
export function runOn(layersOn: LayersOn, mount: string, file: string, program: string): Run {
	return {
		title: layersOn,
		paths: [file],
		enter(scratch) {
			const report = join(scratch, "report.xml");
			const start = `${mount} ${mountedOn} && exec "$@"`;
			return {
				project: projectDirectory,
				starter: ["unshare", "--mount", "--propagation", "private", "--", "sh", "-c", start, "sh"],
				environment: {
					FUSE_OVERLAYFS_PROGRAM: program,
					FUSE_OVERLAYFS_TEST_LAYERS_ON: layersOn,
					TMPDIR: mountedOn,
				},
				report: [report, report],
			};
		},
	};
}
