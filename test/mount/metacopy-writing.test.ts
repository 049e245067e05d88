/**
 * Files copied up without their data, with `metacopy=on,redirect_dir=on`: where only what describes them changes, and where
 * they get another name, no byte of them is copied. Their data follows when it is to change, in the file as it is then.
 * (Read: metacopy.test.ts.)
 */

import { describe, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import {
	appendFileSync,
	chmodSync,
	chownSync,
	fchmodSync,
	fstatSync,
	linkSync,
	lstatSync,
	readdirSync,
	readFileSync,
	readSync,
	renameSync,
	truncateSync,
	unlinkSync,
	writeFileSync,
	writeSync,
} from "node:fs";
import { open } from "../harness/descriptor.ts";
import { file } from "../harness/layers.ts";
import {
	blocksIn,
	changeAround,
	follow,
	hollow,
	inKernel,
	lacksData,
	lower,
	mark,
} from "../harness/metacopies.ts";
import { getxattr, listxattr, RENAME_EXCHANGE, renameat2 } from "../harness/native.ts";
import { mountLayers } from "../harness/overlay.ts";
import { PlainDisk } from "../harness/plain-fs.ts";
import { isKernel } from "../harness/program.ts";
import { numbersIn } from "../harness/redirects.ts";
import { lacks, overlayAttributes } from "../harness/setting.ts";
import { snapshot } from "../harness/snapshot.ts";

const on = ["metacopy=on", "redirect_dir=on"];
const redirect = `${overlayAttributes}.overlay.redirect`;
const origin = `${overlayAttributes}.overlay.origin`;

/** What a layer says of its objects: whose data lies below, and where; and of files where they come from. */
function marksIn(layer: string): string[] {
	return readdirSync(layer, { recursive: true, encoding: "utf8" })
		.sort()
		.flatMap((path) => {
			const at = `${layer}/${path}`;
			const stat = lstatSync(at);
			const names = listxattr(at).filter(
				(name) => name === mark || name === redirect || (name === origin && stat.isFile()),
			);
			const data = stat.isFile()
				? [`${path} has ${stat.size} bytes in ${lacksData(at) ? "no" : "some"} blocks`]
				: [];
			return [
				...data,
				...names.sort().map((name) => `${path} ${name}=${getxattr(at, name).toString("hex")}`),
			];
		});
}

describe.skipIf(isKernel)("with metacopy=on", () => {
	test.skipIf(lacks("other ids"))(
		"what a file's data is not needed for leaves it below, for later mounts, too",
		async () => {
			await using overlay = await mountLayers([lower], { options: on });
			const blocks = blocksIn(overlay.path);
			changeAround(overlay.path);
			for (const name of [
				"program",
				"owned",
				"timed",
				"marked",
				"other",
				"away",
				"e/inner",
				"second",
				"large",
			])
				expect(lacksData(overlay.inUpper(name))).toBe(true);
			expect(lacksData(overlay.inUpper("made/deep"))).toBe(true);
			// There is nothing to leave.
			expect(lacksData(overlay.inUpper("empty"))).toBe(false);
			expect(lstatSync(overlay.inUpper("linked")).nlink).toBe(2);
			expect(lstatSync(overlay.inUpper("large")).blocks).toBeLessThan(16);
			expect(listxattr(overlay.at("other"))).toEqual([]);
			expect(execFileSync(overlay.at("program"), { encoding: "utf8" })).toBe("run\n");
			const sum = (lines: readonly string[]) => lines.map((line) => Number(line.split(" ")[1])).sort();
			// Under other names the same, but for the further one.
			expect(sum(blocksIn(overlay.path).filter((line) => !line.startsWith("/second")))).toEqual(sum(blocks));
			const look = () => [snapshot(overlay.path), numbersIn(overlay.path), blocksIn(overlay.path)];
			const seen = look();
			for (const options of [
				on,
				[...on, "timeout=0"],
				[...on, "passthrough=off"],
				[...on, "passthrough=on"],
			]) {
				await overlay.remount({ options });
				expect(look()).toEqual(seen);
			}
		},
	);

	test.skipIf(lacks("trusted attributes"))(
		"the kernel shows the same, and would leave the same marks",
		async () => {
			const names = { "h/one": "several", "h/deep/x": "x", "h/deep/y": "y", "h/deep/z": "z", "h/w": "w" };
			await using overlay = await mountLayers([{ ...lower, ...names }], { options: on });
			linkSync(`${overlay.layers.lower[0]}/h/one`, `${overlay.layers.lower[0]}/h/two`);
			const change = (root: string) => {
				changeAround(root);
				// Several names below: each is copied by itself, and never marked by a name.
				renameSync(`${root}/h/one`, `${root}/h/three`);
				chmodSync(`${root}/h/two`, 0o600);
				linkSync(`${root}/h/two`, `${root}/h/four`);
				renameSync(`${root}/h/four`, `${root}/h/five`);
				// By a name, by a path, and back.
				renameSync(`${root}/h/deep/x`, `${root}/h/deep/xx`);
				renameSync(`${root}/h/deep`, `${root}/h/moved`);
				renameSync(`${root}/h/moved/xx`, `${root}/x`);
				renameSync(`${root}/x`, `${root}/h/moved/x`);
				renameSync(`${root}/h/moved/y`, `${root}/h/moved/yy`);
				renameSync(`${root}/h/moved/yy`, `${root}/h/moved/y`);
				renameat2(`${root}/h/w`, `${root}/h/moved/z`, RENAME_EXCHANGE);
				renameSync(`${root}/plain`, `${root}/h/moved/z`);
			};
			change(overlay.path);
			const look = (root: string) => [snapshot(root), numbersIn(root), blocksIn(root)];
			const seen = look(overlay.path);
			await overlay.unmount();
			const { mountpoint } = overlay.layers;
			expect(inKernel(overlay.layers, () => look(mountpoint))).toEqual(seen);
			const upper = overlay.tree.layer("kernelsUpper");
			inKernel({ ...overlay.layers, upper, work: overlay.tree.layer("kernelsWork") }, () =>
				change(mountpoint),
			);
			// The kernel marks empty files, too, which have no data to leave.
			const marks = (layer: string) => marksIn(layer).filter((line) => !line.startsWith("empty "));
			expect(marks(overlay.layers.upper)).toEqual(marks(upper));
		},
	);

	const modes = ["passthrough=off", "passthrough=on", "timeout=0"];
	test.each(modes)(
		"the data follows at the first write, for whoever has the file open, with %s",
		async (mode) => {
			await using overlay = await mountLayers([lower], { options: [...on, mode] });
			const buffer = Buffer.alloc(100);
			const read = (fd: number) => buffer.toString("utf8", 0, readSync(fd, buffer, 0, 100, 0));
			using reader = open(overlay.at("marked"));
			using writer = open(overlay.at("d/inner"), "r+");
			expect(read(reader.fd)).toBe("marked");
			chmodSync(overlay.at("marked"), 0o600);
			linkSync(overlay.at("marked"), overlay.at("d/marked"));
			renameSync(overlay.at("marked"), overlay.at("moved"));
			expect(lacksData(overlay.inUpper("moved"))).toBe(true);
			expect(read(reader.fd)).toBe("marked");
			const { ino } = lstatSync(overlay.inUpper("moved"));
			appendFileSync(overlay.at("moved"), "+");
			expect(lstatSync(overlay.inUpper("moved")).ino).toBe(ino);
			expect(lacksData(overlay.inUpper("moved"))).toBe(false);
			expect(readFileSync(overlay.inUpper("d/marked"), "utf8")).toBe("marked+");
			expect(readFileSync(overlay.at("d/marked"), "utf8")).toBe("marked+");
			// The kernel's pages of what is passed through are the lower file's.
			if (mode !== "passthrough=on") expect(read(reader.fd)).toBe("marked+");
			// Open for writing before anything else changed.
			chmodSync(overlay.at("d/inner"), 0o600);
			renameSync(overlay.at("d/inner"), overlay.at("inner"));
			writeSync(writer.fd, "I", 0);
			expect(readFileSync(overlay.at("inner"), "utf8")).toBe("Inner");
			unlinkSync(overlay.at("inner"));
			writeSync(writer.fd, "N", 1);
			expect(read(writer.fd)).toBe("INner");
		},
	);

	test("what is mapped stays what it is, and what is written through a mapping arrives", async () => {
		await using overlay = await mountLayers([{ f: "content" }], { options: on });
		const script = `import mmap, os, sys
shown = mmap.mmap(os.open(sys.argv[1], os.O_RDONLY), 7, prot=mmap.PROT_READ)
assert shown[:] == b"content"
os.chmod(sys.argv[1], 0o600)
assert shown[:] == b"content"
changed = mmap.mmap(os.open(sys.argv[1], os.O_RDWR), 7)
changed[0:1] = b"C"
changed.flush()
os.rename(sys.argv[1], sys.argv[2])
assert open(sys.argv[2]).read() == "Content"
`;
		execFileSync("python3", ["-c", script, overlay.at("f"), overlay.at("g")]);
		expect(lacksData(overlay.inUpper("g"))).toBe(false);
		expect(readFileSync(overlay.inUpper("g"), "utf8")).toBe("Content");
	});

	test("removed while open, changed and read by its descriptor", async () => {
		await using overlay = await mountLayers([lower], { options: on });
		const buffer = Buffer.alloc(100);
		const read = (fd: number) => buffer.toString("utf8", 0, readSync(fd, buffer, 0, 100, 0));
		using marked = open(overlay.at("marked"));
		using plain = open(overlay.at("plain"));
		chmodSync(overlay.at("marked"), 0o600);
		for (const name of ["marked", "plain"]) unlinkSync(overlay.at(name));
		for (const [{ fd }, content] of [
			[marked, "marked"],
			[plain, "plain"],
		] as const) {
			fchmodSync(fd, 0o640);
			expect(fstatSync(fd).mode & 0o777).toBe(0o640);
			expect(read(fd)).toBe(content);
			using again = open(`/proc/self/fd/${fd}`, "r+");
			writeSync(again.fd, "+");
			expect(read(fd)).toBe(`+${content.slice(1)}`);
		}
	});

	const cuts: Readonly<Record<string, readonly [(path: string) => void, string]>> = {
		cut: [(path) => truncateSync(path, 3), "con"],
		"cut to nothing": [(path) => truncateSync(path), ""],
		lengthened: [(path) => truncateSync(path, 9), "content\0\0"],
		overwritten: [(path) => writeFileSync(path, "new"), "new"],
	};
	test.each(Object.keys(cuts))("a file that is %s has its own data", async (name) => {
		const [change, content] = cuts[name]!;
		await using overlay = await mountLayers([{ lower: "content", marked: "content" }], { options: on });
		chmodSync(overlay.at("marked"), 0o600);
		expect(lacksData(overlay.inUpper("marked"))).toBe(true);
		for (const path of ["lower", "marked"]) {
			change(overlay.at(path));
			expect(lacksData(overlay.inUpper(path))).toBe(false);
			for (const root of [overlay.path, overlay.layers.upper])
				expect(readFileSync(`${root}/${path}`, "utf8")).toBe(content);
		}
	});

	test("set-id bits, capabilities, attributes and times are those of the file below", async () => {
		const capability = Buffer.from("0100000200040000000000000000000000000000", "hex");
		const attributes = overlayAttributes === "user" ? {} : { "security.capability": capability };
		const xattrs = { "user.note": "note", ...attributes };
		const lower = {
			f: file("content", { mode: 0o6755, xattrs }),
			g: file("content", { mode: 0o400, xattrs }),
		};
		await using overlay = await mountLayers([lower], { options: on });
		const look = () => Object.entries(snapshot(overlay.path)).filter(([path]) => path !== ".");
		const before = look();
		for (const name of ["f", "g"]) renameSync(overlay.at(name), overlay.at(`${name}2`));
		for (const name of ["f", "g"]) {
			expect(lacksData(overlay.inUpper(`${name}2`))).toBe(true);
			renameSync(overlay.at(`${name}2`), overlay.at(name));
		}
		expect(look()).toEqual(before);
		await overlay.remount();
		expect(look()).toEqual(before);
	});

	test("the digest that a mark has is kept", async () => {
		const digest = Buffer.concat([Buffer.from([0, 36, 0, 1]), Buffer.alloc(32, 7)]);
		await using overlay = await mountLayers([{ f: hollow(7, undefined, digest) }, { f: "content" }], {
			options: on,
		});
		chmodSync(overlay.at("f"), 0o600);
		expect(getxattr(overlay.inUpper("f"), mark)).toEqual(digest);
		expect(readFileSync(overlay.at("f"), "utf8")).toBe("content");
		renameSync(overlay.at("f"), overlay.at("g"));
		await overlay.remount();
		expect(readFileSync(overlay.at("g"), "utf8")).toBe("content");
		appendFileSync(overlay.at("g"), "+");
		expect(lacksData(overlay.inUpper("g"))).toBe(false);
		expect(readFileSync(overlay.inUpper("g"), "utf8")).toBe("content+");
	});

	test("where no mark can say where it is, the data is copied", async () => {
		const [first, second] = ["f".repeat(120), "s".repeat(140)];
		const lower = { [`${first}/${second}/x`]: "x", [`${first}/${second}/y`]: "y" };
		await using overlay = await mountLayers([lower], { options: on });
		const directory = overlay.at(first, second);
		chmodSync(`${directory}/x`, 0o600);
		chmodSync(`${directory}/y`, 0o600);
		renameSync(`${directory}/x`, `${directory}/x2`);
		renameSync(`${directory}/x2`, overlay.at("x"));
		linkSync(`${directory}/y`, `${directory}/y2`);
		expect(lacksData(overlay.inUpper("x"))).toBe(false);
		expect(lacksData(overlay.inUpper(first, second, "y2"))).toBe(false);
		for (const root of [overlay.path, overlay.layers.upper]) {
			expect(readFileSync(`${root}/x`, "utf8")).toBe("x");
			expect(readFileSync(`${root}/${first}/${second}/y2`, "utf8")).toBe("y");
		}
	});

	test.each(["metacopy=on", "metacopy=on,redirect_dir=follow", "redirect_dir=on"])(
		"no data is left below with %s alone",
		async (option) => {
			await using overlay = await mountLayers([lower], { options: [option] });
			chmodSync(overlay.at("program"), 0o700);
			renameSync(overlay.at("moved"), overlay.at("other"));
			for (const name of ["program", "other"]) expect(lacksData(overlay.inUpper(name))).toBe(false);
			expect(readFileSync(overlay.inUpper("other"), "utf8")).toBe("moved");
		},
	);

	test("without the options later, what is left below is shown, and brought up where it gets another name", async () => {
		await using overlay = await mountLayers([lower], { options: on });
		chmodSync(overlay.at("program"), 0o700);
		renameSync(overlay.at("moved"), overlay.at("other"));
		await overlay.remount({ options: follow });
		expect(readFileSync(overlay.at("other"), "utf8")).toBe("moved");
		renameSync(overlay.at("program"), overlay.at("renamed"));
		expect(lacksData(overlay.inUpper("renamed"))).toBe(false);
		expect(lacksData(overlay.inUpper("other"))).toBe(true);
	});

	test.skipIf(lacks("other ids"))("owners and modes kept in attributes need no data either", async () => {
		const options = [...on, "xattr_permissions=2"];
		await using overlay = await mountLayers([lower], { options });
		chownSync(overlay.at("owned"), 12, 34);
		chmodSync(overlay.at("marked"), 0o604);
		for (const name of ["owned", "marked"]) expect(lacksData(overlay.inUpper(name))).toBe(true);
		await overlay.remount();
		const { uid, gid } = lstatSync(overlay.at("owned"));
		expect([uid, gid]).toEqual([12, 34]);
		expect(lstatSync(overlay.at("marked")).mode & 0o777).toBe(0o604);
		expect(readFileSync(overlay.at("marked"), "utf8")).toBe("marked");
	});

	test.skipIf(lacks("mounting"))("an upper layer without attributes gets the data", async () => {
		const disk = new PlainDisk(["xattrs"]);
		await using overlay = await mountLayers([lower], { options: on, disk: disk.mount });
		chmodSync(overlay.at("program"), 0o700);
		renameSync(overlay.at("moved"), overlay.at("other"));
		expect(readFileSync(overlay.inUpper("other"), "utf8")).toBe("moved");
		expect(readFileSync(overlay.inUpper("program"), "utf8")).toContain("echo run");
	});

	test("few open files are enough", async () => {
		const names = Array.from({ length: 100 }, (_, index) => `f${index}`);
		const lower = Object.fromEntries(names.map((name) => [name, name]));
		await using overlay = await mountLayers([lower], { options: on, openFiles: 64 });
		for (const name of names) chmodSync(overlay.at(name), 0o600);
		for (const name of names) expect(readFileSync(overlay.at(name), "utf8")).toBe(name);
		for (const name of names) renameSync(overlay.at(name), overlay.at(`${name}+`));
		for (const name of names) appendFileSync(overlay.at(`${name}+`), "+");
		for (const name of names) expect(readFileSync(overlay.at(`${name}+`), "utf8")).toBe(`${name}+`);
	});
});
