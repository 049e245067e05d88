/**
 * System calls that a seccomp filter refuses, as those of older container runtimes do to what they do not know: each has
 * something that takes its place, and no layer is left for it.
 */

import { describe, expect, test } from "bun:test";
import {
	appendFileSync,
	chmodSync,
	closeSync,
	lstatSync,
	mkdirSync,
	openSync,
	readdirSync,
	readFileSync,
	readlinkSync,
	renameSync,
	rmSync,
	utimesSync,
	writeFileSync,
} from "node:fs";
import { changeable, changeMuch, expectChanged } from "../harness/changes.ts";
import {
	type Description,
	fifo,
	file,
	fillLayer,
	sparseFile,
	symlink,
	type TemporaryTree,
	temporaryTree,
} from "../harness/layers.ts";
import { type MountRequest, mountOverlay } from "../harness/mount.ts";
import { codeOf, mount, setxattr, umount } from "../harness/native.ts";
import { isKernel, program } from "../harness/program.ts";
import { refusing } from "../harness/refusing.ts";
import { lacks, setting } from "../harness/setting.ts";
import { differences, snapshot } from "../harness/snapshot.ts";

const errors = ["EPERM", "ENOSYS"] as const;

interface Stage {
	readonly tree: TemporaryTree;
	readonly request: MountRequest;
}

function setUp(lowers: readonly Description[], error: "EPERM" | "ENOSYS", calls: string): Stage {
	const tree = temporaryTree();
	return { tree, request: { ...tree.layers(lowers), program: refusing(error, calls) } };
}

const refusals = [
	"openat2",
	// Without it layers are reached in place, and there by openat2(2), if that is to be had.
	"open_tree",
	"openat2,open_tree",
	"fchmodat2",
	"faccessat2",
	"copy_file_range",
	"renameat2",
	"mount_setattr",
	"preadv2",
	"sync_file_range",
	"getxattrat,setxattrat,listxattrat,removexattrat",
	"io_setup",
	"io_submit",
	"name_to_handle_at,open_by_handle_at",
];

/** What fusermount3 gains by being set-user-ID is refused to whoever is filtered without privilege. */
const isPossible = !isKernel && setting !== "fusermount";

describe.skipIf(!isPossible).each(refusals)("without %s", (calls) => {
	test.each(errors)("(%s) all that an overlay can do is done", async (error) => {
		const { tree, request } = setUp([changeable], error, calls);
		using _ = tree;
		await using mounted = await mountOverlay(request);
		changeMuch((name) => mounted.at(name));
		expectChanged((name) => mounted.at(name));
		chmodSync(mounted.at("merged/lower"), 0o600);
		utimesSync(mounted.at("merged/lower"), 1, 2);
		rmSync(mounted.at("replaced"), { recursive: true });
		mkdirSync(mounted.at("made"));
		renameSync(mounted.at("made"), mounted.at("replaced"));
		const seen = snapshot(mounted.path);
		await mounted.remount();
		expect(differences(seen, snapshot(mounted.path))).toEqual([]);
		await mounted.remount({ program });
		expect(differences(seen, snapshot(mounted.path))).toEqual([]);
	});

	test.each(errors)("(%s) every kind of object is copied up", async (error) => {
		const kinds = {
			pipe: fifo(),
			link: symlink("target"),
			large: sparseFile(3 << 20, { 0: "a", 2000000: "b" }),
		};
		const { tree, request } = setUp([kinds], error, calls);
		using _ = tree;
		await using mounted = await mountOverlay(request);
		for (const name of ["pipe", "large"]) chmodSync(mounted.at(name), 0o640);
		renameSync(mounted.at("link"), mounted.at("other"));
		expect(readlinkSync(mounted.at("other"))).toBe("target");
		expect(lstatSync(mounted.at("pipe")).mode).toBe(0o010640);
		expect(readFileSync(mounted.at("large")).subarray(2_000_000, 2_000_002).toString()).toBe("b\0");
	});
});

describe.skipIf(!isPossible).each(errors)("where no file can be passed through (%s)", (error) => {
	test("what is opened to be written anew is cut, not the first time only", async () => {
		const { tree, request } = setUp([{ f: "lower, long", g: "lower, long" }], error, "backing_open");
		using _ = tree;
		await using mounted = await mountOverlay(request);
		for (const name of ["made", "f", "g", "made", "f", "g"]) {
			appendFileSync(mounted.at(name), "more");
			// writeFileSync() cuts by a call of its own.
			closeSync(openSync(mounted.at(name), "w"));
			expect(readFileSync(mounted.at(name), "utf8")).toBe("");
		}
	});
});

describe.skipIf(!isPossible).each([
	["openat2,open_tree", "EPERM"],
	["openat2,open_tree", "ENOSYS"],
	["open_tree", "EPERM"],
] as const)("a layer walked in place without %s (%s)", (calls, error) => {
	test("is not left by a symlink in place of a directory", async () => {
		const { tree, request } = setUp(
			[{ d: symlink("../outside"), "e/x": "x" }, { "d/below": "below" }],
			error,
			calls,
		);
		using _ = tree;
		tree.layer("outside", { secret: "secret" });
		await using mounted = await mountOverlay(request);
		expect(readlinkSync(mounted.at("d"))).toBe("../outside");
		rmSync(mounted.at("d"));
		mkdirSync(mounted.at("d"));
		expect(readdirSync(mounted.at("d"))).toEqual([]);
		writeFileSync(mounted.at("d/x"), "x");
		expect(readdirSync(tree.join("outside"))).toEqual(["secret"]);
	});

	test.skipIf(lacks("mounting")).each(["tmpfs", "bind"])(
		"is not left by a mount point in it: %s",
		async (kind) => {
			const { tree, request } = setUp([{ "m/hidden": "hidden", "d/x": "x", file: "file" }], error, calls);
			using _ = tree;
			const point = `${request.lower[0]}/m`;
			const elsewhere = tree.layer("elsewhere", { secret: "secret" });
			if (kind === "tmpfs") mount("tmpfs", point, "tmpfs", 0, "");
			else mount(elsewhere, point, "", 4096, "");
			writeFileSync(`${point}/secret`, "secret");
			await using mounted = await mountOverlay(request);
			expect(readdirSync(mounted.path)).toContain("d");
			expect(codeOf(() => readdirSync(mounted.at("m")))).toBe("ENOENT");
			expect(codeOf(() => readFileSync(mounted.at("m/secret")))).toBe("ENOENT");
			expect(readFileSync(mounted.at("file"), "utf8")).toBe("file");
			await mounted.unmount();
			umount(point);
		},
	);

	test("may hold the mount itself: the daemon does not wait for itself", async () => {
		const { tree, request } = setUp([{ "d/m/hidden": "hidden", a: "a" }], error, calls);
		using _ = tree;
		const mountpoint = `${request.lower[0]}/d/m`;
		await using mounted = await mountOverlay({ ...request, mountpoint });
		const found = Bun.spawnSync(["find", ".", "-name", "[ad]"], { cwd: mounted.path, timeout: 10_000 });
		expect(found.stdout.toString().split("\n").sort()).toEqual(["", "./a", "./d"]);
		writeFileSync(mounted.at("a"), "changed");
		expect(readFileSync(mounted.at("a"), "utf8")).toBe("changed");
		await mounted.unmount();
	});

	test("an origin that leads into the mount itself is followed no further", async () => {
		const { tree, request } = setUp([{ "m/hidden": "hidden", f: "f" }], error, calls);
		using _ = tree;
		const origin = { xattrs: { "user.fuseoverlayfs.origin": "m/f" } };
		fillLayer(request.upper ?? "", { g: file("g", origin) });
		setxattr(request.upper ?? "", "user.overlay.impure", "y");
		await using mounted = await mountOverlay({ ...request, mountpoint: `${request.lower[0]}/m` });
		// In another process, which can be ended if the daemon waits for itself.
		const found = Bun.spawnSync(["cat", mounted.at("g")], { cwd: "/", timeout: 10_000 });
		expect(found.stdout.toString()).toBe("g");
		await mounted.unmount();
	});
});
