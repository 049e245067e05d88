import { describe, expect, test } from "bun:test";
import {
	appendFileSync,
	chmodSync,
	chownSync,
	constants,
	linkSync,
	lstatSync,
	mkdirSync,
	readdirSync,
	readFileSync,
	readlinkSync,
	renameSync,
	rmdirSync,
	symlinkSync,
	truncateSync,
	unlinkSync,
	writeFileSync,
} from "node:fs";
import { open } from "../harness/descriptor.ts";
import { directory, file, symlink } from "../harness/layers.ts";
import { codeOf, mknod, removexattr, setTimes, setxattr } from "../harness/native.ts";
import { mountLayers, type Overlay } from "../harness/overlay.ts";
import { numbersIn } from "../harness/redirects.ts";
import { lacks } from "../harness/setting.ts";
import { snapshot } from "../harness/snapshot.ts";

const described = () => [
	{ a: file("a", { xattrs: { "user.x": "y" } }), d: directory(), l: symlink("a") },
	{ b: "b" },
];

/** Every kind of change, by name. */
function changes(overlay: Overlay): Record<string, () => unknown> {
	const at = (name: string) => overlay.at(name);
	return {
		create: () => writeFileSync(at("new"), ""),
		write: () => appendFileSync(at("a"), "x"),
		openForWriting: () => open(at("a"), "r+").close(),
		openTruncating: () => open(at("a"), constants.O_RDONLY | constants.O_TRUNC).close(),
		truncate: () => truncateSync(at("a"), 0),
		chmod: () => chmodSync(at("a"), 0o600),
		chown: () => chownSync(at("a"), 1, 1),
		utimens: () => setTimes(at("a"), 1n, 1n),
		mkdir: () => mkdirSync(at("new")),
		mknod: () => mknod(at("new"), 0o010600),
		symlink: () => symlinkSync("x", at("new")),
		link: () => linkSync(at("a"), at("new")),
		rename: () => renameSync(at("a"), at("new")),
		unlink: () => unlinkSync(at("a")),
		rmdir: () => rmdirSync(at("d")),
		setxattr: () => setxattr(at("a"), "user.new", "x"),
		removexattr: () => removexattr(at("a"), "user.x"),
	};
}

function expectEveryChangeRefused(overlay: Overlay): void {
	for (const [change, action] of Object.entries(changes(overlay))) {
		expect({ change, code: codeOf(action) }).toEqual({ change, code: "EROFS" });
	}
}

describe("a read-only mount", () => {
	test.skipIf(lacks("user attributes"))(
		"with an upper layer shows the numbers that it has when it can be written to",
		async () => {
			await using overlay = await mountLayers([{ "d/f": "f", "d/own/g": "g", h: "h" }]);
			appendFileSync(overlay.at("d/f"), "+");
			chmodSync(overlay.at("d/own"), 0o700);
			renameSync(overlay.at("h"), overlay.at("d/moved"));
			const look = () => [lstatSync(overlay.path).ino, ...numbersIn(overlay.path)];
			const seen = look();
			for (const options of [["ro"], ["ro", "passthrough=off"], []]) {
				await overlay.remount({ options });
				expect(look()).toEqual(seen);
			}
		},
	);

	test("without an upper layer refuses every change with EROFS", async () => {
		await using overlay = await mountLayers(described(), { readOnly: true });
		const before = overlay.layers.lower.map((lower) => snapshot(lower));
		expectEveryChangeRefused(overlay);
		expect(readFileSync(overlay.at("a"), "utf8")).toBe("a");
		await overlay.expectLasting();
		expect(overlay.layers.lower.map((lower) => snapshot(lower))).toEqual(before);
	});

	test("by the option ro refuses every change, and the upper layer is shown", async () => {
		await using overlay = await mountLayers(described(), { upper: { u: "u" }, options: ["ro"] });
		expect(readFileSync(overlay.at("u"), "utf8")).toBe("u");
		expectEveryChangeRefused(overlay);
		expect(readdirSync(overlay.inUpper())).toEqual(["u"]);
	});

	test("reading never touches the access times of lower layers", async () => {
		const old = 1_000_000_000_000_000_000n;
		const layers = [
			{
				a: file("a", { time: old }),
				d: directory({ time: old }),
				"d/x": file("x", { time: old }),
				l: symlink("a", { time: old }),
			},
		];
		for (const readOnly of [true, false]) {
			await using overlay = await mountLayers(layers, { readOnly });
			readFileSync(overlay.at("a"));
			readdirSync(overlay.at("d"));
			readlinkSync(overlay.at("l"));
			Bun.spawnSync(["tar", "-cf", "/dev/null", overlay.path]);
			await overlay.unmount();
			for (const name of ["a", "d/x"]) {
				const { atimeNs } = lstatSync(overlay.inLower(name), { bigint: true });
				expect({ readOnly, name, atimeNs }).toEqual({ readOnly, name, atimeNs: old });
			}
		}
	});
});
