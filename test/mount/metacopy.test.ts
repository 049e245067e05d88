/**
 * Files without their data as kernel overlayfs leaves them with `metacopy=on`: that is in a layer below, and is shown from
 * there as the kernel shows it. What is not to be followed, or leads nowhere, is an error to whoever asks for it, and a line
 * in the log: never zeros.
 */

import { describe, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import {
	appendFileSync,
	chmodSync,
	chownSync,
	closeSync,
	fsyncSync,
	linkSync,
	lstatSync,
	openSync,
	readdirSync,
	readFileSync,
	readSync,
	renameSync,
	truncateSync,
	unlinkSync,
	utimesSync,
	writeFileSync,
	writeSync,
} from "node:fs";
import { MS_REMOUNT } from "../../src/native/layout.ts";
import { open } from "../harness/descriptor.ts";
import { file, temporaryTree } from "../harness/layers.ts";
import { blocksIn, changeAround, inKernel, lacksData, large, lower } from "../harness/metacopies.ts";
import { type MountRequest, mountOverlay } from "../harness/mount.ts";
import {
	codeOf,
	getxattr,
	listxattr,
	mount,
	RENAME_EXCHANGE,
	renameat2,
	setxattr,
} from "../harness/native.ts";
import { isKernel } from "../harness/program.ts";
import { numbersIn } from "../harness/redirects.ts";
import { lacks } from "../harness/setting.ts";
import { differences, snapshot } from "../harness/snapshot.ts";

describe.skipIf(lacks("trusted attributes") || isKernel)(
	"what kernel overlayfs left without its data",
	() => {
		const roles: Readonly<Record<string, (layers: MountRequest, spare: () => MountRequest) => MountRequest>> =
			{
				"in the upper layer": (layers) => layers,
				"in a lower layer": (_, spare) => spare(),
				"without an upper layer": ({ upper = "", lower: below, mountpoint }) => {
					return { lower: [upper, ...below], mountpoint };
				},
			};

		test.each(Object.entries(roles))("is shown as the kernel shows it, %s", async (_, place) => {
			using tree = temporaryTree();
			const layers = tree.layers([lower]);
			inKernel(layers, () => changeAround(layers.mountpoint));
			// Otherwise nothing is proved.
			expect(readFileSync(`${layers.upper}/program`)).toEqual(Buffer.alloc(19));
			expect(lacksData(`${layers.upper}/made/deep`)).toBe(true);
			const request = place(layers, () => ({
				lower: [layers.upper ?? "", ...layers.lower],
				upper: tree.layer("upper2"),
				work: tree.layer("work2"),
				mountpoint: layers.mountpoint,
			}));
			const look = (root: string) => snapshot(root, { ignoreTimes: request !== layers });
			const [kernels, blocks, numbers] = inKernel(layers, () => [
				look(layers.mountpoint),
				blocksIn(layers.mountpoint),
				numbersIn(layers.mountpoint),
			]);
			for (const options of [
				[],
				["timeout=0"],
				["passthrough=off"],
				["passthrough=on"],
				["redirect_dir=on"],
			]) {
				await using mounted = await mountOverlay({ ...request, options });
				expect(differences(look(mounted.path), kernels)).toEqual([]);
				expect(blocksIn(mounted.path)).toEqual(blocks);
				if (request === layers) expect(numbersIn(mounted.path)).toEqual(numbers);
				expect(execFileSync(mounted.at("program"), { encoding: "utf8" })).toBe("run\n");
				expect(listxattr(mounted.at("other"))).toEqual([]);
			}
		});

		test("is shown so over several levels", async () => {
			using tree = temporaryTree();
			const layers = tree.layers([lower]);
			inKernel(layers, () => changeAround(layers.mountpoint));
			const second = {
				...layers,
				lower: [layers.upper, ...layers.lower],
				upper: tree.layer("upper2"),
				work: tree.layer("work2"),
			};
			inKernel(second, () => {
				chmodSync(`${layers.mountpoint}/program`, 0o777);
				renameSync(`${layers.mountpoint}/other`, `${layers.mountpoint}/third`);
				renameSync(`${layers.mountpoint}/away`, `${layers.mountpoint}/e/back`);
				renameSync(`${layers.mountpoint}/made`, `${layers.mountpoint}/done`);
				chmodSync(`${layers.mountpoint}/done/deep`, 0o604);
				chmodSync(`${layers.mountpoint}/large`, 0o604);
			});
			expect(lacksData(`${second.upper}/program`)).toBe(true);
			const look = (root: string) => snapshot(root, { ignoreTimes: true });
			const [kernels, blocks] = inKernel(second, () => [
				look(layers.mountpoint),
				blocksIn(layers.mountpoint),
			]);
			const stack = [second.upper, ...second.lower];
			for (const request of [
				second,
				{ lower: stack, mountpoint: layers.mountpoint },
				{ lower: stack, upper: tree.layer("up3"), work: tree.layer("w3"), mountpoint: layers.mountpoint },
			]) {
				await using mounted = await mountOverlay(request);
				expect(differences(look(mounted.path), kernels)).toEqual([]);
				expect(blocksIn(mounted.path)).toEqual(blocks);
			}
		});

		/** Changes through the mount; what of it the upper layer then holds without its data. */
		const changes: Readonly<Record<string, readonly [(root: string) => void, readonly string[]]>> = {
			chmod: [(root) => chmodSync(`${root}/program`, 0o700), ["program"]],
			chown: [(root) => chownSync(`${root}/program`, 1, 2), ["program"]],
			"setting times": [(root) => utimesSync(`${root}/program`, 5, 6), ["program"]],
			"setting an attribute": [(root) => setxattr(`${root}/program`, "user.a", "a"), ["program"]],
			rename: [(root) => renameSync(`${root}/program`, `${root}/e/program`), []],
			exchange: [(root) => renameat2(`${root}/program`, `${root}/plain`, RENAME_EXCHANGE), []],
			replacing: [(root) => renameSync(`${root}/plain`, `${root}/program`), []],
			link: [(root) => linkSync(`${root}/program`, `${root}/further`), []],
			append: [(root) => appendFileSync(`${root}/program`, "echo more\n"), []],
			truncate: [(root) => truncateSync(`${root}/program`, 0), []],
			"truncate to a part": [(root) => truncateSync(`${root}/program`, 5), []],
			"truncate to more": [(root) => truncateSync(`${root}/program`, 50), []],
			overwriting: [(root) => writeFileSync(`${root}/program`, "new"), []],
			removing: [(root) => unlinkSync(`${root}/program`), []],
			"writing to one of its names": [(root) => appendFileSync(`${root}/second`, "+"), []],
			"writing to a large one": [(root) => appendFileSync(`${root}/large`, "+"), []],
			"cutting a large one": [(root) => truncateSync(`${root}/large`, 2_000_000), []],
			"writing to a sparse one": [(root) => appendFileSync(`${root}/sparse`, "+"), []],
			"renaming its directory": [(root) => renameSync(`${root}/made`, `${root}/unmade`), ["unmade/deep"]],
		};

		test.each(Object.keys(changes))("%s leaves what the kernel reads", async (name) => {
			const [change, left] = changes[name]!;
			using tree = temporaryTree();
			const layers = tree.layers([lower]);
			inKernel(layers, () => changeAround(layers.mountpoint));
			const look = (root: string) => snapshot(root);
			let ours: ReturnType<typeof look>;
			{
				await using mounted = await mountOverlay(layers);
				change(mounted.path);
				ours = look(mounted.path);
				expect(Object.keys(ours).length).toBeGreaterThan(10);
			}
			for (const path of left) expect(lacksData(`${layers.upper}/${path}`)).toBe(true);
			if (left.length === 0) expect(lacksData(`${layers.upper}/program`)).toBe(name.includes(" one"));
			inKernel(layers, () => expect(differences(ours, look(layers.mountpoint))).toEqual([]));
			await using again = await mountOverlay(layers);
			expect(differences(look(again.path), ours)).toEqual([]);
		});

		test.each(["passthrough=off", "passthrough=on"])(
			"in a lower layer is copied up with its data, once, with %s",
			async (option) => {
				using tree = temporaryTree();
				const layers = tree.layers([lower]);
				inKernel(layers, () => changeAround(layers.mountpoint));
				const below = [layers.upper, ...layers.lower];
				const own = { upper: tree.layer("upper2"), work: tree.layer("work2") };
				await using mounted = await mountOverlay({ ...layers, ...own, lower: below, options: [option] });
				for (const name of ["owned", "other", "away", "e/inner", "made/deep", "linked", "large", "sparse"]) {
					const before = readFileSync(mounted.at(name));
					chmodSync(mounted.at(name), 0o604);
					for (const text of ["one", "two"]) appendFileSync(mounted.at(name), text);
					const after = Buffer.concat([before, Buffer.from("onetwo")]);
					expect(readFileSync(mounted.at(name)).equals(after)).toBe(true);
					expect(readFileSync(`${own.upper}/${name}`).equals(after)).toBe(true);
					expect(lstatSync(mounted.at(name)).blocks).toBe(lstatSync(`${own.upper}/${name}`).blocks);
					renameSync(mounted.at(name), mounted.at("renamed"));
					expect(readFileSync(mounted.at("renamed")).equals(after)).toBe(true);
				}
			},
		);

		test.each(["passthrough=off", "passthrough=on"])(
			"can be used while it is open, with %s",
			async (option) => {
				using tree = temporaryTree();
				const layers = tree.layers([lower]);
				inKernel(layers, () => changeAround(layers.mountpoint));
				await using mounted = await mountOverlay({ ...layers, options: [option] });
				const buffer = Buffer.alloc(100);
				const read = (fd: number) => buffer.toString("utf8", 0, readSync(fd, buffer, 0, 100, 0));
				const [gone, written] = [openSync(mounted.at("owned"), "r+"), openSync(mounted.at("timed"), "r")];
				fsyncSync(gone);
				unlinkSync(mounted.at("owned"));
				expect(read(gone)).toBe("owned");
				for (const at of [5, 6]) writeSync(gone, "+", at);
				expect(read(gone)).toBe("owned++");
				appendFileSync(mounted.at("timed"), "+");
				// With passthrough=on only large ones are the kernel's.
				expect(read(written)).toBe("timed+");
				const lost = openSync(mounted.at("marked"), "r");
				unlinkSync(mounted.at("marked"));
				expect(read(lost)).toBe("marked");
				expect(lstatSync(mounted.at("second")).nlink).toBe(2);
				appendFileSync(mounted.at("second"), "+");
				expect(readFileSync(mounted.at("linked"), "utf8")).toBe("linked+");
				for (const fd of [gone, written, lost]) closeSync(fd);
				expect(readFileSync(mounted.at("large"))).toEqual(large);
			},
		);

		test("keeps set-id bits, capabilities and times when its data is brought up for another name", async () => {
			using tree = temporaryTree();
			const capability = Buffer.from("0100000200040000000000000000000000000000", "hex");
			const layers = tree.layers([{ f: file("content", { mode: 0o755 }) }]);
			inKernel(layers, () => {
				chmodSync(`${layers.mountpoint}/f`, 0o6755);
				setxattr(`${layers.mountpoint}/f`, "security.capability", capability);
				utimesSync(`${layers.mountpoint}/f`, 1000, 2000);
			});
			await using mounted = await mountOverlay(layers);
			renameSync(mounted.at("f"), mounted.at("g"));
			expect(lacksData(`${layers.upper}/g`)).toBe(false);
			const { mode, mtimeMs } = lstatSync(mounted.at("g"));
			expect(mode & 0o7777).toBe(0o6755);
			expect(mtimeMs).toBe(2_000_000);
			expect(getxattr(mounted.at("g"), "security.capability")).toEqual(capability);
			expect(readFileSync(`${layers.upper}/g`, "utf8")).toBe("content");
		});

		test("stays as it is where there is no room for its data, and is brought up once there is", async () => {
			using tree = temporaryTree();
			mount("tmpfs", tree.layer("disk"), "tmpfs", 0, "size=2m");
			const layers = {
				lower: [tree.layer("lower", lower)],
				upper: tree.layer("disk/upper"),
				work: tree.layer("disk/work"),
				mountpoint: tree.layer("merged"),
			};
			inKernel(layers, () => chmodSync(`${layers.mountpoint}/large`, 0o600));
			await using mounted = await mountOverlay(layers);
			// With the write cache the time of the write counts, although its data found no room.
			const look = () => snapshot(mounted.path, { ignoreTimes: true });
			const before = look();
			// The kernel may take the data first and hear of it when it hands the data on.
			const append = () => {
				using opened = open(mounted.at("large"), "a");
				writeSync(opened.fd, "+");
				fsyncSync(opened.fd);
			};
			for (const change of [
				append,
				() => truncateSync(mounted.at("large"), 2_900_000),
				() => renameSync(mounted.at("large"), mounted.at("larger")),
			]) {
				expect(codeOf(change)).toBe("ENOSPC");
				expect(lacksData(`${layers.upper}/large`)).toBe(true);
				await mounted.remount();
				expect(differences(look(), before)).toEqual([]);
			}
			mount("tmpfs", tree.join("disk"), "tmpfs", MS_REMOUNT, "size=8m");
			appendFileSync(mounted.at("large"), "+");
			expect(readFileSync(mounted.at("large"))).toEqual(Buffer.concat([large, Buffer.from("+")]));
		});

		test("killed while its data is brought up, it is whole by the data below or by its own", async () => {
			using tree = temporaryTree();
			const content = Buffer.alloc(100_000_000, "content ");
			const layers = tree.layers([{ f: content }]);
			inKernel(layers, () => chmodSync(`${layers.mountpoint}/f`, 0o600));
			await using mounted = await mountOverlay(layers);
			for (const delay of [1, 10, 30]) {
				const [f, g] = [mounted.at("f"), mounted.at("g")];
				const change = Bun.spawn(["sh", "-c", 'true >>"$1"; mv "$1" "$2"', "sh", f, g], { stderr: "ignore" });
				await Bun.sleep(delay);
				for (const pid of mounted.daemons) process.kill(pid, "SIGKILL");
				await change.exited;
				await mounted.remount();
				const [name = ""] = readdirSync(mounted.path);
				expect(readFileSync(mounted.at(name)).equals(content)).toBe(true);
				if (!lacksData(`${layers.upper}/${name}`))
					expect(readFileSync(`${layers.upper}/${name}`).equals(content)).toBe(true);
			}
		});

		test("few open files are enough", async () => {
			using tree = temporaryTree();
			const names = Array.from({ length: 100 }, (_, index) => `f${index}`);
			const layers = tree.layers([Object.fromEntries(names.map((name) => [name, name]))]);
			inKernel(layers, () => {
				for (const name of names) chmodSync(`${layers.mountpoint}/${name}`, 0o600);
			});
			await using mounted = await mountOverlay({ ...layers, openFiles: 64 });
			for (let turn = 0; turn < 3; turn++)
				for (const name of names) expect(readFileSync(mounted.at(name), "utf8")).toBe(name);
			for (const name of names) appendFileSync(mounted.at(name), "+");
			for (const name of names) expect(readFileSync(mounted.at(name), "utf8")).toBe(`${name}+`);
		});
	},
);
