/** What random layers look like for the fuzzer: users find directories they may and may not change. */

import { type Entry, file, sparseFile } from "../harness/layers.ts";
import { setting } from "../harness/setting.ts";
import type { LayerStyle, Random } from "../overlay/core/random-layers.ts";
import { oneOf } from "../overlay/random.ts";
import { ids } from "./identities.ts";
import { pastTime } from "./operation.ts";
import type { Variant } from "./variant.ts";

const plainStyle: LayerStyle = {
	uids: ids.uids,
	gids: ids.gids,
	fileModes: [0o644, 0o666, 0o755, 0o600, 0o4755, 0o2755, 0o666, 0o444],
	directoryModes: [0o755, 0o777, 0o777, 0o1777, 0o2777, 0o2775, 0o700],
	time: (random) => pastTime(random(1000)),
	file(random, path, attributes) {
		const kind = random(20);
		if (kind === 0) return sparseFile(300_000, { 0: path, 100000: "data", 299000: "end" }, attributes);
		if (kind === 1) return file(Buffer.alloc(1_200_000, path), attributes);
		if (kind < 4) return file(Buffer.alloc(oneOf(random, [4095, 4096, 4097, 20_000]), path), attributes);
		if (kind === 4) return file("", attributes);
		return file(`${path} ${random(1000)}`, attributes);
	},
};

/** What ext4 takes at most; a tmpfs takes all that a number can be. */
const sizes = [2n ** 31n - 1n, 2n ** 31n + 1n, 2n ** 32n + 1n, 2n ** 44n - 4096n];
const sizesOnTmpfs = [...sizes, 2n ** 53n + 3n, 2n ** 63n - 1n];

/** Rights that the owner lacks, too; files of immense size. What cannot be read below cannot be copied up by users. */
function oddStyle({ onTmpfs = false }: Variant): LayerStyle {
	const unreadable = setting === "fusermount" ? [] : [0, 0o200];
	return {
		...plainStyle,
		fileModes: [...plainStyle.fileModes, 0o444, 0o400, 0o555, ...unreadable],
		directoryModes: [...plainStyle.directoryModes, 0o555, 0o500, ...(setting === "fusermount" ? [] : [0])],
		file(random: Random, path, attributes): Entry {
			if (random(10) > 0) return plainStyle.file(random, path, attributes);
			const size = oneOf(random, onTmpfs ? sizesOnTmpfs : sizes);
			return sparseFile(size, { 0: path, [String(size - 5n)]: "end" }, attributes);
		},
	};
}

export function styleOf(variant: Variant): LayerStyle {
	if (variant.oddLayers) return oddStyle(variant);
	return variant.usersMarks ? { ...plainStyle, opaque: "user" } : plainStyle;
}
