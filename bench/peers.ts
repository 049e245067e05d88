/** The file systems that are compared: kernel overlayfs, Debian's C program, ours, and what the user names. */

import { existsSync } from "node:fs";
import { release } from "node:os";
import { delimiter, dirname, join, resolve } from "node:path";
import manifest from "../package.json" with { type: "json" };
import { debianProgram, projectDirectory } from "../test/harness/program.ts";
import { runStep } from "./client.ts";
import type { User } from "./user.ts";

export interface Peer {
	readonly name: string;
	/** A program that mounts, with arguments that go before all others; undefined: kernel overlayfs. */
	readonly command?: readonly string[];
}

export interface PeerDescription {
	readonly name: string;
	readonly version: string;
}

export const kernelPeer: Peer = { name: "kernel" };
export const debianPeer: Peer = { name: "C", command: [debianProgram] };

/** The `NAME=PROGRAM [ARGUMENT...]` of `--peer`; throws an Error that says what is wrong. */
export function parsePeer(text: string): Peer {
	const [, name, rest] = /^([^=\s]+)=(.+)$/.exec(text) ?? [];
	if (name === undefined || rest === undefined) throw new Error(`--peer takes NAME=PROGRAM, not ${text}`);
	const [program = "", ...args] = rest.trim().split(/\s+/);
	const found = program.includes("/") ? resolve(program) : Bun.which(program);
	if (found === null || !existsSync(found)) throw new Error(`--peer ${name}: there is no program ${program}`);
	return { name, command: [found, ...args] };
}

/**
 * Our own program: FUSE_OVERLAYFS_PROGRAM, or the binary built from the source as it is now, as `npm run build` builds it
 * but in `directory`.
 */
export async function ownPeer(directory: string, signal: AbortSignal): Promise<Peer> {
	const given = process.env.FUSE_OVERLAYFS_PROGRAM;
	if (given !== undefined) return { name: "ours", command: [resolve(given)] };
	const program = join(directory, "fuse-overlayfs");
	const build = `${manifest.scripts.build} ${program}`;
	const binaries = join(projectDirectory, "node_modules/.bin");
	await runStep(["sh", "-c", build], join(directory, "build.log"), signal, {
		cwd: projectDirectory,
		environment: { PATH: [binaries, dirname(process.execPath), process.env.PATH].join(delimiter) },
	});
	return { name: "ours", command: [program] };
}

/** Our program with further mount options, which are its name. */
export function variantOf(own: Peer, options: string): Peer {
	return { name: options, command: [...(own.command ?? []), "-o", options] };
}

/** What it takes to mount `target` as the user. */
export function mountCommand({ command }: Peer, options: string, target: string, user: User): string[] {
	if (command !== undefined) return [...command, "-o", options, target];
	// Other attributes the kernel does not let a user set.
	const attributes = user === "root" ? "" : ",userxattr";
	return ["mount", "-t", "overlay", "overlay", "-o", `${options}${attributes}`, target];
}

/** @param root that of another system whose programs run, see Place */
export function describePeer({ name, command }: Peer, root?: string): PeerDescription {
	if (command === undefined) return { name, version: `overlayfs of Linux ${release()}` };
	const isThere = root !== undefined && existsSync(join(root, command[0]!));
	const lines = versionOf(command, isThere ? root : undefined).split("\n");
	// The C program tells fusermount's version first.
	const own = lines.find((line) => line.startsWith("fuse-overlayfs")) ?? lines[0] ?? "";
	// There this one's programs find another one.
	const library =
		isThere || root === undefined ? lines.filter((line) => line.startsWith("FUSE library")) : [];
	return { name, version: [own, ...library].join(", ") };
}

/** What a program says of itself, in the system whose root is `root` or in this one. */
export function versionOf(command: readonly string[], root?: string): string {
	const enter = `mount --bind /proc "$0/proc" && exec chroot "$0" "$@"`;
	const starter = root === undefined ? [] : ["unshare", "--mount", "sh", "-c", enter, root];
	const { stdout } = Bun.spawnSync([...starter, ...command, "--version"], { stderr: "ignore" });
	return stdout.toString().trim();
}
