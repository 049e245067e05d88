/** What a release holds beside the binary: the same each time, complete, and of what is really in it. */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { copyFileSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import manifest from "../../package.json" with { type: "json" };
import { packDebian } from "../../packaging/debian/package.ts";
import { licenceNames, licenceText } from "../../packaging/inventory/licences.ts";
import { whole } from "../../packaging/inventory/parts.ts";
import { billOfMaterials } from "../../packaging/inventory/sbom.ts";
import { packNpm } from "../../packaging/release/npm.ts";
import { packTarball } from "../../packaging/release/tarball.ts";
import { commonFiles, layOut } from "../../packaging/release/tree.ts";
import { type TemporaryTree, temporaryTree } from "../harness/layers.ts";
import { projectDirectory } from "../harness/program.ts";

const made = 1_790_000_000;
let tree: TemporaryTree;
beforeAll(() => {
	tree = temporaryTree();
	// A program that is quick to pack; build.test.ts has the one that is released.
	copyFileSync("/bin/true", tree.join("program"));
});
afterAll(() => tree[Symbol.dispose]());

function output(...command: string[]): string {
	return Bun.spawnSync(command).stdout.toString();
}

/** Packed once more, in another directory. */
function tarball(turn: string): string {
	const directory = tree.join(`${turn}/fuse-overlayfs`);
	layOut(directory, new Map([...commonFiles(), ["bin/fuse-overlayfs", { path: tree.join("program") }]]));
	packTarball(directory, tree.join(`${turn}.tar.xz`), made);
	return tree.join(`${turn}.tar.xz`);
}

function debian(turn: string): string {
	const archive = tree.join(`${turn}.deb`);
	packDebian("x64", tree.join("program"), tree.join(`${turn}-tree`), archive, made);
	return archive;
}

describe("the tarball", () => {
	test("is the same each time", () => {
		expect(readFileSync(tarball("one")).equals(readFileSync(tarball("two")))).toBe(true);
	});

	test("has program, manual page, completions, documentation and licences", () => {
		const names = output("tar", "-tJf", tarball("three")).split("\n");
		for (const place of [
			"bin/fuse-overlayfs",
			"share/man/man1/fuse-overlayfs.1",
			"share/bash-completion/completions/fuse-overlayfs",
			"share/zsh/site-functions/_fuse-overlayfs",
			"share/fish/vendor_completions.d/fuse-overlayfs.fish",
			"share/doc/fuse-overlayfs/README.md",
			"share/doc/fuse-overlayfs/LICENCES",
		])
			expect(names).toContain(`fuse-overlayfs/${place}`);
	});

	test("belongs to root, whoever packs it, and only the program is executable", () => {
		const lines = output("tar", "-tvJf", tarball("four")).trim().split("\n");
		expect(lines.filter((line) => !line.includes(" 0/0 "))).toEqual([]);
		const executable = lines.filter((line) => /^-..x/.test(line));
		expect(executable.map((line) => line.split(" ").at(-1))).toEqual(["fuse-overlayfs/bin/fuse-overlayfs"]);
	});
});

describe.skipIf(Bun.which("dpkg-deb") === null)("the Debian package", () => {
	test("is the same each time", () => {
		expect(readFileSync(debian("one")).equals(readFileSync(debian("two")))).toBe(true);
	});

	test("takes the place of Debian's, for podman too", () => {
		const control = output("dpkg-deb", "--info", debian("three"), "control");
		expect(control).toMatch(/^Conflicts: fuse-overlayfs$/m);
		expect(control).toMatch(/^Replaces: fuse-overlayfs$/m);
		const [, provided = ""] = /^Provides: fuse-overlayfs \(= (.*)\)$/m.exec(control) ?? [];
		// What Debian's podman recommends.
		expect(Bun.spawnSync(["dpkg", "--compare-versions", provided, "ge", "1.0.0~"]).exitCode).toBe(0);
	});

	test.skipIf(Bun.which("lintian") === null)("passes lintian", () => {
		const { stdout } = Bun.spawnSync(["lintian", "--fail-on", "error", debian("four")]);
		expect(stdout.toString()).not.toMatch(/^E:/m);
	});
});

test("the npm package's files are all's to read, and its programs to run, whatever the checkout's are", () => {
	mkdirSync(tree.join("npm"));
	packNpm(tree.join("npm-copy"), tree.join("npm"));
	const lines = output("tar", "-tvzf", tree.join(`npm/${manifest.name}-${manifest.version}.tgz`))
		.trim()
		.split("\n");
	expect(lines.filter((line) => !/^-rw-r--r--|^-rwxr-xr-x/.test(line))).toEqual([]);
	expect(lines.filter((line) => line.endsWith("package/src/fuse-overlayfs"))[0]).toStartWith("-rwxr-xr-x");
});

describe("licences and bill of materials", () => {
	const parts = [whole()].flatMap(function all(part): (typeof part)[] {
		return [part, ...(part.parts ?? []).flatMap(all)];
	});

	test.each(parts.map((part) => [part.name, part] as const))(
		"%s is named, with the text",
		(name, { licence, copyright }) => {
			const text = licenceText();
			expect(text).toContain(`${copyright}\n    ${licence}`);
			expect(text).toContain(name);
			for (const each of licenceNames(licence)) expect(text).toContain(`(${each})\n`);
		},
	);

	test("name all packages that the program needs, in the versions that are installed", () => {
		const bundled = (whole().parts ?? []).map(({ name, version }) => [name, version]);
		expect(Object.fromEntries(bundled)).toEqual(manifest.dependencies);
	});

	test("the bill is valid and the same each time", async () => {
		const bill = await billOfMaterials(new Date(made * 1000));
		expect(await billOfMaterials(new Date(made * 1000))).toBe(bill);
		expect(JSON.parse(bill)).toMatchObject({ bomFormat: "CycloneDX", specVersion: "1.6" });
	});
});

test("the container takes the package and the settings that lie beside it in a release", () => {
	const containerfile = readFileSync(join(projectDirectory, "packaging/container/Containerfile"), "utf8");
	expect(containerfile).toContain("COPY fuse-overlayfs-bun_*.deb");
	expect(containerfile).toContain("COPY storage.conf");
});
