/** POSIX ACLs: what they grant, how they and the mode go together, and what directories hand down. */

import { expect } from "bun:test";
import { chmodSync, chownSync, constants, mkdirSync, renameSync, symlinkSync, writeFileSync } from "node:fs";
import { open } from "../../harness/descriptor.ts";
import { directory, file, symlink } from "../../harness/layers.ts";
import { asUser, codeOf, getxattr, listxattr, removexattr } from "../../harness/native.ts";
import { aclName, aclOf, encodeAcl, setAcl } from "../acl.ts";
import { modeOf, namesIn, ownerOf, run, textOf, withUmask } from "../observe.ts";
import { changing, looking, type Subject } from "../statement.ts";
import { madeWithMode, makeEach } from "./creating.ts";

const O_NEW = constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY;
const user = 1000;
const stranger = 2000;
const access = (text: string) => ({ [aclName("access")]: encodeAcl(text) });
const handedDown = (text: string) => ({ [aclName("default")]: encodeAcl(text) });
const forUser = "user::rw-,user:1000:rw-,group::r--,mask::rw-,other::---";
const generous = "user::rwx,user:1000:rwx,group::r-x,mask::rwx,other::r-x";

const codes = (path: string) => [
	codeOf(() => open(path, "r").close()),
	codeOf(() => open(path, "r+").close()),
];

export const acl: Subject = {
	"an ACL grants to a user, and to no other": looking(
		{ f: file("content", { mode: 0o660, xattrs: access(forUser) }) },
		({ at }) => {
			expect(asUser(user, user, () => textOf(at("f")))).toBe("content");
			expect(asUser(stranger, stranger, () => codeOf(() => textOf(at("f"))), [])).toBe("EACCES");
		},
	),

	"an ACL grants writing to a user, and to no other": changing(
		{ f: file("content", { mode: 0o660, xattrs: access(forUser) }) },
		({ at }) => {
			asUser(user, user, () => writeFileSync(at("f"), "C", { flag: "r+" }));
			expect(asUser(stranger, stranger, () => codes(at("f")), [])).toEqual(["EACCES", "EACCES"]);
			expect([textOf(at("f")), aclOf(at("f"))]).toEqual(["Content", forUser]);
		},
	),

	"an ACL takes away from a user what others have": looking(
		{
			f: file("x", {
				mode: 0o664,
				xattrs: access("user::rw-,user:1000:---,group::rw-,mask::rw-,other::r--"),
			}),
		},
		({ at }) => {
			expect(asUser(user, user, () => codeOf(() => textOf(at("f"))))).toBe("EACCES");
			expect(asUser(stranger, stranger, () => textOf(at("f")), [])).toBe("x");
		},
	),

	"an ACL grants to a group, by its supplementary members too": looking(
		{
			f: file("x", { mode: 0o640, xattrs: access("user::rw-,group::---,group:77:r--,mask::r--,other::---") }),
		},
		({ at }) => {
			expect(asUser(stranger, stranger, () => textOf(at("f")), [77])).toBe("x");
			expect(asUser(stranger, stranger, () => codeOf(() => textOf(at("f"))), [78])).toBe("EACCES");
		},
	),

	"the mask bounds what users and groups are granted": looking(
		{
			f: file("x", {
				mode: 0o640,
				xattrs: access("user::rw-,user:1000:rw-,group::rw-,mask::r--,other::---"),
			}),
		},
		({ at }) => {
			expect(asUser(user, user, () => textOf(at("f")))).toBe("x");
			expect(asUser(user, user, () => codes(at("f"))[1])).toMatch(/EACCES|EROFS/);
			expect(modeOf(at("f"))).toBe(0o640);
		},
	),

	"the group bits of the mode are the mask": changing({ f: file("x", { mode: 0o600 }) }, ({ at }) => {
		setAcl(at("f"), "user::rw-,user:1000:rw-,group::---,mask::rw-,other::---");
		expect(modeOf(at("f"))).toBe(0o660);
		setAcl(at("f"), "user::rw-,user:1000:rw-,group::---,mask::r--,other::r--");
		expect(modeOf(at("f"))).toBe(0o644);
	}),

	"chmod changes the mask and leaves the entries": changing(
		{ f: file("x", { mode: 0o660, xattrs: access(forUser) }) },
		({ at }) => {
			chmodSync(at("f"), 0o604);
			expect(aclOf(at("f"))).toBe("user::rw-,user:1000:rw-,group::r--,mask::---,other::r--");
			expect(asUser(user, user, () => codeOf(() => textOf(at("f"))))).toBe("EACCES");
			chmodSync(at("f"), 0o640);
			expect(asUser(user, user, () => textOf(at("f")))).toBe("x");
		},
	),

	"chmod of a directory leaves its default ACL": changing(
		{ d: directory({ mode: 0o755, xattrs: handedDown(generous) }) },
		({ at }) => {
			chmodSync(at("d"), 0o700);
			expect([modeOf(at("d")), aclOf(at("d"), "default")]).toEqual([0o700, generous]);
		},
	),

	"an ACL that says no more than a mode becomes one": changing(
		{ f: file("x", { mode: 0o660, xattrs: access(forUser) }) },
		({ at }) => {
			setAcl(at("f"), "user::rwx,group::r-x,other::r--");
			expect(modeOf(at("f"))).toBe(0o754);
			expect(listxattr(at("f"))).toEqual([]);
		},
	),

	"removing an ACL leaves the mode, with the mask for the group": changing(
		{ f: file("x", { mode: 0o660, xattrs: access(forUser) }) },
		({ at }) => {
			run("setfacl", "-b", at("f"));
			expect([modeOf(at("f")), listxattr(at("f"))]).toEqual([0o640, []]);
			expect(asUser(user, user, () => codeOf(() => textOf(at("f"))), [])).toBe("EACCES");
		},
	),

	"an ACL that is not there can be removed": changing({ f: "x", d: directory() }, ({ at }) => {
		chmodSync(at("f"), 0o600);
		removexattr(at("f"), aclName("access"));
		removexattr(at("d"), aclName("default"));
		expect(codeOf(() => getxattr(at("f"), aclName("access")))).toBe("ENODATA");
	}),

	"a default ACL decides in place of the umask, for every kind": changing(
		{ d: directory({ mode: 0o777, xattrs: handedDown("user::rwx,group::r-x,other::r-x") }) },
		({ at }) => {
			withUmask(0o077, () => makeEach(at("d")));
			for (const name of madeWithMode) {
				expect({ name, mode: modeOf(at("d", name)) }).toEqual({ name, mode: 0o755 });
			}
		},
	),

	"a default ACL is handed down as the access ACL of every kind, bounded by the mode asked for": changing(
		{ d: directory({ mode: 0o777, xattrs: handedDown(generous) }) },
		({ at }) => {
			makeEach(at("d"), 0o640);
			for (const name of madeWithMode) {
				const expected = "user::rw-,user:1000:rwx,group::r-x,mask::r--,other::---";
				expect({ name, acl: aclOf(at("d", name)) }).toEqual({ name, acl: expected });
				expect({ name, mode: modeOf(at("d", name)) }).toEqual({ name, mode: 0o640 });
			}
		},
	),

	"directories hand their default ACL down as their children's, files have none": changing(
		{ d: directory({ mode: 0o777, xattrs: handedDown(generous) }) },
		({ at }) => {
			mkdirSync(at("d/e/f"), { recursive: true });
			writeFileSync(at("d/e/f/g"), "");
			expect(aclOf(at("d/e/f"), "default")).toBe(generous);
			expect(codeOf(() => getxattr(at("d/e/f/g"), aclName("default")))).toBe("ENODATA");
			expect(aclOf(at("d/e/f/g"))).toBe("user::rw-,user:1000:rwx,group::r-x,mask::rw-,other::r--");
		},
	),

	"a default ACL and set-group-id are both handed down": changing(
		{ d: directory({ mode: 0o2777, gid: 555, xattrs: handedDown(generous) }) },
		({ at }) => {
			asUser(user, user, () => {
				withUmask(0o077, () => makeEach(at("d")));
				mkdirSync(at("d/dir/below"));
			});
			for (const name of madeWithMode) {
				const mode = name === "dir" ? 0o2775 : 0o775;
				const seen = [modeOf(at("d", name)), ownerOf(at("d", name)), aclOf(at("d", name))];
				expect({ name, seen }).toEqual({ name, seen: [mode, `${user}:555`, generous] });
			}
			const below = [modeOf(at("d/dir/below")), ownerOf(at("d/dir/below")), ownerOf(at("d/symlink"))];
			expect(below).toEqual([0o2775, `${user}:555`, `${user}:555`]);
			expect(aclOf(at("d/dir/below"), "default")).toBe(generous);
		},
	),

	"under a default ACL a file keeps the set-group-id that its maker of the group asked for, no other's":
		changing({ d: directory({ mode: 0o2777, gid: 555, xattrs: handedDown(generous) }) }, ({ at }) => {
			const makeAs = (groups: readonly number[], name: string) =>
				asUser(user, user, () => open(at("d", name), O_NEW, 0o2775).close(), groups);
			makeAs([], "outsider's");
			makeAs([555], "member's");
			expect([modeOf(at("d/outsider's")), modeOf(at("d/member's"))]).toEqual([0o775, 0o2775]);
		}),

	"a default ACL does not grant anything by itself": changing(
		{ d: directory({ mode: 0o700, xattrs: handedDown(generous) }) },
		({ at }) => {
			writeFileSync(at("d/f"), "");
			expect(asUser(user, user, () => codeOf(() => namesIn(at("d"))))).toBe("EACCES");
		},
	),

	"what is made by another user gets the handed-down ACL": changing(
		{ d: directory({ mode: 0o777, xattrs: handedDown(generous) }) },
		({ at }) => {
			asUser(stranger, stranger, () => makeEach(at("d")));
			expect(aclOf(at("d/file"))).toBe(generous);
			expect(aclOf(at("d/fifo"))).toBe(generous);
			expect(asUser(user, user, () => codeOf(() => writeFileSync(at("d/file"), "granted")))).toBeUndefined();
		},
	),

	"only the owner and root set ACLs": changing(
		{ f: file("x", { uid: user, gid: user, mode: 0o666 }) },
		({ at }) => {
			expect(asUser(stranger, stranger, () => codeOf(() => setAcl(at("f"), forUser)))).toBe("EPERM");
			asUser(user, user, () => setAcl(at("f"), forUser));
			expect(aclOf(at("f"))).toBe(forUser);
		},
	),

	"a default ACL is for directories, symlinks have none": changing({ f: "x", l: symlink("f") }, ({ at }) => {
		writeFileSync(at("g"), "");
		expect(codeOf(() => setAcl(at("f"), generous, "default"))).toBe("EACCES");
		expect(codeOf(() => setAcl(at("l"), forUser))).toBe("ENOTSUP");
		symlinkSync("f", at("l2"));
		expect(listxattr(at("l2"))).toEqual([]);
	}),

	"a broken ACL is EINVAL": changing({ f: "x" }, ({ at }) => {
		writeFileSync(at("g"), "");
		expect(codeOf(() => setAcl(at("f"), "user::rw-,other::r--"))).toBe("EINVAL");
		expect(codeOf(() => setAcl(at("f"), "user::rw-,user:1000:rw-,group::r--,other::r--"))).toBe("EINVAL");
	}),

	"setting an ACL takes set-group-id from an owner outside the group": changing(
		{ f: file("x", { uid: user, gid: 77, mode: 0o2755 }) },
		({ at }) => {
			asUser(user, user, () => setAcl(at("f"), "user::rwx,user:3000:r--,group::r-x,mask::r-x,other::r-x"));
			expect(modeOf(at("f"))).toBe(0o755);
		},
	),

	"chown, rename and a change of content keep the ACL": changing(
		{ f: file("x", { mode: 0o660, xattrs: access(forUser) }) },
		({ at }) => {
			chownSync(at("f"), 5, 6);
			renameSync(at("f"), at("g"));
			writeFileSync(at("g"), "changed");
			expect(aclOf(at("g"))).toBe(forUser);
		},
	),

	"cp -a and getfacl see the same ACLs": changing(
		{
			f: file("x", { mode: 0o660, xattrs: access(forUser) }),
			d: directory({ xattrs: handedDown(generous) }),
		},
		({ at }) => {
			run("cp", "-a", at("f"), at("f2"));
			run("cp", "-a", at("d"), at("d2"));
			expect([aclOf(at("f2")), aclOf(at("d2"), "default")]).toEqual([forUser, generous]);
			expect(run("getfacl", "-cpn", at("f"))).toContain("user:1000:rw-");
		},
	),
};
