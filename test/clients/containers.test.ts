/** podman and buildah with `overlay.mount_program` set to the program: what they build is what containers see. */
import { afterAll, beforeAll, describe, expect, it, setDefaultTimeout } from "bun:test";
import { readFileSync } from "node:fs";
import { until } from "../harness/mount.ts";
import { ContainerStore, containerTools } from "./container-store.ts";
import { holdersOf, missingTools } from "./scratch.ts";

// Longer than any deadline within, so that clean-up always gets its turn.
setDefaultTimeout(300_000);

const missing = missingTools(containerTools);

const baseFiles = {
	"etc/passwd": "root:x:0:0::/:/bin/sh\n",
	"data/changed": "base\n",
	"data/kept": "base\n",
	"data/removed": "base\n",
	"data/linked-1": "base\n",
	"data/was-a-file": "base\n",
	"data/was-a-directory/inside": "base\n",
	"data/whole/a": "base\n",
	"data/whole/deep/er/b": "base\n",
	"data/remade/old": "base\n",
	"data/moved/file": "base\n",
	"data/emptied/one": "base\n",
	"data/emptied/two": "base\n",
};

const containerfile = `FROM localhost/base
COPY added /data/copied
RUN rm /data/removed && echo changed > /data/changed
RUN rm -r /data/whole /data/remade && rm /data/emptied/*
RUN mkdir /data/remade && echo new > /data/remade/new && chmod 0700 /data/remade
RUN rm /data/was-a-file && mkdir /data/was-a-file && echo new > /data/was-a-file/inside
RUN rm -r /data/was-a-directory && echo file > /data/was-a-directory
RUN mv /data/moved /data/target && ln -s target /data/moved && mkdir -p /data/short/lived
RUN rm -r /data/short /data/linked-2 && chmod 4755 /data/kept && echo last >> /data/remade/new
RUN test ! -e /data/removed && test ! -e /data/whole && test ! -e /data/remade/old && test ! -e /data/short
`;

/** Each name below /data: kind, mode, owner, name (and where a link leads), then the content of the files. */
const expected = `directory 755 0:0 .
regular file 644 0:0 ./changed
regular file 644 0:0 ./copied
directory 755 0:0 ./emptied
regular file 4755 0:0 ./kept
regular file 644 0:0 ./linked-1
symbolic link 777 0:0 ./moved
directory 700 0:0 ./remade
regular file 644 0:0 ./remade/new
directory 755 0:0 ./target
regular file 644 0:0 ./target/file
regular file 644 0:0 ./was-a-directory
directory 755 0:0 ./was-a-file
regular file 644 0:0 ./was-a-file/inside
./changed:changed
./copied:copied
./kept:base
./linked-1:base
./remade/new:new
./remade/new:last
./target/file:base
./was-a-directory:file
./was-a-file/inside:new`;

const show = `find . | sort | while read -r f; do stat -c '%F %a %u:%g %n' "$f"; done; \
find . -type f | sort | while read -r f; do grep -H "" "$f"; done`;

const dataNames = expected
	.split("\n")
	.filter((line) => / \d+:\d+ /.test(line))
	.map((line) => line.replace(/.* \.\/?/, "data/").replace(/\/$/, ""))
	.sort();

describe.skipIf(missing !== undefined)(`containers ${missing ?? ""}`, () => {
	let store: ContainerStore;

	beforeAll(async () => {
		store = await ContainerStore.create();
		await store.importBase("localhost/base", baseFiles, [["data/linked-1", "data/linked-2"]]);
		await store.scratch.write({ "context/Containerfile": containerfile, "context/added": "copied\n" });
	});
	afterAll(async () => {
		await store?.[Symbol.asyncDispose]();
	});

	/** Everything has been let go of: no mounts of layers, no daemons. */
	async function expectNothingLeft(): Promise<void> {
		expect(store.mergedMounts()).toEqual([]);
		await until(() => holdersOf(store.scratch.dir).length === 0, "daemons stay");
	}

	/** Names in a tar archive, without the slash after folders, sorted. */
	async function members(archive: string): Promise<string[]> {
		const text = await store.must(["tar", "-tf", archive]);
		return text
			.split("\n")
			.map((name) => name.replace(/^\.\//, "").replace(/\/$/, ""))
			.sort();
	}

	async function layersOf(image: string): Promise<string[][]> {
		const dir = store.scratch.mkdir(`saved-${image.replaceAll("/", "-")}`);
		await store.must([
			"podman",
			"save",
			"--quiet",
			"--format",
			"docker-archive",
			"-o",
			`${dir}/image.tar`,
			image,
		]);
		await store.must(["tar", "-C", dir, "-xf", `${dir}/image.tar`]);
		const [{ Layers: layers }] = JSON.parse(readFileSync(`${dir}/manifest.json`, "utf8"));
		return Promise.all((layers as string[]).map((layer) => members(`${dir}/${layer}`)));
	}

	async function build(image: string, ...command: string[]): Promise<void> {
		await store.must([...command, "--isolation", "chroot", "--tag", image, store.scratch.path("context")]);
		await expectNothingLeft();
	}

	describe.each([
		["podman build", "localhost/by-podman", ["podman", "build"]],
		["podman build --squash", "localhost/by-podman-squash", ["podman", "build", "--squash"]],
		["buildah bud", "localhost/by-buildah", ["buildah", "bud"]],
	] as const)("%s", (_, image, command) => {
		beforeAll(() => build(image, ...command));

		it("makes an image that a container sees as the Containerfile says, through our mount", async () => {
			const root = await store.runContainer(["--rm", image, "grep", " / ", "/proc/mounts"]);
			expect(root).toMatch(/ fuse\.fuse-overlayfs rw,/);
			const shown = store.runContainer(["--rm", "--workdir", "/data", image, "sh", "-c", show]);
			expect(await shown).toBe(expected);
			await expectNothingLeft();
		});

		it("makes an image that can be mounted and read", async () => {
			const script = `merged=$(podman image mount "$1")
				grep -c " $merged fuse.fuse-overlayfs " /proc/mounts
				(cd "$merged/data" && busybox sh -c "$2")
				podman image unmount "$1" >/dev/null`;
			expect(await store.runBesideMounts(script, image, show)).toBe(`1\n${expected}`);
			await expectNothingLeft();
		});

		it("makes an image whose export has just the names that are left", async () => {
			const container = await store.must([
				"podman",
				"create",
				"--cgroups=disabled",
				"--network=none",
				image,
				"sh",
			]);
			const archive = store.scratch.path("export.tar");
			await store.must(["podman", "export", "--output", archive, container]);
			await store.must(["podman", "rm", container]);
			expect((await members(archive)).filter((name) => /^data(\/|$)/.test(name))).toEqual(dataNames);
			await expectNothingLeft();
		});

		it("makes layers that say what was removed", async () => {
			const [base, ...added] = await layersOf(image);
			expect(base).toContain("data/whole/deep/er/b");
			const names = added.flat();
			const removed = ["data/.wh.removed", "data/.wh.whole", "data/emptied/.wh.one", "data/emptied/.wh.two"];
			for (const name of removed) expect(names).toContain(name);
			expect(names.filter((name) => /^data\/(whole(\/|$)|remade\/old$)/.test(name))).toEqual([]);
			expect(names.filter((name) => name.startsWith("bin/"))).toEqual([]);
			await expectNothingLeft();
		});
	});

	it("keeps what a container wrote, in a commit of it", async () => {
		const script = "rm -r /data/moved && echo run > /data/kept && mkdir /data/removed.d";
		await store.runContainer(["--name", "changed", "localhost/base", "sh", "-c", script]);
		await store.must(["podman", "commit", "--quiet", "changed", "localhost/committed"]);
		await store.must(["podman", "rm", "changed"]);
		const look = "cat /data/kept; ls /data";
		const shown = await store.runContainer(["--rm", "localhost/committed", "sh", "-c", look]);
		expect(shown.split("\n")).toEqual([
			"run",
			..."changed emptied kept linked-1 linked-2 remade removed removed.d".split(" "),
			..."was-a-directory was-a-file whole".split(" "),
		]);
		await expectNothingLeft();
	});

	it("lets buildah work on a container that stays mounted between commands", async () => {
		const container = await store.must(["buildah", "from", "--name", "working", "localhost/base"]);
		const script = `merged=$(buildah mount "$1")
			echo outside >"$merged/data/from-outside"
			buildah run --isolation chroot "$1" -- cat /data/from-outside
			buildah run --isolation chroot "$1" -- rm -r /data/whole
			test ! -e "$merged/data/whole"
			buildah umount "$1" >/dev/null`;
		expect(await store.runBesideMounts(script, container)).toBe("outside");
		await store.must(["buildah", "commit", "--quiet", container, "localhost/worked"]);
		await store.must(["buildah", "rm", container]);
		const shown = await store.runContainer(["--rm", "localhost/worked", "ls", "/data"]);
		expect(shown.split("\n")).toContain("from-outside");
		expect(shown.split("\n")).not.toContain("whole");
		await expectNothingLeft();
	});

	it("starts containers again and again with volatile, after the machine was started again, too", async () => {
		await using volatile = await ContainerStore.create({ mountOptions: "nodev,volatile" });
		await volatile.importBase("localhost/base", { "etc/passwd": "root:x:0:0::/:/bin/sh\n", "data/a": "1\n" });
		const container = await volatile.must(["buildah", "from", "localhost/base"]);
		const append = `merged=$(buildah mount "$1")
			echo again >>"$merged/data/a"
			cat "$merged/data/a"
			mark=$(dirname "$merged")/work/work/incompat/volatile/dirty
			test -s "$mark"
			buildah umount "$1" >/dev/null
			echo 00000000-0000-4000-8000-000000000000 >"$mark"`;
		expect(await volatile.runBesideMounts(append, container)).toBe("1\nagain");
		expect(await volatile.runBesideMounts(append, container)).toBe("1\nagain\nagain");
		await volatile.must(["buildah", "commit", "--quiet", container, "localhost/appended"]);
		const shown = await volatile.runContainer(["--rm", "localhost/appended", "cat", "/data/a"]);
		expect(shown).toBe("1\nagain\nagain");
	});

	// Set-id bits of what is built would not do: the storage of podman 4.3 itself drops them with force_mask.
	it("shows owners and modes that force_mask keeps off the layers' files", async () => {
		await using masked = await ContainerStore.create({ overlaySettings: 'force_mask = "shared"' });
		await masked.importBase("localhost/base", { "etc/passwd": "root:x:0:0::/:/bin/sh\n", "data/a": "1\n" });
		const alter = "chmod 0711 /data/a && chmod 0700 /data && mkdir -m 0750 /data/d";
		const make = "echo 1 > /data/f && chown 12:13 /data/f && chmod 600 /data/f";
		await masked.scratch.write({ Containerfile: `FROM localhost/base\nRUN ${alter} && ${make}\n` });
		const file = masked.scratch.path("Containerfile");
		await masked.must([
			"podman",
			"build",
			"--isolation",
			"chroot",
			"--file",
			file,
			"--tag",
			"localhost/masked",
		]);

		const shown = "/data 0:0 700\n/data/a 0:0 711\n/data/d 0:0 750\n/data/f 12:13 600";
		const script = "stat -c '%n %u:%g %a' /data /data/*";
		expect(await masked.runContainer(["--rm", "localhost/masked", "sh", "-c", script])).toBe(shown);

		const container = await masked.must(["buildah", "from", "localhost/masked"]);
		const change = `merged=$(buildah mount "$1")
			chown 7:8 "$merged/data/a" && chmod 4750 "$merged/data/a" && stat -c "%u:%g %a" "$merged/data/a"
			buildah umount "$1" >/dev/null
			layer=$(dirname "$merged")/diff
			stat -c "%u:%g %a" "$layer/data/a"
			getfattr --only-values --absolute-names -n user.containers.override_stat "$layer/data/a"`;
		const [seen, onDisk, attribute] = (await masked.runBesideMounts(change, container)).split("\n");
		expect(seen).toBe("7:8 4750");
		expect(onDisk).toStartWith("0:0 ");
		expect(attribute).toMatch(/^7:8:0*(10)?4750(:file)?$/);
	});
});
