/** That a machine boots and the demo passes in it; where qemu, or what it boots, is not here, nothing is fetched for that. */

import { expect, test } from "bun:test";
import { projectDirectory } from "../harness/program.ts";
import { machines } from "./machines.ts";
import { emulators } from "./qemu.ts";
import { isMade } from "./system.ts";

/** The oldest of all that is promised. */
const machine = machines.find(({ name }) => name === "debian-11")!;
const isHere = Bun.which(emulators[machine.processor].program) !== null && isMade(machine);

test.skipIf(!isHere || process.getuid?.() !== 0)(
	"the demo passes with the oldest kernel, C library and libfuse",
	() => {
		const args = ["test/machines/run.ts", machine.name, "--mode", "root", "docs/demo.ts"];
		const { exitCode, stdout, stderr } = Bun.spawnSync([process.execPath, ...args], {
			cwd: projectDirectory,
		});
		expect(exitCode, `${stdout}${stderr}`).toBe(0);
		expect(stdout.toString()).toMatch(/^docs\/demo\.ts +1 passed, 0 failed$/m);
	},
	900_000,
);
