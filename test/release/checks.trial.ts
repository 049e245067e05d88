/** What is said of the release: its checksums, and its bill of materials. */

import { expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { Spec, Validation } from "@cyclonedx/cyclonedx-library";
import manifest from "../../package.json" with { type: "json" };
import { fileOf, release } from "./release.ts";

test("SHA256SUMS names every file, and is right", () => {
	const sums = Bun.spawnSync(["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], { cwd: release });
	expect(sums.stdout.toString() + sums.stderr.toString()).toBe("");
	expect(sums.exitCode).toBe(0);
	const named = readFileSync(fileOf("SHA256SUMS"), "utf8")
		.trimEnd()
		.split("\n")
		.map((line) => line.split("  ")[1]);
	expect(named).toEqual(
		readdirSync(release)
			.filter((name) => name !== "SHA256SUMS")
			.sort(),
	);
});

test("the bill of materials is valid CycloneDX 1.6, and names what package.json depends on", async () => {
	const bill = readFileSync(fileOf(".cdx.json"), "utf8");
	const problem = await new Validation.JsonStrictValidator(Spec.Version.v1dot6).validate(bill);
	expect(problem).toBeNull();
	const { components } = JSON.parse(bill) as { components: { name: string; version: string }[] };
	const named = Object.fromEntries(components.map(({ name, version }) => [name, version]));
	expect(named).toMatchObject(manifest.dependencies);
});
