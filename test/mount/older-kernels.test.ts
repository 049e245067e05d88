/** What holds where a kernel offers less than the newest: each is tried by doing without what this one offers. */
import { describe, expect, test } from "bun:test";
import { chmodSync, readFileSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { requiredFlagNames } from "../../src/fuse/handshake.ts";
import { type Description, file, temporaryTree } from "../harness/layers.ts";
import { layerOptions, runProgram } from "../harness/mount.ts";
import { findMount } from "../harness/mount-table.ts";
import { asUser, codeOf, getxattr, listxattr, removexattr, setxattr } from "../harness/native.ts";
import { mountLayers } from "../harness/overlay.ts";
import { isKernel } from "../harness/program.ts";
import { lacks } from "../harness/setting.ts";

const user = 1000;
/** cap_net_raw+ep, as the kernel stores it. */
const capability = Buffer.from("0100000200200000000000000000000000000000", "hex");
const CAPABILITY = "security.capability";
const ACL = "system.posix_acl_access";
/** Version 2; the owner may all, user 1000 read and write, the group nothing, all bounded by the mask `rw-`. */
const acl = Buffer.from(
	"0200000001000700ffffffff02000600e803000004000000ffffffff10000600ffffffff20000000ffffffff",
	"hex",
);

function mountWithout(declined: string, lower: Description, options: readonly string[] = []) {
	return mountLayers([lower], { options, environment: { _FUSE_OVERLAYFS_DECLINE: declined } });
}

const modeOf = (path: string) => statSync(path).mode & 0o7777;

describe.skipIf(isKernel)("without FUSE_SETXATTR_EXT, before Linux 5.13", () => {
	const without = "FUSE_SETXATTR_EXT";

	test.skipIf(lacks("other ids", "trusted attributes"))(
		"a user cannot set security.capability by a name that ends in it",
		async () => {
			await using overlay = await mountWithout(without, { f: file("mine", { uid: user, gid: user }) });
			const path = overlay.at("f");
			asUser(user, user, () => setxattr(path, `user.abc${CAPABILITY}`, capability));
			expect(listxattr(path)).toEqual([`user.abc${CAPABILITY}`]);
			await overlay.unmount();
			expect(codeOf(() => getxattr(overlay.inUpper("f"), CAPABILITY))).toBe("ENODATA");
			await overlay.remount();
			expect(getxattr(path, `user.abc${CAPABILITY}`)).toEqual(capability);
		},
	);

	test("attributes are set, replaced, read and removed under the names they are given", async () => {
		await using overlay = await mountWithout(without, { f: file("x", { xattrs: { "user.old": "before" } }) });
		const path = overlay.at("f");
		const long = Buffer.alloc(3000, "v");
		setxattr(path, "user.a", "");
		setxattr(path, "user.12345678", "eight");
		setxattr(path, "user.long", long);
		setxattr(path, "user.old", "after");
		expect(listxattr(path).sort()).toEqual(["user.12345678", "user.a", "user.long", "user.old"]);
		expect(getxattr(path, "user.old").toString()).toBe("after");
		expect(getxattr(path, "user.long")).toEqual(long);
		removexattr(path, "user.12345678");
		await overlay.expectLasting();
	});

	test.skipIf(lacks("other ids", "ids in ACLs", "ACLs in the kernel"))(
		"ACLs are set, and heeded",
		async () => {
			await using overlay = await mountWithout(without, { f: file("x", { mode: 0o600 }) });
			setxattr(overlay.at("f"), ACL, acl);
			expect(getxattr(overlay.at("f"), ACL)).toEqual(acl);
			expect(modeOf(overlay.at("f"))).toBe(0o760);
			expect(asUser(user, user, () => readFileSync(overlay.at("f"), "utf8"))).toBe("x");
			expect(codeOf(() => asUser(user + 1, 0, () => readFileSync(overlay.at("f"))))).toBe("EACCES");
		},
	);

	test.skipIf(lacks("other ids"))(
		"an ACL set by an owner outside the file's group takes set-group-id off, by others it stays",
		async () => {
			const ours = () => file("x", { mode: 0o2770, uid: user, gid: 7 });
			await using overlay = await mountWithout(without, { outside: ours(), inside: ours(), root: ours() });
			const minimal = Buffer.from("0200000001000700ffffffff04000600ffffffff20000000ffffffff", "hex");
			asUser(user, user, () => setxattr(overlay.at("outside"), ACL, minimal));
			asUser(user, user, () => setxattr(overlay.at("inside"), ACL, minimal), [7]);
			setxattr(overlay.at("root"), ACL, minimal);
			expect(["outside", "inside", "root"].map((name) => modeOf(overlay.at(name)))).toEqual([
				0o760, 0o2760, 0o2760,
			]);
		},
	);
});

describe.skipIf(isKernel || lacks("ids in ACLs", "ACLs in the kernel"))("without FUSE_POSIX_ACL", () => {
	test("ACLs can be neither seen nor set, as nobody would heed them", async () => {
		await using overlay = await mountWithout("FUSE_POSIX_ACL", { f: file("x", { xattrs: { [ACL]: acl } }) });
		expect(codeOf(() => getxattr(overlay.at("f"), ACL))).toBe("ENOTSUP");
		expect(codeOf(() => setxattr(overlay.at("f"), ACL, acl))).toBe("ENOTSUP");
		expect(listxattr(overlay.at("f"))).toEqual([]);
	});
});

describe.skipIf(isKernel || lacks("other ids", "trusted attributes"))(
	"without FUSE_HANDLE_KILLPRIV_V2, before Linux 5.11",
	() => {
		const changes: Readonly<Record<string, (path: string) => void>> = {
			writing: (path) => writeFileSync(path, "new", { flag: "r+" }),
			truncating: (path) => truncateSync(path, 1),
			"opening with O_TRUNC": (path) => writeFileSync(path, ""),
		};
		const passthrough = ["auto", "off"].flatMap((how) =>
			Object.keys(changes).map((what) => [what, how] as const),
		);

		test.each(passthrough)(
			"%s by a user takes set-id bits and capabilities off; passthrough=%s",
			async (what, how) => {
				const xattrs = { [CAPABILITY]: capability };
				const lower = {
					f: file("content", { mode: 0o6777, xattrs }),
					large: file(Buffer.alloc(3 << 20), { mode: 0o6777, xattrs }),
				};
				await using overlay = await mountWithout("FUSE_HANDLE_KILLPRIV_V2", lower, [`passthrough=${how}`]);
				writeFileSync(overlay.at("new"), "content");
				chmodSync(overlay.at("new"), 0o6777);
				for (const name of ["f", "large", "new"]) {
					asUser(user, user, () => changes[what]?.(overlay.at(name)));
					expect([name, modeOf(overlay.at(name)), listxattr(overlay.at(name))]).toEqual([name, 0o777, []]);
				}
				await overlay.expectLasting();
			},
		);
	},
);

describe.skipIf(isKernel)("a kernel that lacks what is needed", () => {
	test.each([...requiredFlagNames, "minor=28"])(
		"%s: is refused with a line that says so, and nothing is left",
		async (lacking) => {
			using tree = temporaryTree();
			const layers = tree.layers([{ f: "x" }]);
			const { exitCode, stderr } = await runProgram(["-o", layerOptions(layers), layers.mountpoint], {
				environment: { _FUSE_OVERLAYFS_DECLINE: lacking },
			});
			expect(stderr).toMatch(
				/^fuse-overlayfs: the kernel's FUSE 7\.\d+ is too old: Linux 5\.1 or later is needed\n$/,
			);
			expect(exitCode).toBe(1);
			expect(findMount(layers.mountpoint)).toBeUndefined();
		},
	);
});
