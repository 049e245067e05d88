/** The same work in containers, with the program and with the kernel's overlayfs: what is exported is the same. */
import { afterAll, beforeAll, describe, expect, it, setDefaultTimeout } from "bun:test";
import { setting } from "../harness/setting.ts";
import { ContainerStore, containerTools } from "./container-store.ts";
import { debianArchive, packageToInstall } from "./debian-archive.ts";
import { missingTools } from "./scratch.ts";
import { type Member, readArchive } from "./tar.ts";

/** Longer than any deadline within, so that clean-up always gets its turn. */
setDefaultTimeout(600_000);
const timeout = 300_000;

const missing = missingTools({ ...containerTools, debootstrap: "debootstrap" });

/** Files whose content holds when they were written, or the times and inode numbers of others. */
const tellingTheTime = new Set([
	"srv/r/.git/index",
	"var/cache/ldconfig/aux-cache",
	"var/log/apt/history.log",
	"var/log/apt/term.log",
	"var/log/dpkg.log",
]);

/** A line for each member that is not the same in both. */
function differences(
	left: ReadonlyMap<string, Member>,
	right: ReadonlyMap<string, Member>,
	/** Members whose content may differ. */
	ignored: ReadonlySet<string> = new Set(),
): string[] {
	const show = (member: Member | undefined, name: string) => {
		if (member === undefined) return "(absent)";
		return [member.kind, member.attributes, ...(ignored.has(name) ? [] : [member.digest])].join(" ");
	};
	return [...new Set([...left.keys(), ...right.keys()])]
		.sort()
		.map((name) => [name, show(left.get(name), name), show(right.get(name), name)] as const)
		.filter(([, one, other]) => one !== other)
		.map(([name, one, other]) => `${name}: ${one} | ${other}`);
}

describe.skipIf(missing !== undefined)(`exports ${missing ?? ""}`, () => {
	const drivers = ["program", "kernel"] as const;
	const stores: ContainerStore[] = [];
	beforeAll(async () => {
		for (const driver of drivers) stores.push(await ContainerStore.create({ driver }));
	});
	afterAll(async () => {
		for (const store of stores) await store[Symbol.asyncDispose]();
	});

	/** What a container shows of itself, as a tar archive. */
	async function exported(store: ContainerStore, container: string): Promise<Map<string, Member>> {
		const archive = store.scratch.path("export.tar");
		await store.must(["podman", "export", "--output", archive, container], { timeout });
		return readArchive(archive);
	}

	async function sameWork(
		work: (store: ContainerStore) => Promise<Map<string, Member>>,
	): Promise<Map<string, Member>[]> {
		const results: Map<string, Member>[] = [];
		for (const store of stores) results.push(await work(store));
		return results;
	}

	const layers = 40;
	/**
	 * Every fourth changes, or takes away, something that the ones before it made; the others add something. What gets
	 * another link is written to as well: with a mount program containers/storage compares trees, where an unchanged
	 * file is no part of the layer, and its new link a file of its own.
	 */
	function layer(index: number): string {
		if (index % 4 !== 0) return `COPY --chown=${index}:7 new /data/new-${index}`;
		const changes = [
			`rm /data/new-${index - 1} && echo ${index} >>/data/changed && mkdir -p /data/tree/${index}/deep`,
			`chmod ${index % 8 ? "0750" : "0705"} /data/tree && echo ${index} >>/data/kept && ln /data/kept /data/link-${index}`,
			`rm -rf /data/tree && mkdir -p /data/tree/${index} && mv /data/changed /data/moved && mv /data/moved /data/changed`,
			`rm -f /data/link-* && ln -s kept /data/link-${index} && chmod 4755 /data/kept`,
		];
		return `RUN ${changes[(index / 4) % changes.length]}`;
	}

	// Each takes a minute: one is tried as root, the other as an ordinary user.
	it.skipIf(setting === "root")(`of an image of ${layers} layers are the same`, async () => {
		const [ours, kernels] = await sameWork(async (store) => {
			await store.importBase("localhost/base", {
				"data/changed": "0\n",
				"data/kept": "kept\n",
				"data/tree/first": "1",
			});
			const steps = Array.from({ length: layers }, (_, index) => layer(index + 1));
			const containerfile = ["FROM localhost/base", ...steps].join("\n");
			await store.scratch.write({ "context/Containerfile": containerfile, "context/new": "new\n" });
			const build = ["podman", "build", "--layers", "--isolation", "chroot", "--tag", "localhost/layers"];
			await store.must([...build, store.scratch.path("context")], { timeout });
			const count = ["podman", "image", "inspect", "--format", "{{len .RootFS.Layers}}", "localhost/layers"];
			expect(await store.must(count)).toBe(String(layers + 1));
			const script = "echo last >/data/last && rm /data/changed";
			await store.runContainer(["--name", "worked", "localhost/layers", "sh", "-c", script]);
			return await exported(store, "worked");
		});
		expect(ours!.get("data/last")).toBeDefined();
		expect(differences(ours!, kernels!)).toEqual([]);
	});

	it.skipIf(setting !== "root")(
		"of a Debian tree in which packages were installed are the same",
		async () => {
			const archive = debianArchive();
			const [ours, kernels] = await sameWork(async (store) => {
				await store.must(["podman", "import", "--quiet", archive, "localhost/debian"], { timeout });
				const install = `apt-get -qq -y --no-install-recommends --no-download install ${packageToInstall}`;
				const environment = ["--env", "DEBIAN_FRONTEND=noninteractive"];
				await store.runContainer(
					[
						"--name",
						"installing",
						...environment,
						"localhost/debian",
						"sh",
						"-euc",
						`${install} && apt-get clean`,
					],
					{ timeout },
				);
				await store.must(["podman", "commit", "--quiet", "installing", "localhost/installed"], { timeout });
				const use =
					"git init -q /srv/r && cd /srv/r && echo a >a && git add a && git ls-files && dpkg --audit";
				const name = ["--name", "using"];
				expect(await store.runContainer([...name, "localhost/installed", "sh", "-euc", use])).toBe("a");
				return await exported(store, "using");
			});
			expect(ours!.get("usr/bin/git")?.kind).toBe("file");
			expect(differences(ours!, kernels!, tellingTheTime)).toEqual([]);
		},
	);
});
