/** What a reader meets first: links that lead somewhere, in the package too, a short README, a manual page that is up to date. */

import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import manifest from "../package.json" with { type: "json" };
import { projectDirectory } from "./harness/program.ts";

const source = "docs/fuse-overlayfs.1.md";

function read(path: string): string {
	return readFileSync(join(projectDirectory, path), "utf8");
}

/** The paths of what `npm pack` packs. */
function packed(): string[] {
	const command = ["npm", "pack", "--dry-run", "--json", "--ignore-scripts"];
	const { stdout } = Bun.spawnSync(command, { cwd: projectDirectory, stderr: "ignore" });
	const [{ files }] = JSON.parse(stdout.toString()) as [{ files: { path: string }[] }];
	return files.map(({ path }) => path);
}

/** The files and folders that a page links to, relative to the project. */
function linksOf(page: string): string[] {
	const links = [...read(page).matchAll(/\]\(([^)#\s]+)[^)]*\)/g)].map(([, target = ""]) => target);
	return links.filter((link) => !/^[a-z]+:/.test(link)).map((link) => normalize(join(dirname(page), link)));
}

describe("the package", () => {
	const paths = packed();
	const pages = paths.filter((path) => path.endsWith(".md"));

	test("has README, changes, security, and how to contribute", () => {
		expect(paths).toEqual(
			expect.arrayContaining(["README.md", "CHANGELOG.md", "SECURITY.md", "CONTRIBUTING.md", "LICENSE"]),
		);
	});

	test.each(pages)("no link in %s leads nowhere", (page) => {
		const isThere = (link: string) => paths.some((path) => path === link || path.startsWith(`${link}/`));
		expect(linksOf(page).filter((link) => !isThere(link))).toEqual([]);
	});

	test("has what it says that it has", () => {
		expect([manifest.man, manifest.bin["fuse-overlayfs"]].filter((path) => !paths.includes(path))).toEqual(
			[],
		);
	});
});

test("README.md is read in five minutes", () => {
	expect(read("README.md").split("\n").length - 1).toBeLessThanOrEqual(150);
});

/** Its words: versions of the tool differ in spacing and in how a font is chosen. */
function wordsOf(page: string): string[] {
	return page
		.replace(/\\f[A-Z]|\\&|\\~|^\.\S+|^'.*$/gm, " ")
		.split(/\s+/)
		.filter((word) => word !== "");
}

test.skipIf(Bun.which("go-md2man") === null)("the manual page is what its source says", () => {
	const { stdout } = Bun.spawnSync(["go-md2man"], { stdin: Buffer.from(read(source)) });
	// If it is not: `npm run man`.
	expect(existsSync(join(projectDirectory, manifest.man))).toBeTrue();
	expect(wordsOf(read(manifest.man))).toEqual(wordsOf(stdout.toString()));
});
