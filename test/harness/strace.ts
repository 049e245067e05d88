/** The daemon's main thread under strace: what it asks of the kernel, and calls made to fail. */

import { readFileSync } from "node:fs";
import { until } from "./mount.ts";
import type { Overlay } from "./overlay.ts";

/** Bun looks at its own memory now and then. */
const enginesOwn = /"\/proc\/self\/statm"/;

/**
 * The system calls that the daemon's main thread makes while `action` runs, a line each as strace writes them.
 * `expressions` are values of strace's option -e.
 */
export async function traced(
	{ mount, tree }: Pick<Overlay, "mount" | "tree">,
	expressions: readonly string[],
	action: () => unknown,
): Promise<string[]> {
	const log = tree.join("strace.log");
	const [pid = 0] = mount.daemons;
	const options = expressions.flatMap((expression) => ["-e", expression]);
	const strace = Bun.spawn(["strace", "-qq", ...options, "-o", log, "-p", String(pid)], {
		stdio: ["ignore", "ignore", "inherit"],
	});
	await until(
		() =>
			strace.exitCode !== null || /^TracerPid:\t[1-9]/m.test(readFileSync(`/proc/${pid}/status`, "latin1")),
		"strace is not there",
	);
	if (strace.exitCode !== null) throw new Error(`strace refuses ${expressions.join(" ")}`);
	try {
		await action();
	} finally {
		strace.kill("SIGINT");
		await strace.exited;
	}
	return readFileSync(log, "latin1")
		.split("\n")
		.filter((line) => /^\w+\(/.test(line) && !enginesOwn.test(line));
}
