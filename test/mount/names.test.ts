import { describe, expect, test } from "bun:test";
import {
	lstatSync,
	mkdirSync,
	readdirSync,
	readFileSync,
	renameSync,
	rmdirSync,
	symlinkSync,
	unlinkSync,
	writeFileSync,
} from "node:fs";
import { type Description, directory } from "../harness/layers.ts";
import { codeOf, getxattr, setxattr } from "../harness/native.ts";
import { mountLayers } from "../harness/overlay.ts";

/** Names in Latin-1: one char code a byte. */
const names = [
	"new\nline",
	"tab\tand\rreturn",
	"back\\slash",
	"a:b:c",
	"a,b=c,d",
	" spaces ",
	"-rf",
	"*?[a-z]$(true)`'\"",
	"\x01\x7f",
	"caf\xc3\xa9",
	"not \xff\xfe\xc0\x80 text",
	"\xed\xa0\x80 surrogate",
	"n".repeat(255),
	"\xff".repeat(255),
	"...",
	".hidden",
	".wh",
	"wh.x",
	"x.wh.y",
	"lost+found",
	"#work",
];
const bytesOf = (name: string) => Buffer.from(name, "latin1");
const listing = (path: string) =>
	readdirSync(path, { encoding: "buffer" })
		.map((name) => name.toString("latin1"))
		.sort();
const sorted = [...names].sort();

describe("names are bytes", () => {
	test("all are listed and found in a lower layer", async () => {
		const described: Description = names.map((name) => [bytesOf(name), name] as const);
		await using overlay = await mountLayers([described]);
		expect(listing(overlay.path)).toEqual(sorted);
		for (const name of names) expect(readFileSync(overlay.bytes(name), "utf8")).toBe(name);
		await overlay.expectLasting();
	});

	test("all can be made, as files, directories and symlinks, and last", async () => {
		await using overlay = await mountLayers([{ f: directory() }]);
		for (const name of names) {
			writeFileSync(overlay.bytes(`f/${name}`), name);
			mkdirSync(overlay.bytes(`d-${name}`.slice(0, 255)));
			symlinkSync(bytesOf(name), overlay.bytes(`l-${name}`.slice(0, 255)));
		}
		expect(listing(overlay.at("f"))).toEqual(sorted);
		await overlay.expectLasting();
		expect(listing(overlay.inUpper("f"))).toEqual(sorted);
	});

	test("all can be copied up, given attributes, renamed, hidden, and made again", async () => {
		const described: Description = names.flatMap((name) => [
			[bytesOf(`d/${name}`), name] as const,
			[bytesOf(`gone/${name}`), name] as const,
			[bytesOf(`dirs/${name}/x`), name] as const,
		]);
		await using overlay = await mountLayers([described]);
		mkdirSync(overlay.at("moved"));
		for (const name of names) {
			writeFileSync(overlay.bytes(`d/${name}`), "changed");
			setxattr(overlay.bytes(`d/${name}`), "user.note", "x");
			renameSync(overlay.bytes(`d/${name}`), overlay.bytes(`moved/${name}`));
			expect(codeOf(() => lstatSync(overlay.bytes(`d/${name}`)))).toBe("ENOENT");
			expect(readFileSync(overlay.bytes(`moved/${name}`), "utf8")).toBe("changed");
			expect(getxattr(overlay.bytes(`moved/${name}`), "user.note").toString()).toBe("x");
			unlinkSync(overlay.bytes(`gone/${name}`));
			writeFileSync(overlay.bytes(`gone/${name}`), "again");
			unlinkSync(overlay.bytes(`dirs/${name}/x`));
			rmdirSync(overlay.bytes(`dirs/${name}`));
			mkdirSync(overlay.bytes(`dirs/${name}`));
		}
		expect(listing(overlay.at("moved"))).toEqual(sorted);
		expect(listing(overlay.at("d"))).toEqual([]);
		await overlay.expectLasting();
	});

	test("where whiteouts are files, all but the longest can be hidden", async () => {
		const short = names.filter((name) => name.length <= 251);
		const described: Description = short.map((name) => [bytesOf(name), name] as const);
		await using overlay = await mountLayers([described], {
			environment: { FUSE_OVERLAYFS_DISABLE_OVL_WHITEOUT: "1" },
		});
		for (const name of short) unlinkSync(overlay.bytes(name));
		expect(listing(overlay.path)).toEqual([]);
		await overlay.expectLasting({ kernel: false });
		expect(listing(overlay.layers.upper)).toEqual(short.map((name) => `.wh.${name}`).sort());
	});

	test("256 bytes are too many for any of them", async () => {
		await using overlay = await mountLayers([{ a: "a" }]);
		const long = overlay.bytes("\xff".repeat(256));
		expect(codeOf(() => writeFileSync(long, ""))).toBe("ENAMETOOLONG");
		expect(codeOf(() => renameSync(overlay.at("a"), long))).toBe("ENAMETOOLONG");
		expect(codeOf(() => lstatSync(long))).toBe("ENAMETOOLONG");
	});
});
