import { describe, expect, it } from "bun:test";
import {
	addKernelOption,
	defaultKernelOptions,
	isKernelOption,
	sessionArgument,
	sessionOptions,
} from "../../src/cli/kernel-options.ts";
import type { KernelOption, MountOptions } from "../../src/options.ts";
import { bytes } from "./bytes.ts";

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

describe("sessionOptions", () => {
	const writable: Pick<MountOptions, "kernelOptions" | "readOnly" | "upperDirectory" | "context"> = {
		kernelOptions: [],
		readOnly: false,
		upperDirectory: bytes("upper"),
		context: undefined,
	};

	it.each<[string, Partial<typeof writable>, string[]]>([
		["nothing", {}, []],
		["the defaults", { kernelOptions: defaultKernelOptions(true) }, [...defaultKernelOptions(true)]],
		["read-only", { readOnly: true }, ["ro"]],
		["no upper", { upperDirectory: undefined }, ["ro"]],
		["both, once", { upperDirectory: undefined, readOnly: true }, ["ro"]],
		["a context", { context: bytes("u:r:t:s0:c1,c2") }, ['context="u:r:t:s0:c1,c2"']],
		[
			"what every libfuse knows",
			{
				kernelOptions: [
					"allow_root",
					"allow_other",
					"default_permissions",
					"nosuid",
					"nodev",
					"noexec",
					"noatime",
				],
			},
			["allow_root", "allow_other", "default_permissions", "nosuid", "nodev", "noexec", "noatime"],
		],
		[
			"what some or all of them do not know",
			{
				kernelOptions: [
					"atime",
					"diratime",
					"nodiratime",
					"splice_read",
					"splice_write",
					"splice_move",
					"kernel_cache",
				],
			},
			[],
		],
	])("with %s", (_, options, expected) => {
		expect(sessionOptions({ ...writable, ...options }, { context: true })).toEqual(
			[...expected, "subtype=fuse-overlayfs"].map(bytes),
		);
	});

	it("leaves out a context that will not be taken", () => {
		const options = sessionOptions({ ...writable, context: bytes("u:r:t:s0") }, { context: false });
		expect(options).toEqual([bytes("subtype=fuse-overlayfs")]);
	});
});

it("escapes what libfuse would split or resolve", () => {
	const argument = sessionArgument([bytes("ro"), bytes('context="a,b"'), bytes("x=\\")]);
	expect(argument).toBe(bytes(String.raw`ro,context="a\,b",x=\\`));
});
