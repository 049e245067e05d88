/** Makes a release in a fresh root, from a clone of the last commit, with nothing there but what it says it needs. */

import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { projectDirectory } from "../harness/program.ts";
import { inFreshRoot, installing } from "./fresh-root.ts";

/** What must make no difference. */
export interface Circumstances {
	/** Where the clone lies. */
	readonly clone: string;
	readonly umask: string;
	readonly environment: Readonly<Record<string, string>>;
}

function run(command: readonly string[], cwd: string): string {
	const { exitCode, stdout, stderr } = Bun.spawnSync([...command], { cwd });
	if (exitCode !== 0) throw new Error(`${command.join(" ")}: ${stderr}`);
	return stdout.toString().trim();
}

export const npmVersions = ["10", "11"] as const;

/** Puts into the directory what fresh roots cannot get by themselves: the last commit, and npm in each of its versions. */
export function provideTools(directory: string): void {
	run(["git", "bundle", "create", "--quiet", join(directory, "project.bundle"), "HEAD"], projectDirectory);
	for (const version of npmVersions) {
		const place = join(directory, `npm-${version}`);
		mkdirSync(place);
		const archive = run(["npm", "pack", "--silent", `npm@${version}`], place);
		run(["tar", "--strip-components=1", "-xzf", archive], place);
	}
}

/** For a script: puts a version of npm on the PATH. */
export function withNpm(version: (typeof npmVersions)[number]): string {
	return ["npm", "npx"]
		.map(
			(
				name,
			) => `printf '#!/bin/sh\\nexec node /tools/npm-${version}/bin/${name}-cli.js "$@"\\n' >/usr/local/bin/${name}
chmod 755 /usr/local/bin/${name}
`,
		)
		.join("");
}

/** Makes it in the directory `release`, which is empty; returns what SHA256SUMS says. */
export function makeRelease(
	release: string,
	tools: string,
	{ clone, umask, environment }: Circumstances,
): string {
	inFreshRoot(
		{ suite: "trixie", release, tools, environment },
		`${installing("nodejs", "git", "xz-utils")}${withNpm("10")}
umask ${umask}
mkdir -p ${clone}
git clone --quiet /tools/project.bundle ${clone}
cd ${clone}
npm ci --no-audit --no-fund --loglevel=error
npm run release -- /release/made
mv /release/made/* /release
rmdir /release/made`,
	);
	if (!readdirSync(release).includes("SHA256SUMS")) throw new Error("the release has no SHA256SUMS");
	return readFileSync(join(release, "SHA256SUMS"), "utf8");
}
