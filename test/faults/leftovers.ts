/** What a fault must not leave behind: names in the workdir, open files that have none. */

import { readdirSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { until } from "../harness/mount.ts";
import type { Overlay } from "../harness/overlay.ts";

/** What the daemon has open, as /proc tells. */
export function openFiles({ mount }: Overlay): string[] {
	const [pid = 0] = mount.daemons;
	return readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
		try {
			return [readlinkSync(`/proc/${pid}/fd/${fd}`)];
		} catch {
			return []; // Closed meanwhile.
		}
	});
}

/** The workdir holds no temporary, and the daemon nothing open that is gone, as soon as the kernel has told it so. */
export async function expectNothingLeft(overlay: Overlay): Promise<void> {
	await expectNothingOpen(overlay);
	const work = join(overlay.layers.work, "work");
	const temporaries = () => readdirSync(work).filter((name) => name !== "#whiteout");
	await until(
		() => temporaries().length === 0,
		() => `the workdir keeps ${temporaries()}`,
	);
}

/** The daemon has nothing open that is gone, or in the workdir only, as soon as the kernel has told it so. */
export async function expectNothingOpen(overlay: Overlay): Promise<void> {
	const gone = () => openFiles(overlay).filter((path) => / \(deleted\)$|\/work\/#[0-9a-f]+$/.test(path));
	await until(
		() => gone().length === 0,
		() => `the daemon keeps open: ${gone()}`,
	);
}
