/**
 * src/native/layout.ts must be what the generator makes of native-headers/, and native-headers/ must agree with the
 * system's headers, for both architectures where a cross compiler is installed (Debian: gcc-aarch64-linux-gnu,
 * libc6-dev-arm64-cross). Nothing is run, only compiled.
 */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { generateLayout, headerNames, readHeaders } from "../../native-headers/generate.ts";
import type { Architecture } from "../../native-headers/parse.ts";
import { claimsOf, loadLayout, refuted, type Versions, versionsOf } from "./probe.ts";

const layoutFile = join(import.meta.dir, "../../src/native/layout.ts");
const compilers: Record<Architecture, string> = {
	x64: "x86_64-linux-gnu-gcc",
	arm64: "aarch64-linux-gnu-gcc",
	[process.arch]: "cc",
};

/** A place where the system's headers must differ from ours. They may not differ anywhere else. */
interface Difference {
	readonly reason: string;
	readonly names: readonly string[];
	readonly expected: (system: Versions) => boolean;
}

function protocol(minor: number, ...names: string[]): Difference {
	const reason = `came with FUSE protocol 7.${minor}`;
	return { reason, names, expected: (system) => system.protocol < minor };
}

function linux(major: number, minor: number, ...names: string[]): Difference {
	const reason = `came with Linux ${major}.${minor}`;
	return { reason, names, expected: (system) => system.linux < major * 1000 + minor };
}

function libfuse(minor: number, ...names: string[]): Difference {
	const reason = `came with libfuse 3.${minor}`;
	return { reason, names, expected: (system) => system.libfuse < 3000 + minor };
}

function always(reason: string, ...names: string[]): Difference {
	return { reason, names, expected: () => true };
}

/** A struct followed by `.*` stands for all that is said of it. */
const differences: readonly Difference[] = [
	protocol(
		38,
		"FUSE_EXPIRE_ONLY",
		"FUSE_HAS_EXPIRE_ONLY",
		"FOPEN_PARALLEL_DIRECT_WRITES",
		"FUSE_MAX_NR_SECCTX",
		"fuse_in_header.total_extlen",
		"fuse_ext_header.*",
		"fuse_notify_inval_entry_out.flags",
	),
	{
		reason: "came with Linux 6.3, in the middle of FUSE protocol 7.38",
		names: ["FUSE_CREATE_SUPP_GROUP", "FUSE_EXT_GROUPS", "fuse_supp_groups.*"],
		expected: (system) => system.protocol < 39 && system.linux < 6003,
	},
	protocol(
		39,
		"FUSE_DIRECT_IO_ALLOW_MMAP",
		"FUSE_STATX",
		"fuse_sx_time.*",
		"fuse_statx.*",
		"fuse_statx_in.*",
		"fuse_statx_out.*",
	),
	protocol(
		40,
		"FUSE_PASSTHROUGH",
		"FUSE_NO_EXPORT_SUPPORT",
		"FUSE_HAS_RESEND",
		"FUSE_NOTIFY_RESEND",
		"FUSE_UNIQUE_RESEND",
		"FOPEN_PASSTHROUGH",
		"FUSE_DEV_IOC_BACKING_OPEN",
		"FUSE_DEV_IOC_BACKING_CLOSE",
		"fuse_init_out.max_stack_depth",
		"fuse_open_out.backing_id",
		"fuse_backing_map.*",
	),
	protocol(41, "FUSE_ALLOW_IDMAP", "FUSE_INVALID_UIDGID"),
	protocol(42, "FUSE_OVER_IO_URING"),
	protocol(43, "FUSE_REQUEST_TIMEOUT", "fuse_init_out.request_timeout"),
	protocol(44, "FUSE_NOTIFY_INC_EPOCH"),
	protocol(
		45,
		"FUSE_COPY_FILE_RANGE_64",
		"FUSE_NOTIFY_PRUNE",
		"FUSE_DEV_IOC_SYNC_INIT",
		"fuse_copy_file_range_out.*",
		"fuse_notify_prune_out.*",
	),
	{
		reason: "the newest protocol we know is 7.45",
		names: ["FUSE_KERNEL_MINOR_VERSION"],
		expected: (system) => system.protocol !== 45,
	},

	linux(6, 9, "FS_IOC_GETFSUUID", "fsuuid2.*"),
	libfuse(
		17,
		"fuse_lowlevel_ops.tmpfile",
		"fuse_conn_info.max_backing_stack_depth",
		"fuse_conn_info.capable_ext",
		"fuse_conn_info.want_ext",
		"fuse_file_info.sizeof",
		"fuse_file_info.backing_id",
		"fuse_file_info.compat_flags",
		"fuse_buf.sizeof",
		"fuse_buf.mem_size",
		"fuse_bufvec.sizeof",
	),
	libfuse(18, "fuse_lowlevel_ops.statx", "fuse_conn_info.request_timeout"),
	{
		reason: "the operations table grows with every version; ours is that of 3.18",
		names: ["fuse_lowlevel_ops.sizeof"],
		expected: (system) => system.libfuse !== 3018,
	},
	{
		reason: "is a macro since libfuse 3.17; the function is still exported",
		names: ["fuse_session_new()"],
		expected: (system) => system.libfuse >= 3017,
	},
	{
		reason: "takes a const session since libfuse 3.19",
		names: ["fuse_session_fd()", "fuse_remove_signal_handlers()"],
		expected: (system) => system.libfuse >= 3019,
	},
	always("takes an enum of its own for the int that it is", "getrlimit()", "setrlimit()"),
	always(
		"stands for bit-fields, which have no offset",
		"fuse_conn_info.flag_bits",
		"fuse_file_info.flag_bits",
	),

	linux(6, 5, "AT_HANDLE_FID"),
	linux(6, 6, "SYS_fchmodat2"),
	linux(6, 8, "STATX_MNT_ID_UNIQUE"),
	linux(6, 13, "SYS_setxattrat", "SYS_getxattrat", "SYS_listxattrat", "SYS_removexattrat", "xattr_args.*"),

	always("libc's counterpart has a d_name of fixed length", "linux_dirent64.sizeof"),
];

/** What we say of the difference in a claim, if we expect one from some system. */
function differenceOf(claim: string): Difference | undefined {
	const struct = claim.replace(/\..*/, ".*");
	return differences.find(({ names }) => names.includes(claim) || names.includes(struct));
}

describe("layout.ts", () => {
	test("is what the generator makes of the headers", () => {
		expect(readFileSync(layoutFile, "utf8")).toBe(generateLayout());
	});
});

describe.each(["x64", "arm64"] as const)("headers for %s", (architecture) => {
	const compiler = compilers[architecture];
	const missing = Bun.which(compiler) === null;

	test.skipIf(missing).each(headerNames)("%s agrees with the system", async (name) => {
		const header = readHeaders(architecture).get(name)!;
		const claims = claimsOf(header, await loadLayout(readFileSync(layoutFile, "utf8"), architecture));
		const system = versionsOf(compiler);
		const verdicts = refuted(compiler, header.includes, claims);
		const complaints: string[] = [];
		for (const claim of claims) {
			const difference = differenceOf(claim.name);
			const verdict = verdicts.get(claim.name);
			const expected = difference?.expected(system) ?? false;
			if (verdict !== undefined && !expected) complaints.push(`${claim.name} is ${verdict}`);
			if (verdict === undefined && expected)
				complaints.push(`${claim.name} agrees, but ${difference!.reason}`);
		}
		expect(complaints).toEqual([]);
	});

	test.skipIf(missing)("a wrong claim is noticed", () => {
		const claims = [
			{ name: "right", line: '_Static_assert(sizeof(&open) == 8, "");' },
			{ name: "wrong value", line: '_Static_assert(O_WRONLY == 2, "");' },
			{ name: "wrong type", line: "long close(int);" },
			{ name: "no constant", line: '_Static_assert(O_NONSENSE == 2, "");' },
			{ name: "no struct", line: '_Static_assert(sizeof(struct nonsense) == 2, "");' },
			{ name: "no field", line: '_Static_assert(__builtin_offsetof(struct stat, nonsense) == 2, "");' },
			{ name: "no function", line: '_Static_assert(sizeof(&nonsense) == 8, ""); int nonsense(void);' },
		];
		expect([...refuted(compiler, ["#include <fcntl.h>", "#include <unistd.h>"], claims)]).toEqual([
			["wrong value", "different"],
			["wrong type", "different"],
			["no constant", "unknown"],
			["no struct", "unknown"],
			["no field", "unknown"],
			["no function", "unknown"],
		]);
		expect(() => refuted(compiler, ["#include <nonsense.h>"], claims)).toThrow("nonsense.h");
	});
});

test("every expected difference is about something we declare", async () => {
	const layout = await loadLayout(readFileSync(layoutFile, "utf8"), "x64");
	const claims = [...readHeaders("x64").values()].flatMap((header) => claimsOf(header, layout));
	const names = new Set(claims.flatMap(({ name }) => [name, name.replace(/\..*/, ".*")]));
	expect(differences.flatMap((difference) => difference.names).filter((name) => !names.has(name))).toEqual(
		[],
	);
});
