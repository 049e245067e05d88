/**
 * The files that kernel overlayfs leaves without their data with `metacopy=on`. They are refused and reported, as the kernel
 * does where it is not to follow them: never zeros. (Renamed directories: redirect.test.ts.)
 */

import { describe, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import {
	appendFileSync,
	chmodSync,
	closeSync,
	linkSync,
	lstatSync,
	mkdirSync,
	openSync,
	readdirSync,
	readFileSync,
	renameSync,
	truncateSync,
	unlinkSync,
} from "node:fs";
import { type Description, file, sparseFile, temporaryTree } from "../harness/layers.ts";
import { layerOptions, type MountRequest, mountOverlay, type OverlayMount } from "../harness/mount.ts";
import { codeOf, mount, RENAME_EXCHANGE, renameat2, setxattr, umount } from "../harness/native.ts";
import { mountLayers } from "../harness/overlay.ts";
import { isKernel } from "../harness/program.ts";
import { lacks } from "../harness/setting.ts";

const lower: Description = {
	program: file("#!/bin/sh\necho run\n", { mode: 0o755 }),
	plain: "plain",
};

/** Has the kernel change a mode without the content: `program` is left so in the upper layer. */
function writeByKernel(request: MountRequest): void {
	const options = `metacopy=on,redirect_dir=on,${layerOptions(request)}`;
	mount("overlay", request.mountpoint, "overlay", 0, options);
	try {
		chmodSync(`${request.mountpoint}/program`, 0o750);
	} finally {
		umount(request.mountpoint);
	}
	// Otherwise nothing is proved.
	expect(readFileSync(`${request.upper}/program`)).toEqual(Buffer.alloc(19));
}

/** Every operation that a user may try on one of them. */
function tryAll({ path }: OverlayMount): Record<string, string | undefined> {
	const [it, other] = [`${path}/program`, `${path}/plain`];
	const attempts: Record<string, () => unknown> = {
		stat: () => lstatSync(it),
		read: () => readFileSync(it),
		append: () => appendFileSync(it, "x"),
		truncate: () => truncateSync(it, 0),
		chmod: () => chmodSync(it, 0o700),
		rename: () => renameSync(it, `${path}/elsewhere`),
		exchange: () => renameat2(it, other, RENAME_EXCHANGE),
		replace: () => renameSync(other, it),
		link: () => linkSync(it, `${path}/elsewhere`),
		remove: () => unlinkSync(it),
		run: () => execFileSync(it),
		create: () => closeSync(openSync(it, "wx")),
	};
	return Object.fromEntries(Object.entries(attempts).map(([attempt, action]) => [attempt, codeOf(action)]));
}

const refusedAll = (result: Record<string, string | undefined>) =>
	Object.fromEntries(Object.keys(result).map((attempt) => [attempt, "EPERM"]));

/** What is said of one object: which, in which layer, what it is, and what to do. */
function expectReported(mounted: OverlayMount, layer: string): void {
	const lines = mounted.log.split("\n").filter((line) => line.includes("refused /program:"));
	expect(lines).toHaveLength(1);
	for (const part of [layer, "metacopy=on", "mount the layers with kernel overlayfs"])
		expect(lines[0]).toContain(part);
}

describe.skipIf(lacks("trusted attributes") || isKernel)(
	"what kernel overlayfs left without its content",
	() => {
		/** Where the layer it wrote stands in the mount. */
		const roles: Readonly<Record<string, (layers: MountRequest, spare: string) => MountRequest>> = {
			"in the upper layer": (layers) => layers,
			"in a lower layer": ({ upper = "", lower, work, mountpoint }, spare) => {
				return { lower: [upper, ...lower], upper: spare, work, mountpoint };
			},
			"without an upper layer": ({ upper = "", lower, mountpoint }) => {
				return { lower: [upper, ...lower], mountpoint };
			},
		};

		describe.each(Object.entries(roles))("%s", (_, place) => {
			test("is refused to whatever is tried, stays as it was and is reported", async () => {
				using tree = temporaryTree();
				const layers = tree.layers([lower]);
				writeByKernel(layers);
				const request = place(layers, tree.layer("spare"));
				const writable = request.upper !== undefined;
				await using mounted = await mountOverlay(request);
				expect(readdirSync(mounted.path).sort()).toEqual(["plain", "program"]);
				const result = tryAll(mounted);
				// Of a mount that is read-only the kernel says so before it looks.
				const codes = new Set(Object.values(result).filter((code) => writable || code !== "EROFS"));
				expect({ ...result, codes }).toEqual({ ...result, codes: new Set(["EPERM"]) });
				expectReported(mounted, layers.upper);
				expect(readdirSync(mounted.path).sort()).toEqual(["plain", "program"]);
				await mounted.unmount();
				// The kernel has it all still.
				const options = `metacopy=on,redirect_dir=on,${layerOptions(layers)}`;
				mount("overlay", layers.mountpoint, "overlay", 0, options);
				try {
					expect(readFileSync(`${layers.mountpoint}/program`, "utf8")).toBe("#!/bin/sh\necho run\n");
				} finally {
					umount(layers.mountpoint);
				}
			});
		});

		test("does not keep what is around it from being used", async () => {
			using tree = temporaryTree();
			const layers = tree.layers([lower]);
			writeByKernel(layers);
			await using mounted = await mountOverlay(layers);
			appendFileSync(mounted.at("plain"), " and more");
			mkdirSync(mounted.at("own"));
			renameSync(mounted.at("plain"), mounted.at("own/plain"));
			expect(readFileSync(mounted.at("own/plain"), "utf8")).toBe("plain and more");
		});
	},
);

/** Users may set these, and the kernel reads them with `userxattr`. */
const metacopy = { xattrs: { "user.overlay.metacopy": "" } };

describe.skipIf(isKernel)("a mark of the user namespace", () => {
	test("has the same meaning", async () => {
		await using overlay = await mountLayers([lower], { upper: { program: sparseFile(19, {}, metacopy) } });
		const result = tryAll(overlay.mount);
		expect(result).toEqual(refusedAll(result));
		expectReported(overlay.mount, overlay.layers.upper);
	});

	test("a file whose attributes take blocks is refused when its data is asked for", async () => {
		const { xattrs } = metacopy;
		const large = { xattrs: { ...xattrs, "user.large": "x".repeat(3000) } };
		const upper = { program: file("not its own\n", large), u: file("u") };
		await using overlay = await mountLayers([lower], { upper });
		for (const action of [
			() => readFileSync(overlay.at("program")),
			() => appendFileSync(overlay.at("program"), "x"),
			() => truncateSync(overlay.at("program"), 0),
			() => renameSync(overlay.at("program"), overlay.at("elsewhere")),
			() => renameat2(overlay.at("u"), overlay.at("program"), RENAME_EXCHANGE),
			() => linkSync(overlay.at("program"), overlay.at("elsewhere")),
		])
			expect(codeOf(action)).toBe("EPERM");
		// As before it was mounted.
		expect(readFileSync(overlay.inUpper("program"), "utf8")).toBe("not its own\n");
	});

	test("a thousand of them are reported, but not without end", async () => {
		const names = Array.from({ length: 1000 }, (_, index) => `f${index}`);
		const many = Object.fromEntries(names.map((name) => [name, sparseFile(9, {}, metacopy)]));
		await using overlay = await mountLayers([many]);
		for (const name of [...names, ...names]) expect(codeOf(() => lstatSync(overlay.at(name)))).toBe("EPERM");
		const lines = overlay.mount.log.split("\n").filter((line) => line.includes("refused /"));
		expect(lines).toHaveLength(100);
		expect(lines.at(-1)).toEndWith("further ones are not reported");
	});

	test("set through the mount it is a user's own, and means nothing", async () => {
		await using overlay = await mountLayers([{ a: sparseFile(9, {}) }]);
		setxattr(overlay.at("a"), "user.overlay.metacopy", "");
		await overlay.remount();
		expect(readFileSync(overlay.at("a"))).toEqual(Buffer.alloc(9));
	});
});
