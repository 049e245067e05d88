/**
 * The marks of files without their data, whatever they say: they lead to data in the layers below, or are an error to whoever
 * asks for it, and a line in the log: never out of the layers, and never zeros. (What the kernel makes: metacopy.test.ts.)
 */

import { describe, expect, test } from "bun:test";
import {
	appendFileSync,
	chmodSync,
	closeSync,
	linkSync,
	lstatSync,
	openSync,
	readdirSync,
	readFileSync,
	renameSync,
	truncateSync,
	unlinkSync,
} from "node:fs";
import {
	type Description,
	directory,
	fifo,
	file,
	sparseFile,
	symlink,
	temporaryTree,
	whiteout,
} from "../harness/layers.ts";
import { follow, hollow, mark } from "../harness/metacopies.ts";
import type { OverlayMount } from "../harness/mount.ts";
import { codeOf, mount, RENAME_EXCHANGE, renameat2, setxattr } from "../harness/native.ts";
import { mountLayers } from "../harness/overlay.ts";
import { isKernel } from "../harness/program.ts";
import { lacks, overlayAttributes } from "../harness/setting.ts";

/** A directory that kernel overlayfs has copied something up to. */
const receiving = directory({ xattrs: { [`${overlayAttributes}.overlay.impure`]: "y" } });

function linesOf(mounted: OverlayMount, name: string): string[] {
	return mounted.log.split("\n").filter((line) => line.includes(`refused /${name}:`));
}

/** What a file is to whoever asks for it: an error's code, or its content. */
function shown(path: string): string {
	let content = "";
	const code = codeOf(() => {
		content = readFileSync(path, "utf8");
	});
	return code ?? content;
}

describe.skipIf(isKernel)("a mark of a file without its data", () => {
	const data = {
		f: "12345",
		target: "54321",
		"deep/in/f": "abcde",
		short: "1",
		link: symlink("target"),
		pipe: fifo(),
		"dir/x": "x",
	};

	const values: readonly (readonly [value: string | undefined, expected: string])[] = [
		[undefined, "12345"],
		["f", "12345"],
		["target", "54321"],
		["/target", "54321"],
		["/deep/in/f", "abcde"],
		["short", "EIO"],
		["missing", "EIO"],
		["/missing", "EIO"],
		["/deep/in", "EIO"],
		["link", "EIO"],
		["/link", "EIO"],
		["pipe", "EIO"],
		["dir", "EIO"],
		["/target/f", "EIO"],
		["/link/f", "EIO"],
		["/etc/passwd", "EIO"],
		["..", "EINVAL"],
		[".", "EINVAL"],
		["/", "EINVAL"],
		["", "EINVAL"],
		["deep/in/f", "EINVAL"],
		["../../../../etc/passwd", "EINVAL"],
		["/deep/../target", "EINVAL"],
		["/target\0", "EINVAL"],
	];

	test.each(values.map(([value, expected]) => [JSON.stringify(value), value, expected] as const))(
		"with a redirect %s leads to its end or an error",
		async (_, value, expected) => {
			for (const found of ["at once", "when it is opened"]) {
				const upper = {
					f: found === "at once" ? hollow(5, value) : file("zeros", hollow(5, value).attributes),
				};
				await using overlay = await mountLayers([data], { upper, options: follow });
				expect(shown(overlay.at("f"))).toBe(expected);
				const isError = expected.startsWith("E");
				expect(linesOf(overlay.mount, "f")).toHaveLength(isError ? 1 : 0);
				for (const change of [
					() => appendFileSync(overlay.at("f"), "+"),
					() => renameSync(overlay.at("f"), overlay.at("g")),
				])
					expect(codeOf(change)).toBe(isError ? expected : undefined);
				if (!isError) expect(shown(overlay.at("g"))).toBe(`${expected}+`);
				// What is around it can be used.
				expect(readdirSync(overlay.path)).toContain("deep");
				appendFileSync(overlay.at("target"), "+");
			}
		},
	);

	test.each<readonly [string, readonly Description[], string]>([
		["a whiteout in the way hides what is below it", [{ f: whiteout() }, { f: "12345" }], "EIO"],
		["a file `.wh.` in the way does, too", [{ f: whiteout("file") }, { f: "12345" }], "EIO"],
		["a further one is passed over", [{ f: hollow(5) }, { f: "12345" }], "12345"],
		["one after the other", [{ f: hollow(5) }, { f: hollow(5) }, { f: hollow(5) }, { f: "12345" }], "12345"],
		["a further one in the last layer is an error", [{ f: hollow(5) }], "EIO"],
		["a further one is followed", [{ f: hollow(5, "g") }, { f: "wrong", g: "right" }], "right"],
		["and from the root", [{ f: hollow(5, "/d/g") }, { f: "wrong", "d/g": "right" }], "right"],
		["in circles to an error", [{ f: hollow(5, "g") }, { g: hollow(5, "f") }, { f: hollow(5, "g") }], "EIO"],
		["a layer without it is passed over", [{ x: "" }, { f: "12345" }], "12345"],
		["what is larger is not all shown", [{ f: "1234567" }], "12345"],
	])("%s", async (_, lowers, expected) => {
		await using overlay = await mountLayers(lowers, { upper: { f: hollow(5) }, options: follow });
		expect(shown(overlay.at("f"))).toBe(expected);
		if (expected.startsWith("E")) return;
		appendFileSync(overlay.at("f"), "+");
		expect(shown(overlay.at("f"))).toBe(`${expected}+`);
		await overlay.remount();
		expect(shown(overlay.at("f"))).toBe(`${expected}+`);
	});

	test("in an opaque directory leads on only from the root", async () => {
		const d = directory({ opaque: overlayAttributes });
		const upper = { d, "d/f": hollow(5), "d/g": hollow(5, "f"), "d/h": hollow(5, "/d/f") };
		await using overlay = await mountLayers([{ "d/f": "12345" }], { upper, options: follow });
		expect([..."fgh"].map((name) => shown(overlay.at("d", name)))).toEqual(["EIO", "EIO", "12345"]);
	});

	test("is not followed below a directory that was replaced", async () => {
		const lowers = [{ d: "a file" }, { "d/f": "12345" }];
		const upper = { d: receiving, "d/f": hollow(5) };
		await using overlay = await mountLayers(lowers, { upper, options: follow });
		expect(shown(overlay.at("d/f"))).toBe("EIO");
	});

	test("is not followed, with redirect_dir=nofollow, to another name", async () => {
		const upper = { f: hollow(5), g: hollow(5, "f") };
		const options = [...follow, "redirect_dir=nofollow"];
		await using overlay = await mountLayers([{ f: "12345" }], { upper, options });
		expect(shown(overlay.at("f"))).toBe("12345");
		expect(shown(overlay.at("g"))).toBe("EPERM");
	});

	test("set through the mount is a user's own, and means nothing", async () => {
		await using overlay = await mountLayers([{ a: sparseFile(9, {}) }], { options: follow });
		setxattr(overlay.at("a"), mark, "");
		await overlay.remount();
		expect(readFileSync(overlay.at("a"))).toEqual(Buffer.alloc(9));
	});

	test("may have a digest; another value is an error", async () => {
		const digest = (length: number) =>
			Buffer.from([0, 4 + length, 0, length === 0 ? 0 : 1, ...Array(length).fill(7)]);
		const marks = [
			digest(0),
			digest(32),
			digest(64),
			Buffer.from([0]),
			Buffer.from([1, 4, 0, 0]),
			Buffer.from([0, 5, 0, 0]),
		];
		const upper = Object.fromEntries(marks.map((value, index) => [`f${index}`, hollow(5, undefined, value)]));
		const below = Object.fromEntries(marks.map((_, index) => [`f${index}`, "12345"]));
		await using overlay = await mountLayers([below], { upper, options: follow });
		const all = marks.map((_, index) => shown(overlay.at(`f${index}`)));
		expect(all).toEqual(["12345", "12345", "12345", "EIO", "EIO", "EIO"]);
	});

	test("a thousand that lead nowhere are reported, but not without end", async () => {
		const names = Array.from({ length: 1000 }, (_, index) => `f${index}`);
		const many = Object.fromEntries(names.map((name) => [name, hollow(9)]));
		await using overlay = await mountLayers([many], { options: follow });
		for (const name of [...names, ...names]) expect(codeOf(() => lstatSync(overlay.at(name)))).toBe("EIO");
		const lines = overlay.mount.log.split("\n").filter((line) => line.includes("refused /"));
		expect(lines).toHaveLength(100);
		expect(lines.at(-1)).toEndWith("further ones are not reported");
	});
});

describe.skipIf(isKernel)("a mark of the user namespace, which whoever may write to a file can set", () => {
	const xattrs = { "user.overlay.metacopy": "", "user.overlay.redirect": "/closed/secret" };
	const upper = { f: sparseFile(6, {}, { xattrs }), plain: "plain" };
	const lowers = [{ "closed/secret": "secret" }];

	test.each([[[]], [["metacopy=off"]]])(
		"is refused with options %j, and what to do is said",
		async (options) => {
			await using overlay = await mountLayers(lowers, { upper, options });
			const [it, other] = [overlay.at("f"), overlay.at("plain")];
			for (const action of [
				() => lstatSync(it),
				() => readFileSync(it),
				() => appendFileSync(it, "x"),
				() => truncateSync(it, 0),
				() => chmodSync(it, 0o700),
				() => renameSync(it, `${it}x`),
				() => renameat2(it, other, RENAME_EXCHANGE),
				() => renameSync(other, it),
				() => linkSync(it, `${it}x`),
				() => unlinkSync(it),
				() => closeSync(openSync(it, "wx")),
			])
				expect(codeOf(action)).toBe("EPERM");
			const lines = linesOf(overlay.mount, "f");
			expect(lines).toHaveLength(1);
			for (const part of [overlay.layers.upper, "overlay.metacopy", "metacopy=on"])
				expect(lines[0]).toContain(part);
			expect(readFileSync(other, "utf8")).toBe("plain");
		},
	);

	test("is followed with metacopy=on", async () => {
		await using overlay = await mountLayers(lowers, { upper, options: ["metacopy=on"] });
		expect(shown(overlay.at("f"))).toBe("secret");
	});

	test("a file whose attributes take blocks is refused when its data is asked for", async () => {
		const large_ = { xattrs: { ...xattrs, "user.large": "x".repeat(3000) } };
		const described = { f: file("not its own\n", large_), u: file("u") };
		await using overlay = await mountLayers(lowers, { upper: described });
		for (const action of [
			() => readFileSync(overlay.at("f")),
			() => appendFileSync(overlay.at("f"), "x"),
			() => truncateSync(overlay.at("f"), 0),
			() => renameSync(overlay.at("f"), overlay.at("elsewhere")),
			() => renameat2(overlay.at("u"), overlay.at("f"), RENAME_EXCHANGE),
			() => linkSync(overlay.at("f"), overlay.at("elsewhere")),
		])
			expect(codeOf(action)).toBe("EPERM");
		// As before it was mounted.
		expect(readFileSync(overlay.inUpper("f"), "utf8")).toBe("not its own\n");
	});

	test.skipIf(lacks("trusted attributes"))(
		"is not believed beside one of the trusted namespace",
		async () => {
			using disk = temporaryTree();
			mount("tmpfs", disk.path, "tmpfs", 0, "size=16m");
			const both = { "trusted.overlay.metacopy": "", "user.overlay.redirect": "/closed/secret" };
			const own = { f: sparseFile(6, {}, { xattrs: both }) };
			await using overlay = await mountLayers([{ ...lowers[0], f: "ownown" }], {
				upper: own,
				base: disk.path,
			});
			expect(shown(overlay.at("f"))).toBe("ownown");
		},
	);
});
