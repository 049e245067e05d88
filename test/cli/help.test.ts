import { describe, expect, it } from "bun:test";
import { renderHelp, versionLines } from "../../src/cli/help.ts";
import { defaultKernelOptions } from "../../src/cli/kernel-options.ts";
import { mountOptions } from "../../src/cli/mount-options.ts";
import { parseCommandLine } from "../../src/cli/parse.ts";
import { bytes } from "./bytes.ts";

const help = await renderHelp();

describe("renderHelp", () => {
	it("is plain text that fits a terminal", () => {
		expect(help).not.toMatch(/[^\n\x20-\x7e]/);
		expect(help).not.toMatch(/ \n|\n\n\n|^\s|\s$/);
		for (const line of help.split("\n")) expect(line.length).toBeLessThanOrEqual(102);
	});

	it("begins with what the program is and how it is called", () => {
		expect(help).toMatch(
			/^Merge directory trees .*\(fuse-overlayfs v\d+\.\d+\.\d+\)\n\nUSAGE fuse-overlayfs \[/,
		);
	});

	it.each(["-f, --foreground", "-d, --debug", "-o, --options", "-h, --help", "-V, --version"])(
		"has the switch %s",
		(name) => {
			expect(help).toContain(name);
		},
	);

	it.each([...mountOptions].filter(([name]) => name !== "debug"))("has the option %s", (name, { value }) => {
		expect(help).toContain(value === undefined ? name : `${name}=${value}`);
	});

	it.each([
		...["ro", "rw", "allow_root", "dev", "nodev", "exec", "noexec", "nosuid", "atime", "diratime"],
		...["nodiratime", "splice_write", "splice_read", "splice_move", "kernel_cache"],
		...defaultKernelOptions(true),
		"FUSE_OVERLAYFS_DISABLE_OVL_WHITEOUT",
		"FUSE_OVERLAYFS_DEBUG_LOG",
		"FUSE_OVERLAYFS_NO_PASSTHROUGH",
	])("has %s", (name) => {
		expect(help).toMatch(new RegExp(`\\b${name}\\b`));
	});

	it("has examples that are right", () => {
		const examples = help.match(/^ {4}fuse-overlayfs .*$/gm)!;
		expect(examples).toHaveLength(2);
		for (const example of examples) {
			const args = example.trim().split(" ").slice(1).map(bytes);
			expect(parseCommandLine(args, { root: false })).toMatchObject({ kind: "mount", warnings: [] });
		}
	});
});

describe("versionLines", () => {
	const versions = { version: "1.2.3", fusermount: "3.14.0", library: "3.18.2", protocol: "7.45" };
	const others = [
		"fuse-overlayfs: version 1.2.3",
		"FUSE library version 3.18.2",
		"using FUSE kernel interface version 7.45",
	];

	it("prints the lines of the C program", () => {
		expect(versionLines(versions).split("\n")).toEqual(["fusermount3 version: 3.14.0", ...others]);
	});

	it("leaves out a fusermount3 that is not there", () => {
		expect(versionLines({ ...versions, fusermount: undefined }).split("\n")).toEqual(others);
	});
});
