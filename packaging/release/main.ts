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
import { makeExecutable, type Processor } from "../executable.ts";
import { manifest } from "../inventory/parts.ts";
import { billOfMaterials } from "../inventory/sbom.ts";
import { packNpm } from "./npm.ts";
import { run } from "./run.ts";
import { fetchRuntime } from "./runtime.ts";
import { packTarball } from "./tarball.ts";
import { commonFiles, layOut, project, type Source } from "./tree.ts";

const processors: readonly Processor[] = ["x64", "arm64"];

/** In seconds since 1970. */
function timeOfCommit(): number {
	const chosen = process.env.SOURCE_DATE_EPOCH;
	return Number(chosen || run(["git", "log", "-1", "--format=%ct"], { cwd: project }));
}

function makeFor(processor: Processor, scratch: string, output: string, made: number): void {
	const { name, version } = manifest;
	console.log(`${processor}: the binary`);
	const binary = join(scratch, `${processor}-${name}`);
	makeExecutable(processor, fetchRuntime(processor, scratch), binary);
	console.log(`${processor}: tarball and Debian package`);
	const title = `${name}-${version}-linux-${processor}`;
	const directory = join(scratch, title);
	layOut(directory, new Map<string, Source>([...commonFiles(), [`bin/${name}`, { path: binary }]]));
	packTarball(directory, join(output, `${title}.tar.xz`), made);
	const archive = `${packageName}_${version}_${architectures[processor]}.deb`;
	packDebian(processor, binary, join(scratch, `debian-${processor}`), join(output, archive), made);
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
	for (const processor of processors) makeFor(processor, scratch, output, made);
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
