import { describe, expect, test } from "bun:test";
import {
	chmodSync,
	fchownSync,
	fstatSync,
	fsyncSync,
	ftruncateSync,
	lstatSync,
	readFileSync,
	readSync,
	truncateSync,
	writeFileSync,
	writeSync,
} from "node:fs";
import { open } from "../harness/descriptor.ts";
import { directory, file, temporaryTree } from "../harness/layers.ts";
import { layerOptions } from "../harness/mount.ts";
import { asUser, codeOf, flock, LOCK_EX, LOCK_NB, LOCK_SH, mapMemory } from "../harness/native.ts";
import { mountLayers, type Overlay, type OverlaySettings } from "../harness/overlay.ts";
import { program } from "../harness/program.ts";
import { requestsServed } from "../harness/requests.ts";
import { lacks } from "../harness/setting.ts";

const large = 2 << 20;
const passedThrough: OverlaySettings = { options: ["passthrough=on"] };
const old = Buffer.alloc(large, "old ");

/** Reads a file of 2 MiB in random order, page by page; returns its content. */
function readAtRandom(fd: number): Buffer {
	const content = Buffer.alloc(large);
	for (let index = 0; index < 512; index++) {
		const offset = ((index * 149) % 512) * 4096;
		readSync(fd, content, offset, 4096, offset);
	}
	return content;
}

/** Requests it takes to read a file so. */
async function requestsToRead(
	settings: OverlaySettings,
	layer: "lower" | "upper" = "lower",
): Promise<number> {
	await using overlay = await mountLayers([{ lower: old }], { ...settings, upper: { upper: old } });
	using reader = open(overlay.at(layer));
	const before = await requestsServed(overlay);
	expect(readAtRandom(reader.fd).equals(old)).toBeTrue();
	return (await requestsServed(overlay)) - before;
}

const read = (fd: number, length: number) => {
	const buffer = Buffer.alloc(length);
	return buffer.toString("latin1", 0, readSync(fd, buffer, 0, length, 0));
};

/** What a script says in another user namespace, which has all ids of the machine. */
async function inNamespaceOfAll(script: string, args: readonly string[]): Promise<string> {
	const child = Bun.spawn(
		["unshare", "--user", "--mount", "sh", "-ec", `echo; read line; ${script}`, "sh", ...args],
		{ stdin: "pipe", stdout: "pipe" },
	);
	const output = child.stdout.getReader();
	await output.read();
	for (const kind of ["uid", "gid"]) writeFileSync(`/proc/${child.pid}/${kind}_map`, "0 0 4294967295");
	child.stdin.write("\n");
	await child.stdin.end();
	let text = "";
	for (let part = await output.read(); !part.done; part = await output.read())
		text += Buffer.from(part.value).toString();
	await child.exited;
	return text;
}

describe.skipIf(lacks("the machine's root"))("in a user namespace that has all users of the machine", () => {
	test("there is no passthrough, and what is opened to be written anew is cut", async () => {
		using tree = temporaryTree();
		const layers = tree.layers([{ f: "lower, long" }]);
		const { mountpoint } = layers;
		const script = `"$1" -o "$2" "$3" && cd "$3" && echo long >new && echo n >new && echo f >f && cat new f
			cd / && umount "$3"`;
		expect(await inNamespaceOfAll(script, [program, layerOptions(layers), mountpoint])).toBe("n\nf\n");
	});
});

describe.skipIf(lacks("the machine's root", "passthrough"))(
	"the kernel reads and writes the real file by itself",
	() => {
		const few = 10;

		test.skipIf(process.env.FUSE_OVERLAYFS_NO_PASSTHROUGH !== undefined)("by default as root", async () => {
			expect(await requestsToRead({}, "upper")).toBeLessThan(few);
		});

		test("when told to; not with passthrough=off or the environment's word", async () => {
			expect(await requestsToRead({ options: ["passthrough=on"] })).toBeLessThan(few);
			expect(await requestsToRead({ options: ["passthrough=on"] }, "upper")).toBeLessThan(few);
			expect(await requestsToRead({ options: ["passthrough=off"] })).toBeGreaterThan(few);
			const environment = { FUSE_OVERLAYFS_NO_PASSTHROUGH: "1" };
			expect(await requestsToRead({ environment })).toBeGreaterThan(few);
			expect(await requestsToRead({ environment, options: ["passthrough=on"] })).toBeLessThan(few);
		});

		test("a value that is none of these is refused", async () => {
			const mounting = mountLayers([{ a: "a" }], { options: ["passthrough=maybe"] });
			expect(mounting).rejects.toThrow("passthrough=maybe");
		});

		test("a new file, written, read, mapped and cut, lasts", async () => {
			await using overlay = await mountLayers([{ a: "a" }], passedThrough);
			const path = overlay.at("new");
			using writer = open(path, "w+");
			writeSync(writer.fd, Buffer.alloc(large, "new "));
			expect(fstatSync(writer.fd).size).toBe(large);
			expect(lstatSync(path).size).toBe(large);
			const mapping = mapMemory(4096, writer.fd);
			mapping.bytes.write("mapped");
			mapping[Symbol.dispose]();
			expect(read(writer.fd, 10)).toBe("mappedw ne");
			ftruncateSync(writer.fd, 8192);
			fsyncSync(writer.fd);
			expect(readFileSync(path).length).toBe(8192);
			writer.close();
			await overlay.expectLasting();
		});

		test("what is written through a mapping moves the modification time", async () => {
			await using overlay = await mountLayers([{ a: file(old, { time: 10n ** 18n }) }], passedThrough);
			using writer = open(overlay.at("a"), "r+");
			using mapping = mapMemory(4096, writer.fd);
			const before = lstatSync(overlay.at("a"), { bigint: true });
			expect(before.mtimeNs).toBe(10n ** 18n);
			// The clock of times may stand still for a few milliseconds.
			await Bun.sleep(20);
			mapping.bytes.write("mapped");
			writer.close();
			const after = lstatSync(overlay.at("a"), { bigint: true });
			expect(after.mtimeNs).toBeGreaterThan(before.mtimeNs);
			expect(after.ctimeNs).toBeGreaterThan(before.ctimeNs);
		});

		test("a file shorter by its opening or by truncate is not copied up whole, and is modified now", async () => {
			const time = 10n ** 18n;
			await using overlay = await mountLayers(
				[{ emptied: file(old, { time }), cut: file(old, { time }) }],
				passedThrough,
			);
			writeFileSync(overlay.at("emptied"), "");
			truncateSync(overlay.at("cut"), 4);
			expect(readFileSync(overlay.at("cut"), "latin1")).toBe("old ");
			for (const name of ["emptied", "cut"]) {
				expect(lstatSync(overlay.at(name), { bigint: true }).mtimeNs).toBeGreaterThan(time);
			}
			await overlay.expectLasting();
		});
	},
);

describe.skipIf(lacks("the machine's root", "passthrough"))(
	"a lower file that this program reads for the kernel",
	() => {
		const settings: OverlaySettings = { options: ["passthrough=auto"] };

		test("at random: is soon given to it in larger pieces", async () => {
			await using overlay = await mountLayers([{ a: old }], settings);
			using reader = open(overlay.at("a"));
			const page = Buffer.alloc(4096);
			const costs: number[] = [];
			for (let index = 0; index < 512 && (costs.at(-1) ?? 32) > 16; index += 32) {
				const before = await requestsServed(overlay);
				for (let next = index; next < index + 32; next++) {
					readSync(reader.fd, page, 0, 4096, ((next * 149) % 512) * 4096);
					await Bun.sleep(1);
				}
				costs.push((await requestsServed(overlay)) - before);
			}
			// All others have been read by then: the last batch would cost as much as the first.
			expect(costs.length).toBeLessThan(16);
		});

		test("shows what is written while it is read at random", async () => {
			for (let turn = 0; turn < 20; turn++) {
				await using overlay = await mountLayers([{ a: old }], settings);
				using reader = open(overlay.at("a"));
				readSync(reader.fd, Buffer.alloc(4096), 0, 4096, 4096 * turn);
				for (let index = 1; index < 10 + turn; index++)
					readSync(reader.fd, Buffer.alloc(4096), 0, 4096, (index * 40_960 + turn * 131_072) % large);
				using writer = open(overlay.at("a"), "r+");
				const changed = Buffer.alloc(large, "new ");
				writeSync(writer.fd, changed);
				expect(readAtRandom(reader.fd).equals(changed)).toBeTrue();
				expect(readFileSync(overlay.at("a")).equals(changed)).toBeTrue();
			}
		});

		test("is seen changed, and locked, by those who had it open before its copy-up", async () => {
			await using overlay = await mountLayers([{ a: old }], settings);
			using reader = open(overlay.at("a"));
			flock(reader.fd, LOCK_SH);
			expect(read(reader.fd, 4)).toBe("old ");
			using writer = open(overlay.at("a"), "r+");
			writeSync(writer.fd, "NEW", 0);
			expect(read(reader.fd, 4)).toBe("NEW ");
			expect(codeOf(() => flock(writer.fd, LOCK_EX | LOCK_NB))).toBe("EAGAIN");
		});
	},
);

describe.skipIf(lacks("the machine's root", "passthrough"))(
	"a lower file that is open while it is copied up",
	() => {
		test("if small, shows the new data, and locks hold between old and new descriptions", async () => {
			await using overlay = await mountLayers([{ a: "old content" }], passedThrough);
			using reader = open(overlay.at("a"));
			flock(reader.fd, LOCK_SH);
			using writer = open(overlay.at("a"), "r+");
			writeSync(writer.fd, "NEW", 0);
			expect(read(reader.fd, 100)).toBe("NEW content");
			expect(codeOf(() => flock(writer.fd, LOCK_EX | LOCK_NB))).toBe("EAGAIN");
		});

		test("if large, goes on showing the lower one; all others see the new data", async () => {
			await using overlay = await mountLayers([{ a: old }], passedThrough);
			using reader = open(overlay.at("a"));
			const { ino } = fstatSync(reader.fd);
			using writer = open(overlay.at("a"), "r+");
			writeSync(writer.fd, "NEW", 0);
			expect(fstatSync(writer.fd).ino).toBe(ino);
			expect(read(reader.fd, 8)).toBe("old old ");
			using again = open(overlay.at("a"));
			expect(read(again.fd, 8)).toBe("NEW old ");
			expect(fstatSync(again.fd).ino).toBe(ino);
			// Changes of attributes are seen through the old description, too.
			chmodSync(overlay.at("a"), 0o600);
			expect(fstatSync(reader.fd).mode & 0o777).toBe(0o600);
			expect(fstatSync(reader.fd).size).toBe(large);
			for (const description of [reader, writer, again]) description.close();
			await overlay.expectLasting();
		});

		test("if large, shows to all others what is changed through the old description", async () => {
			await using overlay = await mountLayers([{ a: old }], passedThrough);
			const path = overlay.at("a");
			using reader = open(path);
			chmodSync(path, 0o640);
			using again = open(path);
			expect(fstatSync(again.fd).uid).toBe(0);
			fchownSync(reader.fd, 1000, 1000);
			expect([lstatSync(path), fstatSync(again.fd), fstatSync(reader.fd)].map(({ uid }) => uid)).toEqual([
				1000, 1000, 1000,
			]);
		});

		test("again and again, with readers of every age", async () => {
			await using overlay = await mountLayers([{ a: old }], passedThrough);
			const path = overlay.at("a");
			using first = open(path);
			chmodSync(path, 0o640);
			using second = open(path);
			using writer = open(path, "r+");
			writeSync(writer.fd, "NEW", 0);
			using third = open(path);
			expect([first, second, third].map(({ fd }) => read(fd, 4))).toEqual(["old ", "NEW ", "NEW "]);
			truncateSync(path, 2);
			expect([first, second, third].map(({ fd }) => read(fd, 4))).toEqual(["old ", "NE", "NE"]);
		});

		test("in a read-only mount nothing is copied up: any size is passed through", async () => {
			await using overlay = await mountLayers([{ a: "small" }, { b: "b" }], {
				...passedThrough,
				readOnly: true,
			});
			using reader = open(overlay.at("a"));
			const before = await requestsServed(overlay);
			for (let turn = 0; turn < 20; turn++) expect(read(reader.fd, 10)).toBe("small");
			expect((await requestsServed(overlay)) - before).toBeLessThan(5);
		});
	},
);

describe.skipIf(lacks("the machine's root", "passthrough"))(
	"set-id bits of a file that is written to",
	() => {
		const layers = [{ d: directory({ mode: 0o777 }), "d/a": file(old, { mode: 0o6777 }) }];
		const mode = (overlay: Overlay) => lstatSync(overlay.at("d/a")).mode & 0o7777;

		test("go when a user writes, whether set before or after the file was opened", async () => {
			await using overlay = await mountLayers(layers, passedThrough);
			const path = overlay.at("d/a");
			using writer = asUser(1000, 1000, () => open(path, "r+"));
			asUser(1000, 1000, () => writeSync(writer.fd, "x", 0));
			expect(mode(overlay)).toBe(0o777);
			writer.close();
			using again = asUser(1000, 1000, () => open(path, "r+"));
			chmodSync(path, 0o6777);
			expect(mode(overlay)).toBe(0o6777);
			asUser(1000, 1000, () => writeSync(again.fd, "x", 0));
			expect(mode(overlay)).toBe(0o777);
		});

		test("stay when root writes to or cuts a file that got them after it was opened", async () => {
			await using overlay = await mountLayers(layers, passedThrough);
			for (const setId of [0o4711, 0o2755, 0o2745]) {
				using writer = open(overlay.at("d/a"), "r+");
				fchownSync(writer.fd, 0, 77);
				chmodSync(overlay.at("d/a"), setId);
				writeSync(writer.fd, "x", 0);
				expect(mode(overlay)).toBe(setId);
				ftruncateSync(writer.fd, 3);
				expect(mode(overlay)).toBe(setId);
				asUser(1000, 1000, () => writeSync(writer.fd, "y", 0));
				expect(mode(overlay)).toBe(setId & 0o777);
			}
			await overlay.expectLasting();
		});

		test("are no reason not to pass a file through", async () => {
			await using overlay = await mountLayers(layers, passedThrough);
			using writer = open(overlay.at("d/a"), "r+");
			const before = await requestsServed(overlay);
			expect(readAtRandom(writer.fd).equals(old)).toBeTrue();
			expect((await requestsServed(overlay)) - before).toBeLessThan(5);
		});

		test("stay when root writes to a file that has them", async () => {
			await using overlay = await mountLayers(layers, passedThrough);
			using writer = open(overlay.at("d/a"), "r+");
			writeSync(writer.fd, "x", 0);
			expect(mode(overlay)).toBe(0o6777);
			writer.close();
			await overlay.expectLasting();
		});
	},
);
