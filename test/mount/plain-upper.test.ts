/**
 * Upper layers on file systems that take no flags of rename, as NFS and many FUSE file systems: whatever hides what is below
 * is made, moved and removed as on others. What a crash leaves meanwhile is tried in overlay/core/move.test.ts.
 */

import { expect, test } from "bun:test";
import {
	chmodSync,
	linkSync,
	lstatSync,
	mkdirSync,
	readdirSync,
	readFileSync,
	renameSync,
	rmdirSync,
	rmSync,
	symlinkSync,
	unlinkSync,
	writeFileSync,
} from "node:fs";
import { changeable, changeMuch, expectChanged } from "../harness/changes.ts";
import { file } from "../harness/layers.ts";
import { codeOf, getxattr, mknod, RENAME_EXCHANGE, RENAME_NOREPLACE, renameat2 } from "../harness/native.ts";
import { mountLayers, type Overlay } from "../harness/overlay.ts";
import { type Lack, PlainDisk } from "../harness/plain-fs.ts";
import { isKernel } from "../harness/program.ts";
import { lacks } from "../harness/setting.ts";

const lower = { a: "lower", b: "lower", "d/x": "lower", "e/x": "lower", "f/x": "lower" };

const profiles: readonly (readonly [string, readonly Lack[]])[] = [
	["no flags of rename", ["rename-flags"]],
	["and no attributes trusted.*, as NFS 4.2", ["rename-flags", "trusted"]],
	["and no extended attributes, as NFS 3", ["rename-flags", "xattrs"]],
];

/** The kernel takes no such upper layer, and Debian's program reads no marks where `trusted` attributes are not known. */
const lasting = (missing: readonly Lack[]) => ({
	kernel: false,
	debian: missing.length === 1,
	ignoreTimes: true,
});

/** Every kind of object over a removed lower file, and over a removed lower directory. */
function replaceAll({ path }: Overlay): void {
	const makers: readonly ((name: string) => void)[] = [
		(name) => writeFileSync(name, "new"),
		(name) => mkdirSync(name),
		(name) => symlinkSync("target", name),
		(name) => mknod(name, 0o010600),
		(name) => linkSync(`${path}/own`, name),
	];
	writeFileSync(`${path}/own`, "own");
	for (const name of [`${path}/a`, `${path}/d`]) {
		for (const make of makers) {
			rmSync(name, { recursive: true });
			make(name);
		}
	}
	rmSync(`${path}/d`);
	mkdirSync(`${path}/d`);
}

const possible = test.skipIf(lacks("mounting") || isKernel);

possible.each(profiles)(
	"with %s: all that an overlay can write is written, and read again",
	async (_, missing) => {
		await using overlay = await mountLayers([changeable], { disk: new PlainDisk(missing).mount });
		const at = (name: string) => overlay.at(name);
		changeMuch(at);
		expectChanged(at);
		// The kernel takes no such upper layer.
		await overlay.expectLasting(lasting(missing));
	},
);

possible.each(profiles)(
	"with %s: names that hide something below are made anew, moved and removed",
	async (_, missing) => {
		await using overlay = await mountLayers([lower], { disk: new PlainDisk(missing).mount });
		const at = (name: string) => overlay.at(name);
		replaceAll(overlay);
		expect(readdirSync(at("d"))).toEqual([]);
		rmSync(at("e"), { recursive: true });
		mkdirSync(at("made"));
		writeFileSync(at("made/own"), "own");
		renameSync(at("made"), at("e"));
		unlinkSync(at("f/x"));
		renameSync(at("e"), at("f"));
		renameSync(at("f"), at("g"));
		mkdirSync(at("f"));
		rmdirSync(at("f"));
		renameat2(at("b"), at("f"), RENAME_NOREPLACE);
		expect(codeOf(() => renameat2(at("f"), at("g"), RENAME_NOREPLACE))).toBe("EEXIST");
		expect(codeOf(() => renameat2(at("f"), at("own"), RENAME_EXCHANGE))).toBe("EINVAL");
		expect(readdirSync(at("g"))).toEqual(["own"]);
		expect(readFileSync(at("f"), "utf8")).toBe("lower");
		const names = ["a", "b", "d", "e", "f", "g"].filter((name) => readdirSync(overlay.path).includes(name));
		expect(names).toEqual(["a", "d", "f", "g"]);
		await overlay.expectLasting(lasting(missing));
	},
);

possible(
	"without attributes security.*, as NFS: a file with capabilities is copied up without them",
	async () => {
		const capability = Buffer.from("0100000200200000000000000000000000000000", "hex");
		const xattrs = { "security.capability": capability };
		const disk = new PlainDisk(["rename-flags", "trusted", "security"]).mount;
		await using overlay = await mountLayers([{ f: file("content", { mode: 0o755, xattrs }) }], { disk });
		expect(getxattr(overlay.at("f"), "security.capability")).toEqual(capability);
		chmodSync(overlay.at("f"), 0o711);
		expect(readFileSync(overlay.at("f"), "utf8")).toBe("content");
		await overlay.remount();
		expect(lstatSync(overlay.inUpper("f")).mode & 0o7777).toBe(0o711);
		expect(codeOf(() => getxattr(overlay.at("f"), "security.capability"))).not.toBeUndefined();
		expect(getxattr(overlay.inLower("f"), "security.capability")).toEqual(capability);
	},
);

possible(
	"names that FUSE file systems give to what is removed while open: not listed, and no directory stays for them",
	async () => {
		const hidden = ".fuse_hidden0000000a00000001";
		const others = [
			".fuse_hidden",
			`${hidden}0`,
			".fuse_hidden0000000a0000000g",
			".nfs000000000002000600000001",
		];
		await using overlay = await mountLayers([{ "d/low": "low" }], { disk: new PlainDisk([]).mount });
		for (const name of ["d", "e"]) {
			mkdirSync(overlay.inUpper(name));
			writeFileSync(overlay.inUpper(name, hidden), "removed");
		}
		for (const name of others) writeFileSync(overlay.inUpper("d", name), "");
		expect(readdirSync(overlay.at("d")).sort()).toEqual([...others, "low"].sort());
		expect(readdirSync(overlay.at("e"))).toEqual([]);
		for (const name of [...others, "low"]) unlinkSync(overlay.at("d", name));
		rmdirSync(overlay.at("d"));
		rmdirSync(overlay.at("e"));
		await overlay.remount();
		expect(readdirSync(overlay.path)).toEqual([]);
	},
);
