import { describe, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import {
	appendFileSync,
	chmodSync,
	chownSync,
	existsSync,
	fstatSync,
	fsyncSync,
	lchownSync,
	lstatSync,
	mkdirSync,
	readdirSync,
	readFileSync,
	rmdirSync,
	rmSync,
	statSync,
	unlinkSync,
	writeFileSync,
	writeSync,
} from "node:fs";
import { open } from "../harness/descriptor.ts";
import { mountDisk } from "../harness/disk.ts";
import { device, directory, fifo, file, smallDisk, socket, sparseFile, symlink } from "../harness/layers.ts";
import { until } from "../harness/mount.ts";
import { codeOf, getxattr, lseek, mount, SEEK_DATA, SEEK_HOLE, setTimes } from "../harness/native.ts";
import { debianOpensFifos, mountLayers, type Overlay } from "../harness/overlay.ts";
import { lacks } from "../harness/setting.ts";
import { snapshot } from "../harness/snapshot.ts";

const time = 1_222_333_444_555_666_777n;
/** An ACL as the kernel stores it: version 2, then tag, permissions and id of each entry. */
const acl = Buffer.from(
	"02000000 01000700ffffffff 02000500e8030000 04000500ffffffff 10000700ffffffff 20000100ffffffff".replaceAll(
		" ",
		"",
	),
	"hex",
);
/** CAP_NET_RAW, permitted and effective. */
const capability = Buffer.from("0100000200200000000000000000000000000000", "hex");

/** What a daemon left in its work directory, besides directories and the whiteout that it links from there. */
function litter(overlay: Overlay): string[] {
	return Object.entries(snapshot(overlay.layers.work))
		.filter(([, description]) => !/^dir|device 0:0/.test(description))
		.map(([name]) => name);
}

const scratch = ({ layers }: Overlay) =>
	readdirSync(`${layers.work}/work`).filter((name) => /^#[0-9a-f]+$/.test(name));

/** Runs a program that has something copied up, and kills it meanwhile. */
async function killedCopying(overlay: Overlay, ...command: string[]): Promise<void> {
	const program = Bun.spawn(command, { stderr: "ignore" });
	await until(() => scratch(overlay).length > 0 || program.exitCode !== null, "nothing is copied");
	program.kill("SIGKILL");
	await program.exited;
}

describe("copy-up", () => {
	test.skipIf(lacks("trusted attributes", "ACLs in the kernel"))(
		"keeps owner, mode, times, attributes, ACL and capability of a file",
		async () => {
			const xattrs = { "user.note": "kept", "user.binary": Buffer.from([0, 255, 10]), "trusted.mine": "t" };
			const attributes = { uid: 12, gid: 34, time, xattrs };
			await using overlay = await mountLayers([
				{
					"0444": file("x", { mode: 0o444, ...attributes }),
					"0000": file("x", { mode: 0, ...attributes }),
					"4755": file("x", { mode: 0o4755, ...attributes }),
					acl: file("x", { ...attributes, xattrs: { ...xattrs, "system.posix_acl_access": acl } }),
					capability: file("x", { ...attributes, xattrs: { "security.capability": capability } }),
				},
			]);
			const before = snapshot(overlay.path);
			// Changes nothing that is compared, but the layer.
			for (const name of readdirSync(overlay.path)) setTimes(overlay.at(name), 1n, time);
			expect(snapshot(overlay.path)).toEqual(before);
			await overlay.expectLasting();
			for (const name of readdirSync(overlay.layers.lower[0] ?? "")) {
				const [lower, upper] = [overlay.inLower(name), overlay.inUpper(name)].map((path) => {
					const { mode, uid, gid, mtimeNs, size } = lstatSync(path, { bigint: true });
					return { name, mode, uid, gid, mtimeNs, size };
				});
				expect(upper).toEqual(lower);
			}
			expect(getxattr(overlay.inUpper("capability"), "security.capability")).toEqual(capability);
			expect(getxattr(overlay.inUpper("acl"), "system.posix_acl_access")).toEqual(acl);
			expect(litter(overlay)).toEqual([]);
		},
	);

	test.skipIf(lacks("other ids"))(
		"keeps mode, owner, times and attributes of directories above, and their mtime where only they are copied",
		async () => {
			await using overlay = await mountLayers([
				{
					a: directory({ mode: 0o700, uid: 1, gid: 2, time, xattrs: { "user.note": "a" } }),
					"a/b": directory({ mode: 0o3775, uid: 3, gid: 4, time }),
					"a/b/file": "x",
				},
			]);
			const before = snapshot(overlay.path);
			setTimes(overlay.at("a/b/file"), 1n, lstatSync(overlay.at("a/b/file"), { bigint: true }).mtimeNs);
			expect(snapshot(overlay.path)).toEqual(before);
			await overlay.expectLasting();
			const mode = (name: string) => statSync(overlay.inUpper(name)).mode & 0o7777;
			expect([mode("a"), mode("a/b")]).toEqual([0o700, 0o3775]);
			expect(statSync(overlay.inUpper("a"), { bigint: true }).mtimeNs).toBe(time);
		},
	);

	test.skipIf(lacks("devices"))(
		"of symlinks, FIFOs, sockets and devices gives the same, with their attributes",
		async () => {
			await using overlay = await mountLayers([
				{
					link: symlink("some/target", { uid: 5, gid: 6, time }),
					pipe: fifo({ mode: 0o620, uid: 7, time }),
					sock: socket({ mode: 0o700, gid: 8, time }),
					null: device("char", 1, 3, { mode: 0o666, time }),
					disk: device("block", 7, 99, { mode: 0o640, uid: 9, time }),
				},
			]);
			const before = snapshot(overlay.path);
			for (const name of readdirSync(overlay.path)) setTimes(overlay.at(name), 1n, time);
			expect(snapshot(overlay.path)).toEqual(before);
			lchownSync(overlay.at("link"), 50, 60);
			await overlay.expectLasting(debianOpensFifos);
			expect(lstatSync(overlay.inUpper("pipe")).isFIFO()).toBeTrue();
			expect(lstatSync(overlay.inUpper("sock")).isSocket()).toBeTrue();
			expect(litter(overlay)).toEqual([]);
		},
	);

	test("keeps the holes of a sparse file", async () => {
		await using overlay = await mountLayers([
			{ a: sparseFile(50_000_000, { 0: "start", 20000000: "middle" }) },
		]);
		appendFileSync(overlay.at("a"), "end");
		expect(readFileSync(overlay.at("a")).toString("latin1", 20_000_000, 20_000_006)).toBe("middle");
		await overlay.expectLasting();
		using copy = open(overlay.inUpper("a"));
		expect(statSync(overlay.inUpper("a")).blocks).toBeLessThan(10_000);
		expect(lseek(copy.fd, 0, SEEK_HOLE)).toBeLessThan(20_000_000);
		expect(lseek(copy.fd, 3_000_000, SEEK_DATA)).toBeGreaterThan(19_000_000);
	});

	test("of a large file gives all its data", async () => {
		const content = Buffer.alloc(20_000_000, "0123456789abcdef ");
		await using overlay = await mountLayers([{ a: content }]);
		appendFileSync(overlay.at("a"), "end");
		expect(readFileSync(overlay.at("a")).equals(Buffer.concat([content, Buffer.from("end")]))).toBeTrue();
		await overlay.expectLasting();
		expect(litter(overlay)).toEqual([]);
	});

	test("answers other requests while a large file is copied", async () => {
		await using overlay = await mountLayers([{ large: Buffer.alloc(200_000_000, "x"), small: "small" }]);
		const copying = Bun.spawn(["sh", "-c", `echo end >>${overlay.at("large")}`]);
		let answered = 0;
		while (copying.exitCode === null) {
			expect(codeOf(() => statSync(overlay.at(`missing${answered++}`)))).toBe("ENOENT");
			await Bun.sleep(0);
		}
		expect(answered).toBeGreaterThan(1);
		expect(statSync(overlay.at("large")).size).toBe(200_000_004);
	});

	test("by several processes at once copies once and loses no write", async () => {
		await using overlay = await mountLayers([{ a: Buffer.alloc(5_000_000, ".") }]);
		const writers = Array.from({ length: 4 }, (_, index) =>
			Bun.spawn(
				["dd", `of=${overlay.at("a")}`, "conv=notrunc", "bs=1", `seek=${index * 1_000_000}`, "status=none"],
				{
					stdin: new Blob([`writer ${index}`]),
				},
			),
		);
		for (const writer of writers) expect(await writer.exited).toBe(0);
		const content = readFileSync(overlay.at("a"), "latin1");
		expect(content.length).toBe(5_000_000);
		for (let index = 0; index < 4; index++) {
			expect(content.slice(index * 1_000_000, index * 1_000_000 + 9)).toBe(`writer ${index}.`);
		}
		await overlay.expectLasting();
	});

	test.skipIf(lacks("mounting"))(
		"without space fails with ENOSPC, leaves no trace, and the file stays as it was",
		async () => {
			await using overlay = await mountLayers([{ "d/a": Buffer.alloc(3_000_000, "x"), small: "small" }], {
				disk: smallDisk,
			});
			expect(codeOf(() => chmodSync(overlay.at("d/a"), 0o600))).toBe("ENOSPC");
			// The kernel may take the data first and hear of it when it hands the data on.
			const append = () => {
				using appended = open(overlay.at("d/a"), "a");
				writeSync(appended.fd, "end");
				fsyncSync(appended.fd);
			};
			expect(codeOf(append)).toBe("ENOSPC");
			expect(existsSync(overlay.inUpper("d/a"))).toBeFalse();
			expect(litter(overlay)).toEqual([]);
			await overlay.remount();
			expect(statSync(overlay.at("d/a")).size).toBe(3_000_000);
			expect(statSync(overlay.at("d/a")).mode & 0o777).toBe(0o644);
			writeFileSync(overlay.at("small"), "still works");
			expect(readFileSync(overlay.at("small"), "utf8")).toBe("still works");
		},
	);

	test.skipIf(lacks("mounting"))(
		"that fails is not told of to who comes later, where who waited for it was killed",
		async () => {
			const disk = (path: string) => mount("tmpfs", path, "tmpfs", 0, "size=100m");
			await using overlay = await mountLayers([{ a: Buffer.alloc(64_000_000, "x") }], { disk });
			writeFileSync(overlay.at("fill"), Buffer.alloc(60_000_000, "x"));
			await killedCopying(overlay, "chmod", "600", overlay.at("a"));
			await until(() => scratch(overlay).length === 0, "it is still copied");
			unlinkSync(overlay.at("fill"));
			chmodSync(overlay.at("a"), 0o640);
			expect(statSync(overlay.at("a"))).toMatchObject({ size: 64_000_000, mode: 0o100640 });
		},
	);

	test.each(["passthrough=on", "passthrough=off"])(
		"for a cut is whole or cut, with %s, where who waits for it is killed",
		async (option) => {
			const [size, less] = [200_000_000, 150_000_000];
			await using overlay = await mountLayers([{ a: Buffer.alloc(size, "x") }], { options: [option] });
			await killedCopying(overlay, "truncate", `--size=${less}`, overlay.at("a"));
			appendFileSync(overlay.at("a"), "end");
			await overlay.remount();
			using appended = open(overlay.at("a"));
			const isCut = fstatSync(appended.fd).size === less + 3;
			const [end, between] = isCut ? [less, "d"] : [size, "x".repeat(10)];
			expect([appended.text(10, end - 1), appended.text(10, less + 2)]).toEqual(["xend", between]);
		},
	);

	test("what was copied with all its attributes behind the mount is another file than what it was copied from", async () => {
		await using overlay = await mountLayers([{ "d/a": "content" }]);
		appendFileSync(overlay.at("d/a"), "+");
		await overlay.unmount();
		execFileSync("cp", ["-a", overlay.inUpper("d/a"), overlay.inUpper("d/b")]);
		appendFileSync(overlay.inUpper("d/b"), "+");
		await overlay.remount();
		const [a, b] = ["d/a", "d/b"].map((name) => lstatSync(overlay.at(name)));
		expect(a?.ino).not.toBe(b?.ino ?? 0);
		appendFileSync(overlay.at("d/a"), "-");
		expect(readFileSync(overlay.at("d/a"), "utf8")).toBe("content+-");
		expect(readFileSync(overlay.at("d/b"), "utf8")).toBe("content++");
	});

	test("killed in the middle leaves the whole old file or the whole new one", async () => {
		await using overlay = await mountLayers([{ a: Buffer.alloc(100_000_000, "x") }]);
		for (const delay of [1, 10, 30]) {
			const change = Bun.spawn(["chmod", "600", overlay.at("a")], { stderr: "ignore" });
			await Bun.sleep(delay);
			for (const pid of overlay.mount.daemons) process.kill(pid, "SIGKILL");
			await change.exited;
			await overlay.remount();
			expect(statSync(overlay.at("a")).size).toBe(100_000_000);
			if (existsSync(overlay.inUpper("a"))) {
				expect(readFileSync(overlay.inUpper("a")).equals(readFileSync(overlay.inLower("a")))).toBeTrue();
			}
			expect(litter(overlay)).toEqual([]);
		}
	});

	test.skipIf(lacks("the machine's root"))(
		"keeps the group where new files get that of their directory",
		async () => {
			const disk = (path: string) => {
				rmdirSync(path);
				mountDisk("ext4", path, { options: "grpid" });
			};
			const layers = { "d/a": "a", l: symlink("t"), f: fifo() };
			await using overlay = await mountLayers([layers], { disk });
			await overlay.unmount();
			chownSync(overlay.layers.work, 0, 12);
			rmSync(`${overlay.layers.work}/work`, { recursive: true });
			await overlay.remount();
			for (const name of ["d/a", "d", "l", "f"]) setTimes(overlay.at(name), time, time);
			expect(["d/a", "d", "l", "f"].map((name) => lstatSync(overlay.at(name)).gid)).toEqual([0, 0, 0, 0]);
			expect(existsSync(overlay.inUpper("d/a"))).toBeTrue();
		},
	);

	test.skipIf(lacks("other ids", "mounting"))("works on an upper layer of another kind: tmpfs", async () => {
		await using overlay = await mountLayers(
			[
				{
					d: directory({ mode: 0o750, time }),
					"d/a": file("a", { mode: 0o640, time, xattrs: { "user.x": "y" } }),
					l: symlink("t"),
				},
			],
			{ disk: smallDisk },
		);
		appendFileSync(overlay.at("d/a"), "b");
		lchownSync(overlay.at("l"), 1, 1);
		mkdirSync(overlay.at("new"));
		await overlay.expectLasting();
		expect(readFileSync(overlay.inUpper("d/a"), "utf8")).toBe("ab");
	});
});
