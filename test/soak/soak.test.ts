/** A short soak; `bun run soak` takes its time. */

import { describe, expect, test } from "bun:test";
import { lacks } from "../harness/setting.ts";
import { soak } from "./soak.ts";

describe.skipIf(lacks("the machine's root"))(
	"after eight processes have worked on it, the daemon holds no more than before",
	() => {
		test.each([[[]], [["passthrough=off"]]])("with options %p", async (options: string[]) => {
			expect(await soak({ rounds: 2, seconds: 2, options })).toEqual([]);
		});
	},
);
