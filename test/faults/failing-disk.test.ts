/** Disks that answer EIO: an image on a loop device whose every transfer goes through a program that can be made to fail. */

import { describe, expect, test } from "bun:test";
import {
	chmodSync,
	fdatasyncSync,
	fsyncSync,
	lstatSync,
	mkdirSync,
	readdirSync,
	readFileSync,
	writeFileSync,
	writeSync,
} from "node:fs";
import { open } from "../harness/descriptor.ts";
import { mountDisk } from "../harness/disk.ts";
import type { Description } from "../harness/layers.ts";
import { mountOverlay } from "../harness/mount.ts";
import { unmount } from "../harness/mount-table.ts";
import { codeOf } from "../harness/native.ts";
import { mountLayers, Overlay } from "../harness/overlay.ts";
import { isKernel } from "../harness/program.ts";
import { lacks } from "../harness/setting.ts";
import { traced } from "../harness/strace.ts";
import { expectNothingLeft } from "./leftovers.ts";

interface Stage extends AsyncDisposable {
	readonly overlay: Overlay;
	/** What is on the failing disk can be neither read nor written during `action`, but for what the kernel keeps. */
	during(action: () => void): Promise<void>;
}

/** An overlay of which one layer is on such a disk; nothing of that layer's files has been read. */
async function set(failing: "lower" | "upper", lower: Description): Promise<Stage> {
	// The disk's image is a file of another overlay: the daemon of that one does all reading and writing.
	const carrier = await mountLayers([{}], { options: ["passthrough=off"] });
	const { tree } = carrier;
	const disk = tree.join("disk");
	const mountAgain = () => {
		const image = carrier.at("image");
		const options = ["-o", "loop,errors=continue", image, disk];
		expect(Bun.spawnSync(["mount", ...options]).stderr.toString()).toBe("");
		const device = Bun.spawnSync(["losetup", "-n", "-O", "NAME", "-j", image]).stdout.toString().trim();
		// Not by way of what the kernel keeps of the image.
		expect(Bun.spawnSync(["losetup", "--direct-io=on", device]).stderr.toString()).toBe("");
	};
	try {
		mountDisk("ext4", disk, {
			size: 24 << 20,
			make: ["-O", "^has_journal", "-m", "0"],
			image: carrier.at("image"),
		});
		const on = (layer: string) => (layer === failing ? `disk/${layer}` : `own/${layer}`);
		const layers = {
			lower: [tree.layer(on("lower"), lower), tree.layer("own/other", { other: "other" })],
			upper: tree.layer(on("upper")),
			work: tree.layer(failing === "upper" ? "disk/work" : "own/work"),
			mountpoint: tree.layer("overlay"),
		};
		unmount(disk);
		mountAgain();
		const overlay = new Overlay(tree, layers, await mountOverlay(layers), false);
		return {
			overlay,
			async during(action) {
				const calls = "pread64,preadv2,pwrite64,copy_file_range,fsync,fdatasync";
				await traced(carrier, [`trace=${calls}`, `inject=${calls}:error=EIO`], action);
			},
			async [Symbol.asyncDispose]() {
				await overlay.mount[Symbol.asyncDispose]();
				unmount(disk);
				await carrier[Symbol.asyncDispose]();
			},
		};
	} catch (error) {
		await carrier[Symbol.asyncDispose]();
		throw error;
	}
}

const large = Buffer.alloc(3 << 20, "large");
const read = (path: string) => readFileSync(path, "utf8");

describe.skipIf(lacks("the machine's root") || isKernel)("a disk that fails", () => {
	test("below: who reads or copies up gets EIO and nothing is changed; others go on, and all is well once it is", async () => {
		await using stage = await set("lower", { small: "small", large, "d/deep": "deep" });
		const { overlay } = stage;
		for (const name of ["small", "large", "d/deep"]) lstatSync(overlay.at(name));
		await stage.during(() => {
			expect(codeOf(() => readFileSync(overlay.at("large")))).toBe("EIO");
			expect(codeOf(() => chmodSync(overlay.at("large"), 0o600))).toBe("EIO");
			expect(codeOf(() => chmodSync(overlay.at("small"), 0o600))).toBe("EIO");
			expect(codeOf(() => writeFileSync(overlay.at("d/deep"), "x", { flag: "r+" }))).toBe("EIO");
			chmodSync(overlay.at("other"), 0o600);
			writeFileSync(overlay.at("new"), "new");
			expect(read(overlay.at("other"))).toBe("other");
		});
		expect(overlay.mount.log).toMatch(/^fuse-overlayfs: \w+ node \d+ "\/large": EIO: /m);
		expect(readdirSync(overlay.layers.upper).sort()).toEqual(["d", "new", "other"]);
		await expectNothingLeft(overlay);
		chmodSync(overlay.at("large"), 0o600);
		expect(readFileSync(overlay.at("large")).equals(large)).toBeTrue();
		expect([read(overlay.at("small")), read(overlay.at("d/deep"))]).toEqual(["small", "deep"]);
	});

	test("above: copy-up and fsync tell EIO; the lower file still shows, and others can be read", async () => {
		await using stage = await set("upper", { small: "small", large });
		const { overlay } = stage;
		mkdirSync(overlay.at("d"));
		using written = open(overlay.at("d/written"), "w+");
		await stage.during(() => {
			expect(codeOf(() => chmodSync(overlay.at("small"), 0o600))).toBe("EIO");
			expect(codeOf(() => chmodSync(overlay.at("large"), 0o600))).toBe("EIO");
			writeSync(written.fd, "written");
			expect(codeOf(() => fsyncSync(written.fd))).toBe("EIO");
			expect([read(overlay.at("small")), read(overlay.at("other"))]).toEqual(["small", "other"]);
		});
		expect(overlay.mount.log).toMatch(/^fuse-overlayfs: setattr node \d+ "\/small": EIO: /m);
		expect(readdirSync(overlay.layers.upper)).toEqual(["d"]);
		await expectNothingLeft(overlay);
		writeSync(written.fd, "again", 0);
		fdatasyncSync(written.fd);
		chmodSync(overlay.at("small"), 0o600);
		expect(read(overlay.inUpper("small"))).toBe("small");
	});
});
