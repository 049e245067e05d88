/** What random layers look like for the fuzzer: users find directories they may and may not change. */

import { file, sparseFile } from "../harness/layers.ts";
import type { LayerStyle } from "../overlay/core/random-layers.ts";
import { oneOf } from "../overlay/random.ts";
import { pastTime } from "./operation.ts";

export const fuzzStyle: LayerStyle = {
	fileModes: [0o644, 0o666, 0o755, 0o600, 0o4755, 0o2755, 0o666, 0o444],
	directoryModes: [0o755, 0o777, 0o777, 0o1777, 0o2777, 0o2775, 0o700],
	uids: [0, 0, 1000, 1001],
	gids: [0, 0, 50, 1000],
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
