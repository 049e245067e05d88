import { describe, expect, it } from "bun:test";
import { addKernelOption, defaultKernelOptions, isKernelOption } from "../../src/cli/kernel-options.ts";
import type { KernelOption } from "../../src/options.ts";

describe("addKernelOption", () => {
	it.each<[KernelOption[], KernelOption, KernelOption[]]>([
		[[], "dev", ["dev"]],
		[["dev"], "suid", ["dev", "suid"]],
		[["dev", "suid"], "dev", ["suid", "dev"]],
		[["suid", "dev"], "nosuid", ["dev", "nosuid"]],
		[["nosuid"], "suid", ["suid"]],
		[["nodev"], "dev", ["dev"]],
		[["exec"], "noexec", ["noexec"]],
		[["noatime"], "atime", ["atime"]],
		[["diratime"], "nodiratime", ["nodiratime"]],
		[["noatime"], "nodiratime", ["noatime", "nodiratime"]],
		[["allow_other"], "allow_root", ["allow_other", "allow_root"]],
	])("%j and %s", (given, option, expected) => {
		expect(addKernelOption(given, option)).toEqual(expected);
	});
});

it.each([
	[true, ["default_permissions", "allow_other", "suid", "noatime"]],
	[false, ["default_permissions", "noatime"]],
])("default kernel options, root: %p", (root, expected) => {
	expect(defaultKernelOptions(root)).toEqual(expected as KernelOption[]);
});

it.each(["ro", "rw", "max_write", "max_write=1", "dirsync", "toString", "__proto__", ""])(
	"%j is no kernel option",
	(name) => {
		expect(isKernelOption(name)).toBe(false);
	},
);
