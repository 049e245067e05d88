/**
 * Images of composefs: a read-only file system with all names and no data, over a directory of data files that are named by
 * their digests. Mounted through us it shows what it was made of, and what kernel overlayfs shows of it.
 */

import { describe, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import { appendFileSync, chmodSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import {
	type Description,
	device,
	directory,
	fifo,
	file,
	hardLink,
	socket,
	sparseFile,
	symlink,
	type TemporaryTree,
	temporaryTree,
	whiteout,
} from "../harness/layers.ts";
import { type MountRequest, mountKernelOverlay, mountOverlay } from "../harness/mount.ts";
import { codeOf, getxattr } from "../harness/native.ts";
import { isKernel } from "../harness/program.ts";
import { lacks } from "../harness/setting.ts";
import { differences, snapshot } from "../harness/snapshot.ts";
import { hasVerity, mountVerityDisk } from "../harness/verity.ts";

const long = Buffer.alloc(300_000, "long ");
const source: Description = {
	"etc/passwd": file("root:x:0:0:root:/root:/bin/bash\n".repeat(20), { mode: 0o640, uid: 1, gid: 2 }),
	"etc/small": "small",
	"etc/empty": "",
	"usr/bin/tool": file(`#!/bin/sh\necho run ${"x".repeat(100)}\n`, { mode: 0o4755 }),
	"usr/lib/long": file(long, { xattrs: { "user.word": "word", "security.word": "word" } }),
	"usr/lib/same": file(long, { time: 1_000_000_000_000_000_000n }),
	"usr/lib/linked": hardLink("usr/lib/long"),
	"usr/lib/sparse": sparseFile(1 << 20, { 500000: "middle" }),
	lib: symlink("usr/lib"),
	"dev/null": device("char", 1, 3),
	"dev/disk": device("block", 7, 0),
	"run/pipe": fifo(),
	"run/socket": socket(),
	"home/closed": directory({ mode: 0o700, uid: 1000, gid: 1000 }),
	"home/closed/notes": file("notes ".repeat(30), { mode: 0o600, uid: 1000 }),
	"name\n with \\ and \u{e9}": "odd ".repeat(30),
};

/** Built into the kernel, or a module. */
const hasErofs =
	existsSync("/sys/fs/erofs") || Bun.spawnSync(["sh", "-c", "modprobe -q erofs"]).exitCode === 0;
const needs = ["the machine's root", "trusted attributes", "mounting", "devices", "other ids"] as const;

/** Makes an image and its data files of a directory by composefs's own tool, and mounts it. */
function compose(tree: TemporaryTree, from: string, store: string): MountRequest {
	execFileSync("mkcomposefs", [`--digest-store=${store}`, from, tree.join("image")]);
	return mountImage(tree, store);
}

function mountImage(tree: TemporaryTree, store: string): MountRequest {
	const names = tree.layer("names");
	execFileSync("mount", ["-t", "erofs", "-o", "loop,ro", tree.join("image"), names]);
	return { lower: [names], dataOnly: [store], mountpoint: tree.layer("merged") };
}

/** As {@link compose}, by what every machine has: names and marks in a directory, which erofs's tool makes an image of. */
function composeByHand(tree: TemporaryTree, from: string, store: string): MountRequest {
	const names = tree.join("unpacked");
	execFileSync("cp", ["-a", from, names]);
	const script = `cd "$1" && find . -type f -links 1 -size +0 -print0 | while IFS= read -r -d '' path; do
		digest=$(sha256sum <"$path") && digest=\${digest%% *} && size=$(stat -c %s "$path") || exit 1
		data=\${digest%\${digest#??}}/\${digest#??}
		mkdir -p "$2/\${data%/*}" && cp --sparse=always "$path" "$2/$data" && touch -r "$path" "$2/times" &&
		truncate -s 0 "$path" && truncate -s "$size" "$path" && touch -r "$2/times" "$path" &&
		setfattr -n trusted.overlay.metacopy "$path" &&
		setfattr -n trusted.overlay.redirect -v "/$data" "$path" || exit 1
	done`;
	execFileSync("bash", ["-c", script, "bash", names, store]);
	rmSync(`${store}/times`);
	execFileSync("mkfs.erofs", ["--quiet", tree.join("image"), names]);
	return mountImage(tree, store);
}

const makers = { "composefs's own tool": compose, "erofs's tool": composeByHand };
const tools: Readonly<Record<keyof typeof makers, string>> = {
	"composefs's own tool": "mkcomposefs",
	"erofs's tool": "mkfs.erofs",
};

describe.skipIf(isKernel || lacks(...needs) || !hasErofs).each(Object.entries(makers))(
	"an image that %s made",
	(maker, make) => {
		const isLacking = Bun.which(tools[maker as keyof typeof makers]) === null;

		test.skipIf(isLacking)("shows what it was made of, and what the kernel shows of it", async () => {
			using tree = temporaryTree();
			const from = tree.layer("source", source);
			const layers = make(tree, from, tree.layer("store"));
			const { mountpoint } = layers;
			// Of a file with several names composefs makes several.
			const original = snapshot(from, { ignoreLinks: true });
			let kernels: ReturnType<typeof snapshot>;
			{
				using _ = mountKernelOverlay(layers, "metacopy=on", "redirect_dir=on");
				kernels = snapshot(mountpoint);
			}
			for (const options of [[], ["passthrough=off"], ["timeout=0"]]) {
				await using _ = await mountOverlay({ ...layers, options });
				expect(differences(snapshot(mountpoint), kernels)).toEqual([]);
				expect(differences(snapshot(mountpoint, { ignoreLinks: true }), original)).toEqual([]);
			}
		});

		test.skipIf(isLacking)(
			"can be changed under an upper layer, and the kernel goes on with that",
			async () => {
				using tree = temporaryTree();
				const store = tree.layer("store");
				const layers = {
					...make(tree, tree.layer("source", source), store),
					upper: tree.layer("upper"),
					work: tree.layer("work"),
				};
				const untouched = snapshot(store);
				let ours: ReturnType<typeof snapshot>;
				{
					await using mounted = await mountOverlay(layers);
					chmodSync(mounted.at("usr/bin/tool"), 0o755);
					appendFileSync(mounted.at("etc/passwd"), "user\n");
					renameSync(mounted.at("usr/lib/same"), mounted.at("etc/same"));
					rmSync(mounted.at("home"), { recursive: true });
					mkdirSync(mounted.at("home"));
					expect(readFileSync(mounted.at("etc/same")).equals(long)).toBe(true);
					ours = snapshot(mounted.path);
				}
				{
					using _ = mountKernelOverlay(layers, "metacopy=on", "redirect_dir=on");
					expect(differences(snapshot(layers.mountpoint), ours)).toEqual([]);
					chmodSync(`${layers.mountpoint}/usr/lib/sparse`, 0o600);
					renameSync(`${layers.mountpoint}/usr/lib/sparse`, `${layers.mountpoint}/sparse`);
					ours = snapshot(layers.mountpoint);
				}
				await using mounted = await mountOverlay(layers);
				expect(differences(snapshot(mounted.path), ours)).toEqual([]);
				expect(snapshot(store)).toEqual(untouched);
			},
		);
	},
);

describe.skipIf(isKernel || lacks(...needs) || !hasErofs || Bun.which("mkcomposefs") === null)(
	"an image of composefs",
	() => {
		test("may have layers of another overlay as its content", async () => {
			using tree = temporaryTree();
			// These are never shown, whosever they are.
			const users = /^user\.overlay\./;
			const opaque = directory({ opaque: "trusted" });
			const nested = { opaque, "opaque/f": "f ".repeat(99), "layer/gone": whiteout(), "layer/g": "" };
			const from = tree.layer("source", nested);
			const layers = compose(tree, from, tree.layer("store"));
			let kernels: ReturnType<typeof snapshot>;
			{
				using _ = mountKernelOverlay(layers, "metacopy=on", "redirect_dir=on");
				kernels = snapshot(layers.mountpoint, { ignoreAttributes: users });
			}
			await using mounted = await mountOverlay(layers);
			expect(differences(snapshot(mounted.path, { ignoreAttributes: users }), kernels)).toEqual([]);
			expect(getxattr(mounted.at("layer/gone"), "trusted.overlay.whiteout").length).toBe(0);
		});

		test.skipIf(!hasVerity)("is checked to the last byte with verity=require", async () => {
			using tree = temporaryTree();
			mountVerityDisk(tree.join("disk"));
			const from = tree.layer("source", source);
			const store = tree.layer("disk/store");
			const layers = compose(tree, from, store);
			await using mounted = await mountOverlay({ ...layers, options: ["verity=require"] });
			expect(differences(snapshot(mounted.path), snapshot(from))).toEqual([]);
			// What took the place of a data file is none.
			const [data = ""] = execFileSync("find", [store, "-type", "f", "-size", "+100k"], {
				encoding: "utf8",
			}).split("\n");
			const other = readFileSync(data);
			other[0]! ^= 1;
			execFileSync("cp", ["--remove-destination", "/dev/stdin", data], { input: other });
			await mounted.remount();
			expect(codeOf(() => readFileSync(mounted.at("usr/lib/same")))).toBe("EIO");
			expect(readFileSync(mounted.at("etc/passwd"))).toEqual(readFileSync(`${from}/etc/passwd`));
		});
	},
);
