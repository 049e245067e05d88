import { describe, expect, test } from "bun:test";
import {
	existsSync,
	fstatSync,
	linkSync,
	lstatSync,
	readdirSync,
	readFileSync,
	readlinkSync,
	unlinkSync,
	writeFileSync,
	writeSync,
} from "node:fs";
import { open } from "../harness/descriptor.ts";
import { directory, fifo, file, hardLink, symlink, whiteout } from "../harness/layers.ts";
import { asUser, codeOf, linkDescriptor, setxattr } from "../harness/native.ts";
import { debianOpensFifos, mountLayers } from "../harness/overlay.ts";
import { lacks } from "../harness/setting.ts";

const read = (path: string) => readFileSync(path, "utf8");

describe("link", () => {
	test.skipIf(lacks("other ids"))(
		"two names, one file: number, count and content agree, in upper and lower",
		async () => {
			await using overlay = await mountLayers(
				[{ lower: file("lower", { mode: 0o640, uid: 3 }), "d/x": "" }],
				{
					upper: { upper: "upper" },
				},
			);
			for (const name of ["lower", "upper"]) {
				linkSync(overlay.at(name), overlay.at(`${name}2`));
				linkSync(overlay.at(`${name}2`), overlay.at("d", name));
				const stats = [name, `${name}2`, `d/${name}`].map((path) =>
					lstatSync(overlay.at(path), { bigint: true }),
				);
				expect(new Set(stats.map(({ ino }) => ino)).size).toBe(1);
				expect(stats.map(({ nlink }) => nlink)).toEqual([3n, 3n, 3n]);
				writeFileSync(overlay.at("d", name), "written");
				expect([read(overlay.at(name)), read(overlay.at(`${name}2`))]).toEqual(["written", "written"]);
			}
			await overlay.expectLasting();
			expect(lstatSync(overlay.inUpper("lower")).ino).toBe(lstatSync(overlay.inUpper("lower2")).ino);
		},
	);

	test("over a whiteout", async () => {
		await using overlay = await mountLayers([{ gone: "old", a: "a" }], { upper: { gone: whiteout() } });
		linkSync(overlay.at("a"), overlay.at("gone"));
		expect(read(overlay.at("gone"))).toBe("a");
		await overlay.expectLasting();
	});

	test("of symlinks and FIFOs", async () => {
		await using overlay = await mountLayers([{ link: symlink("target"), pipe: fifo() }]);
		linkSync(overlay.at("link"), overlay.at("link2"));
		linkSync(overlay.at("pipe"), overlay.at("pipe2"));
		expect(readlinkSync(overlay.at("link2"))).toBe("target");
		expect(lstatSync(overlay.at("pipe2")).isFIFO()).toBeTrue();
		expect(lstatSync(overlay.at("link")).nlink).toBe(2);
		await overlay.expectLasting(debianOpensFifos);
	});

	test.skipIf(lacks("other ids"))("refuses existing names, directories and missing sources", async () => {
		await using overlay = await mountLayers([
			{ a: "a", b: "b", d: directory(), mine: file("", { uid: 1000 }) },
		]);
		expect(codeOf(() => linkSync(overlay.at("a"), overlay.at("b")))).toBe("EEXIST");
		expect(codeOf(() => linkSync(overlay.at("d"), overlay.at("e")))).toBe("EPERM");
		expect(codeOf(() => linkSync(overlay.at("missing"), overlay.at("e")))).toBe("ENOENT");
		expect(codeOf(() => linkSync(overlay.at("a"), overlay.at("missing/e")))).toBe("ENOENT");
		expect(asUser(1000, 1000, () => codeOf(() => linkSync(overlay.at("mine"), overlay.at("c"))))).toBe(
			"EACCES",
		);
	});

	test("removing one name leaves the other, with its count", async () => {
		await using overlay = await mountLayers([{ a: "a" }]);
		linkSync(overlay.at("a"), overlay.at("b"));
		unlinkSync(overlay.at("a"));
		expect(lstatSync(overlay.at("b")).nlink).toBe(1);
		writeFileSync(overlay.at("a"), "another");
		expect(read(overlay.at("b"))).toBe("a");
		await overlay.expectLasting();
	});

	test("through a descriptor, while another name exists", async () => {
		await using overlay = await mountLayers([{ a: "content" }]);
		linkSync(overlay.at("a"), overlay.at("b"));
		using a = open(overlay.at("a"), "r+");
		unlinkSync(overlay.at("a"));
		writeSync(a.fd, "CON", 0);
		linkDescriptor(a.fd, overlay.at("c"));
		a.close();
		expect([read(overlay.at("b")), read(overlay.at("c"))]).toEqual(["CONtent", "CONtent"]);
		await overlay.expectLasting();
	});
});

describe("hard links in a lower layer", () => {
	test("are one file with its count, until one is changed", async () => {
		await using overlay = await mountLayers([{ a: "content", "d/b": hardLink("a") }]);
		const [a, b] = ["a", "d/b"].map((name) => lstatSync(overlay.at(name), { bigint: true }));
		expect(a?.ino).toBe(b?.ino ?? 0n);
		expect([a?.nlink, b?.nlink]).toEqual([2n, 2n]);
	});

	test("break at copy-up: the name that was used is changed, the other keeps the old content", async () => {
		for (const used of ["f", "f2"]) {
			const other = used === "f" ? "f2" : "f";
			await using overlay = await mountLayers([{ f: "old content", f2: hardLink("f") }]);
			lstatSync(overlay.at("f"));
			lstatSync(overlay.at("f2"));
			using written = open(overlay.at(used), "r+");
			writeSync(written.fd, "NEW", 0);
			written.close();
			expect({ used, content: read(overlay.at(used)) }).toEqual({ used, content: "NEW content" });
			await overlay.remount();
			expect({ used, content: read(overlay.at(used)) }).toEqual({ used, content: "NEW content" });
			expect({ other, content: read(overlay.at(other)) }).toEqual({ other, content: "old content" });
			await overlay.expectLasting({ ignoreLinks: true });
			expect(existsSync(overlay.inUpper(other))).toBeFalse();
		}
	});

	test("parted by copy-up through another name, an open file tells its new link count and number", async () => {
		await using overlay = await mountLayers([{ f: "content", f2: hardLink("f"), d: directory() }]);
		using opened = open(overlay.at("f"));
		expect(fstatSync(opened.fd).nlink).toBe(2);
		readdirSync(overlay.path);
		setxattr(overlay.at("f"), "user.note", "x");
		expect(fstatSync(opened.fd).nlink).toBe(1);
		const { ino } = lstatSync(overlay.at("f"));
		expect(fstatSync(opened.fd).ino).toBe(ino);
		expect(lstatSync(overlay.at("f2")).ino).not.toBe(ino);
		expect(listNumbers(overlay.path).get("f")).toBe(ino);
	});
});

/** The inode numbers that readdir gives. */
function listNumbers(path: string): Map<string, number> {
	const lines = Bun.spawnSync(["ls", "-f", "-i", path]).stdout.toString().trim().split("\n");
	return new Map(lines.map((line) => line.trim().split(" ")).map(([ino, name]) => [name ?? "", Number(ino)]));
}
