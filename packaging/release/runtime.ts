/** Bun for each platform, from the npm registry or npm's cache, as package-lock.json pins it. */
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Platform } from "../executable.ts";
import { pinned } from "../inventory/parts.ts";
import { run } from "./run.ts";

const packages: Readonly<Record<Platform, string>> = {
	x64: "@oven/bun-linux-x64",
	arm64: "@oven/bun-linux-aarch64",
	"x64-musl": "@oven/bun-linux-x64-musl",
	"arm64-musl": "@oven/bun-linux-aarch64-musl",
};

/** Unpacks Bun below `directory`; returns its path. Throws if it is not what the lock file pins. */
export function fetchRuntime(platform: Platform, directory: string): string {
	const name = packages[platform];
	const { version, integrity } = pinned(name);
	const place = join(directory, platform);
	mkdirSync(place, { recursive: true });
	const packed = JSON.parse(
		run(["npm", "pack", "--json", "--prefer-offline", "--pack-destination", place, `${name}@${version}`]),
	) as [{ filename: string }];
	const archive = join(place, packed[0].filename);
	const hash = `sha512-${createHash("sha512").update(readFileSync(archive)).digest("base64")}`;
	if (hash !== integrity) throw new Error(`${name}@${version} is not what package-lock.json pins: ${hash}`);
	run(["tar", "-C", place, "-xzf", archive]);
	return join(place, "package/bin/bun");
}
