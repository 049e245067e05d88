/** What is bounded by the limit on open files must not bound what users do. */
import { describe, expect, test } from "bun:test";
import {
	existsSync,
	fchmodSync,
	fstatSync,
	linkSync,
	lstatSync,
	mkdirSync,
	readdirSync,
	readFileSync,
	renameSync,
	rmdirSync,
	rmSync,
	unlinkSync,
	writeFileSync,
	writeSync,
} from "node:fs";
import { join } from "node:path";
import { type Descriptor, open } from "../harness/descriptor.ts";
import { type Description, directory, sparseFile } from "../harness/layers.ts";
import { codeOf, linkDescriptor } from "../harness/native.ts";
import { mountLayers, type Overlay, type OverlaySettings } from "../harness/overlay.ts";

const limits: readonly (readonly [openFiles: number, count: number])[] = [
	[64, 150],
	[1024, 600],
];
const numbers = (count: number) => Array.from({ length: count }, (_, index) => index);

function files(count: number, prefix = "f"): Description {
	return Object.fromEntries(numbers(count).map((index) => [`${prefix}${index}`, `content ${index}`]));
}

function mountWith(openFiles: number, lower: Description, settings: OverlaySettings = {}): Promise<Overlay> {
	return mountLayers([{ ...lower, other: "o" }], { openFiles, ...settings });
}

/** The names that are left in the workdir, but for the whiteout that others are links of. */
function litter(overlay: Overlay): string[] {
	return readdirSync(join(overlay.layers.work, "work")).filter((name) => name !== "#whiteout");
}

/** Has `action` done with all of these open, and closes them. */
function withOpen(paths: readonly string[], flags: string, action: (handles: Descriptor[]) => void): void {
	const handles: Descriptor[] = [];
	try {
		for (const path of paths) handles.push(open(path, flags));
		action(handles);
	} finally {
		for (const handle of handles) handle.close();
	}
}

describe.each(limits)("with %i open files, %i times", (openFiles, count) => {
	test("a file is made, linked, and loses its first name, as git makes objects", async () => {
		await using overlay = await mountWith(openFiles, {});
		for (const index of numbers(count)) {
			const temporary = overlay.at("temporary");
			writeFileSync(temporary, `object ${index}`);
			linkSync(temporary, overlay.at(`object${index}`));
			unlinkSync(temporary);
		}
		for (const index of numbers(count)) {
			const path = overlay.at(`object${index}`);
			expect(readFileSync(path, "utf8")).toBe(`object ${index}`);
			expect(lstatSync(path).nlink).toBe(1);
		}
		await overlay.expectLasting();
	});

	test("all files of a directory are linked into another, and the first is removed", async () => {
		await using overlay = await mountWith(openFiles, {}, { upper: files(count, "a/f") });
		mkdirSync(overlay.at("b"));
		for (const index of numbers(count)) linkSync(overlay.at(`a/f${index}`), overlay.at(`b/f${index}`));
		rmSync(overlay.at("a"), { recursive: true });
		for (const index of numbers(count)) {
			const path = overlay.at(`b/f${index}`);
			expect([readFileSync(path, "utf8"), lstatSync(path).nlink]).toEqual([`content ${index}`, 1]);
			renameSync(path, overlay.at(`moved${index}`));
		}
		rmdirSync(overlay.at("b"));
		await overlay.expectLasting();
	});

	test("a file has as many names, which go in any order", async () => {
		await using overlay = await mountWith(openFiles, {}, { upper: { f0: "x" } });
		for (const index of numbers(count)) linkSync(overlay.at(`f${index}`), overlay.at(`f${index + 1}`));
		expect(lstatSync(overlay.at("f1")).nlink).toBe(count + 1);
		using handle = open(overlay.at("f3"), "r+");
		// The latest first, so that what is remembered of them goes before the rest.
		for (const index of numbers(count)) {
			unlinkSync(overlay.at(`f${count - index}`));
			expect(fstatSync(handle.fd).nlink).toBe(count - index);
		}
		linkSync(overlay.at("f0"), overlay.at("again"));
		unlinkSync(overlay.at("f0"));
		writeSync(handle.fd, "y", 0);
		expect(readFileSync(overlay.at("again"), "utf8")).toBe("y");
		expect(fstatSync(handle.fd).nlink).toBe(1);
		handle.close();
		await overlay.expectLasting();
	});

	test("files are removed, and replaced, while they are open", async () => {
		const lower = { ...files(count, "lower"), ...files(count, "over") };
		await using overlay = await mountWith(openFiles, lower, { upper: files(count, "upper") });
		for (const kind of ["lower", "upper", "over"]) {
			const paths = numbers(count).map((index) => overlay.at(`${kind}${index}`));
			withOpen(paths, "r+", (handles) => {
				for (const [index, path] of paths.entries()) {
					if (kind === "over") renameSync(overlay.at(writeNew(overlay, index)), path);
					else unlinkSync(path);
				}
				for (const [index, handle] of handles.entries()) {
					expect(handle.text()).toBe(`content ${index}`);
					writeSync(handle.fd, "C", 0);
					fchmodSync(handle.fd, 0o640);
					expect(handle.text()).toBe(`Content ${index}`);
					const { nlink, mode } = fstatSync(handle.fd);
					expect([nlink, mode & 0o777]).toEqual([0, 0o640]);
					expect(codeOf(() => linkDescriptor(handle.fd, overlay.at("again")))).toBe("ENOENT");
				}
			});
		}
		for (const index of numbers(count)) {
			expect(existsSync(overlay.at(`upper${index}`))).toBeFalse();
			expect(readFileSync(overlay.at(`over${index}`), "utf8")).toBe("new");
		}
		await overlay.expectLasting();
		expect(litter(overlay)).toEqual([]);
	});

	test("directories are removed while they are open", async () => {
		const directories = (prefix: string) =>
			Object.fromEntries(numbers(count).map((index) => [`${prefix}${index}`, directory({ mode: 0o750 })]));
		await using overlay = await mountWith(openFiles, directories("lower"), { upper: directories("upper") });
		for (const kind of ["lower", "upper"]) {
			const paths = numbers(count).map((index) => overlay.at(`${kind}${index}`));
			withOpen(paths, "r", (handles) => {
				for (const path of paths) rmdirSync(path);
				for (const { fd } of handles) {
					const { mode, nlink } = fstatSync(fd);
					expect([mode & 0o777, nlink]).toEqual([0o750, 0]);
					fchmodSync(fd, 0o710);
					expect(fstatSync(fd).mode & 0o777).toBe(0o710);
				}
			});
		}
		expect(readdirSync(overlay.path)).toEqual(["other"]);
		await overlay.expectLasting();
		expect(litter(overlay)).toEqual([]);
	});
});

function writeNew(overlay: Overlay, index: number): string {
	const name = `new${index}`;
	writeFileSync(overlay.at(name), "new");
	return name;
}

test("what was removed while open is gone from the workdir after a daemon that was killed, too", async () => {
	await using overlay = await mountWith(64, {}, { upper: files(100) });
	const paths = numbers(100).map((index) => overlay.at(`f${index}`));
	withOpen(paths, "r", () => {
		for (const path of paths) unlinkSync(path);
		expect(litter(overlay).length).toBeGreaterThan(0);
		for (const pid of overlay.mount.daemons) process.kill(pid, "SIGKILL");
	});
	await overlay.remount();
	expect(readdirSync(overlay.path)).toEqual(["other"]);
	expect(litter(overlay)).toEqual([]);
});

test("more who change large files at a time, and sync them, than there are descriptors for", async () => {
	const size = 3 << 20;
	const large = sparseFile(size, { 1000: "content" });
	const names = numbers(100).map((index) => `large${index}`);
	await using overlay = await mountWith(64, Object.fromEntries(names.map((name) => [name, large])), {
		options: ["passthrough=off"],
	});
	const change = 'read -r go; echo end >>"$0" && sync "$0"';
	const all = names.map((name) =>
		Bun.spawn(["sh", "-c", change, overlay.at(name)], { stdio: ["pipe", "ignore", "pipe"], timeout: 60_000 }),
	);
	for (const { stdin } of all) {
		stdin.write("go\n");
		stdin.end();
	}
	const said = await Promise.all(
		all.map(async (one) => [await one.exited, await new Response(one.stderr).text()]),
	);
	expect(said.filter(([status]) => status !== 0)).toEqual([]);
	for (const name of names)
		expect(readFileSync(overlay.at(name), "latin1").replaceAll("\0", "")).toBe("contentend\n");
});
