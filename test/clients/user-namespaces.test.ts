/**
 * podman with user namespaces: owners are the same in the container, in what is made there by podman itself, and in an
 * image committed of it, whatever ids they have on the machine.
 */
import { afterAll, beforeAll, describe, expect, it, setDefaultTimeout } from "bun:test";
import { readdirSync, readFileSync, rmSync } from "node:fs";
import { until } from "../harness/mount.ts";
import { setting } from "../harness/setting.ts";
import { ContainerStore, containerTools } from "./container-store.ts";
import { holdersOf, missingTools } from "./scratch.ts";

// Longer than any deadline within, so that clean-up always gets its turn.
setDefaultTimeout(300_000);

const missing = missingTools(containerTools);

/** What puts a container into a user namespace; its root is none that the program's caller is. */
const namespaces: readonly (readonly [name: string, options: readonly string[]])[] =
	setting === "root"
		? [
				["--uidmap", ["--uidmap", "0:100000:65536"]],
				["--uidmap over ids that the image has, too", ["--uidmap", "0:5:65536"]],
				["--userns=auto", ["--userns=auto:size=4096"]],
			]
		: [
				["--userns=keep-id", ["--userns=keep-id", "--user", "0:0"]],
				["--uidmap", ["--uidmap", "0:1:4096"]],
				["--userns=auto", ["--userns=auto:size=4096"]],
			];

const change = `cd /data && echo more >> lower && echo x > file && mkdir dir && ln -s a link && mknod fifo p
chown 7:8 file && chmod 4755 file && chown 3:4 dir && chown 5:6 moved && mv moved dir/moved`;
const show = `stat -c "%F %a %u:%g %n" /etc/mtab $(find /data | sort)`;

const asImported = `symbolic link 777 0:0 /etc/mtab
directory 755 0:0 /data
regular file 644 7:8 /data/lower
regular file 600 9:10 /data/moved`;
const asChanged = `symbolic link 777 0:0 /etc/mtab
directory 755 0:0 /data
directory 755 3:4 /data/dir
regular file 600 5:6 /data/dir/moved
fifo 644 0:0 /data/fifo
regular file 4755 7:8 /data/file
symbolic link 777 0:0 /data/link
regular file 644 7:8 /data/lower`;
/** The layer of an image, as tar lists it. */
const asCommitted = [
	"-rw------- 5/6 data/dir/moved",
	"-rw-r--r-- 7/8 data/lower",
	"-rwsr-xr-x 7/8 data/file",
	"drwxr-xr-x 0/0 data/",
	"drwxr-xr-x 3/4 data/dir/",
	"lrwxrwxrwx 0/0 data/link",
	"lrwxrwxrwx 0/0 etc/mtab",
	"prw-r--r-- 0/0 data/fifo",
];

describe.skipIf(missing !== undefined)(`user namespaces ${missing ?? ""}`, () => {
	let store: ContainerStore;

	beforeAll(async () => {
		store = await ContainerStore.create();
		const files = { "etc/passwd": "root:x:0:0::/:/bin/sh\n", "data/lower": "x\n", "data/moved": "x\n" };
		await store.importBase("localhost/base", files);
		// podman is to make the symlink in every container.
		const own = "chown 7:8 /data/lower && chown 9:10 /data/moved && chmod 600 /data/moved && rm /etc/mtab";
		await store.runContainer(["--name", "owning", "localhost/base", "sh", "-c", own]);
		await store.must(["podman", "commit", "--quiet", "owning", "localhost/owned"]);
		await store.must(["podman", "rm", "owning"]);
	});
	afterAll(async () => {
		await store?.[Symbol.asyncDispose]();
	});

	async function expectNothingLeft(): Promise<void> {
		expect(store.mergedMounts()).toEqual([]);
		await until(() => holdersOf(store.scratch.dir).length === 0, "daemons stay");
	}

	/** Runs a shell script in a container that is removed then. */
	function run(script: string, ...options: readonly string[]): Promise<string> {
		return store.runContainer(["--rm", ...options, "localhost/owned", "sh", "-ec", script]);
	}

	describe.each(namespaces)("%s", (_, options) => {
		it("shows the image's owners, and what the container and podman make in it", async () => {
			expect(await run(show, ...options)).toBe(asImported);
			expect(await run(`${change}\n${show}`, ...options)).toBe(asChanged);
			await expectNothingLeft();
		});

		it("commits owners as the container has them, into an image for any namespace", async () => {
			const name = ["--name", "changed"];
			await store.runContainer([...name, ...options, "localhost/owned", "sh", "-ec", change]);
			await store.must(["podman", "commit", "--quiet", "changed", "localhost/changed"]);
			await store.must(["podman", "rm", "changed"]);
			expect(await committed("localhost/changed")).toEqual(asCommitted);
			for (const again of [options, []]) {
				const argv = ["--rm", ...again, "localhost/changed", "sh", "-ec", show];
				expect(await store.runContainer(argv)).toBe(asChanged);
			}
			await store.must(["podman", "rmi", "--force", "localhost/changed"]);
			await expectNothingLeft();
		});

		it("with --read-only, shows the image's owners and takes no change", async () => {
			const script = `${show}; if echo x > /data/new; then exit 1; fi; echo x > /tmp/new`;
			expect(await run(script, "--read-only", ...options)).toBe(asImported);
			await expectNothingLeft();
		});

		it("fills a new volume with the image's directory, owners and all", async () => {
			expect(await run(show, "--volume", "filled:/data", ...options)).toBe(asImported);
			expect(await run(`${change}\n${show}`, "--volume", "filled:/data", ...options)).toBe(asChanged);
			await store.must(["podman", "volume", "rm", "filled"]);
			await expectNothingLeft();
		});

		it.each([
			["a directory of the machine", "", ["mine", "new"]],
			["one that is given away", ":U", ["mine", "new"]],
			["one that stays as it is", ":O", ["mine"]],
		])("gives the container %s as a volume", async (_title, suffix, left) => {
			const volume = store.scratch.mkdir("volume");
			await Bun.$`chmod 777 ${volume} && echo mine > ${volume}/mine`.quiet();
			const script = `cat /volume/mine; echo x > /volume/new; stat -c "%u:%g" /volume/new`;
			const shown = await run(script, "--volume", `${volume}:/volume${suffix}`, ...options);
			expect(shown).toBe("mine\n0:0");
			expect(readdirSync(volume).sort()).toEqual(left);
			// What the container made and was given belongs to none of this process's users.
			await store.runBesideMounts(`rm -r "$1"`, volume);
			await expectNothingLeft();
		});
	});

	/** The layer that a commit has added: kinds, modes, owners and names, without what every container has. */
	async function committed(image: string): Promise<string[]> {
		const dir = store.scratch.mkdir("saved");
		const archive = `${dir}/image.tar`;
		await store.must(["podman", "save", "--quiet", "--format", "docker-archive", "-o", archive, image]);
		await store.must(["tar", "-C", dir, "-xf", archive]);
		const [{ Layers: layers }] = JSON.parse(readFileSync(`${dir}/manifest.json`, "utf8"));
		const listed = await store.must(["tar", "--numeric-owner", "-tvf", `${dir}/${layers.at(-1)}`]);
		rmSync(dir, { recursive: true, force: true });
		const lines = listed.split("\n").map((line) => line.replace(/ -> .*/, "").split(/\s+/));
		const members = lines.map(([mode, owner, , , , name]) => `${mode} ${owner} ${name}`);
		return members
			.filter((line) => / (data\/.*|etc\/mtab)$/.test(line))
			.filter((line) => !/\.wh\./.test(line))
			.sort();
	}
});
