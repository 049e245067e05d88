/** Layers on disks that fail for a while (dm-flakey) or are slow (dm-delay). */

import { describe, expect, test } from "bun:test";
import {
	closeSync,
	fsyncSync,
	lstatSync,
	openSync,
	readFileSync,
	truncateSync,
	unlinkSync,
	writeFileSync,
	writeSync,
} from "node:fs";
import { temporaryTree } from "../../harness/layers.ts";
import { mountOverlay } from "../../harness/mount.ts";
import { codeOf } from "../../harness/native.ts";
import { writeSynced } from "./synced.ts";

const mebibyte = 2 ** 20;
const sectors = (64 * mebibyte) / 512;

function must(...command: readonly string[]): string {
	const { exitCode, stdout, stderr } = Bun.spawnSync([...command]);
	expect(exitCode, `${command.join(" ")}: ${stderr}`).toBe(0);
	return stdout.toString().trim();
}

/** A disk whose device goes through device-mapper, mounted on a directory. */
class MappedDisk implements Disposable {
	readonly #image: string;
	readonly #loop: string;
	readonly #path: string;

	constructor(image: string, path: string) {
		this.#image = image;
		this.#path = path;
		writeFileSync(image, "");
		truncateSync(image, 64 * mebibyte);
		must("mkfs.ext4", "-q", image);
		this.#loop = must("losetup", "--find", "--show", image);
		// No udev makes the node.
		must("dmsetup", "create", "trial", "--noudevsync", "--table", `0 ${sectors} linear ${this.#loop} 0`);
		must("dmsetup", "mknodes");
		must("mount", "/dev/mapper/trial", path);
	}

	/** Puts another target in the place of the disk. */
	become(target: (loop: string) => string): void {
		must("dmsetup", "suspend", "--nolockfs", "--noflush", "trial");
		must("dmsetup", "load", "trial", "--table", `0 ${sectors} ${target(this.#loop)}`);
		must("dmsetup", "resume", "--noudevsync", "trial");
	}

	/** Reads what follows from the disk, not from what the kernel keeps of it. */
	forget(): void {
		must("sync");
		writeFileSync("/proc/sys/vm/drop_caches", "3");
	}

	mountAgain(): void {
		must("umount", this.#path);
		must("mount", "/dev/mapper/trial", this.#path);
	}

	[Symbol.dispose](): void {
		must("umount", "--lazy", this.#path);
		for (let turn = 0; turn < 50; turn++) {
			if (Bun.spawnSync(["dmsetup", "remove", "--noudevsync", "trial"]).exitCode === 0) break;
			Bun.sleepSync(100);
		}
		must("losetup", "--detach", this.#loop);
		unlinkSync(this.#image);
	}
}

const linear = (loop: string) => `linear ${loop} 0`;
/** Never up, always down: every read and write fails. */
const failing = (loop: string) => `flakey ${loop} 0 0 3600`;
const failingWrites = (loop: string) => `flakey ${loop} 0 0 3600 1 error_writes`;
const slow = (loop: string) => `delay ${loop} 0 300`;

function scene() {
	const tree = temporaryTree();
	const disk = new MappedDisk(tree.join("image"), tree.layer("disk"));
	const stack = new DisposableStack();
	stack.use(tree);
	stack.use(disk);
	return { tree, disk, [Symbol.dispose]: () => stack.dispose() };
}

describe("dm-flakey", () => {
	test("a lower layer's disk that fails: EIO for what is read from it, all else is answered, and then all is again", async () => {
		using stage = scene();
		const { tree, disk } = stage;
		const lower = [
			tree.layer("disk/lower", { file: "content".repeat(10_000), empty: "" }),
			tree.layer("other", { other: "other" }),
		];
		await using overlay = await mountOverlay({
			lower,
			upper: tree.layer("upper"),
			work: tree.layer("work"),
			mountpoint: tree.layer("merged"),
		});
		lstatSync(overlay.at("file"));
		disk.forget();
		disk.become(failing);
		expect(codeOf(() => readFileSync(overlay.at("file")))).toBe("EIO");
		expect(codeOf(() => writeSynced(overlay.at("file"), "more", "a"))).toBe("EIO");
		expect(readFileSync(overlay.at("other"), "utf8")).toBe("other");
		writeSynced(overlay.at("own"), "own");
		disk.become(linear);
		disk.forget();
		expect(readFileSync(overlay.at("file"), "utf8")).toBe("content".repeat(10_000));
		writeSynced(overlay.at("file"), "more", "a");
		expect(readFileSync(overlay.at("file"), "utf8")).toBe(`${"content".repeat(10_000)}more`);
		await overlay.unmount();
	});

	test("an upper layer's disk that takes no writes: fsync tells, and what was synced before is there afterwards", async () => {
		using stage = scene();
		const { tree, disk } = stage;
		const request = {
			lower: [tree.layer("lower", { low: "low" })],
			upper: tree.layer("disk/upper"),
			work: tree.layer("disk/work"),
			mountpoint: tree.layer("merged"),
		};
		const overlay = await mountOverlay(request);
		writeSynced(overlay.at("before"), "before");
		const fd = openSync(overlay.at("during"), "w");
		disk.become(failingWrites);
		writeSync(fd, "during");
		expect(codeOf(() => fsyncSync(fd))).toBe("EIO");
		closeSync(fd);
		expect(readFileSync(overlay.at("low"), "utf8")).toBe("low");
		expect(["EIO", "EROFS"]).toContain(codeOf(() => writeSynced(overlay.at("low"), "more", "a")) ?? "");
		await overlay.unmount();
		disk.become(linear);
		disk.mountAgain();
		await using again = await mountOverlay(request);
		expect(readFileSync(again.at("before"), "utf8")).toBe("before");
		expect(readFileSync(again.at("low"), "utf8")).toBe("low");
		await again.unmount();
	});
});

describe("dm-delay", () => {
	test("while a slow disk takes a copy, other files are answered", async () => {
		using stage = scene();
		const { tree, disk } = stage;
		await using overlay = await mountOverlay({
			lower: [tree.layer("lower", { large: Buffer.alloc(16 * mebibyte, "large"), small: "small" })],
			upper: tree.layer("disk/upper"),
			work: tree.layer("disk/work"),
			mountpoint: tree.layer("merged"),
		});
		disk.become(slow);
		const writer = Bun.spawn(["sh", "-c", `echo more >>${overlay.at("large")}`]);
		for (let turn = 0; turn < 20; turn++) {
			lstatSync(overlay.at("small"));
			expect(readFileSync(overlay.at("small"), "utf8")).toBe("small");
		}
		const isStillCopying = lstatSync(overlay.at("large")).size === 16 * mebibyte;
		expect(await writer.exited).toBe(0);
		expect(isStillCopying).toBe(true);
		expect(lstatSync(overlay.at("large")).size).toBe(16 * mebibyte + 5);
		disk.become(linear);
		await overlay.unmount();
	});
});
