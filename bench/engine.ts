/**
 * podman as it is measured: a container storage for each peer, in namespaces that take along all that was mounted and
 * started in them, whatever ends the benchmark. As root, or as an ordinary user who is made for it and has a /dev/fuse.
 */

import { chmodSync, chownSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Peer } from "./peers.ts";
import { USER_ID } from "./user.ts";

export type EngineUser = "root" | "user";

/** Short, because conmon cannot use sockets whose paths are long; in memory, as on a machine that runs containers. */
const RUNTIME = "/run";
const READY = "ready";

/**
 * Sets up the namespaces, $1 being an empty directory to keep things in, $2 the id of a user who is to be, $3 another
 * system's root to go to, or "", and $4 what must be seen there, too. The shell stays to reap what others leave.
 */
const setUp = `set -e
cd /
place=$1 user=$2 root=$3 seen=$4
mount -t tmpfs -o mode=755 none "$place"
if [ -n "$root" ]; then
	mkdir "$place/upper" "$place/work" "$place/root"
	mount -t overlay -o "lowerdir=$root,upperdir=$place/upper,workdir=$place/work" none "$place/root"
	cd "$place/root"
	mount -t proc proc proc
	mount --rbind /sys sys
	mount --rbind /dev dev
	mkdir -p ".$seen" "old"
	mount --rbind "$seen" ".$seen"
	cp -L /etc/resolv.conf etc/ 2>/dev/null || :
	pivot_root . old
	umount --lazy /old
	cd /
	mount -t tmpfs -o mode=755 none "$place"
fi
mount -t tmpfs -o mode=1777 none ${RUNTIME}
mount -t cgroup2 none /sys/fs/cgroup
device() {
	mknod -m 666 "$place/$1" c "$2" "$3"
	mount --bind "$place/$1" "/dev/$1"
}
add() {
	{ sed '$a\\' "/etc/$1" 2>/dev/null || :; echo "$2"; } >"$place/$1"
	mount --bind "$place/$1" "/etc/$1"
}
if [ "$user" != 0 ]; then
	# A machine may keep its own from users.
	device fuse 10 229
	device null 1 3
	add passwd "bench:x:$user:$user::${RUNTIME}:/bin/sh"
	add group "bench:x:$user:"
	add subuid bench:2000000000:65536
	add subgid bench:2000000000:65536
fi
echo ${READY}
sleep infinity & wait`;

/** Namespaces in which one user's podman works. */
export class Engine implements AsyncDisposable {
	/** What a command is started by to run in them, as their user. */
	readonly starter: readonly string[];
	readonly directory: string;
	/** The id of their user. */
	readonly user: number;
	readonly #holder: Bun.Subprocess;

	private constructor(holder: Bun.Subprocess, directory: string, user: number, starter: readonly string[]) {
		this.#holder = holder;
		this.directory = directory;
		this.user = user;
		this.starter = starter;
	}

	/**
	 * @param directory an empty one for this engine
	 * @param seen a directory, which holds that one, whose path is the same in there
	 * @param root another system's root, whose podman is to be used; missing: this one's
	 */
	static async open(as: EngineUser, directory: string, seen: string, root = ""): Promise<Engine> {
		const place = join(directory, "place");
		mkdirSync(place);
		const user = as === "root" ? 0 : USER_ID;
		const namespaces = ["--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];
		const holder = Bun.spawn(
			[
				...["setpriv", "--pdeathsig", "KILL", "unshare", ...namespaces],
				...["sh", "-c", setUp, "sh", place, String(user), root, seen],
			],
			{ stdio: ["ignore", "pipe", "pipe"] },
		);
		const first = await holder.stdout.getReader().read();
		if (new TextDecoder().decode(first.value).trim() !== READY) {
			holder.kill("SIGKILL");
			throw new Error(`no namespaces for podman: ${(await new Response(holder.stderr).text()).trim()}`);
		}
		// unshare waits for the shell, which is the first process in there.
		const [shell = ""] = readFileSync(`/proc/${holder.pid}/task/${holder.pid}/children`, "latin1").split(" ");
		const enter = ["nsenter", `--target=${shell}`, "--mount", "--pid", "--root", "--wd"];
		const become = ["setpriv", `--reuid=${USER_ID}`, `--regid=${USER_ID}`, "--clear-groups"];
		return new Engine(holder, directory, user, as === "root" ? enter : [...enter, ...become]);
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.#holder.kill("SIGKILL");
		await this.#holder.exited;
	}
}

/** A container storage whose layers a peer mounts. */
export class Store {
	readonly environment: Readonly<Record<string, string>>;
	/** To be made, in the namespaces, before podman runs. */
	readonly runtime: string;
	readonly #directory: string;

	constructor({ directory, user }: Engine, peer: Peer) {
		const name = `store-${Bun.hash(peer.name).toString(36)}`;
		const path = (file: string) => join(directory, name, file);
		this.#directory = path(".");
		this.runtime = join(RUNTIME, name);
		const runtime = this.runtime;
		mkdirSync(path("context"), { recursive: true });
		writeFileSync(
			path("storage.conf"),
			`[storage]
driver = "overlay"
graphroot = "${path("graph")}"
rootless_storage_path = "${path("graph")}"
runroot = "${runtime}/run"
[storage.options.overlay]
${peer.command === undefined ? "" : `mount_program = "${programOf(peer.command, path("mount-program"))}"`}
mountopt = "nodev"
`,
		);
		// No limit is raised: that may not be allowed.
		writeFileSync(
			path("containers.conf"),
			`[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
lock_type = "file"
tmp_dir = "${runtime}/engine"
runtime = "crun"
[network]
network_config_dir = "${path("network")}"
`,
		);
		chownSync(path("."), user, user);
		this.environment = {
			CONTAINERS_CONF: path("containers.conf"),
			CONTAINERS_STORAGE_CONF: path("storage.conf"),
			HOME: path("."),
			TMPDIR: path("."),
			XDG_RUNTIME_DIR: runtime,
		};
	}

	/** Of a file in it. */
	path(file: string): string {
		return join(this.#directory, file);
	}
}

/** One path: of a program with arguments a script that has them. */
function programOf([program, ...args]: readonly string[], script: string): string {
	if (args.length === 0) return program!;
	const quoted = [program!, ...args].map((word) => `'${word.replaceAll("'", "'\\''")}'`);
	writeFileSync(script, `#!/bin/sh\nexec ${quoted.join(" ")} "$@"\n`);
	chmodSync(script, 0o755);
	return script;
}
