/**
 * `bun test/suites/fsck-overlay.ts FSCK`: has another project's fsck.overlay, at the path FSCK, look at upper layers that this
 * program and the kernel wrote by the same changes at random: whatever it finds in ours it finds in the kernel's, too.
 */

import { type Layers, temporaryTree } from "../harness/layers.ts";
import { mountKernelOverlay, mountOverlay } from "../harness/mount.ts";
import { changeAtRandom } from "../harness/random-changes.ts";
import { randomLayers } from "../overlay/core/random-layers.ts";
import { randomNumbers } from "../overlay/random.ts";

const settings = [
	["redirect_dir=off"],
	["index=on"],
	["redirect_dir=on"],
	["redirect_dir=on", "index=on"],
	["redirect_dir=on", "metacopy=on"],
	["redirect_dir=on", "metacopy=on", "index=on"],
];
const seeds = 25;
const changes = 60;

const [fsck] = Bun.argv.slice(2);
if (fsck === undefined) throw new Error("which fsck.overlay? Give its path");

/** What it says of the layers; empty: all is well. */
function complaints({ lower, upper, work }: Layers): string {
	const options = `lowerdir=${lower.join(":")},upperdir=${upper},workdir=${work}`;
	const { exitCode, stdout, stderr } = Bun.spawnSync([fsck!, "-n", "-o", options]);
	return exitCode === 0 ? "" : `exit code ${exitCode}: ${stdout}${stderr}`;
}

type Change = (root: string) => void;
const writers: readonly ((layers: Layers, options: readonly string[], change: Change) => Promise<void>)[] = [
	async (layers, options, change) => {
		await using mounted = await mountOverlay({ ...layers, options });
		change(mounted.path);
	},
	async (layers, options, change) => {
		using kernels = mountKernelOverlay(layers, ...options);
		change(kernels.path);
	},
];

let [found, alike] = [0, 0];
for (const options of settings) {
	for (let seed = 1; seed <= seeds; seed++) {
		const [ours = "", kernels] = await Promise.all(
			writers.map(async (write) => {
				const random = randomNumbers(seed);
				using tree = temporaryTree();
				const layers = tree.layers(randomLayers(random));
				const moves = options.includes("redirect_dir=on");
				await write(layers, options, (root) => {
					for (let count = 0; count < changes; count++) changeAtRandom(random, root, moves);
				});
				return complaints(layers);
			}),
		);
		if (ours === "") continue;
		found++;
		if (ours === kernels) alike++;
		else console.log(`${options.join()}, seed ${seed}: ${ours}`);
	}
}
console.log(
	`${settings.length * seeds} upper layers: ${found} with complaints, ${alike} as with the kernel's`,
);
process.exitCode = found === alike ? 0 : 1;
