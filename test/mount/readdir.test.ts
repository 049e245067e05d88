import { describe, expect, test } from "bun:test";
import { lstatSync, mkdirSync, readdirSync, rmdirSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { open } from "../harness/descriptor.ts";
import {
	type Description,
	device,
	directory,
	fifo,
	kernelsOpaque,
	socket,
	symlink,
	whiteout,
} from "../harness/layers.ts";
import {
	asUser,
	codeOf,
	type DirectoryRecord,
	lseek,
	readDirectoryRecords,
	SEEK_SET,
} from "../harness/native.ts";
import { mountLayers } from "../harness/overlay.ts";
import { lacks } from "../harness/setting.ts";

function manyFiles(prefix: string, count: number): Description {
	return Object.fromEntries(Array.from({ length: count }, (_, index) => [`${prefix}${index}`, ""]));
}

/** Reads a listing to its end in small steps; `between` runs after each step. */
function listInSteps(
	fd: number,
	size: number,
	between: (seen: DirectoryRecord[]) => void = () => {},
): string[] {
	const names: string[] = [];
	for (let step = readDirectoryRecords(fd, size); step.length > 0; step = readDirectoryRecords(fd, size)) {
		names.push(...step.map((record) => record.name));
		between(step);
	}
	return names;
}

describe("readdir", () => {
	test("every name of every layer once, dots first, nothing that stands for an absence", async () => {
		await using overlay = await mountLayers(
			[
				{ "d/both": "1", "d/first": "1", "d/gone": whiteout(), "d/old": whiteout("file") },
				{ "d/both": "2", "d/second": "2", "d/gone": "2", "d/old": "2" },
			],
			{ upper: { "d/upper": "u", "d/both": "u" } },
		);
		using listing = open(overlay.at("d"));
		const names = listInSteps(listing.fd, 4096);
		expect(names.slice(0, 2)).toEqual([".", ".."]);
		expect(names.slice(2).sort()).toEqual(["both", "first", "second", "upper"]);
	});

	test("an opaque directory lists nothing from below", async () => {
		await using overlay = await mountLayers([
			{ d: directory({ opaque: kernelsOpaque }), "d/shown": "1" },
			{ "d/hidden": "2", "d/shown": "2" },
		]);
		expect(readdirSync(overlay.at("d"))).toEqual(["shown"]);
	});

	test.skipIf(lacks("devices"))("number and type of each record are those of stat", async () => {
		const types: Record<string, number> = { file: 8, dir: 4, link: 10, pipe: 1, sock: 12, null: 2, disk: 6 };
		await using overlay = await mountLayers(
			[
				{ file: "", link: symlink("file"), pipe: fifo(), sock: socket() },
				{ dir: directory(), null: device("char", 1, 3), disk: device("block", 7, 250) },
			],
			{ upper: { "dir/x": "", file: "u" } },
		);
		using listing = open(overlay.path);
		const records = readDirectoryRecords(listing.fd).filter(({ name }) => !name.startsWith("."));
		expect(Object.fromEntries(records.map(({ name, type }) => [name, type]))).toEqual(types);
		for (const { name, ino } of records) {
			expect({ name, ino }).toEqual({ name, ino: lstatSync(overlay.at(name), { bigint: true }).ino });
		}
		using inner = open(overlay.at("dir"));
		const [dot, dotDot] = readDirectoryRecords(inner.fd);
		expect(dot?.ino).toBe(lstatSync(overlay.at("dir"), { bigint: true }).ino);
		expect(dotDot?.ino).toBe(lstatSync(overlay.path, { bigint: true }).ino);
	});

	test("10,000 names in two layers are all listed, once each", async () => {
		await using overlay = await mountLayers([
			manyFiles("a", 6000),
			{ ...manyFiles("b", 4000), ...manyFiles("a", 100) },
		]);
		const names = readdirSync(overlay.path);
		expect(names.length).toBe(10_000);
		expect(new Set(names).size).toBe(10_000);
		expect(readdirSync(overlay.path).sort()).toEqual(names.sort());
	});

	test("a name that stays is seen exactly once, whatever is made and removed meanwhile", async () => {
		await using overlay = await mountLayers([manyFiles("lower", 300)], { upper: manyFiles("upper", 300) });
		const removed = new Set<string>();
		let made = 0;
		using listing = open(overlay.path);
		const names = listInSteps(listing.fd, 1024, (step) => {
			for (const { name } of step.slice(0, 5)) {
				if (name.startsWith(".") || name.startsWith("new")) continue;
				unlinkSync(overlay.at(name));
				removed.add(name);
			}
			for (let count = 0; count < 5; count++) writeFileSync(overlay.at(`new${made++}`), "");
		});
		const stayed = [...Object.keys(manyFiles("lower", 300)), ...Object.keys(manyFiles("upper", 300))].filter(
			(name) => !removed.has(name),
		);
		const seen = names.filter(
			(name) => !removed.has(name) && !name.startsWith("new") && !name.startsWith("."),
		);
		expect(removed.size).toBeGreaterThan(50);
		expect(seen.sort()).toEqual(stayed.sort());
		expect(new Set(names).size).toBe(names.length);
	});

	test("a directory emptied while it is listed ends up empty", async () => {
		await using overlay = await mountLayers([manyFiles("lower", 500)], { upper: manyFiles("upper", 500) });
		using listing = open(overlay.path);
		listInSteps(listing.fd, 2048, (step) => {
			for (const { name } of step) if (!name.startsWith(".")) unlinkSync(overlay.at(name));
		});
		listing.close();
		expect(readdirSync(overlay.path)).toEqual([]);
		await overlay.expectLasting();
	});

	test("an offset once given leads back to its place in the listing", async () => {
		await using overlay = await mountLayers([manyFiles("lower", 200), manyFiles("more", 100)]);
		using listing = open(overlay.path);
		const records: DirectoryRecord[] = [];
		for (
			let step = readDirectoryRecords(listing.fd, 600);
			step.length > 0;
			step = readDirectoryRecords(listing.fd, 600)
		) {
			records.push(...step);
		}
		expect(records.length).toBe(302);
		for (const index of [0, 1, 2, 57, 150, 299, 300]) {
			lseek(listing.fd, records[index]?.nextOffset ?? 0n, SEEK_SET);
			const [next] = readDirectoryRecords(listing.fd, 600);
			expect({ index, name: next?.name }).toEqual({ index, name: records[index + 1]?.name });
		}
	});

	test("after rewinding, what was made and removed meanwhile shows", async () => {
		await using overlay = await mountLayers([{ a: "", b: "" }]);
		using listing = open(overlay.path);
		expect(listInSteps(listing.fd, 4096).length).toBe(4);
		writeFileSync(overlay.at("c"), "");
		unlinkSync(overlay.at("a"));
		lseek(listing.fd, 0, SEEK_SET);
		expect(
			listInSteps(listing.fd, 4096)
				.filter((name) => !name.startsWith("."))
				.sort(),
		).toEqual(["b", "c"]);
	});

	test("another process goes on with a listing that this one began", async () => {
		await using overlay = await mountLayers([manyFiles("f", 200)]);
		using listing = open(overlay.path);
		const begun = readDirectoryRecords(listing.fd, 1024).map(({ name }) => name);
		const script = `
			import { readDirectoryRecords } from ${JSON.stringify(join(import.meta.dir, "../harness/native.ts"))};
			for (let step = readDirectoryRecords(0); step.length > 0; step = readDirectoryRecords(0))
				for (const { name } of step) console.log(name);
		`;
		const child = Bun.spawn([process.execPath, "-e", script], { stdin: listing.fd, stdout: "pipe" });
		const rest = (await new Response(child.stdout).text()).trim().split("\n");
		expect([...begun, ...rest].length).toBe(202);
		expect(new Set([...begun, ...rest]).size).toBe(202);
	});

	test("a removed directory that is still open lists nothing", async () => {
		await using overlay = await mountLayers([{ "lower/x": "1" }]);
		mkdirSync(overlay.at("new"));
		unlinkSync(overlay.at("lower/x"));
		for (const name of ["new", "lower"]) {
			using listing = open(overlay.at(name));
			rmdirSync(overlay.at(name));
			expect(codeOf(() => readDirectoryRecords(listing.fd))).toBe("ENOENT");
		}
	});

	test.skipIf(lacks("other ids"))("listing needs the caller's read permission", async () => {
		await using overlay = await mountLayers([{ d: directory({ mode: 0o711 }), "d/x": "1" }]);
		expect(asUser(1000, 1000, () => codeOf(() => readdirSync(overlay.at("d"))))).toBe("EACCES");
		expect(asUser(1000, 1000, () => codeOf(() => lstatSync(overlay.at("d/x"))))).toBeUndefined();
	});
});
