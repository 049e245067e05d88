/** `index=on`: hard links of lower files survive copy-up, as under kernel overlayfs; and layers that it cannot be had with. */

import { describe, expect, test } from "bun:test";
import {
	appendFileSync,
	chmodSync,
	closeSync,
	existsSync,
	lchownSync,
	linkSync,
	lstatSync,
	openSync,
	readdirSync,
	readFileSync,
	readSync,
	renameSync,
	rmSync,
	truncateSync,
	unlinkSync,
	writeFileSync,
} from "node:fs";
import { mountDisk } from "../harness/disk.ts";
import { all, entries, entryPath, inode, layersIn, names, seen } from "../harness/hard-links.ts";
import { file, hardLink, temporaryTree } from "../harness/layers.ts";
import { mountKernelOverlay, mountOverlay } from "../harness/mount.ts";
import { codeOf, getxattr, listxattr, RENAME_EXCHANGE, renameat2 } from "../harness/native.ts";
import { isKernel } from "../harness/program.ts";
import { lacks } from "../harness/setting.ts";

const isRefused = lacks("the machine's root") || lacks("trusted attributes");
const indexed = { options: ["index=on"] };

describe.skipIf(isKernel || isRefused)("with index=on", () => {
	test.each(names)(
		"what is written by %s shows by all names, which keep number and link count",
		async (name) => {
			using tree = temporaryTree();
			const layers = layersIn(tree);
			await using mount = await mountOverlay({ ...layers, ...indexed });
			const early = openSync(mount.at("b"), "r");
			expect(seen(mount.path)).toEqual(all("lower", inode(layers), 3));
			appendFileSync(mount.at(name), "+");
			expect(seen(mount.path)).toEqual(all("lower+", inode(layers), 3));
			const content = Buffer.alloc(16);
			expect(content.toString("latin1", 0, readSync(early, content))).toBe("lower+");
			closeSync(early);
			await mount.remount();
			expect(seen(mount.path)).toEqual(all("lower+", inode(layers), 3));
			expect(seen(mount.path, ["single"])).toEqual(all("single", inode(layers, "single"), 1));
			expect(seen(layers.lower[0]!)).toEqual(all("lower", inode(layers), 3));
		},
	);

	test("readdir and stat tell the same numbers, before and after", async () => {
		using tree = temporaryTree();
		const layers = layersIn(tree);
		await using mount = await mountOverlay({ ...layers, ...indexed });
		const listed = () =>
			Bun.spawnSync(["ls", "-iR1U", mount.path])
				.stdout.toString()
				.split("\n")
				.filter((line) => /^ *\d+ /.test(line))
				.sort();
		const before = listed();
		chmodSync(mount.at("d/c"), 0o600);
		lchownSync(mount.at("link"), 5, 5);
		await mount.remount();
		expect(listed()).toEqual(before);
		seen(mount.path);
		expect(listed()).toEqual(before);
	});

	test.each(["link", "fifo", "zero"])("owner and times of %s change for both names", async (name) => {
		using tree = temporaryTree();
		const layers = layersIn(tree);
		await using mount = await mountOverlay({ ...layers, ...indexed });
		const look = () =>
			[name, `d/${name}`].map((path) => {
				const { ino, nlink, uid, gid, mode, rdev } = lstatSync(mount.at(path));
				return { ino, nlink, uid, gid, mode, rdev };
			});
		const [before] = look();
		lchownSync(mount.at(`d/${name}`), 5, 6);
		const after = { ...before!, uid: 5, gid: 6 };
		expect(look()).toEqual([after, after]);
		await mount.remount();
		expect(look()).toEqual([after, after]);
	});

	test("a large file is copied in the background, and removed meanwhile under another name", async () => {
		using tree = temporaryTree();
		const content = Buffer.alloc(5 << 20, "x");
		const layers = layersIn(tree, [{ a: file(content), b: hardLink("a"), c: hardLink("a") }]);
		await using mount = await mountOverlay({ ...layers, ...indexed });
		await Promise.all([
			Bun.write(Bun.file(mount.at("new")), "new"),
			Bun.spawn(["sh", "-c", `printf + >> "${mount.at("a")}"`]).exited,
			Bun.spawn(["rm", mount.at("b")]).exited,
			Bun.spawn(["chmod", "600", mount.at("c")]).exited,
		]);
		expect(existsSync(mount.at("b"))).toBe(false);
		expect(lstatSync(mount.at("c"))).toMatchObject({ nlink: 2, size: content.length + 1, mode: 0o100600 });
		expect(readFileSync(mount.at("c")).equals(Buffer.concat([content, Buffer.from("+")]))).toBe(true);
	});

	test("names are removed one after the other; the last takes the file, which stays for whoever has it open", async () => {
		using tree = temporaryTree();
		const layers = layersIn(tree);
		await using mount = await mountOverlay({ ...layers, ...indexed });
		unlinkSync(mount.at("b"));
		expect(seen(mount.path)).toEqual([`lower ${inode(layers)} 2`, "", `lower ${inode(layers)} 2`]);
		unlinkSync(mount.at("a"));
		await mount.remount();
		expect(seen(mount.path)).toEqual(["", "", `lower ${inode(layers)} 1`]);
		const open = openSync(mount.at("d/c"), "r+");
		unlinkSync(mount.at("d/c"));
		expect(seen(mount.path)).toEqual(["", "", ""]);
		expect(entries(layers)).toEqual([]);
		const fd = `/proc/self/fd/${open}`;
		appendFileSync(fd, "+");
		expect(readFileSync(fd, "latin1")).toBe("lower+");
		expect(codeOf(() => linkSync(fd, mount.at("again")))).toBeDefined();
		closeSync(open);
		writeFileSync(mount.at("a"), "new");
		await mount.remount();
		expect(seen(mount.path).map((line) => line.split(" ")[0])).toEqual(["new", "", ""]);
	});

	test("names are renamed, replaced, exchanged and added", async () => {
		using tree = temporaryTree();
		const layers = layersIn(tree);
		await using mount = await mountOverlay({ ...layers, ...indexed });
		const number = inode(layers);
		renameSync(mount.at("d/c"), mount.at("moved"));
		expect(seen(mount.path, ["a", "b", "moved"])).toEqual(all("lower", number, 3));
		// Two names of one file: nothing is done.
		renameSync(mount.at("moved"), mount.at("b"));
		expect(seen(mount.path, ["a", "b", "moved"])).toEqual(all("lower", number, 3));
		renameSync(mount.at("single"), mount.at("b"));
		expect(seen(mount.path, ["a", "moved"])).toEqual(all("lower", number, 2));
		renameat2(mount.at("a"), mount.at("b"), RENAME_EXCHANGE);
		expect(seen(mount.path, ["b", "moved"])).toEqual(all("lower", number, 2));
		linkSync(mount.at("b"), mount.at("d/new"));
		linkSync(mount.at("moved"), mount.at("d/c"));
		truncateSync(mount.at("d/new"), 3);
		const now = ["b", "moved", "d/new", "d/c"];
		expect(seen(mount.path, now)).toEqual(all("low", number, 4));
		await mount.remount();
		expect(seen(mount.path, now)).toEqual(all("low", number, 4));
		expect(readFileSync(mount.at("a"), "latin1")).toBe("single");
		for (const name of now) unlinkSync(mount.at(name));
		expect(entries(layers)).toEqual([]);
	});

	test("a file with many names, spread over two layers", async () => {
		using tree = temporaryTree();
		const many = Array.from({ length: 300 }, (_, index) => `n${index}`);
		const layers = layersIn(tree, [{ top: "top" }, { n: "many", d: "other" }]);
		for (const [index, name] of many.entries()) {
			if (index % 2 === 0) linkSync(`${layers.lower[1]}/n`, `${layers.lower[1]}/${name}`);
			else linkSync(`${layers.lower[1]}/n`, `${layers.lower[0]}/${name}`);
		}
		const number = lstatSync(`${layers.lower[1]}/n`).ino;
		await using mount = await mountOverlay({ ...layers, ...indexed });
		appendFileSync(mount.at("n7"), "+");
		expect(new Set(seen(mount.path, ["n", ...many]))).toEqual(new Set([`many+ ${number} 301`]));
		for (const name of many) rmSync(mount.at(name));
		expect(seen(mount.path, ["n"])).toEqual([`many+ ${number} 1`]);
		await mount.remount();
		expect(seen(mount.path, ["n"])).toEqual([`many+ ${number} 1`]);
		rmSync(mount.at("n"));
		expect(entries(layers)).toEqual([]);
		expect(readdirSync(mount.path).sort()).toEqual(["d", "top"]);
	});

	test("attributes are the kernel's: origin, entry and count", async () => {
		using tree = temporaryTree();
		const layers = layersIn(tree);
		await using mount = await mountOverlay({ ...layers, ...indexed });
		appendFileSync(mount.at("a"), "+");
		const [entry = ""] = entries(layers);
		expect(getxattr(entryPath(layers), "trusted.overlay.origin").toString("hex")).toBe(entry);
		expect(getxattr(`${layers.upper}/a`, "trusted.overlay.nlink").toString()).toBe("U+1");
		expect(listxattr(mount.at("a"))).toEqual([]);
		expect(listxattr(layers.upper)).toContain("trusted.overlay.origin");
		expect(listxattr(`${layers.work}/index`)).toEqual(["trusted.overlay.upper"]);
		await mount.unmount();
		using kernels = mountKernelOverlay(layers, "index=on");
		expect(seen(kernels.path)).toEqual(all("lower+", inode(layers), 3));
	});

	test.each(["btrfs", "xfs", "tmpfs"] as const)(
		"layers on two file systems, the upper one on %s",
		async (kind) => {
			using tree = temporaryTree();
			mountDisk(kind, tree.join("disk"));
			const layers = {
				...layersIn(tree),
				upper: tree.layer("disk/upper"),
				work: tree.layer("disk/work"),
			};
			await using mount = await mountOverlay({ ...layers, ...indexed });
			const [before] = seen(mount.path);
			const number = Number(before!.split(" ")[1]);
			appendFileSync(mount.at("b"), "+");
			unlinkSync(mount.at("a"));
			await mount.remount();
			expect(seen(mount.path)).toEqual(["", ...all("lower+", number, 2)]);
			expect(entries(layers)).toHaveLength(1);
			await mount.unmount();
			using kernels = mountKernelOverlay(layers, "index=on");
			expect(seen(kernels.path).map((line) => line.replace(/ \d+ /, " "))).toEqual([
				"",
				"lower+ 2",
				"lower+ 2",
			]);
		},
	);

	test("a later mount with index=off gives names of what the kernel indexed numbers of their own", async () => {
		using tree = temporaryTree();
		const layers = layersIn(tree);
		{
			using kernels = mountKernelOverlay(layers, "index=on");
			appendFileSync(`${kernels.path}/a`, "+");
		}
		await using mount = await mountOverlay(layers);
		const [a, b] = ["a", "b"].map((name) => lstatSync(mount.at(name)).ino);
		expect(a).not.toBe(b);
		const listed = Bun.spawnSync(["ls", "-i1U", mount.path]).stdout.toString();
		expect(listed).toContain(`${a} a\n`);
	});
});
