/** Lower layers on file systems that lack what the upper layer's has. */

import { expect, test } from "bun:test";
import { chmodSync, readFileSync } from "node:fs";
import { encodeAcl } from "../conformance/acl.ts";
import { file, fillLayer, temporaryTree } from "../harness/layers.ts";
import { mountOverlay } from "../harness/mount.ts";
import { asUser, codeOf, getxattr, removexattr, setxattr } from "../harness/native.ts";
import { PlainDisk } from "../harness/plain-fs.ts";
import { isKernel } from "../harness/program.ts";
import { lacks } from "../harness/setting.ts";

const ACCESS = "system.posix_acl_access";

test.skipIf(isKernel || lacks("mounting", "other ids", "ids in ACLs", "ACLs in the kernel"))(
	"without ACLs, as NFS 4.2: they are kept by the upper layer, and heeded",
	async () => {
		using tree = temporaryTree();
		const disk = tree.layer("disk");
		new PlainDisk(["acl"]).mount(disk);
		fillLayer(`${disk}/lower`, { a: file("lower", { mode: 0o644 }), b: "lower" });
		const layers = {
			lower: [`${disk}/lower`],
			upper: tree.layer("upper"),
			work: tree.layer("work"),
			mountpoint: tree.layer("merged"),
		};
		await using mount = await mountOverlay(layers);
		const codeOfReading = (name: string) =>
			asUser(1000, 1000, () => codeOf(() => readFileSync(mount.at(name))));
		expect(codeOf(() => getxattr(mount.at("a"), ACCESS))).toBe("ENODATA");
		expect(codeOf(() => removexattr(mount.at("a"), ACCESS))).toBe("ENODATA");
		expect(codeOfReading("a")).toBeUndefined();
		setxattr(mount.at("a"), ACCESS, encodeAcl("user::rw-,user:1000:---,group::r--,mask::r--,other::r--"));
		chmodSync(mount.at("b"), 0o600);
		for (const _ of ["at once", "after a remount"]) {
			expect([codeOfReading("a"), codeOfReading("b")]).toEqual(["EACCES", "EACCES"]);
			await mount.remount();
		}
		expect(getxattr(`${layers.upper}/a`, ACCESS).length).toBeGreaterThan(0);
	},
);
