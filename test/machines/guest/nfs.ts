/** Layers on NFS: the machine is its own server, by the kernel's nfsd over the loopback device. */

import { mkdirSync } from "node:fs";
import type { Run } from "../../harness/lanes.ts";
import { runOn } from "./mounted.ts";

/** What the server gives to all that the tests run in. */
export const exported = "/tmp/exported";

/** Short leases and grace, as nothing has to be reclaimed. */
const start = `set -e
mkdir -p ${exported} /run/rpcbind /var/lib/nfs/v4recovery /var/lib/nfs/sm
touch /etc/exports /var/lib/nfs/etab /var/lib/nfs/rmtab
# Whose it becomes; scripts of packages, which make such users, are not run.
grep -q '^_rpc:' /etc/passwd || echo '_rpc:x:106:65534::/run/rpcbind:/usr/sbin/nologin' >>/etc/passwd
modprobe nfsd
mount -t nfsd nfsd /proc/fs/nfsd
rpcbind -w
# rpcbind may not listen yet.
turns=50
until rpc.nfsd -G 10 -L 10 2; do
	[ $((turns -= 1)) -gt 0 ]
	sleep 0.2
done
rpc.mountd`;

const versions = { "NFS 4.2": "vers=4.2", "NFS 3": "vers=3,nolock" } as const;
export type OnNfs = keyof typeof versions;

export function isOnNfs(mode: string): mode is OnNfs {
	return Object.hasOwn(versions, mode);
}

/** For mount(8), of a version. */
export function mountOptions(version: OnNfs): string {
	return versions[version];
}

function run(script: string): void {
	const { exitCode, stdout, stderr } = Bun.spawnSync(["sh", "-c", script]);
	if (exitCode !== 0) throw new Error(`the NFS server: ${stdout}${stderr}`);
}

/** Throws if the server does not start. */
export function startNfsServer(): void {
	run(start);
	exportDirectory(exported, "no_root_squash");
}

/** Has the server give a directory to this machine. */
export function exportDirectory(path: string, squash: "root_squash" | "no_root_squash"): void {
	run(`exportfs -o rw,${squash},no_subtree_check,insecure 127.0.0.1:${path}`);
}

/** Its clients wait meanwhile, and then for its grace to end. */
export function restartNfsServer(): void {
	run("rpc.nfsd 0 && rpc.nfsd -G 10 -L 10 2");
}

/** A test file by root, with all layers on NFS of a version. */
export function nfsRun(version: OnNfs, file: string, program: string): Run {
	mkdirSync(exported, { recursive: true });
	return runOn(version, `mount -t nfs -o ${versions[version]} 127.0.0.1:${exported}`, file, program);
}
