/** The marks that overlays keep in attributes of the layers: out of reach through the mount, for root as well. */

import { describe, expect, test } from "bun:test";
import { lstatSync, readdirSync } from "node:fs";
import { directory, file } from "../harness/layers.ts";
import {
	asUser,
	codeOf,
	getxattr,
	listxattr,
	removexattr,
	setxattr,
	XATTR_CREATE,
	XATTR_REPLACE,
} from "../harness/native.ts";
import { mountLayers } from "../harness/overlay.ts";
import { lacks } from "../harness/setting.ts";

const user = 1000;
const override = `${user}:${user}:0755`;
const anyMarks = {
	"trusted.overlay.opaque": "y",
	"trusted.overlay.origin": "x",
	"trusted.overlay.impure": "y",
	"trusted.fuseoverlayfs.anything": "x",
	"user.overlay.opaque": "y",
	"user.overlay.origin": "x",
	"user.fuseoverlayfs.opaque": "y",
	"user.fuseoverlayfs.origin": "x",
	"user.fuseoverlayfs.override_stat": override,
	"security.fuseoverlayfs.override_stat": override,
};
const containers = {
	"user.containers.override_stat": override,
	"user.containers.override_security.mine": "x",
};

describe.skipIf(lacks("trusted attributes", "other ids"))("marks in the upper layer", () => {
	test.each([
		["0", anyMarks],
		["1", anyMarks],
		["2", { ...anyMarks, ...containers }],
	] as const)(
		"are not seen, read, replaced or removed by anyone; what is set under their names is another; xattr_permissions=%s",
		async (mode, marks) => {
			const attributes = { uid: user, gid: user, xattrs: marks };
			const upper = { d: directory(attributes), "d/own": file("own", attributes) };
			await using overlay = await mountLayers([{ "d/hidden": "hidden" }], {
				upper,
				options: [`xattr_permissions=${mode}`],
			});
			const isHidden = (name: string) => name !== "user.containers.override_security.mine";
			const names = Object.keys(marks).filter(isHidden);
			const tryAll = (path: string) => {
				for (const name of names) {
					expect({ name, code: codeOf(() => getxattr(path, name)) }).toEqual({ name, code: "ENODATA" });
					expect({ name, code: codeOf(() => removexattr(path, name)) }).toEqual({ name, code: "ENODATA" });
					const replaced = codeOf(() => setxattr(path, name, "n", XATTR_REPLACE));
					expect({ name, replaced }).toEqual({ name, replaced: "ENODATA" });
				}
			};
			for (const path of [overlay.at("d"), overlay.at("d/own")]) {
				expect(listxattr(path).filter((name) => name !== "security.mine")).toEqual([]);
				tryAll(path);
				for (const name of names) setxattr(path, name, "n", XATTR_CREATE);
				for (const name of names) expect(getxattr(path, name).toString()).toBe("n");
				for (const name of names) removexattr(path, name);
				tryAll(path);
			}
			const users = names.filter((name) => name.startsWith("user."));
			asUser(user, user, () => {
				for (const name of users) setxattr(overlay.at("d/own"), name, "0:0:4755", XATTR_CREATE);
			});
			const shown = () => {
				const { mode: bits, uid } = lstatSync(overlay.at("d/own"));
				return { uid, setId: bits & 0o6000, names: readdirSync(overlay.at("d")) };
			};
			const expected = { uid: user, setId: 0, names: ["own"] };
			expect(shown()).toEqual(expected);
			await overlay.remount();
			expect(shown()).toEqual(expected);
			for (const name of ["d", "d/own"]) {
				for (const [mark, value] of Object.entries(marks)) {
					const found = getxattr(overlay.inUpper(name), mark).toString();
					// This one the daemon writes as well.
					if (!mark.endsWith(".impure"))
						expect({ mark, found: found.slice(0, value.length) }).toEqual({ mark, found: value });
				}
			}
		},
	);
});
