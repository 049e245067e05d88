/** `xattr_permissions=2` keeps the attributes of the `security` namespace under names that need no privilege. */
import { describe, expect, test } from "bun:test";
import { chmodSync, writeFileSync } from "node:fs";
import { file } from "../harness/layers.ts";
import { codeOf, getxattr, listxattr, removexattr, setxattr } from "../harness/native.ts";
import { mountLayers } from "../harness/overlay.ts";
import { lacks } from "../harness/setting.ts";

const CONTAINERS = "user.containers.override_stat";

describe.skipIf(lacks("all ids", "devices"))("with xattr_permissions=2 the security namespace", () => {
	const options = ["xattr_permissions=2"];
	const ISOLATED = "user.containers.override_security.";
	/** cap_net_raw+ep, as the kernel stores it. */
	const capability = Buffer.from("0100000200200000000000000000000000000000", "hex");

	test("is kept under another name, and what the inode has in it is not shown", async () => {
		await using overlay = await mountLayers([{}], { options });
		const path = overlay.at("f");
		writeFileSync(path, "");
		setxattr(path, "security.mine", "s");
		setxattr(path, "security.capability", capability);
		const onDisk = overlay.inUpper("f");
		setxattr(onDisk, "security.others", "raw");
		await overlay.remount();
		expect(listxattr(path)).toEqual(["security.capability", "security.mine"]);
		expect([getxattr(path, "security.mine").toString(), getxattr(path, "security.capability")]).toEqual([
			"s",
			capability,
		]);
		expect(codeOf(() => getxattr(path, "security.others"))).toBe("ENODATA");
		expect(getxattr(onDisk, `${ISOLATED}mine`).toString()).toBe("s");
		expect(codeOf(() => getxattr(onDisk, "security.capability"))).toBe("ENODATA");
		removexattr(path, "security.mine");
		expect(codeOf(() => removexattr(path, "security.others"))).toBe("ENODATA");
		expect(listxattr(path)).toEqual(["security.capability"]);
		expect(listxattr(onDisk)).toContain("security.others");
	});

	test("of a plain lower layer is shown, and isolated by copy-up; of one with the attribute the isolated is", async () => {
		const plain = { plain: file("x", { xattrs: { "security.capability": capability } }) };
		const xattrs = { "security.raw": "x", [`${ISOLATED}capability`]: capability };
		await using overlay = await mountLayers([{ f: file("x", { xattrs }) }, plain], { options });
		await overlay.unmount();
		setxattr(overlay.inLower(), CONTAINERS, "0:0:0755:dir");
		await overlay.remount();
		for (const name of ["plain", "f"]) expect(listxattr(overlay.at(name))).toEqual(["security.capability"]);
		for (const name of ["plain", "f"]) chmodSync(overlay.at(name), 0o711);
		await overlay.remount();
		for (const name of ["plain", "f"]) {
			expect(getxattr(overlay.at(name), "security.capability")).toEqual(capability);
			expect(listxattr(overlay.at(name))).toEqual(["security.capability"]);
			expect(listxattr(overlay.inUpper(name))).toContain(`${ISOLATED}capability`);
			expect(listxattr(overlay.inUpper(name)).filter((stored) => stored.startsWith("security."))).toEqual([]);
		}
	});

	test("a file loses its capabilities when it is written", async () => {
		await using overlay = await mountLayers([{ f: "x" }], { options });
		setxattr(overlay.at("f"), "security.capability", capability);
		writeFileSync(overlay.at("f"), "y");
		expect(listxattr(overlay.at("f"))).toEqual([]);
	});

	test("without the option it is the inode's", async () => {
		await using overlay = await mountLayers([{ f: "x" }]);
		setxattr(overlay.at("f"), "security.mine", "s");
		expect(getxattr(overlay.inUpper("f"), "security.mine").toString()).toBe("s");
	});
});
