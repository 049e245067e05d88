/**
 * A podman store that goes from native overlay to the program and back, while its containers and images stay: each goes on
 * with what the other has left, files without their data and renamed directories above all.
 */

import { afterAll, beforeAll, describe, expect, it, setDefaultTimeout } from "bun:test";
import { readdirSync, rmSync } from "node:fs";
import { lacksData } from "../harness/metacopies.ts";
import { setting } from "../harness/setting.ts";
import { ContainerStore, containerTools } from "./container-store.ts";
import { missingTools } from "./scratch.ts";
import { type Member, readArchive } from "./tar.ts";

// Longer than any deadline within, so that clean-up always gets its turn.
setDefaultTimeout(300_000);

const missing = missingTools(containerTools);

const native = { driver: "kernel", mountOptions: "nodev,metacopy=on,redirect_dir=on" } as const;
/** As {@link native}; podman takes metacopy=on out for a program. */
const ours = { driver: "program", mountOptions: "nodev,metacopy=1,redirect_dir=on" } as const;
const reading = { driver: "program", mountOptions: native.mountOptions } as const;

const baseFiles = {
	"data/owned": "owned\n",
	"data/moded": "moded\n",
	"data/moved": "moved\n",
	"data/written": "written\n",
	"data/deep/down/file": "deep\n",
	"data/tree/one": "one\n",
	"data/tree/two": "two\n",
	"data/removed": "removed\n",
};

/** What each side does in turn, in the container's root; each finds what the ones before it have left. */
const steps = [
	`chown -R 7:8 data/tree; chmod 600 data/moded; mv data/moved data/deep/moved; ln data/owned data/link
	mv data/deep data/deeper; rm data/removed; mv data/tree data/deeper/tree`,
	`mv data/deeper/moved data/back; echo more >>data/back; mv data/deeper/tree data/wood; chmod 640 data/wood/one
	chown 3:4 data/written; mv data/written data/wood/w; mv data/deeper/down data/wood/down`,
	`echo more >>data/link; mv data/wood/w data/w2; chmod 604 data/w2; mv data/wood data/forest; rm data/forest/two
	chown 9:9 data/forest/down/file; ln data/moded data/forest/m`,
	`echo end >>data/w2; mv data/forest/m data/m; mv data/forest/down data/down; echo end >>data/down/file`,
];
const expected = `directory 755 0:0 .
regular file 644 0:0 ./back
directory 755 0:0 ./deeper
directory 755 0:0 ./down
regular file 644 9:9 ./down/file
directory 755 7:8 ./forest
regular file 640 7:8 ./forest/one
regular file 644 0:0 ./link
regular file 600 0:0 ./m
regular file 600 0:0 ./moded
regular file 644 0:0 ./owned
regular file 604 3:4 ./w2
./back:moved
./back:more
./down/file:deep
./down/file:end
./forest/one:one
./link:owned
./link:more
./m:moded
./moded:moded
./owned:owned
./owned:more
./w2:written
./w2:end`;
const show = `find . | sort | while read -r f; do stat -c '%F %a %u:%g %n' "$f"; done; \
find . -type f | sort | while read -r f; do grep -H "" "$f"; done`;

describe.skipIf(missing !== undefined || setting !== "root")(`a store changes sides ${missing ?? ""}`, () => {
	let store: ContainerStore;
	beforeAll(async () => {
		store = await ContainerStore.create(native);
		await store.importBase("localhost/base", baseFiles);
	});
	afterAll(async () => {
		await store?.[Symbol.asyncDispose]();
	});

	async function changeTo(side: typeof native | typeof ours | typeof reading): Promise<void> {
		await store.setUp(side);
		// Podman notes that a program was set, and looks for one by itself from then on.
		rmSync(store.scratch.path("graph/overlay/.has-mount-program"), { force: true });
	}

	/** The containers' layers, and in them files without their data. */
	function hollowFiles(): string[] {
		const graph = store.scratch.path("graph/overlay");
		const paths = readdirSync(graph, { recursive: true, withFileTypes: true })
			.filter((entry) => entry.isFile() && entry.parentPath.includes("/diff"))
			.map((entry) => `${entry.parentPath}/${entry.name}`);
		return paths.filter(lacksData);
	}

	/** What podman tells of a container: its changes, and all that is in it. */
	async function told(container: string): Promise<readonly [string[], Map<string, Member>]> {
		const changes = await store.must(["podman", "diff", container]);
		const archive = store.scratch.path("export.tar");
		await store.must(["podman", "export", "--output", archive, container]);
		return [changes.split("\n").sort(), readArchive(archive)];
	}

	it("and goes on there, with files without their data and renamed directories", async () => {
		await store.must(["podman", "create", "--name", "box", "localhost/base", "sh"]);
		let last: Awaited<ReturnType<typeof told>> | undefined;
		for (const [turn, side] of [native, ours, native, ours].entries()) {
			await changeTo(side);
			if (last !== undefined) expect(await told("box")).toEqual(last);
			await store.runBesideMounts(`cd "$(podman mount box)"; (${steps[turn]}); cd /; podman unmount box >&2`);
			expect(hollowFiles()).not.toEqual([]);
			last = await told("box");
		}
		for (const side of [native, reading]) {
			await changeTo(side);
			expect(await told("box")).toEqual(last!);
			await store.must(["podman", "commit", "--quiet", "box", `localhost/${side.driver}`]);
			const run = ["--rm", `localhost/${side.driver}`, "sh", "-euc", `cd /data; ${show}`];
			expect(await store.runContainer(run)).toBe(expected);
		}
	});
});
