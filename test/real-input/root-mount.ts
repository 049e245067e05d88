/** A mount with this machine's own root file system as the lower layer, and ways to work in it as a container does. */

import { Scratch } from "../clients/scratch.ts";
import { program } from "../harness/program.ts";

export class RootMount implements AsyncDisposable {
	readonly scratch: Scratch;
	readonly merged: string;
	readonly upper: string;

	private constructor(scratch: Scratch) {
		this.scratch = scratch;
		this.merged = scratch.mkdir("merged");
		this.upper = scratch.path("disk/upper");
	}

	/** Mounts `/` with an empty upper layer on a file system of its own: an ext4 image, or memory without loop devices. */
	static async create(): Promise<RootMount> {
		// On the file system that is its lower layer.
		const scratch = new Scratch("/var/tmp");
		try {
			const disk = scratch.mkdir("disk");
			const image = scratch.path("disk.img");
			await scratch.must(["truncate", "--size=4G", image]);
			await scratch.must(["mkfs.ext4", "-q", "-E", "lazy_itable_init=1", image]);
			const looped = await scratch.run(["mount", "-o", "loop", image, disk]);
			if (looped.code !== 0) await scratch.must(["mount", "-t", "tmpfs", "-o", "size=4G", "tmpfs", disk]);
			scratch.mkdir("disk/upper", "disk/work");
			const mount = new RootMount(scratch);
			await mount.mount();
			return mount;
		} catch (error) {
			await scratch[Symbol.asyncDispose]();
			throw error;
		}
	}

	/** Mounts again with the same layers. */
	async mount(): Promise<void> {
		const options = `lowerdir=/,upperdir=${this.upper},workdir=${this.scratch.path("disk/work")}`;
		await this.scratch.must([program, "-o", options, this.merged]);
	}

	/** Unmounts; the layers are at rest when this resolves. */
	async unmount(): Promise<void> {
		await this.scratch.unmount(this.merged);
	}

	/**
	 * Runs a shell script in the mount as its root, with /proc and /dev as a container has them; nothing that it
	 * starts outlives it. Returns what it printed; throws unless it succeeds.
	 * @param timeout milliseconds
	 */
	chroot(script: string, timeout = 120_000): Promise<string> {
		const enter = `mount -t proc proc "$1/proc" && mount --rbind /dev "$1/dev" && exec chroot "$1" sh -euc "$2"`;
		const namespaces = ["--mount", "--pid", "--fork", "--kill-child"];
		const argv = ["unshare", ...namespaces, "sh", "-c", enter, "sh", this.merged, script];
		// The folder of this test is no working directory in there, nor is what a shell remembers of it.
		const env = {
			PWD: undefined,
			HOME: "/root",
			TMPDIR: "/tmp",
			LC_ALL: "C.UTF-8",
			DEBIAN_FRONTEND: "noninteractive",
		};
		return this.scratch.must(argv, { cwd: "/", env, timeout });
	}

	/** All names below the upper layer with find's letter for their kind before them, sorted: `d var/lib`. */
	async upperNames(): Promise<string[]> {
		const text = await this.scratch.must(["find", this.upper, "-mindepth", "1", "-printf", "%y %P\\n"]);
		return text
			.split("\n")
			.filter((line) => line !== "")
			.sort();
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.scratch[Symbol.asyncDispose]();
	}
}
