/**
 * The daemon is killed before each call by which a change of a hard-linked file with `index=on` is made, in turn. The next mount,
 * by this program or by kernel overlayfs, shows the names that were there before or those after, as one file, rightly counted.
 */

import { describe, expect, test } from "bun:test";
import {
	appendFileSync,
	existsSync,
	linkSync,
	lstatSync,
	readdirSync,
	readFileSync,
	renameSync,
	unlinkSync,
} from "node:fs";
import { type Description, hardLink } from "../harness/layers.ts";
import { mountKernelOverlay, mountOverlay } from "../harness/mount.ts";
import { codeOf, RENAME_EXCHANGE, renameat2 } from "../harness/native.ts";
import { mountLayers } from "../harness/overlay.ts";
import { isKernel } from "../harness/program.ts";
import { refusing } from "../harness/refusing.ts";
import { lacks } from "../harness/setting.ts";
import { traced } from "../harness/strace.ts";

const isRefused = lacks("the machine's root") || lacks("trusted attributes");
/** strace may not know by name what came with Linux 6.13. */
const older = refusing("ENOSYS", "getxattrat,setxattrat,listxattrat,removexattrat");
const calls = ["linkat", "renameat2", "unlinkat", "lsetxattr"];
const lower: Description = { a: "lower", b: hardLink("a"), "d/c": hardLink("a"), single: "single" };
const names = ["a", "b", "d/c", "new", "single"];

/** Each name with its content, inode number and link count. */
function look(root: string): string[] {
	const present = names.filter((name) => existsSync(`${root}/${name}`));
	return present.map((name) => {
		const { ino, nlink } = lstatSync(`${root}/${name}`);
		return `${name}: ${readFileSync(`${root}/${name}`, "latin1")} ${ino} ${nlink}`;
	});
}

/** What is done before the daemon is watched, and what under it. */
const changes: Readonly<Record<string, readonly [(root: string) => void, (root: string) => void]>> = {
	"copying up": [() => {}, (root) => appendFileSync(`${root}/b`, "+")],
	"removing a name": [() => {}, (root) => unlinkSync(`${root}/b`)],
	"removing the last name": [
		(root) => {
			for (const name of ["a", "b"]) unlinkSync(`${root}/${name}`);
		},
		(root) => unlinkSync(`${root}/d/c`),
	],
	"renaming a name": [() => {}, (root) => renameSync(`${root}/d/c`, `${root}/new`)],
	"replacing a name": [() => {}, (root) => renameSync(`${root}/single`, `${root}/b`)],
	"exchanging a name": [() => {}, (root) => renameat2(`${root}/single`, `${root}/b`, RENAME_EXCHANGE)],
	"adding a name": [
		(root) => appendFileSync(`${root}/a`, "+"),
		(root) => linkSync(`${root}/d/c`, `${root}/new`),
	],
	"adding a name over a whiteout": [
		(root) => unlinkSync(`${root}/b`),
		(root) => linkSync(`${root}/a`, `${root}/b`),
	],
};

const mounted = () => mountLayers([lower], { options: ["index=on"], program: older });

/** What is seen before and after. */
async function rehearse(prepare: (root: string) => void, change: (root: string) => void) {
	await using overlay = await mounted();
	prepare(overlay.path);
	const before = look(overlay.path);
	change(overlay.path);
	return [unnumbered(before), unnumbered(look(overlay.path))];
}

/** Inode numbers are those of the lower layer, which each trial has for itself. */
const unnumbered = (lines: readonly string[]) => {
	const numbers = [...new Set(lines.map((line) => line.split(" ")[2]))];
	return lines.map((line) =>
		line.replace(/ (\d+) (\d+)$/, (_, ino, nlink) => ` #${numbers.indexOf(ino)} ${nlink}`),
	);
};

describe.skipIf(isKernel || isRefused || Bun.which("strace") === null)(
	"a daemon that is killed while",
	() => {
		test.each(Object.entries(changes))("%s", async (_, [prepare, change]) => {
			const right = await rehearse(prepare, change);
			let kills = 0;
			for (const call of calls) {
				for (let isKilled = true, count = 1; isKilled; count++) {
					await using overlay = await mounted();
					const { layers } = overlay;
					prepare(overlay.path);
					await traced(overlay, [`trace=${call}`, `inject=${call}:signal=KILL:when=${count}`], () => {
						isKilled = codeOf(() => change(overlay.path)) !== undefined;
					});
					// There were no more such calls.
					if (!isKilled) continue;
					kills++;
					await overlay.mount.forget();
					{
						using kernels = mountKernelOverlay(layers, "index=on");
						expect(right).toContainEqual(unnumbered(look(kernels.path)));
					}
					await using next = await mountOverlay({ ...layers, options: ["index=on"] });
					expect(right).toContainEqual(unnumbered(look(next.path)));
					for (const name of names) if (existsSync(next.at(name))) unlinkSync(next.at(name));
					expect(look(next.path)).toEqual([]);
					expect(readdirSync(`${layers.work}/index`)).toEqual([]);
				}
			}
			// Otherwise nothing is proved.
			expect(kills).toBeGreaterThan(0);
		});
	},
);

test.skipIf(isKernel || isRefused || Bun.which("strace") === null).each([
	["a", "lgetxattr"],
	["a", "statx"],
	["a", "open_by_handle_at"],
	["d/c", "lgetxattr"],
	["d/c", "statx"],
	["d/c", "name_to_handle_at"],
])("looking %s up, what %s cannot tell for a moment is not taken for absent", async (name, call) => {
	await using overlay = await mounted();
	appendFileSync(overlay.at("a"), "+");
	const right = look(overlay.path);
	let failures = 0;
	for (let isFailing = true, count = 1; isFailing; count++) {
		await overlay.remount();
		let code: string | undefined;
		const inject = `inject=${call}:error=EIO:when=${count}`;
		const lines = await traced(overlay, [`trace=${call}`, inject], () => {
			code = codeOf(() => lstatSync(overlay.at(name)));
		});
		isFailing = lines.some((line) => line.includes("(INJECTED)"));
		if (isFailing) failures++;
		expect([undefined, "EIO"]).toContain(code);
		expect({ count, seen: look(overlay.path) }).toEqual({ count, seen: right });
	}
	// Otherwise nothing is proved.
	expect(failures).toBeGreaterThan(0);
});
