/** The test process's end of watchdog.ts, started once per process. */

import { join } from "node:path";

export interface Watchdog {
	tell(
		kind: "alive" | "mount" | "unmounted" | "tree" | "tree-gone",
		path?: string,
		connection?: number,
	): void;
}

function start(): Watchdog {
	const process_ = Bun.spawn([process.execPath, join(import.meta.dir, "watchdog.ts")], {
		stdin: "pipe",
		stdout: "inherit",
		stderr: "inherit",
		// A terminal's Ctrl-C must end the tests, not the one that cleans up after them.
		detached: true,
	});
	process_.unref();
	const watchdog: Watchdog = {
		tell(...message) {
			process_.stdin.write(`${JSON.stringify(message)}\n`);
			process_.stdin.flush();
		},
	};
	setInterval(() => watchdog.tell("alive"), 1000).unref();
	return watchdog;
}

// Test files of one process each load their own copy of this module.
const shared = globalThis as { testWatchdog?: Watchdog };
shared.testWatchdog ??= start();
export const watchdog: Watchdog = shared.testWatchdog;
