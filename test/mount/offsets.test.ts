/** Sizes and offsets beyond 2^53, on tmpfs, where a file may have any: what has been copied up has them exactly. */
import { describe, expect, test } from "bun:test";
import { fsyncSync, mkdirSync, statSync, writeFileSync } from "node:fs";
import { placeAt } from "../conformance/statement.ts";
import { offsets } from "../conformance/subjects/offsets.ts";
import { open } from "../harness/descriptor.ts";
import { mountDisk } from "../harness/disk.ts";
import { ftruncate, pread, pwrite, seek } from "../harness/exact-offsets.ts";
import { fillLayer, type TemporaryTree, temporaryTree } from "../harness/layers.ts";
import { mountOverlay } from "../harness/mount.ts";
import { SEEK_DATA, SEEK_HOLE } from "../harness/native.ts";
import { lacks } from "../harness/setting.ts";

const readAt = (fd: number, length: number, at: bigint) => pread(fd, length, at).toString("latin1");
const ways = ["passthrough=auto", "passthrough=on", "passthrough=off", "passthrough=off,writeback=0"];
const sizes = [2n ** 53n - 1n, 2n ** 53n, 2n ** 53n + 1n, 2n ** 53n + 3n, 2n ** 62n + 1n, 2n ** 63n - 1n];

/** Where data is put near the end: tmpfs does not find what is in the last page there is. */
const tailOf = (size: bigint) => size - (size === 2n ** 63n - 1n ? 8197n : 5n);

/** Lower, upper and workdir on one tmpfs. */
function layersOnTmpfs(tree: TemporaryTree) {
	mountDisk("tmpfs", tree.join("tmpfs"));
	const [lower, upper, work] = ["lower", "upper", "work"].map((name) => tree.join("tmpfs", name));
	for (const path of [lower, upper, work]) mkdirSync(path!);
	return { lower: [lower!], upper: upper!, work: work!, mountpoint: tree.layer("merged") };
}

describe.skipIf(lacks("mounting"))("with files as large as can be", () => {
	test.each(ways)("a copy-up keeps the size and where the data lies; %s", async (options) => {
		using tree = temporaryTree();
		const layers = layersOnTmpfs(tree);
		for (const size of sizes) {
			using file = open(`${layers.lower[0]}/${size}`, "w+");
			const tail = tailOf(size);
			ftruncate(file.fd, size);
			for (const at of [0n, 2n ** 40n + 1n, tail]) pwrite(file.fd, "data", at);
		}
		await using mount = await mountOverlay({ ...layers, options: [options] });
		for (const size of sizes) {
			const tail = tailOf(size);
			const [path, copy] = [mount.at(String(size)), `${layers.upper}/${size}`];
			expect(statSync(path, { bigint: true }).size).toBe(size);
			// A change of content, which copies up, in the midst of the largest hole.
			using file = open(path, "r+");
			expect(pwrite(file.fd, "changed", 2n ** 50n)).toBe(7);
			fsyncSync(file.fd);
			for (const shown of [path, copy])
				expect([shown, statSync(shown, { bigint: true }).size]).toEqual([shown, size]);
			expect(readAt(file.fd, 5, tail)).toBe("data\0");
			expect([readAt(file.fd, 4, 2n ** 40n + 1n), readAt(file.fd, 7, 2n ** 50n)]).toEqual([
				"data",
				"changed",
			]);
			expect(seek(file.fd, 2n ** 51n, SEEK_DATA)).toBe((tail / 4096n) * 4096n);
			const pagesEnd = ((tail + 4n + 4095n) / 4096n) * 4096n;
			expect(seek(file.fd, tail, SEEK_HOLE)).toBe(pagesEnd < size ? pagesEnd : size);
		}
	});

	test.each(ways)("whatever takes an offset takes any; %s", async (options) => {
		using tree = temporaryTree();
		const layers = layersOnTmpfs(tree);
		const names = Object.keys(offsets);
		for (const [index, name] of names.entries())
			fillLayer(`${layers.lower[0]}/${index}`, offsets[name]!.content as Record<string, string>);
		await using mount = await mountOverlay({ ...layers, options: [options] });
		for (const index of names.keys()) {
			try {
				await offsets[names[index]!]!.check(placeAt(mount.at(String(index))));
			} catch (error) {
				throw new Error(`${names[index]}: ${error}`, { cause: error });
			}
		}
	});

	test.each(ways)(
		"cutting one to a size beyond 2^53 before it is copied up gives that size; %s",
		async (options) => {
			using tree = temporaryTree();
			const layers = layersOnTmpfs(tree);
			writeFileSync(`${layers.lower[0]}/small`, "content");
			using large = open(`${layers.lower[0]}/large`, "w+");
			ftruncate(large.fd, 2n ** 63n - 1n);
			await using mount = await mountOverlay({ ...layers, options: [options] });
			for (const name of ["small", "large"]) {
				using file = open(mount.at(name), "r+");
				ftruncate(file.fd, 2n ** 53n + 3n);
				expect(statSync(`${layers.upper}/${name}`, { bigint: true }).size).toBe(2n ** 53n + 3n);
			}
		},
	);
});
