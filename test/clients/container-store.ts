/**
 * A private container storage whose overlay driver mounts with the program under test, and a base image in it. For an
 * ordinary user podman and buildah work in user namespaces of their own.
 */
import { chmodSync, linkSync } from "node:fs";
import { program } from "../harness/program.ts";
import { setting } from "../harness/setting.ts";
import { mountsBelow, type Result, type RunOptions, Scratch } from "./scratch.ts";

/** What tests of containers need, and the Debian packages that hold it. */
export const containerTools = {
	podman: "podman",
	buildah: "buildah",
	crun: "crun",
	busybox: "busybox-static",
};

const applets = [
	"cat",
	"chmod",
	"chown",
	"cp",
	"find",
	"grep",
	"ln",
	"ls",
	"mkdir",
	"mknod",
	"mv",
	"rm",
	"rmdir",
	"sh",
	"sort",
	"stat",
];

const isRootless = setting !== "root";

interface StoreOptions {
	/** What mounts layers: the program under test, or the kernel's overlayfs. Default: the program. */
	readonly driver?: "program" | "kernel";
	/** Options of every mount. Default: "nodev". */
	readonly mountOptions?: string;
	/** Further lines for the overlay driver's section of storage.conf. */
	readonly overlaySettings?: string;
}

export class ContainerStore implements AsyncDisposable {
	readonly scratch: Scratch;
	readonly #env: Record<string, string>;

	private constructor(scratch: Scratch) {
		this.scratch = scratch;
		this.#env = {
			CONTAINERS_CONF: scratch.path("containers.conf"),
			CONTAINERS_STORAGE_CONF: scratch.path("storage.conf"),
			HOME: scratch.path("home"),
			TMPDIR: scratch.path("tmp"),
			XDG_RUNTIME_DIR: scratch.path("xdg"),
		};
	}

	static async create(options: StoreOptions = {}): Promise<ContainerStore> {
		const scratch = new Scratch();
		scratch.mkdir("home", "tmp", "xdg", "run", "engine", "cni");
		// Root of a container's namespace is somebody else, who goes through here to what is mounted.
		chmodSync(scratch.dir, 0o711);
		await scratch.write({
			"subordinate-ids": "containers:2000000000:1000000\n",
			// Everything the engines keep goes into the folder, and no limit is raised: that may not be allowed.
			"containers.conf": `[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
lock_type = "file"
tmp_dir = "${scratch.path("engine/tmp")}"
runtime = "crun"
[network]
network_config_dir = "${scratch.path("cni")}"
`,
		});
		const store = new ContainerStore(scratch);
		await store.setUp(options);
		return store;
	}

	/** Has the storage mounted so from now on; nothing of it may be in use. */
	async setUp({
		driver = "program",
		mountOptions = "nodev",
		overlaySettings = "",
	}: StoreOptions): Promise<void> {
		const { scratch } = this;
		await scratch.write({
			"storage.conf": `[storage]
driver = "overlay"
graphroot = "${scratch.path("graph")}"
rootless_storage_path = "${scratch.path("graph")}"
runroot = "${scratch.path("run")}"
[storage.options.overlay]
${driver === "program" ? `mount_program = "${program}"` : ""}
mountopt = "${mountOptions}"
${overlaySettings}
`,
		});
	}

	/** Runs podman or buildah on this storage. */
	run(argv: string[], options: RunOptions = {}): Promise<Result> {
		return this.scratch.run(argv, { ...options, env: { ...this.#env, ...options.env } });
	}

	/** Like `run`; throws unless the exit code is 0. Returns stdout without its last newline. */
	async must(argv: string[], options: RunOptions = {}): Promise<string> {
		const text = await this.scratch.must(argv, { ...options, env: { ...this.#env, ...options.env } });
		return text.replace(/\n$/, "");
	}

	/**
	 * `podman run` where it needs no set-up of the machine: no network, its own view of cgroups, and as root its own
	 * subordinate ids.
	 */
	runContainer(argv: readonly string[], options: RunOptions = {}): Promise<string> {
		const podman = ["podman", "run", "--cgroups=disabled", "--network", "none", ...argv];
		// An ordinary user has these already.
		if (isRootless) return this.must(podman, options);
		const script = `mount -t cgroup2 none /sys/fs/cgroup
			for name in subuid subgid; do mount --bind "$0" "/etc/$name"; done
			exec "$@"`;
		const ids = this.scratch.path("subordinate-ids");
		return this.must(["unshare", "--mount", "sh", "-ec", script, ids, ...podman], options);
	}

	/** Runs a shell script where `podman mount` and `buildah mount` put what they mount. */
	runBesideMounts(script: string, ...args: string[]): Promise<string> {
		const enter = isRootless ? ["podman", "unshare"] : [];
		return this.must([...enter, "sh", "-euc", script, "sh", ...args]);
	}

	/** Imports an image made of a static busybox and the given files, as one layer. */
	async importBase(
		name: string,
		files: Record<string, string>,
		links: [string, string][] = [],
	): Promise<void> {
		const tree = this.scratch.mkdir("base", "base/bin", "base/proc", "base/dev", "base/sys", "base/tmp");
		await Bun.$`cp ${Bun.which("busybox")!} ${tree}/bin/busybox`.quiet();
		for (const applet of applets) await Bun.$`ln -s busybox ${tree}/bin/${applet}`.quiet();
		await this.scratch.write(
			Object.fromEntries(Object.entries(files).map(([path, content]) => [`base/${path}`, content])),
		);
		for (const [existing, added] of links) linkSync(`${tree}/${existing}`, `${tree}/${added}`);
		await this.must(["tar", "-C", tree, "--owner=0", "--group=0", "-cf", this.scratch.path("base.tar"), "."]);
		await this.must(["podman", "import", "--quiet", this.scratch.path("base.tar"), name]);
	}

	/** What is left mounted of layers: nothing, when no container or image is in use. */
	mergedMounts(): string[] {
		return mountsBelow(this.scratch.dir).flatMap(({ path, type }) => (type.startsWith("fuse") ? [path] : []));
	}

	async [Symbol.asyncDispose](): Promise<void> {
		try {
			await this.run(["podman", "system", "reset", "--force"]);
		} finally {
			await this.scratch[Symbol.asyncDispose]();
		}
	}
}
