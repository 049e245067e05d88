import { describe, expect, test } from "bun:test";
import {
	appendFileSync,
	constants,
	fdatasyncSync,
	fsyncSync,
	ftruncateSync,
	readdirSync,
	readFileSync,
	readSync,
	statSync,
	writeFileSync,
	writeSync,
} from "node:fs";
import { join } from "node:path";
import { O_DIRECT, open } from "../harness/descriptor.ts";
import { directory, file, sparseFile, symlink } from "../harness/layers.ts";
import {
	asUser,
	codeOf,
	flock,
	LOCK_EX,
	LOCK_NB,
	LOCK_SH,
	LOCK_UN,
	mapMemory,
	preadInto,
	pwriteFrom,
} from "../harness/native.ts";
import { mountLayers } from "../harness/overlay.ts";
import { lacks } from "../harness/setting.ts";

const read = (path: string) => readFileSync(path, "utf8");
/** Bytes that differ at every offset, so that a page in the wrong place shows. */
function pattern(length: number): Buffer {
	const bytes = Buffer.alloc(length);
	for (let at = 0; at + 4 <= length; at += 4) bytes.writeUInt32LE(Math.imul(at, 2_654_435_761) >>> 0, at);
	return bytes;
}

describe("reading", () => {
	test("whole files and pieces, at and beyond the end, from lower and upper", async () => {
		const content = pattern(5_000_000);
		await using overlay = await mountLayers([{ lower: content, empty: "" }], { upper: { upper: content } });
		for (const name of ["lower", "upper"]) {
			expect(readFileSync(overlay.at(name)).equals(content)).toBeTrue();
			using handle = open(overlay.at(name));
			const piece = Buffer.alloc(10_000);
			for (const offset of [0, 1, 4095, 131_071, 1_048_577, 4_999_999]) {
				const length = readSync(handle.fd, piece, 0, piece.length, offset);
				expect(length).toBe(Math.min(piece.length, content.length - offset));
				expect(piece.subarray(0, length).equals(content.subarray(offset, offset + length))).toBeTrue();
			}
			expect(readSync(handle.fd, piece, 0, 10, content.length)).toBe(0);
			expect(readSync(handle.fd, piece, 0, 10, content.length + 1_000_000)).toBe(0);
		}
		expect(read(overlay.at("empty"))).toBe("");
	});

	test("reading copies nothing up", async () => {
		await using overlay = await mountLayers([{ "d/a": "a", "d/l": symlink("a"), "d/e/b": "b" }]);
		Bun.spawnSync(["tar", "-cf", "/dev/null", overlay.path]);
		expect(readdirSync(overlay.inUpper())).toEqual([]);
	});
});

describe("writing", () => {
	test("over, into, behind and far behind the content of a lower file", async () => {
		const files = Object.fromEntries(["over", "into", "behind", "far"].map((name) => [name, "0123456789"]));
		await using overlay = await mountLayers([files]);
		writeFileSync(overlay.at("over"), "new");
		const writeAt = (name: string, offset: number) => {
			using handle = open(overlay.at(name), "r+");
			writeSync(handle.fd, "NEW", offset);
		};
		writeAt("into", 3);
		writeAt("behind", 10);
		writeAt("far", 100_000);
		expect(read(overlay.at("over"))).toBe("new");
		expect(read(overlay.at("into"))).toBe("012NEW6789");
		expect(read(overlay.at("behind"))).toBe("0123456789NEW");
		expect(read(overlay.at("far"))).toBe(`0123456789${"\0".repeat(99_990)}NEW`);
		await overlay.expectLasting();
		expect(read(overlay.inLower("into"))).toBe("0123456789");
	});

	test("large content, in pieces of odd sizes", async () => {
		const content = pattern(6_000_000);
		await using overlay = await mountLayers([{ lower: pattern(3_000_000) }]);
		for (const name of ["lower", "new"]) {
			using handle = open(overlay.at(name), "w+");
			for (let at = 0; at < content.length; at += 77_777) {
				writeSync(handle.fd, content, at, Math.min(77_777, content.length - at), at);
			}
			handle.close();
			expect(readFileSync(overlay.at(name)).equals(content)).toBeTrue();
		}
		await overlay.expectLasting();
	});

	test("small pieces, thousands of them", async () => {
		await using overlay = await mountLayers([{}]);
		using handle = open(overlay.at("log"), "w");
		for (let line = 0; line < 5000; line++) writeSync(handle.fd, `line ${line}\n`);
		handle.close();
		expect(read(overlay.at("log")).split("\n").length).toBe(5001);
		await overlay.expectLasting();
	});

	test("appending adds at the end, whoever wrote before", async () => {
		await using overlay = await mountLayers([{ log: "lower\n" }]);
		using first = open(overlay.at("log"), "a");
		using second = open(overlay.at("log"), "a");
		for (let round = 0; round < 3; round++) {
			writeSync(first.fd, `first ${round}\n`);
			writeSync(second.fd, `second ${round}\n`);
		}
		first.close();
		second.close();
		appendFileSync(overlay.at("log"), "end\n");
		const lines = [0, 1, 2].map((round) => `first ${round}\nsecond ${round}\n`).join("");
		expect(read(overlay.at("log"))).toBe(`lower\n${lines}end\n`);
		await overlay.expectLasting();
	});

	test("processes that append at the same time lose nothing", async () => {
		await using overlay = await mountLayers([{ log: "" }]);
		const script = `for i in $(seq 200); do echo "$0 $i" >>"${overlay.at("log")}"; done`;
		const writers = ["a", "b", "c", "d"].map((name) => Bun.spawn(["sh", "-c", script, name]));
		for (const writer of writers) expect(await writer.exited).toBe(0);
		const lines = read(overlay.at("log")).trim().split("\n");
		expect(lines.length).toBe(800);
		expect(new Set(lines).size).toBe(800);
		await overlay.expectLasting();
	});

	test("a description opened for reading before the copy-up sees the data written after", async () => {
		await using overlay = await mountLayers([{ a: "old content", trunc: "old content" }]);
		using reader = open(overlay.at("a"));
		using shortened = open(overlay.at("trunc"));
		expect(reader.text()).toBe("old content");
		using writer = open(overlay.at("a"), "r+");
		writeSync(writer.fd, "NEW", 0);
		writeFileSync(overlay.at("trunc"), "x");
		expect(reader.text()).toBe("NEW content");
		expect(shortened.text()).toBe("x");
	});

	test("far beyond 4 GiB", async () => {
		await using overlay = await mountLayers([{ a: "start" }]);
		using handle = open(overlay.at("a"), "r+");
		writeSync(handle.fd, "end", 5_000_000_000);
		expect(handle.text(3, 5_000_000_000)).toBe("end");
		expect(handle.text(5)).toBe("start");
		handle.close();
		expect(statSync(overlay.at("a")).size).toBe(5_000_000_003);
		await overlay.unmount();
		expect(statSync(overlay.inUpper("a")).blocks).toBeLessThan(1000);
	});

	test("what was synced is in the upper layer, while mounted", async () => {
		await using overlay = await mountLayers([{ a: "lower", "d/b": "lower" }]);
		const syncs = [fsyncSync, fdatasyncSync];
		for (const [index, name] of ["a", "d/b"].entries()) {
			using handle = open(overlay.at(name), "w");
			writeSync(handle.fd, "synced");
			syncs[index]?.(handle.fd);
			expect(read(overlay.inUpper(name))).toBe("synced");
		}
		using directory = open(overlay.at("d"));
		fsyncSync(directory.fd);
		using root = open(overlay.path);
		fsyncSync(root.fd);
		appendFileSync(overlay.at("a"), " and more");
		expect(Bun.spawnSync(["sync", "--file-system", overlay.path]).exitCode).toBe(0);
		expect(read(overlay.inUpper("a"))).toBe("synced and more");
	});

	test("fsync=0 and volatile: syncing succeeds, and the data is there in the end", async () => {
		for (const option of ["fsync=0", "volatile"]) {
			await using overlay = await mountLayers([{ a: "lower" }], { options: [option] });
			using handle = open(overlay.at("a"), "w");
			writeSync(handle.fd, "new");
			fsyncSync(handle.fd);
			handle.close();
			await overlay.unmount();
			expect(read(overlay.inUpper("a"))).toBe("new");
		}
	});

	test("without writeback cache and without caching at all", async () => {
		for (const options of [["writeback=0"], ["timeout=0"], ["timeout=0", "writeback=0"]]) {
			await using overlay = await mountLayers([{ a: "0123456789", b: "x" }], { options });
			using handle = open(overlay.at("a"), "r+");
			writeSync(handle.fd, "NEW", 2);
			ftruncateSync(handle.fd, 8);
			appendFileSync(overlay.at("a"), "end");
			expect({ options, content: read(overlay.at("a")) }).toEqual({ options, content: "01NEW567end" });
			handle.close();
			await overlay.expectLasting();
		}
	});
});

describe("opening", () => {
	test("O_TRUNC empties a lower file", async () => {
		await using overlay = await mountLayers([{ a: "content", b: "content" }]);
		open(overlay.at("a"), constants.O_WRONLY | constants.O_TRUNC).close();
		using both = open(overlay.at("b"), constants.O_RDWR | constants.O_TRUNC);
		expect(both.text()).toBe("");
		both.close();
		await overlay.expectLasting();
		expect([read(overlay.inUpper("a")), read(overlay.inLower("a"))]).toEqual(["", "content"]);
	});

	test.skipIf(lacks("other ids"))("the kind and the permissions are respected", async () => {
		await using overlay = await mountLayers([
			{ a: file("a", { mode: 0o444 }), d: directory(), link: symlink("a"), loop: symlink("loop") },
		]);
		const code = (name: string, flags: number) => codeOf(() => open(overlay.at(name), flags).close());
		expect(code("d", constants.O_WRONLY)).toBe("EISDIR");
		expect(code("a", constants.O_DIRECTORY)).toBe("ENOTDIR");
		expect(code("link", constants.O_NOFOLLOW)).toBe("ELOOP");
		expect(code("loop", constants.O_RDONLY)).toBe("ELOOP");
		expect(code("missing", constants.O_RDWR)).toBe("ENOENT");
		expect(code("a", constants.O_RDWR)).toBeUndefined();
		expect(asUser(1000, 1000, () => code("a", constants.O_RDWR))).toBe("EACCES");
		expect(asUser(1000, 1000, () => code("a", constants.O_RDONLY))).toBeUndefined();
	});

	test("programs run, from the lower layer and after copy-up", async () => {
		const { exitCode } = Bun.spawnSync(["true"]);
		await using overlay = await mountLayers([
			{
				script: file("#!/bin/sh\necho lower\n", { mode: 0o755 }),
				true: file(readFileSync("/bin/true"), { mode: 0o755 }),
			},
		]);
		const run = (name: string) => Bun.spawnSync([overlay.at(name)]);
		expect(run("script").stdout.toString()).toBe("lower\n");
		expect(run("true").exitCode).toBe(exitCode);
		writeFileSync(overlay.at("script"), "#!/bin/sh\necho upper\n");
		appendFileSync(overlay.at("true"), "\0");
		expect(run("script").stdout.toString()).toBe("upper\n");
		expect(run("true").exitCode).toBe(exitCode);
	});

	test("flock: shared ones together, an exclusive one alone, across descriptions", async () => {
		await using overlay = await mountLayers([{ a: "a" }]);
		using first = open(overlay.at("a"));
		using second = open(overlay.at("a"), "r+");
		flock(first.fd, LOCK_SH | LOCK_NB);
		flock(second.fd, LOCK_SH | LOCK_NB);
		expect(codeOf(() => flock(second.fd, LOCK_EX | LOCK_NB))).toBe("EAGAIN");
		flock(first.fd, LOCK_UN);
		flock(second.fd, LOCK_EX | LOCK_NB);
		writeSync(second.fd, "b");
		expect(codeOf(() => flock(first.fd, LOCK_SH | LOCK_NB))).toBe("EAGAIN");
	});
});

describe("O_DIRECT", () => {
	test("reads and writes past the cache, of lower and upper files", async () => {
		const content = pattern(64 * 1024);
		await using overlay = await mountLayers([{ lower: content }], { upper: { upper: content } });
		using memory = mapMemory(16 * 1024);
		for (const name of ["lower", "upper"]) {
			using handle = open(overlay.at(name), constants.O_RDWR | O_DIRECT);
			expect(preadInto(handle.fd, memory, 16_384, 4096)).toBe(16_384);
			expect(memory.bytes.equals(content.subarray(4096, 4096 + 16_384))).toBeTrue();
			memory.bytes.fill("D");
			expect(pwriteFrom(handle.fd, memory, 8192, 32_768)).toBe(8192);
			expect(preadInto(handle.fd, memory, 8192, 32_768)).toBe(8192);
			handle.close();
			const expected = Buffer.concat([
				content.subarray(0, 32_768),
				Buffer.alloc(8192, "D"),
				content.subarray(40_960),
			]);
			expect(readFileSync(overlay.at(name)).equals(expected)).toBeTrue();
		}
		await overlay.expectLasting();
	});

	test.each(["auto", "off"])(
		"what is read while an asynchronous write is under way does not stay; passthrough=%s",
		async (passthrough) => {
			const [page, pages] = [4096, 2000];
			const options = [`passthrough=${passthrough}`, `max_write=${page}`];
			const upper = { f: Buffer.alloc(pages * page, "old") };
			await using overlay = await mountLayers([{}], { upper, options });
			const path = overlay.at("f");
			const native = (name: string) => JSON.stringify(join(import.meta.dir, `../harness/${name}.ts`));
			const script = `
				import { openSync } from "node:fs";
				import { writeAsynchronously } from ${native("asynchronous-write")};
				import { mapMemory } from ${native("native")};
				const memory = mapMemory(${pages * page});
				memory.bytes.fill("new");
				const fd = openSync(${JSON.stringify(path)}, ${constants.O_RDWR | O_DIRECT});
				process.exit(writeAsynchronously(fd, memory) === memory.bytes.length ? 0 : 1);
			`;
			const child = Bun.spawn([process.execPath, "-e", script], { stdio: ["ignore", "ignore", "inherit"] });
			while (child.exitCode === null) {
				using reader = open(path);
				reader.text(page, (pages - 1) * page);
				await Bun.sleep(0);
			}
			expect(child.exitCode).toBe(0);
			expect(readFileSync(path).equals(Buffer.alloc(pages * page, "new"))).toBeTrue();
			await overlay.expectLasting();
		},
	);
});

describe("mmap", () => {
	/** In a process of its own: a fault in a mapping is a signal. */
	async function mapped(path: string, code: string): Promise<string> {
		const native = JSON.stringify(join(import.meta.dir, "../harness/native.ts"));
		const script = `
			import { openSync, readFileSync, writeSync } from "node:fs";
			import { mapMemory } from ${native};
			const path = ${JSON.stringify(path)};
			${code}
		`;
		const child = Bun.spawn([process.execPath, "-e", script], { stdout: "pipe", stderr: "pipe" });
		const [stdout, stderr] = await Promise.all([
			new Response(child.stdout).text(),
			new Response(child.stderr).text(),
		]);
		expect(stderr).toBe("");
		return stdout.trim();
	}

	test("what is written to a shared mapping is in the file, lower files included", async () => {
		const content = Buffer.alloc(300_000, "x");
		await using overlay = await mountLayers([{ lower: content }], { upper: { upper: content } });
		for (const name of ["lower", "upper"]) {
			const read = await mapped(
				overlay.at(name),
				`const map = mapMemory(300_000, openSync(path, "r+"));
				map.bytes.write("first"); map.bytes.write("page 5", 20_480); map.bytes.write("last", 299_996);
				map.sync();
				const now = readFileSync(path, "latin1");
				console.log(now.slice(0, 6), now.slice(20_480, 20_487), now.slice(-5));`,
			);
			expect(read).toBe("firstx page 5x xlast");
			expect(statSync(overlay.at(name)).size).toBe(300_000);
		}
		await overlay.expectLasting();
		expect(readFileSync(overlay.inUpper("lower"), "latin1").slice(-5)).toBe("xlast");
		expect(readFileSync(overlay.inLower("lower")).equals(content)).toBeTrue();
	});

	test("what is stored to a mapping leaves set-id bits", async () => {
		const a = file("content", { mode: 0o6755 });
		await using overlay = await mountLayers([{ lower: a }], { upper: { upper: a } });
		for (const name of ["lower", "upper"]) {
			const store = `mapMemory(7, openSync(path, "r+")).bytes.write("C");`;
			await mapped(overlay.at(name), store);
			const synced = open(overlay.at(name));
			fsyncSync(synced.fd);
			synced.close();
			expect(statSync(overlay.at(name)).mode & 0o7777).toBe(0o6755);
		}
		await overlay.remount();
		for (const name of ["lower", "upper"]) {
			expect(readFileSync(overlay.at(name), "utf8")).toBe("Content");
			expect(statSync(overlay.at(name)).mode & 0o7777).toBe(0o6755);
		}
	});

	test("a mapping sees what is written by write, and the reverse", async () => {
		await using overlay = await mountLayers([{ a: Buffer.alloc(8192, "x") }]);
		const seen = await mapped(
			overlay.at("a"),
			`const fd = openSync(path, "r+");
			const map = mapMemory(8192, fd);
			const before = map.bytes.toString("latin1", 4096, 4099);
			writeSync(fd, "abc", 4096);
			const after = map.bytes.toString("latin1", 4096, 4099);
			map.bytes.write("MAP", 10);
			console.log(before, after, readFileSync(path, "latin1").slice(10, 13));`,
		);
		expect(seen).toBe("xxx abc MAP");
		await overlay.expectLasting();
	});

	test("holes of a sparse lower file read as zeros and can be written", async () => {
		await using overlay = await mountLayers([{ a: sparseFile(1_000_000, { 500000: "middle" }) }]);
		const seen = await mapped(
			overlay.at("a"),
			`const map = mapMemory(1_000_000, openSync(path, "r+"));
			console.log(map.bytes[0], map.bytes[999_999], map.bytes.toString("latin1", 500_000, 500_006));
			map.bytes.write("hole", 800_000); map.sync();`,
		);
		expect(seen).toBe("0 0 middle");
		await overlay.expectLasting();
	});
});
