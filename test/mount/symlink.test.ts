import { describe, expect, test } from "bun:test";
import {
	existsSync,
	lstatSync,
	mkdirSync,
	readFileSync,
	readlinkSync,
	realpathSync,
	renameSync,
	statSync,
	symlinkSync,
	unlinkSync,
	writeFileSync,
} from "node:fs";
import { symlink, whiteout } from "../harness/layers.ts";
import { codeOf } from "../harness/native.ts";
import { mountLayers } from "../harness/overlay.ts";

describe("symlink", () => {
	test("targets are read as they are, whatever they say", async () => {
		const targets = ["x", "../up", "/absolute", "a//b/./c/", "dangling", "t".repeat(4095), "new\nline", "é"];
		const described = Object.fromEntries(targets.map((target, index) => [`l${index}`, symlink(target)]));
		await using overlay = await mountLayers([described], { upper: { u: symlink("upper") } });
		for (const [index, target] of targets.entries()) {
			expect(readlinkSync(overlay.at(`l${index}`))).toBe(target);
			expect(lstatSync(overlay.at(`l${index}`)).size).toBe(Buffer.byteLength(target));
		}
		expect(readlinkSync(overlay.at("u"))).toBe("upper");
	});

	test("new ones, with bytes for a target, and over a whiteout", async () => {
		await using overlay = await mountLayers([{ gone: "x" }], { upper: { gone: whiteout() } });
		const target = Buffer.from("no \xff\xfe text", "latin1");
		symlinkSync(target, overlay.at("bytes"));
		symlinkSync("t".repeat(4095), overlay.at("long"));
		symlinkSync("elsewhere", overlay.at("gone"));
		expect(readlinkSync(overlay.at("bytes"), { encoding: "buffer" })).toEqual(target);
		expect(readlinkSync(overlay.at("gone"))).toBe("elsewhere");
		await overlay.expectLasting();
	});

	test("are followed inside the mount, into whichever layer has the target", async () => {
		await using overlay = await mountLayers(
			[
				{ file: symlink("dir/x"), dir: symlink("real"), up: symlink("../merged/real/x") },
				{ "real/x": "lower" },
			],
			{ upper: { "real/y": "upper" } },
		);
		expect(readFileSync(overlay.at("file"), "utf8")).toBe("lower");
		expect(readFileSync(overlay.at("dir/y"), "utf8")).toBe("upper");
		expect(readFileSync(overlay.at("up"), "utf8")).toBe("lower");
		expect(realpathSync(overlay.at("dir/x"))).toBe(overlay.at("real/x"));
		writeFileSync(overlay.at("file"), "changed");
		expect(readFileSync(overlay.at("real/x"), "utf8")).toBe("changed");
		await overlay.expectLasting();
	});

	test("never lead the file system itself out of a layer", async () => {
		await using overlay = await mountLayers(
			[{ d: symlink("/etc"), e: symlink("..") }, { "d/hostname": "hidden" }],
			{
				upper: { x: "x" },
			},
		);
		writeFileSync(overlay.at("x"), "changed");
		// The links are followed by the caller, in the caller's own root.
		expect(realpathSync(overlay.at("d"))).toBe("/etc");
		unlinkSync(overlay.at("d"));
		mkdirSync(overlay.at("d"));
		writeFileSync(overlay.at("d/passwd"), "ours");
		expect(readFileSync("/etc/passwd", "utf8")).not.toBe("ours");
		unlinkSync(overlay.at("e"));
		expect(existsSync(overlay.at("e"))).toBeFalse();
		await overlay.expectLasting();
	});

	test("a target replaced is a target seen", async () => {
		await using overlay = await mountLayers([{ link: symlink("old"), old: "old", new: "new" }]);
		expect(readFileSync(overlay.at("link"), "utf8")).toBe("old");
		symlinkSync("new", overlay.at("link.tmp"));
		renameSync(overlay.at("link.tmp"), overlay.at("link"));
		expect(readlinkSync(overlay.at("link"))).toBe("new");
		expect(readFileSync(overlay.at("link"), "utf8")).toBe("new");
		await overlay.expectLasting();
	});

	test("a dangling one and a loop are errors of following, not of looking", async () => {
		await using overlay = await mountLayers([{ dangling: symlink("missing"), loop: symlink("loop") }]);
		expect(codeOf(() => statSync(overlay.at("dangling")))).toBe("ENOENT");
		expect(codeOf(() => statSync(overlay.at("loop")))).toBe("ELOOP");
		expect(lstatSync(overlay.at("loop")).isSymbolicLink()).toBeTrue();
		expect(codeOf(() => readlinkSync(overlay.at("missing")))).toBe("ENOENT");
	});
});
