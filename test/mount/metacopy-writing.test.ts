/**
 * Files copied up without their data, with `metacopy=on,redirect_dir=on`: where only what describes them changes, and where
 * they get another name, no byte of them is copied. Their data follows when it is to change, in the file as it is then.
 * (Read: metacopy.test.ts.)
 */

import { describe, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import {
	appendFileSync,
	chmodSync,
	chownSync,
	linkSync,
	lstatSync,
	mkdirSync,
	readdirSync,
	readFileSync,
	readSync,
	renameSync,
	rmSync,
	truncateSync,
	unlinkSync,
	utimesSync,
	writeFileSync,
	writeSync,
} from "node:fs";
import { open } from "../harness/descriptor.ts";
import { type Description, file, sparseFile } from "../harness/layers.ts";
import { blocksIn, changeAround, inKernel, lacksData, large, lower, mark } from "../harness/metacopies.ts";
import { codeOf, getxattr, listxattr, RENAME_EXCHANGE, renameat2, setxattr } from "../harness/native.ts";
import { mountLayers } from "../harness/overlay.ts";
import { isKernel } from "../harness/program.ts";
import { numbersIn } from "../harness/redirects.ts";
import { lacks, overlayAttributes } from "../harness/setting.ts";
import { differences, snapshot } from "../harness/snapshot.ts";

const on = ["metacopy=on", "redirect_dir=on"];
const redirect = `${overlayAttributes}.overlay.redirect`;
const origin = `${overlayAttributes}.overlay.origin`;

/** What a layer says of its objects: whose data lies below, and where; and of files where they come from. */
function marksIn(layer: string): string[] {
	return readdirSync(layer, { recursive: true, encoding: "utf8" })
		.sort()
		.flatMap((path) => {
			const at = `${layer}/${path}`;
			const stat = lstatSync(at);
			const names = listxattr(at).filter(
				(name) => name === mark || name === redirect || (name === origin && stat.isFile()),
			);
			const data = stat.isFile() ? [`${path} has ${stat.size} bytes in ${lacksData(at) ? "no" : "some"} blocks`] : [];
			return [...data, ...names.sort().map((name) => `${path} ${name}=${getxattr(at, name).toString("hex")}`)];
		});
}

describe.skipIf(isKernel)("with metacopy=on", () => {
	test("what a file's data is not needed for leaves it below, for later mounts, too", async () => {
		await using overlay = await mountLayers([lower], { options: on });
		const blocks = blocksIn(overlay.path);
		changeAround(overlay.path);
		for (const name of ["program", "owned", "timed", "marked", "other", "away", "e/inner", "second", "large"])
			expect(lacksData(overlay.inUpper(name))).toBe(true);
		expect(lacksData(overlay.inUpper("made/deep"))).toBe(true);
		// There is nothing to leave.
		expect(lacksData(overlay.inUpper("empty"))).toBe(false);
		expect(lstatSync(overlay.inUpper("linked")).nlink).toBe(2);
		expect(lstatSync(overlay.inUpper("large")).blocks).toBeLessThan(16);
		expect(listxattr(overlay.at("other"))).toEqual([]);
		expect(execFileSync(overlay.at("program"), { encoding: "utf8" })).toBe("run\n");
		const sum = (lines: readonly string[]) => lines.map((line) => Number(line.split(" ")[1])).sort();
		// Under other names the same, but for the further one.
		expect(sum(blocksIn(overlay.path).filter((line) => !line.startsWith("/second")))).toEqual(sum(blocks));
		const look = () => [snapshot(overlay.path), numbersIn(overlay.path), blocksIn(overlay.path)];
		const seen = look();
		for (const options of [on, [...on, "timeout=0"], [...on, "passthrough=off"], [...on, "passthrough=on"]]) {
			await overlay.remount({ options });
			expect(look()).toEqual(seen);
		}
	});

	test.skipIf(lacks("trusted attributes"))("the kernel shows the same, and would leave the same marks", async () => {
		const names = { "h/one": "several", "h/deep/x": "x", "h/deep/y": "y", "h/deep/z": "z", "h/w": "w" };
		await using overlay = await mountLayers([{ ...lower, ...names }], { options: on });
		linkSync(`${overlay.layers.lower[0]}/h/one`, `${overlay.layers.lower[0]}/h/two`);
		const change = (root: string) => {
			changeAround(root);
			// Several names below: each is copied by itself, and never marked by a name.
			renameSync(`${root}/h/one`, `${root}/h/three`);
			chmodSync(`${root}/h/two`, 0o600);
			linkSync(`${root}/h/two`, `${root}/h/four`);
			renameSync(`${root}/h/four`, `${root}/h/five`);
			// By a name, by a path, and back.
			renameSync(`${root}/h/deep/x`, `${root}/h/deep/xx`);
			renameSync(`${root}/h/deep`, `${root}/h/moved`);
			renameSync(`${root}/h/moved/xx`, `${root}/x`);
			renameSync(`${root}/x`, `${root}/h/moved/x`);
			renameSync(`${root}/h/moved/y`, `${root}/h/moved/yy`);
			renameSync(`${root}/h/moved/yy`, `${root}/h/moved/y`);
			renameat2(`${root}/h/w`, `${root}/h/moved/z`, RENAME_EXCHANGE);
			renameSync(`${root}/plain`, `${root}/h/moved/z`);
		};
		change(overlay.path);
		const look = (root: string) => [snapshot(root), numbersIn(root), blocksIn(root)];
		const seen = look(overlay.path);
		await overlay.unmount();
		const { mountpoint } = overlay.layers;
		expect(inKernel(overlay.layers, () => look(mountpoint))).toEqual(seen);
		const upper = overlay.tree.layer("kernelsUpper");
		inKernel({ ...overlay.layers, upper, work: overlay.tree.layer("kernelsWork") }, () => change(mountpoint));
		expect(marksIn(overlay.layers.upper)).toEqual(marksIn(upper));
	});
});
