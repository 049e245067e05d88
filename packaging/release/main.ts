/**
 * `npm run release [-- DIRECTORY]`: all files of a release, in dist/release or DIRECTORY. The same commit gives the same bytes
 * with the same tools (tar, xz, dpkg-deb, npm). What has no time of its own has the commit's, or SOURCE_DATE_EPOCH.
 */
import { createHash } from "node:crypto";
import {
	copyFileSync,
	mkdirSync,
	mkdtempSync,
	readdirSync,
	readFileSync,
	rmSync,
	writeFileSync,
} from "node:fs";
import { join, resolve } from "node:path";
import { architectures, packageName, packDebian } from "../debian/package.ts";
import { makeExecutable, type Platform, type Processor } from "../executable.ts";
import { manifest } from "../inventory/parts.ts";
import { billOfMaterials } from "../inventory/sbom.ts";
import { packNpm } from "./npm.ts";
import { run } from "./run.ts";
import { fetchRuntime } from "./runtime.ts";
import { packTarball } from "./tarball.ts";
import { commonFiles, layOut, project, type Source } from "./tree.ts";

/** Those that are tried: see test/release. */
const platforms: readonly Platform[] = ["x64", "arm64", "x64-musl"];

/** Debian's C library is glibc. */
function isProcessor(platform: Platform): platform is Processor {
	return Object.hasOwn(architectures, platform);
}

/** In seconds since 1970. */
function timeOfCommit(): number {
	const chosen = process.env.SOURCE_DATE_EPOCH;
	return Number(chosen || run(["git", "log", "-1", "--format=%ct"], { cwd: project }));
}

function makeFor(platform: Platform, scratch: string, output: string, made: number): void {
	const { name, version } = manifest;
	console.log(`${platform}: the binary`);
	const binary = join(scratch, `${platform}-${name}`);
	makeExecutable(platform, fetchRuntime(platform, scratch), binary);
	console.log(`${platform}: packages`);
	const title = `${name}-${version}-linux-${platform}`;
	const directory = join(scratch, title);
	layOut(directory, new Map<string, Source>([...commonFiles(), [`bin/${name}`, { path: binary }]]));
	packTarball(directory, join(output, `${title}.tar.xz`), made);
	if (!isProcessor(platform)) return;
	const archive = `${packageName}_${version}_${architectures[platform]}.deb`;
	packDebian(platform, binary, join(scratch, `debian-${platform}`), join(output, archive), made);
}

function checksums(output: string): string {
	const hash = (file: string) =>
		createHash("sha256")
			.update(readFileSync(join(output, file)))
			.digest("hex");
	const files = readdirSync(output).sort();
	return files.map((file) => `${hash(file)}  ${file}\n`).join("");
}

const output = resolve(process.argv[2] ?? join(project, "dist/release"));
const made = timeOfCommit();
rmSync(output, { recursive: true, force: true });
mkdirSync(output, { recursive: true });
const scratch = mkdtempSync(join(output, "../.release-"));
try {
	for (const platform of platforms) makeFor(platform, scratch, output, made);
	console.log("npm package, bill of materials, checksums");
	packNpm(join(scratch, "npm"), output);
	writeFileSync(
		join(output, `${manifest.name}-${manifest.version}.cdx.json`),
		await billOfMaterials(new Date(made * 1000)),
	);
	for (const file of ["Containerfile", "storage.conf"])
		copyFileSync(join(project, "packaging/container", file), join(output, file));
	writeFileSync(join(output, "SHA256SUMS"), checksums(output));
} finally {
	rmSync(scratch, { recursive: true });
}
