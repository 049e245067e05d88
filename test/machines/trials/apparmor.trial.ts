/**
 * Ordinary users under AppArmor where a profile refuses them user namespaces. Ubuntu does so to all programs without a
 * profile, by a patch and setting of its own (kernel.apparmor_restrict_unprivileged_userns); what it comes to is the same.
 */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { appendFileSync, chownSync, mkdirSync, readFileSync } from "node:fs";
import { type TemporaryTree, temporaryTree } from "../../harness/layers.ts";
import { layerOptions } from "../../harness/mount.ts";
import { program } from "../../harness/program.ts";

const id = 1000;
const user = ["setpriv", `--reuid=${id}`, `--regid=${id}`, "--clear-groups", "--"];

let tree: TemporaryTree;
beforeAll(() => {
	tree = temporaryTree();
	// fusermount3 wants a name.
	appendFileSync("/etc/passwd", `user:x:${id}:${id}::/:/bin/sh\n`);
	mkdirSync("/sys/kernel/security", { recursive: true });
	Bun.spawnSync(["mount", "-t", "securityfs", "none", "/sys/kernel/security"]);
});
afterAll(() => tree[Symbol.dispose]());

function load(text: string): void {
	const { exitCode, stderr } = Bun.spawnSync(["apparmor_parser", "--replace", "--skip-cache"], {
		stdin: Buffer.from(text),
	});
	expect(exitCode, stderr.toString()).toBe(0);
}

/** What a shell of the user prints, and says, under a profile. */
function asUser(profile: string, script: string): { exitCode: number; stdout: string; stderr: string } {
	const { exitCode, stdout, stderr } = Bun.spawnSync(
		[...user, "aa-exec", "--profile", profile, "--", "sh", "-c", script],
		{ env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", HOME: "/", LC_ALL: "C.UTF-8" } },
	);
	return { exitCode, stdout: stdout.toString(), stderr: stderr.toString() };
}

/** Layers, and a mountpoint, of the user. */
function layers() {
	const place = `layers-${Math.random()}`;
	const made = {
		lower: [tree.layer(`${place}/lower`, { file: "lower" })],
		upper: tree.layer(`${place}/upper`),
		work: tree.layer(`${place}/work`),
		mountpoint: tree.layer(`${place}/merged`),
	};
	for (const path of [
		tree.join(place),
		...made.lower,
		made.upper,
		made.work,
		made.mountpoint,
		`${made.lower[0]}/file`,
	])
		chownSync(path, id, id);
	return made;
}

/** Mounts, changes what is seen, unmounts. */
function useMount(profile: string): void {
	const made = layers();
	const at = made.mountpoint;
	const script = `${program} -o ${layerOptions(made)} ${at} && cat ${at}/file && echo more >>${at}/file &&
		cat ${at}/file && cat /proc/self/attr/current && fusermount3 -u ${at}`;
	const { exitCode, stdout, stderr } = asUser(profile, script);
	expect(stderr).toBe("");
	expect(stdout).toBe(`lowerlowermore\n${profile} (enforce)\n`);
	expect(exitCode).toBe(0);
	expect(readFileSync(`${made.upper}/file`, "utf8")).toBe("lowermore\n");
}

/** All is permitted but user namespaces, as Ubuntu has it for what has no profile. */
const withoutNamespaces = `abi <abi/4.0>,
profile without_namespaces {
	file,
	file Ux /usr/bin/fusermount3,
	capability,
	network,
	mount,
	umount,
	unix,
	signal,
	ptrace,
	dbus,
	mqueue,
	io_uring,
}
`;

describe("AppArmor", () => {
	test("is in force", () => {
		expect(readFileSync("/sys/module/apparmor/parameters/enabled", "latin1")).toBe("Y\n");
		load(withoutNamespaces);
	});

	test("refused user namespaces, a user mounts by fusermount3", () => {
		const { exitCode, stderr } = asUser("without_namespaces", "unshare --user --map-root-user true");
		expect(exitCode).not.toBe(0);
		expect(stderr).toMatch(/Permission denied|Operation not permitted/);
		useMount("without_namespaces");
	});
});
