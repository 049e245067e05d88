import { describe, expect, it } from "bun:test";
import { defaultKernelOptions } from "../../src/cli/kernel-options.ts";
import { sessionArgument, sessionOptions } from "../../src/fuse/session-options.ts";
import type { MountOptions } from "../../src/options.ts";
import { bytes } from "../cli/bytes.ts";

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
		const given = expected.includes("default_permissions") ? expected : ["default_permissions", ...expected];
		expect(sessionOptions({ ...writable, ...options }, { context: true })).toEqual(
			[...given, "subtype=fuse-overlayfs"].map(bytes),
		);
	});

	it("leaves out a context that will not be taken", () => {
		const options = sessionOptions({ ...writable, context: bytes("u:r:t:s0") }, { context: false });
		expect(options).toEqual([bytes("default_permissions"), bytes("subtype=fuse-overlayfs")]);
	});
});

it("escapes what libfuse would split or resolve", () => {
	const argument = sessionArgument([bytes("ro"), bytes('context="a,b"'), bytes("x=\\")]);
	expect(argument).toBe(bytes(String.raw`ro,context="a\,b",x=\\`));
});
