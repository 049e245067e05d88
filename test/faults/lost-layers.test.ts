/** Layers and the workdir taken away from a mount, or closed to it: who needs them is told so, all else goes on. */

import { describe, expect, test } from "bun:test";
import {
	chmodSync,
	chownSync,
	fsyncSync,
	lstatSync,
	mkdirSync,
	readdirSync,
	readFileSync,
	renameSync,
	rmSync,
	symlinkSync,
	unlinkSync,
	writeFileSync,
} from "node:fs";
import { open } from "../harness/descriptor.ts";
import { mountDisk } from "../harness/disk.ts";
import { directory, kernelsOpaque, smallDisk, temporaryTree } from "../harness/layers.ts";
import { mountOverlay, until } from "../harness/mount.ts";
import { unmount } from "../harness/mount-table.ts";
import { codeOf, MNT_DETACH } from "../harness/native.ts";
import { mountLayers, Overlay } from "../harness/overlay.ts";
import { isKernel, program } from "../harness/program.ts";
import { lacks } from "../harness/setting.ts";
import { traced } from "../harness/strace.ts";
import { expectNothingLeft, openFiles } from "./leftovers.ts";

const read = (path: string) => readFileSync(path, "utf8");

describe.skipIf(lacks("mounting") || isKernel)("a lower layer on FUSE whose daemon was killed", () => {
	test("answers ENOTCONN for what it has alone; the other layers go on, and the mount can be ended", async () => {
		await using layer = await mountLayers([{ lost: "lost", "d/lost": "lost" }], {
			options: ["passthrough=off"],
		});
		await using overlay = await mountLayers([{ own: "own" }], {
			upper: { up: "up", apart: directory({ opaque: kernelsOpaque }), "apart/own": "own" },
		});
		await overlay.remount({ lower: [...overlay.layers.lower, layer.path] });
		lstatSync(overlay.at("lost"));
		for (const pid of layer.mount.daemons) process.kill(pid, "SIGKILL");
		await until(() => layer.mount.daemons.length === 0, "the layer's daemon survives SIGKILL");
		expect(codeOf(() => readFileSync(overlay.at("lost")))).toBe("ENOTCONN");
		expect(codeOf(() => chmodSync(overlay.at("lost"), 0o600))).toBe("ENOTCONN");
		expect(overlay.mount.log).toMatch(/^fuse-overlayfs: \w+ node \d+ "\/lost": ENOTCONN: /m);
		// Whatever is found above it is not asked of the lost one.
		for (const name of ["own", "apart/own", "up"]) {
			chmodSync(overlay.at(name), 0o600);
			expect(read(overlay.at(name))).toBe(name === "up" ? "up" : "own");
		}
		unlinkSync(overlay.at("up"));
		await expectNothingLeft(overlay);
		await overlay.unmount();
		await layer.mount.forget();
	});
});

describe.skipIf(lacks("the machine's root") || isKernel)(
	"a lower layer on FUSE that fails for a moment",
	() => {
		test("is listed afterwards, whoever has looked names up meanwhile", async () => {
			// Whose directories are read anew each time.
			await using layer = await mountLayers([{ "d/below": "below" }, {}], {
				readOnly: true,
				options: ["timeout=0"],
			});
			await using overlay = await mountLayers([{}], { upper: { "d/up": "up" } });
			await overlay.remount({ lower: [layer.path] });
			const lines = await traced(layer, ["trace=getdents64", "inject=getdents64:error=EIO"], () => {
				const lookUp = (index: number) => lstatSync(overlay.at("d", `absent${index}`));
				for (let index = 0; index < 6; index++) expect(codeOf(() => lookUp(index))).toBe("ENOENT");
			});
			expect(lines.length).toBeGreaterThan(0);
			expect(readdirSync(overlay.at("d")).sort()).toEqual(["below", "up"]);
		});
	},
);

describe.skipIf(lacks("the machine's root") || isKernel)("a layer's disk that is unmounted lazily", () => {
	test("stays with the mount until that ends", async () => {
		using tree = temporaryTree();
		mountDisk("ext4", tree.join("disk"), { size: 4 << 20 });
		const layers = {
			lower: [tree.layer("disk/lower", { known: "known", "d/unknown": "unknown" })],
			upper: tree.layer("upper"),
			work: tree.layer("work"),
			mountpoint: tree.layer("merged"),
		};
		const overlay = new Overlay(tree, layers, await mountOverlay(layers), false);
		unmount(tree.join("disk"), MNT_DETACH);
		expect(read(overlay.at("d/unknown"))).toBe("unknown");
		chmodSync(overlay.at("known"), 0o600);
		expect(read(overlay.inUpper("known"))).toBe("known");
		const loops = () => Bun.spawnSync(["losetup", "-j", tree.join("disk.ext4")]).stdout.toString();
		expect(loops()).toContain("/dev/loop");
		await overlay.unmount();
		await until(() => loops() === "", "the disk is still in use");
	});
});

describe.skipIf(isKernel)("a workdir that is removed", () => {
	test("answers EIO to what needs it, and nothing is changed by that; all else goes on", async () => {
		const lower = { a: "a", b: "b", link: "x", "d/x": "x", "empty/x": "x" };
		await using overlay = await mountLayers([lower], { upper: { up: "up" } });
		rmSync(overlay.layers.work, { recursive: true });
		for (const action of [
			() => chmodSync(overlay.at("a"), 0o600),
			() => chmodSync(overlay.at("d"), 0o700),
			() => renameSync(overlay.at("b"), overlay.at("c")),
		]) {
			expect(codeOf(action)).toBe("EIO");
		}
		expect(overlay.mount.log).toMatch(/^fuse-overlayfs: setattr node \d+ "\/a": EIO: /m);
		expect(readdirSync(overlay.path).sort()).toEqual(["a", "b", "d", "empty", "link", "up"]);
		expect([read(overlay.at("a")), read(overlay.at("b"))]).toEqual(["a", "b"]);
		writeFileSync(overlay.at("new"), "new");
		symlinkSync("target", overlay.at("symlink"));
		mkdirSync(overlay.at("made"));
		renameSync(overlay.at("up"), overlay.at("made/up"));
		rmSync(overlay.at("made"), { recursive: true });
		// But the directory itself.
		const gone = () => openFiles(overlay).filter((path) => / \(deleted\)$/.test(path));
		await until(
			() => gone().every((path) => path.endsWith("/work (deleted)")),
			() => `the daemon keeps open: ${gone()}`,
		);
		await overlay.unmount();
		mkdirSync(overlay.layers.work);
		await overlay.remount();
		chmodSync(overlay.at("a"), 0o600);
		await overlay.expectLasting();
	});
});

describe.skipIf(lacks("the machine's root") || isKernel)("an upper layer that becomes read-only", () => {
	test.each(["on", "off"])(
		"answers EROFS to changes, with passthrough=%s, until it can be written to again",
		async (passthrough) => {
			await using overlay = await mountLayers([{ low: "low", gone: "gone" }], {
				disk: smallDisk,
				upper: { up: "up", other: "other" },
				options: [`passthrough=${passthrough}`],
			});
			const disk = overlay.tree.join("disk");
			const remountDisk = (option: string) =>
				expect(Bun.spawnSync(["mount", "-o", `remount,${option}`, disk]).stderr.toString()).toBe("");
			remountDisk("ro");
			const write = (name: string) => {
				using file = open(overlay.at(name), "r+");
				writeFileSync(file.fd, "changed");
				fsyncSync(file.fd);
			};
			for (const action of [
				() => write("up"),
				() => write("low"),
				() => chmodSync(overlay.at("other"), 0o600),
				() => writeFileSync(overlay.at("new"), ""),
				() => unlinkSync(overlay.at("gone")),
				() => mkdirSync(overlay.at("made")),
			]) {
				expect(codeOf(action)).toBe("EROFS");
			}
			expect(overlay.mount.log).toMatch(/^fuse-overlayfs: \w+ node \d+ "\/\w+": EROFS: /m);
			expect(readdirSync(overlay.path).sort()).toEqual(["gone", "low", "other", "up"]);
			// With its write cache the kernel keeps what it could not write.
			if (passthrough === "on")
				expect([read(overlay.at("low")), read(overlay.at("up"))]).toEqual(["low", "up"]);
			remountDisk("rw");
			await expectNothingLeft(overlay);
			for (const name of ["up", "low", "new"]) writeFileSync(overlay.at(name), "changed");
			unlinkSync(overlay.at("gone"));
			await overlay.expectLasting();
		},
	);
});

describe.skipIf(lacks("the machine's root") || isKernel)(
	"a directory of a layer that is closed to the daemon",
	() => {
		/** The program without the power to override modes. */
		const wrapper = `#!/bin/sh\nexec setpriv --bounding-set=-dac_override,-dac_read_search --inh-caps=-all ${program} "$@"\n`;

		test("answers EACCES, also to those who may; all else goes on", async () => {
			await using overlay = await mountLayers(
				[{ "closed/file": "file", closed: directory({ mode: 0o700 }), "open/file": "file" }].map(
					({ closed, ...rest }) => ({ closed, ...rest }),
				),
			);
			await overlay.unmount();
			chownSync(overlay.inLower("closed"), 1000, 1000);
			const limited = overlay.tree.join("limited");
			writeFileSync(limited, wrapper, { mode: 0o755 });
			await overlay.remount({ program: limited });
			const before = openFiles(overlay).length;
			for (const action of [
				() => readdirSync(overlay.at("closed")),
				() => lstatSync(overlay.at("closed/file")),
				() => chmodSync(overlay.at("closed/file"), 0o600),
				() => rmSync(overlay.at("closed"), { recursive: true }),
			]) {
				expect(codeOf(action)).toBe("EACCES");
			}
			expect(overlay.mount.log).toMatch(/^fuse-overlayfs: \w+ node \d+ "\/closed(\/file)?": EACCES: /m);
			expect(readdirSync(overlay.path).sort()).toEqual(["closed", "open"]);
			writeFileSync(overlay.at("open/file"), "changed");
			expect(openFiles(overlay).length).toBeLessThan(before + 8);
			await expectNothingLeft(overlay);
		});
	},
);
