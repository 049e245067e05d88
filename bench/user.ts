/**
 * As whom a mount is made and worked on: root, or an ordinary user who is made for it and has a /dev/fuse, in a mount
 * namespace that ends with the benchmark, however that ends.
 */

import { mkdirSync, writeFileSync } from "node:fs";
import { findMount, type MountedPath } from "../test/harness/mount-table.ts";

/** What is said of each. */
export const users = {
	root: "root mounts",
	namespace: "an ordinary user mounts, as root of a user namespace of their own",
	fusermount: "fusermount3 mounts for an ordinary user",
} as const;

export type User = keyof typeof users;

export const USER_ID = 61_000;
/** What other ids of the namespace, from 1 on, are outside. */
const OTHER_IDS = "1 2000000000 65535";
const READY = "ready";

/** The value of `--as`; throws an Error that says what is wrong. */
export function parseUser(text: string): User {
	if (!Object.hasOwn(users, text))
		throw new Error(`--as takes ${Object.keys(users).join(", ")}, not ${text}`);
	return text as User;
}

/** $1 is an empty directory for devices that are open to all, since a machine may keep its own from users. */
const setUp = `set -e
place=$1
shift
cd /
mount -t tmpfs -o mode=755 none "$place"
mknod -m 666 "$place/fuse" c 10 229
mknod -m 666 "$place/null" c 1 3
mount --bind "$place/fuse" /dev/fuse
mount --bind "$place/null" /dev/null
# fusermount3 asks for the name.
{ sed '$a\\' /etc/passwd; echo "bench:x:${USER_ID}:${USER_ID}::/:/bin/sh"; } >"$place/passwd"
mount --bind "$place/passwd" /etc/passwd
exec "$@"`;
/** Ends with the pipe that it reads. */
const stay = ["sh", "-c", `echo ${READY} && exec cat`];
const becomeUser = ["setpriv", `--reuid=${USER_ID}`, `--regid=${USER_ID}`, "--clear-groups"];

export class Session implements AsyncDisposable {
	readonly user: User;
	/** Keeps the namespaces; root has none. */
	readonly #holder: Bun.Subprocess | undefined;

	private constructor(user: User, holder: Bun.Subprocess | undefined) {
		this.user = user;
		this.#holder = holder;
	}

	/** @param directory an empty one, or none yet */
	static async open(user: User, directory: string): Promise<Session> {
		if (user === "root") return new Session(user, undefined);
		mkdirSync(directory, { recursive: true });
		const namespaces = user === "namespace" ? ["unshare", "--user", "--mount"] : [];
		const holder = Bun.spawn(
			["unshare", "--mount", "sh", "-c", setUp, "sh", directory, ...becomeUser, ...namespaces, ...stay],
			{ stdio: ["pipe", "pipe", "pipe"] },
		);
		const first = await holder.stdout.getReader().read();
		if (new TextDecoder().decode(first.value).trim() !== READY) {
			holder.kill("SIGKILL");
			throw new Error(`no namespaces for a user: ${(await new Response(holder.stderr).text()).trim()}`);
		}
		if (user === "namespace")
			for (const map of ["uid_map", "gid_map"])
				writeFileSync(`/proc/${holder.pid}/${map}`, `0 ${USER_ID} 1\n${OTHER_IDS}\n`);
		return new Session(user, holder);
	}

	/** What a command is started by as the user, in `directory`. */
	starter(directory: string): readonly string[] {
		if (this.#holder === undefined) return [];
		const enter = [...this.#enter(), `--wdns=${directory}`];
		return this.user === "namespace" ? [...enter, "--user"] : [...enter, ...becomeUser];
	}

	/** What mounts on `path`, as the user sees it. */
	findMount(path: string): MountedPath | undefined {
		return findMount(path, this.#holder?.pid);
	}

	/** By root. True: it is unmounted. */
	async unmount(path: string, ...options: string[]): Promise<boolean> {
		const command = [...this.#enter(), "umount", ...options, path];
		return (await Bun.spawn(command, { stdio: ["ignore", "ignore", "ignore"] }).exited) === 0;
	}

	/** What takes a tree that root has made to the user. */
	giving(path: string): readonly string[] | undefined {
		if (this.#holder === undefined) return undefined;
		return ["chown", "--no-dereference", "--recursive", `${USER_ID}:${USER_ID}`, path];
	}

	#enter(): string[] {
		return this.#holder === undefined ? [] : ["nsenter", `--target=${this.#holder.pid}`, "--mount"];
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.#holder?.kill("SIGKILL");
		await this.#holder?.exited;
	}
}
