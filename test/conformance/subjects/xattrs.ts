/** Extended attributes, of files, directories and symlinks themselves. */

import { expect } from "bun:test";
import { lchownSync, readlinkSync, renameSync, symlinkSync, writeFileSync } from "node:fs";
import { directory, file, symlink } from "../../harness/layers.ts";
import {
	codeOf,
	getxattr,
	getxattrSized,
	listxattr,
	removexattr,
	setxattr,
	XATTR_CREATE,
	XATTR_REPLACE,
} from "../../harness/native.ts";
import { ownerOf, textOf } from "../observe.ts";
import { changing, looking, type Subject } from "../statement.ts";

const noted = { "user.note": "kept" };
const content = {
	f: file("content", { xattrs: noted }),
	d: directory({ xattrs: noted }),
	l: symlink("f", { xattrs: { "trusted.note": "the link's" } }),
	dangling: symlink("missing"),
};
const read = (path: string, name: string) => getxattr(path, name).toString("latin1");

export const xattrs: Subject = {
	"are read and listed": looking(content, ({ at }) => {
		for (const name of ["f", "d"]) {
			expect([read(at(name), "user.note"), listxattr(at(name))]).toEqual(["kept", ["user.note"]]);
		}
		expect(codeOf(() => getxattr(at("f"), "user.none"))).toBe("ENODATA");
	}),

	"a symlink's own are the symlink's": looking(content, ({ at }) => {
		expect([read(at("l"), "trusted.note"), listxattr(at("l"))]).toEqual(["the link's", ["trusted.note"]]);
		expect(codeOf(() => getxattr(at("f"), "trusted.note"))).toBe("ENODATA");
		expect(listxattr(at("dangling"))).toEqual([]);
	}),

	"set on a symlink they stay on it": changing(content, ({ at }) => {
		setxattr(at("l"), "trusted.more", "1");
		setxattr(at("dangling"), "trusted.more", "2");
		expect([read(at("l"), "trusted.more"), read(at("dangling"), "trusted.more")]).toEqual(["1", "2"]);
		expect(listxattr(at("f"))).toEqual(["user.note"]);
		removexattr(at("l"), "trusted.note");
		expect(listxattr(at("l"))).toEqual(["trusted.more"]);
		expect(codeOf(() => setxattr(at("l"), "user.x", "1"))).toBe("EPERM");
	}),

	"a symlink that points into this file system is not followed": changing(content, ({ path, at }) => {
		symlinkSync(path, at("into"));
		setxattr(at("into"), "trusted.a", "1");
		expect(listxattr(at("into"))).toEqual(["trusted.a"]);
		lchownSync(at("into"), 5, 6);
		expect([ownerOf(at("into")), readlinkSync(at("into"))]).toEqual(["5:6", path]);
		expect(codeOf(() => getxattr(path, "trusted.a"))).toBe("ENODATA");
	}),

	"are set, replaced and removed": changing(content, ({ at }) => {
		for (const name of ["f", "d"]) {
			setxattr(at(name), "user.more", "1");
			setxattr(at(name), "user.note", "replaced");
			expect([read(at(name), "user.more"), read(at(name), "user.note")]).toEqual(["1", "replaced"]);
			removexattr(at(name), "user.note");
			expect(listxattr(at(name))).toEqual(["user.more"]);
			expect(codeOf(() => removexattr(at(name), "user.note"))).toBe("ENODATA");
		}
	}),

	"XATTR_CREATE and XATTR_REPLACE are obeyed": changing(content, ({ at }) => {
		expect(codeOf(() => setxattr(at("f"), "user.note", "x", XATTR_CREATE))).toBe("EEXIST");
		expect(codeOf(() => setxattr(at("f"), "user.more", "x", XATTR_REPLACE))).toBe("ENODATA");
		setxattr(at("f"), "user.more", "x", XATTR_CREATE);
		setxattr(at("f"), "user.note", "y", XATTR_REPLACE);
		expect([read(at("f"), "user.more"), read(at("f"), "user.note")]).toEqual(["x", "y"]);
	}),

	"values are bytes, and may be empty": changing(content, ({ at }) => {
		const bytes = Buffer.from(Array.from({ length: 256 }, (_, index) => index));
		setxattr(at("f"), "user.bytes", bytes);
		setxattr(at("f"), "user.empty", "");
		expect([getxattr(at("f"), "user.bytes"), getxattr(at("f"), "user.empty").length]).toEqual([bytes, 0]);
	}),

	"a buffer too small is ERANGE, none asks for the length": looking(content, ({ at }) => {
		expect(getxattrSized(at("f"), "user.note", 0)).toBe(4);
		expect(getxattrSized(at("f"), "user.note", 4)).toBe(4);
		expect(codeOf(() => getxattrSized(at("f"), "user.note", 3))).toBe("ERANGE");
	}),

	"a name of 255 bytes is set, one of 256 is ERANGE": changing(content, ({ at }) => {
		const longest = `user.${"n".repeat(250)}`;
		setxattr(at("f"), longest, "x");
		expect(listxattr(at("f"))).toEqual([longest, "user.note"].sort());
		expect(codeOf(() => setxattr(at("f"), `${longest}n`, "x"))).toBe("ERANGE");
	}),

	"namespaces that do not exist are ENOTSUP": changing(content, ({ at }) => {
		setxattr(at("f"), "user.x", "");
		expect(codeOf(() => setxattr(at("f"), "nonsense.x", "1"))).toBe("ENOTSUP");
		expect(codeOf(() => setxattr(at("f"), "user.", "1"))).toMatch(/EINVAL|ENOTSUP/);
	}),

	"stay through rename, write and chown": changing(content, ({ at }) => {
		renameSync(at("f"), at("g"));
		writeFileSync(at("g"), "changed");
		lchownSync(at("g"), 5, 6);
		expect([read(at("g"), "user.note"), textOf(at("g"))]).toEqual(["kept", "changed"]);
	}),
};
