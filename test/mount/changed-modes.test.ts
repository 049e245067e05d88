/**
 * What was permitted when a file was opened stays permitted, whatever is made of its mode or of the directories above it
 * since: also for an ordinary user's daemon, which first opens the file when it is read or written.
 */
import { describe, expect, test } from "bun:test";
import {
	chmodSync,
	fchmodSync,
	fstatSync,
	fsyncSync,
	ftruncateSync,
	lstatSync,
	readFileSync,
	writeSync,
} from "node:fs";
import { type Descriptor, open } from "../harness/descriptor.ts";
import { directory } from "../harness/layers.ts";
import { ioctl, setxattr, stableBuffer } from "../harness/native.ts";
import { mountLayers, type Overlay } from "../harness/overlay.ts";

const modeOf = (path: string) => lstatSync(path).mode & 0o7777;
/** user::---, group::---, other::---. */
const noAccess = Buffer.from(
	"02000000 01000000ffffffff 04000000ffffffff 20000000ffffffff".replaceAll(" ", ""),
	"hex",
);
const layers = { "d/e/f": "content" };

/** A file of either layer, its daemon allowed so few open files that it keeps none for long. */
function mountFile(layer: string): Promise<Overlay> {
	const others = Object.fromEntries(Array.from({ length: 100 }, (_, index) => [`other${index}`, "other"]));
	const [lower, upper] = layer === "lower" ? [layers, {}] : [{ a: "a" }, layers];
	return mountLayers([lower], { upper: { ...upper, ...others }, openFiles: 64 });
}

/** Has the daemon use so many other files that it has closed this one. */
function useOthers(overlay: Overlay): void {
	for (let index = 0; index < 100; index++) readFileSync(overlay.at(`other${index}`));
}

function expectUsable(handle: Descriptor): void {
	expect(handle.text()).toBe("content");
	writeSync(handle.fd, "C", 0);
	expect(handle.text()).toBe("Content");
	ftruncateSync(handle.fd, 4);
	expect(fstatSync(handle.fd).size).toBe(4);
	expect(handle.text()).toBe("Cont");
}

describe.each(["lower", "upper"])("a file of the %s layer that is open", (layer) => {
	test.each([0o444, 0o200, 0])("is read and written after chmod %o", async (mode) => {
		await using overlay = await mountFile(layer);
		const path = overlay.at("d/e/f");
		using handle = open(path, "r+");
		chmodSync(path, mode);
		useOthers(overlay);
		expectUsable(handle);
		useOthers(overlay);
		expect(handle.text()).toBe("Cont");
		expect([modeOf(path), modeOf(overlay.inUpper("d/e/f"))]).toEqual([mode, mode]);
		fchmodSync(handle.fd, 0o644);
		handle.close();
		await overlay.expectLasting();
	});

	test("is read after chmod 0 where it is open for reading", async () => {
		await using overlay = await mountFile(layer);
		using handle = open(overlay.at("d/e/f"));
		chmodSync(overlay.at("d/e/f"), 0);
		useOthers(overlay);
		expect(handle.text()).toBe("content");
		expect(modeOf(overlay.at("d/e/f"))).toBe(0);
	});

	test("is read and written after an ACL that permits nothing", async () => {
		await using overlay = await mountFile(layer);
		using handle = open(overlay.at("d/e/f"), "r+");
		setxattr(overlay.at("d/e/f"), "system.posix_acl_access", noAccess);
		useOthers(overlay);
		expectUsable(handle);
		expect(modeOf(overlay.at("d/e/f"))).toBe(0);
	});

	test.each(["d", "d/e"])("is read and written after %s was closed", async (name) => {
		await using overlay = await mountFile(layer);
		using handle = open(overlay.at("d/e/f"), "r+");
		writeSync(handle.fd, "c", 0);
		chmodSync(overlay.at(name), 0);
		useOthers(overlay);
		expectUsable(handle);
		expect([modeOf(overlay.at(name)), modeOf(overlay.inUpper(name))]).toEqual([0, 0]);
		chmodSync(overlay.at(name), 0o755);
		handle.close();
		await overlay.expectLasting();
	});
});

test("a file made without the right to write to it is written to by whoever made it", async () => {
	await using overlay = await mountFile("lower");
	using handle = open(overlay.at("new"), "wx+", 0o444);
	useOthers(overlay);
	writeSync(handle.fd, "content");
	expectUsable(handle);
	expect(modeOf(overlay.inUpper("new"))).toBe(0o444 & ~process.umask());
	handle.close();
	await overlay.expectLasting();
});

test.each([0o300, 0])("an open directory is synced, and tells its flags, after chmod %i", async (mode) => {
	const FS_IOC_GETFLAGS = 0x80086601;
	const others = Object.fromEntries(
		Array.from({ length: 100 }, (_, index) => [`others/${index}/file`, "other"]),
	);
	await using overlay = await mountLayers([{ a: "a" }], {
		upper: { d: directory(), ...others },
		openFiles: 64,
	});
	using handle = open(overlay.at("d"));
	fchmodSync(handle.fd, mode);
	for (let index = 0; index < 100; index++) readFileSync(overlay.at(`others/${index}/file`));
	fsyncSync(handle.fd);
	ioctl(handle.fd, FS_IOC_GETFLAGS, stableBuffer(8));
	expect([modeOf(overlay.at("d")), modeOf(overlay.inUpper("d"))]).toEqual([mode, mode]);
	chmodSync(overlay.at("d"), 0o755);
	handle.close();
	await overlay.expectLasting();
});
