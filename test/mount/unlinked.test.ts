import { describe, expect, test } from "bun:test";
import {
	constants,
	existsSync,
	fchmodSync,
	fchownSync,
	fstatSync,
	ftruncateSync,
	readdirSync,
	readFileSync,
	renameSync,
	rmdirSync,
	unlinkSync,
	writeFileSync,
	writeSync,
} from "node:fs";
import { open } from "../harness/descriptor.ts";
import { directory, fifo, file, hardLink } from "../harness/layers.ts";
import { codeOf, fgetxattr, fsetxattr, linkDescriptor, setTimesOf } from "../harness/native.ts";
import { mountLayers, type Overlay } from "../harness/overlay.ts";
import { lacks } from "../harness/setting.ts";

/** Opens a file of each origin and takes its name away. */
function* unlinkedFiles(overlay: Overlay, flags: string) {
	for (const name of ["lower", "upper", "changed"]) {
		if (name === "changed") writeFileSync(overlay.at(name), "content");
		const handle = open(overlay.at(name), flags);
		unlinkSync(overlay.at(name));
		expect(existsSync(overlay.at(name))).toBeFalse();
		try {
			yield { name, handle };
		} finally {
			handle.close();
		}
	}
}

function mountFiles() {
	const content = () => file("content", { xattrs: { "user.note": "kept" } });
	return mountLayers([{ lower: content(), changed: content() }], { upper: { upper: content() } });
}

describe("a file that is unlinked but open", () => {
	test("is read and written", async () => {
		await using overlay = await mountFiles();
		for (const { name, handle } of unlinkedFiles(overlay, "r+")) {
			expect({ name, text: handle.text() }).toEqual({ name, text: "content" });
			writeSync(handle.fd, "CON", 0);
			writeSync(handle.fd, " and more", 7);
			expect({ name, text: handle.text() }).toEqual({ name, text: "CONtent and more" });
		}
		await overlay.expectLasting();
		expect(readFileSync(overlay.inLower("lower"), "utf8")).toBe("content");
	});

	test("answers fstat, with a link count of 0", async () => {
		await using overlay = await mountFiles();
		for (const { name, handle } of unlinkedFiles(overlay, "r")) {
			const { size, nlink } = fstatSync(handle.fd);
			// A lower file keeps its name in its layer, and with it its count, as in kernel overlayfs.
			const expected = name === "lower" ? nlink : 0;
			expect({ name, size, nlink }).toEqual({ name, size: 7, nlink: expected });
		}
	});

	test.skipIf(lacks("other ids"))("takes fchmod, fchown, futimens, ftruncate", async () => {
		await using overlay = await mountFiles();
		for (const { handle } of unlinkedFiles(overlay, "r+")) {
			fchmodSync(handle.fd, 0o601);
			fchownSync(handle.fd, 77, 88);
			ftruncateSync(handle.fd, 3);
			setTimesOf(handle.fd, 5n, 6n);
			const { mode, uid, gid, size, mtimeNs } = fstatSync(handle.fd, { bigint: true });
			expect([mode & 0o7777n, uid, gid, size, mtimeNs]).toEqual([0o601n, 77n, 88n, 3n, 6n]);
			expect(handle.text()).toBe("con");
		}
		await overlay.expectLasting();
	});

	test("keeps its extended attributes, and takes more", async () => {
		await using overlay = await mountFiles();
		for (const { name, handle } of unlinkedFiles(overlay, "r+")) {
			if (name !== "changed") expect(fgetxattr(handle.fd, "user.note").toString()).toBe("kept");
			fsetxattr(handle.fd, "user.more", "x");
			expect(fgetxattr(handle.fd, "user.more").toString()).toBe("x");
		}
	});

	test("is another file than one made under its name since", async () => {
		await using overlay = await mountFiles();
		for (const { name, handle } of unlinkedFiles(overlay, "r+")) {
			writeFileSync(overlay.at(name), "the new file");
			writeSync(handle.fd, "OLD", 0);
			expect(handle.text()).toBe("OLDtent");
			expect(readFileSync(overlay.at(name), "utf8")).toBe("the new file");
		}
		await overlay.expectLasting();
	});

	test("cannot be linked again, as on any Linux file system", async () => {
		await using overlay = await mountFiles();
		for (const { handle } of unlinkedFiles(overlay, "r+")) {
			expect(codeOf(() => linkDescriptor(handle.fd, overlay.at("again")))).toBe("ENOENT");
		}
	});

	test("cannot be linked again where its lower file has another name", async () => {
		const names = { a: "content", "a-too": hardLink("a"), c: "content", "c-too": hardLink("c") };
		await using overlay = await mountLayers([names]);
		// Where the first name was there is a whiteout then.
		for (const [name, other] of [
			["a", "a"],
			["c", "d"],
		] as const) {
			using handle = open(overlay.at(name));
			unlinkSync(overlay.at(name));
			expect(codeOf(() => linkDescriptor(handle.fd, overlay.at(other)))).toBe("ENOENT");
			expect(handle.text()).toBe("content");
		}
		expect(readdirSync(overlay.path).sort()).toEqual(["a-too", "c-too"]);
		// Debian's program counts the remaining name only.
		await overlay.expectLasting({ debian: false });
	});

	test("is gone for good with the last close", async () => {
		await using overlay = await mountFiles();
		for (const { handle } of unlinkedFiles(overlay, "r+")) writeSync(handle.fd, "x");
		expect(readdirSync(overlay.path)).toEqual([]);
		await overlay.expectLasting();
	});
});

describe("other objects without their name", () => {
	test("a file that another was renamed over", async () => {
		await using overlay = await mountLayers([{ a: "old a", b: "b" }], { upper: { c: "old c", d: "d" } });
		for (const [name, above] of [
			["a", "b"],
			["c", "d"],
		] as const) {
			using handle = open(overlay.at(name), "r+");
			renameSync(overlay.at(above), overlay.at(name));
			expect(handle.text()).toBe(`old ${name}`);
			writeSync(handle.fd, "OLD", 0);
			expect(handle.text()).toBe(`OLD ${name}`);
			expect(readFileSync(overlay.at(name), "utf8")).toBe(above);
		}
		await overlay.expectLasting();
	});

	test("an open directory answers fstat, and nothing can be made in it", async () => {
		await using overlay = await mountLayers([{ lower: directory() }], { upper: { upper: directory() } });
		for (const name of ["lower", "upper"]) {
			using handle = open(overlay.at(name));
			rmdirSync(overlay.at(name));
			expect(fstatSync(handle.fd).isDirectory()).toBeTrue();
			expect(codeOf(() => writeFileSync(`/proc/self/fd/${handle.fd}/x`, ""))).toBe("ENOENT");
		}
		expect(readdirSync(overlay.path)).toEqual([]);
	});

	test.skipIf(lacks("other ids"))(
		"FIFOs and directories of a lower layer take fchmod, fchown and futimens",
		async () => {
			await using overlay = await mountLayers([{ pipe: fifo(), dir: directory() }]);
			for (const [name, flags, remove] of [
				["pipe", constants.O_RDONLY | constants.O_NONBLOCK, unlinkSync],
				["dir", constants.O_RDONLY, rmdirSync],
			] as const) {
				using handle = open(overlay.at(name), flags);
				remove(overlay.at(name));
				fchmodSync(handle.fd, 0o600);
				fchownSync(handle.fd, 7, 8);
				const { mode, uid, gid } = fstatSync(handle.fd);
				expect({ name, mode: mode & 0o7777, uid, gid }).toEqual({ name, mode: 0o600, uid: 7, gid: 8 });
			}
			await overlay.expectLasting();
		},
	);

	test("many at once", async () => {
		const files = Object.fromEntries(
			Array.from({ length: 200 }, (_, index) => [`f${index}`, `content ${index}`]),
		);
		await using overlay = await mountLayers([files]);
		const handles = Object.keys(files).map((name) => open(overlay.at(name), "r+"));
		for (const name of Object.keys(files)) unlinkSync(overlay.at(name));
		for (const [index, handle] of handles.entries()) {
			writeSync(handle.fd, "C", 0);
			expect(handle.text()).toBe(`Content ${index}`);
			handle.close();
		}
		expect(readdirSync(overlay.path)).toEqual([]);
		await overlay.expectLasting();
	});
});
