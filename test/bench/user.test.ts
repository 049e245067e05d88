/** The benchmark as an ordinary user: who mounts and works on the mount, and that the result says so. */

import { afterAll, describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runBenchmark } from "../../bench/bench.ts";
import { renderTables } from "../../bench/markdown.ts";
import { debianPeer, kernelPeer, type Peer } from "../../bench/peers.ts";
import { renderReport } from "../../bench/report.ts";
import type { Result } from "../../bench/result.ts";
import { Scratch } from "../../bench/scratch.ts";
import { parseUser, USER_ID, type User } from "../../bench/user.ts";
import { chooseWorkloads } from "../../bench/workloads/index.ts";
import type { MountedWorkload, Workload } from "../../bench/workloads/workload.ts";
import { isExecutable } from "../harness/program.ts";
import { programIn, reachableProject } from "../harness/reachable.ts";

const project = reachableProject();
afterAll(() => project[Symbol.dispose]());
const ours: Peer = { name: "ours", command: [programIn(project.path)] };
const peers = [ours, ...(isExecutable(debianPeer.command![0]!) ? [debianPeer] : [])];

/** Writes beside the layers who runs it, and the line of the mount. */
const look: MountedWorkload = {
	...(chooseWorkloads(["copyup_small"])[0] as MountedWorkload),
	name: "look",
	run: ({ merged, tree }) => [
		...["run", merged, "sh", "-c"],
		`{ id -u; cat /proc/self/uid_map; grep -F " $0 " /proc/self/mountinfo; } >"$1"`,
		...[merged, join(tree, "seen")],
	],
};

/** The result, and what `look` has written. */
async function measure(
	as: User,
	workloads: readonly Workload[],
	peers: readonly Peer[],
): Promise<[Result, string]> {
	await using scratch = new Scratch(tmpdir());
	const settings = { workloads, peers, rounds: 1, scale: 0.002, placement: "free", as } as const;
	const signal = new AbortController().signal;
	const result = await runBenchmark(settings, scratch, signal, { begin() {}, end() {} });
	const seen = join(scratch.path, "trees", look.tree.name, "seen");
	return [result, existsSync(seen) ? readFileSync(seen, "utf8").replaceAll(/ +/g, " ") : ""];
}

const workloads = chooseWorkloads([
	...["mount_ready", "find_cold", "copyup_chmod", "untar", "apt_install", "start_floor"],
]);

describe.each([
	["namespace", [...peers, kernelPeer], ["start_floor"]],
	["fusermount", peers, ["apt_install", "start_floor"]],
] as const)("--as %s", (as, peers, leftOut) => {
	test(
		"all peers have samples, what cannot be run is left out, and the result says who mounted",
		async () => {
			const [result] = await measure(as, workloads, peers);
			expect(Object.keys(result.skipped).sort()).toEqual([...leftOut]);
			for (const { failures, samples } of result.workloads) {
				expect(failures).toEqual({});
				for (const { name } of peers) expect(samples[name]).toHaveLength(1);
			}
			expect(renderReport(result, (text) => text)).toContain(`As ${as}: `);
			expect(renderTables({ ...result, peers: [] }, "x.svg")).toContain("Who mounts: ");
			// The Debian tree of apt_install may have to be fetched first.
		},
		20 * 60_000,
	);

	test("a user works on the mount that the user has made", async () => {
		const [, seen] = await measure(as, [look], [ours]);
		const [user, ...lines] = seen.trim().split("\n");
		expect(user).toBe(as === "namespace" ? "0" : String(USER_ID));
		if (as === "namespace") expect(lines[0]!.trim()).toBe(`0 ${USER_ID} 1`);
		expect(lines.at(-1)).toContain(" fuse.fuse-overlayfs ");
		expect(lines.at(-1)).toContain(`user_id=${user},`);
	}, 60_000);
});

test("--as root is no user's work, and nothing is said of it", async () => {
	const [result, seen] = await measure("root", [look], [ours]);
	expect(result.as).toBeUndefined();
	expect(seen).toStartWith("0\n 0 0 4294967295\n");
});

test("others are refused", () => {
	expect(() => parseUser("nobody")).toThrow("root, namespace, fusermount");
});
