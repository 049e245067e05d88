/** A full file system and an exceeded quota: at each size of what is left, a change is made whole or not at all. */

import { describe, expect, test } from "bun:test";
import {
	chmodSync,
	closeSync,
	fsyncSync,
	ftruncateSync,
	lstatSync,
	mkdirSync,
	openSync,
	readdirSync,
	readFileSync,
	renameSync,
	rmdirSync,
	rmSync,
	statSync,
	symlinkSync,
	unlinkSync,
	writeFileSync,
	writeSync,
} from "node:fs";
import { open } from "../harness/descriptor.ts";
import { type DiskKind, type DiskOptions, mountDisk } from "../harness/disk.ts";
import { type Description, file, temporaryTree, whiteout } from "../harness/layers.ts";
import { mountOverlay } from "../harness/mount.ts";
import { codeOf, mapMemory, setxattr } from "../harness/native.ts";
import { Overlay } from "../harness/overlay.ts";
import { isKernel } from "../harness/program.ts";
import { lacks } from "../harness/setting.ts";
import { differences, snapshot } from "../harness/snapshot.ts";
import { expectNothingLeft } from "./leftovers.ts";

const KiB = 1024;

const content = Buffer.from(
	Array.from({ length: 96 * KiB }, (_, index) => (index * 7 + (index >> 8)) & 0xff),
);
const lower: Description = {
	file: file(content, { mode: 0o640, xattrs: { "user.note": Buffer.alloc(900, "note") } }),
	"deep/down/file": content,
	large: Buffer.concat(Array.from({ length: 14 }, () => content)),
	gone: "gone",
	"dir/inner": "inner",
};

/** Layers whose upper one is on a small disk of its own. */
async function mountOn(kind: DiskKind, disk: DiskOptions, options: readonly string[]): Promise<Overlay> {
	const tree = temporaryTree();
	try {
		mountDisk(kind, tree.join("disk"), disk);
		const layers = {
			lower: [tree.layer("lower", lower)],
			upper: tree.layer("disk/upper", { dir: whiteout() }),
			work: tree.layer("disk/work"),
			mountpoint: tree.layer("merged"),
		};
		return new Overlay(tree, layers, await mountOverlay({ ...layers, options }), false);
	} catch (error) {
		tree[Symbol.dispose]();
		throw error;
	}
}

/** Takes all that is free, to be given back piece by piece. */
class Filler implements Disposable {
	readonly #path: string;
	readonly #fd: number;
	#size: number;

	constructor(disk: string) {
		this.#path = `${disk}/filler`;
		this.#fd = openSync(this.#path, "w");
		const block = Buffer.alloc(64 * KiB, "filler");
		for (let length = block.length; length >= 512; ) {
			try {
				writeSync(this.#fd, block, 0, length);
			} catch {
				length /= 2;
			}
		}
		fsyncSync(this.#fd);
		this.#size = statSync(this.#path).size;
	}

	/** False: nothing is left to give back. */
	giveBack(bytes: number): boolean {
		if (this.#size <= 0) return false;
		this.#size = Math.max(this.#size - bytes, 0);
		ftruncateSync(this.#fd, this.#size);
		// A file system may hand blocks out again only after it has noted that they are free.
		fsyncSync(this.#fd);
		return true;
	}

	[Symbol.dispose](): void {
		closeSync(this.#fd);
		rmSync(this.#path);
	}
}

type Operation = (overlay: Overlay) => unknown;

const operations: Readonly<Record<string, Operation>> = {
	"copying a file up": ({ mount }) => chmodSync(mount.at("file"), 0o600),
	"copying a file up with its parents": ({ mount }) => chmodSync(mount.at("deep/down/file"), 0o600),
	"copying a large file up": ({ mount }) => chmodSync(mount.at("large"), 0o600),
	"renaming a lower file": ({ mount }) => renameSync(mount.at("file"), mount.at("renamed")),
	"making a directory over a whiteout": ({ mount }) => mkdirSync(mount.at("dir")),
	"making a symlink": ({ mount }) => symlinkSync("t".repeat(1000), mount.at("link")),
	"setting an attribute": ({ mount }) => setxattr(mount.at("deep"), "user.more", Buffer.alloc(700, "x")),
	"removing a lower file": ({ mount }) => unlinkSync(mount.at("gone")),
};

const disks: readonly [string, DiskKind, DiskOptions, number][] = [
	["tmpfs, page by page", "tmpfs", { size: 2048 * KiB }, 4 * KiB],
	[
		"ext4, block by block",
		"ext4",
		{ size: 3072 * KiB, make: ["-b", "1024", "-m", "0", "-O", "^has_journal", "-N", "32"] },
		KiB,
	],
];

const skipped = lacks("the machine's root") || isKernel;

describe.skipIf(skipped).each(disks)("a full %s", (_, kind, disk, step) => {
	test.each(Object.entries(operations))("%s is whole or ENOSPC", async (name, operation) => {
		await using overlay = await mountOn(kind, disk, []);
		const seen = () => snapshot(overlay.path, { ignoreTimes: true });
		const before = seen();
		let refusals = 0;
		{
			using filler = new Filler(overlay.tree.join("disk"));
			for (;;) {
				const code = codeOf(() => operation(overlay));
				if (code === undefined) break;
				expect(code).toBe("ENOSPC");
				if (refusals++ === 0) expect(overlay.mount.log).toMatch(/^fuse-overlayfs: .*ENOSPC/m);
				// Comparing takes longer than failing: now and then is enough.
				if (refusals % 8 === 1) expect(differences(before, seen())).toEqual([]);
				await expectNothingLeft(overlay);
				if (!filler.giveBack(step)) throw new Error("ENOSPC though all of the disk is free");
			}
		}
		if (name.startsWith("copying")) expect(refusals).toBeGreaterThan(3);
		expect(differences(before, seen()).length).toBeGreaterThan(0);
		await expectNothingLeft(overlay);
		await overlay.expectLasting({ ignoreTimes: true });
	});
});

describe.skipIf(skipped)("writing to a full disk", () => {
	const fill = async (options: readonly string[], act: (overlay: Overlay) => Promise<void> | void) => {
		await using overlay = await mountOn("tmpfs", { size: 1024 * KiB }, options);
		await act(overlay);
		await expectNothingLeft(overlay);
		// Room made is room to write to.
		rmSync(overlay.tree.join("disk/filler"), { force: true });
		writeFileSync(overlay.at("after"), "after");
		using after = open(overlay.at("after"), "r+");
		fsyncSync(after.fd);
		expect(readFileSync(overlay.at("after"), "utf8")).toBe("after");
		expect(readFileSync(overlay.inLower("file")).equals(content)).toBeTrue();
	};

	test("with passthrough, write(2) tells; what was written before stays", () =>
		fill(["passthrough=on"], (overlay) => {
			using writer = open(overlay.at("new"), "w+");
			const block = Buffer.alloc(64 * KiB, "data");
			let written = 0;
			const code = codeOf(() => {
				for (;;) written += writeSync(writer.fd, block);
			});
			expect(code).toBe("ENOSPC");
			expect(statSync(overlay.at("new")).size).toBeGreaterThanOrEqual(written);
			expect(readFileSync(overlay.at("new")).subarray(0, 65536).equals(block)).toBeTrue();
			writer.close();
			unlinkSync(overlay.at("new"));
		}));

	test("with passthrough, opening a lower file for writing tells, and reading it goes on", () =>
		fill(["passthrough=on"], (overlay) => {
			using _ = new Filler(overlay.tree.join("disk"));
			expect(codeOf(() => open(overlay.at("file"), "r+"))).toBe("ENOSPC");
			expect(readFileSync(overlay.at("file")).equals(content)).toBeTrue();
		}));

	test("with the write cache, fsync(2) tells", () =>
		fill(["passthrough=off"], (overlay) => {
			using _ = new Filler(overlay.tree.join("disk"));
			using writer = open(overlay.at("file"), "r+");
			const code = codeOf(() => {
				writeSync(writer.fd, "changed", 0);
				fsyncSync(writer.fd);
			});
			expect(code).toBe("ENOSPC");
			expect(overlay.mount.log).toMatch(/^fuse-overlayfs: .*ENOSPC/m);
			expect(readdirSync(overlay.layers.upper)).toEqual(["dir"]);
		}));

	test("with the write cache, fsync(2) tells, too, where there is room for a part", () =>
		fill(["passthrough=off"], (overlay) => {
			using filler = new Filler(overlay.tree.join("disk"));
			filler.giveBack(64 * KiB);
			using writer = open(overlay.at("new"), "w+");
			const code = codeOf(() => {
				writeSync(writer.fd, content);
				fsyncSync(writer.fd);
			});
			expect(code).toBe("ENOSPC");
			writer.close();
			unlinkSync(overlay.at("new"));
		}));

	test("with the write cache, msync(2) of a mapping tells", () =>
		fill(["passthrough=off"], (overlay) => {
			using _ = new Filler(overlay.tree.join("disk"));
			using handle = open(overlay.at("file"), "r+");
			const mapping = mapMemory(4096, handle.fd);
			mapping.bytes.write("mapped");
			expect(codeOf(() => mapping.sync())).toBe("ENOSPC");
			mapping[Symbol.dispose]();
		}));

	test("a mount can be made, with which it is emptied", async () => {
		await using overlay = await mountOn("ext4", disks[1]![2], []);
		writeFileSync(overlay.at("own"), content);
		await overlay.unmount();
		using filler = new Filler(overlay.tree.join("disk"));
		await overlay.remount();
		expect(codeOf(() => chmodSync(overlay.at("large"), 0o600))).toBe("ENOSPC");
		unlinkSync(overlay.at("own"));
		filler.giveBack(8 * KiB);
		unlinkSync(overlay.at("gone"));
		// As what is known to be allowed there, not as what a full disk looks like.
		expect(lstatSync(overlay.inUpper("gone")).isCharacterDevice()).toBeTrue();
		await overlay.expectLasting();
	});

	test("inodes may run out, too", async () => {
		await using overlay = await mountOn("ext4", { size: 8192 * KiB, make: ["-N", "48"] }, []);
		let made = 0;
		const code = codeOf(() => {
			for (; ; made++) mkdirSync(overlay.at(`made${made}`));
		});
		expect(code).toBe("ENOSPC");
		expect(codeOf(() => chmodSync(overlay.at("file"), 0o600))).toBe("ENOSPC");
		// A whiteout is a further name of one that is there: it needs no inode.
		unlinkSync(overlay.at("gone"));
		await expectNothingLeft(overlay);
		for (let index = 0; index < made; index++) rmdirSync(overlay.at(`made${index}`));
		chmodSync(overlay.at("file"), 0o600);
		await overlay.expectLasting();
	});
});

test.skipIf(skipped)("a quota that is exceeded answers EDQUOT, and leaves the file as it was", async () => {
	using tree = temporaryTree();
	mountDisk("btrfs", tree.join("disk"), { size: 160 * KiB * KiB });
	const btrfs = (...words: string[]) => {
		const { exitCode, stderr } = Bun.spawnSync(["btrfs", ...words], { stdout: "ignore" });
		expect({ words, exitCode, stderr: String(stderr) }).toEqual({ words, exitCode: 0, stderr: "" });
	};
	btrfs("quota", "enable", tree.join("disk"));
	btrfs("subvolume", "create", tree.join("disk/limited"));
	const large = Buffer.alloc(3 << 20, "large");
	const layers = {
		lower: [tree.layer("lower", { large, small: content })],
		upper: tree.layer("disk/limited/upper"),
		work: tree.layer("disk/limited/work"),
		mountpoint: tree.layer("merged"),
	};
	btrfs("qgroup", "limit", "1M", tree.join("disk/limited"));
	await using overlay = new Overlay(tree, layers, await mountOverlay(layers), false);
	expect(codeOf(() => chmodSync(overlay.at("large"), 0o600))).toBe("EDQUOT");
	expect(overlay.mount.log).toMatch(/^fuse-overlayfs: .*EDQUOT/m);
	await expectNothingLeft(overlay);
	expect(readFileSync(overlay.at("large")).equals(large)).toBeTrue();
	chmodSync(overlay.at("small"), 0o600);
	btrfs("qgroup", "limit", "none", tree.join("disk/limited"));
	chmodSync(overlay.at("large"), 0o600);
	expect(readFileSync(overlay.inUpper("large")).equals(large)).toBeTrue();
	await overlay.expectLasting();
});
