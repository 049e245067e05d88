/**
 * The set-user-id and set-group-id bits and file capabilities: who loses them by what. Linux: a change of owner takes
 * them from whoever makes it, a change of content only from callers without CAP_FSETID; the set-group-id bit of a
 * file that its group may not execute is no privilege and stays.
 */

import { expect } from "bun:test";
import {
	chmodSync,
	chownSync,
	fchownSync,
	ftruncateSync,
	lchownSync,
	truncateSync,
	writeSync,
} from "node:fs";
import { open } from "../../harness/descriptor.ts";
import { directory, file } from "../../harness/layers.ts";
import { asUser, codeOf, copyFileRange, fallocate, getxattr } from "../../harness/native.ts";
import { modeOf, ownerOf, run, textOf } from "../observe.ts";
import { changing, type Subject } from "../statement.ts";

const user = 1000;
const withBits = (mode: number, owner = user) => ({ f: file("content", { mode, uid: owner, gid: owner }) });
/** A capability as setcap(8) stores it: cap_net_raw=ep, version 2. */
const capability = Buffer.from("0100000200200000000000000000000000000000", "hex");
const capable = () => ({
	f: file("content", { mode: 0o755, xattrs: { "security.capability": capability } }),
});

const changesOfContent: Readonly<Record<string, (path: string) => void>> = {
	writing: (path) => {
		using handle = open(path, "r+");
		writeSync(handle.fd, "new");
	},
	truncating: (path) => truncateSync(path, 3),
	"truncating by descriptor": (path) => {
		using handle = open(path, "r+");
		ftruncateSync(handle.fd, 3);
	},
	"opening with O_TRUNC": (path) => open(path, "w").close(),
	"reserving space": (path) => {
		using handle = open(path, "r+");
		fallocate(handle.fd, 0, 0, 10_000);
	},
	copy_file_range: (path) => {
		using handle = open(path, "r+");
		expect(copyFileRange(handle.fd, 0, handle.fd, 4, 3)).toBe(3);
	},
};

function contentChanges(): Subject {
	const statements: [string, Subject[string]][] = [];
	for (const [what, change] of Object.entries(changesOfContent)) {
		statements.push(
			[
				`${what} by a user takes both bits off`,
				changing(withBits(0o6777), ({ at }) => {
					asUser(user, user, () => change(at("f")));
					expect(modeOf(at("f"))).toBe(0o777);
				}),
			],
			[
				`${what} by another user than the owner takes both bits off`,
				changing(withBits(0o6777, 0), ({ at }) => {
					asUser(user, user, () => change(at("f")));
					expect(modeOf(at("f"))).toBe(0o777);
				}),
			],
			[
				`${what} by a member of the group leaves set-group-id where the group may not execute`,
				changing(withBits(0o6767), ({ at }) => {
					asUser(user, user, () => change(at("f")));
					expect(modeOf(at("f"))).toBe(0o2767);
				}),
			],
			[
				`${what} by a member of the group, a supplementary one, leaves it too`,
				changing(withBits(0o6767, 0), ({ at }) => {
					asUser(user, user, () => change(at("f")), [0]);
					expect(modeOf(at("f"))).toBe(0o2767);
				}),
			],
			[
				`${what} by a user outside the group takes set-group-id off in any case`,
				changing(withBits(0o6767, 0), ({ at }) => {
					asUser(user, user, () => change(at("f")), [77]);
					expect(modeOf(at("f"))).toBe(0o767);
				}),
			],
			[
				`${what} by root leaves both bits`,
				changing(withBits(0o6777), ({ at }) => {
					change(at("f"));
					expect(modeOf(at("f"))).toBe(0o6777);
				}),
			],
			[
				`${what} drops security.capability, also for root`,
				changing(capable(), ({ at }) => {
					expect(getxattr(at("f"), "security.capability")).toEqual(capability);
					change(at("f"));
					expect(codeOf(() => getxattr(at("f"), "security.capability"))).toBe("ENODATA");
				}),
			],
		);
	}
	return Object.fromEntries(statements);
}

export const setId: Subject = {
	"chown by root takes both bits off a file": changing(withBits(0o6777), ({ at }) => {
		chownSync(at("f"), 5, 6);
		expect([modeOf(at("f")), ownerOf(at("f"))]).toEqual([0o777, "5:6"]);
	}),

	"chown to the same owner takes them off too": changing(withBits(0o6777), ({ at }) => {
		lchownSync(at("f"), user, user);
		expect(modeOf(at("f"))).toBe(0o777);
	}),

	"chown to no other user or group takes them off too": changing(withBits(0o6777), ({ at }) => {
		chownSync(at("f"), -1, -1);
		expect([modeOf(at("f")), ownerOf(at("f"))]).toEqual([0o777, `${user}:${user}`]);
	}),

	"fchown does as chown": changing(withBits(0o6755), ({ at }) => {
		using handle = open(at("f"), "r");
		fchownSync(handle.fd, 5, 6);
		expect([modeOf(at("f")), ownerOf(handle.fd)]).toEqual([0o755, "5:6"]);
	}),

	"chown by root leaves set-group-id where the group may not execute": changing(
		withBits(0o6767),
		({ at }) => {
			chownSync(at("f"), 5, 6);
			expect(modeOf(at("f"))).toBe(0o2767);
		},
	),

	"chgrp by the owner, to a group of theirs, takes both bits off": changing(withBits(0o6777), ({ at }) => {
		asUser(user, user, () => chownSync(at("f"), user, 77), [77]);
		expect([modeOf(at("f")), ownerOf(at("f"))]).toEqual([0o777, `${user}:77`]);
	}),

	"a directory keeps its bits when it is given away": changing(
		{ d: directory({ mode: 0o6777, uid: user, gid: user }) },
		({ at }) => {
			chownSync(at("d"), 5, 6);
			expect([modeOf(at("d")), ownerOf(at("d"))]).toEqual([0o6777, "5:6"]);
		},
	),

	"chown drops security.capability": changing(capable(), ({ at }) => {
		chownSync(at("f"), 5, 6);
		expect(codeOf(() => getxattr(at("f"), "security.capability"))).toBe("ENODATA");
	}),

	"chmod keeps security.capability": changing(capable(), ({ at }) => {
		chmodSync(at("f"), 0o700);
		expect(getxattr(at("f"), "security.capability")).toEqual(capability);
	}),

	"chmod by the owner sets both bits": changing(withBits(0o755), ({ at }) => {
		asUser(user, user, () => chmodSync(at("f"), 0o6755));
		expect(modeOf(at("f"))).toBe(0o6755);
	}),

	"chmod by an owner outside the file's group cannot set set-group-id": changing(
		{ f: file("x", { uid: user, gid: 77 }), d: directory({ uid: user, gid: 77 }) },
		({ at }) => {
			asUser(user, user, () => {
				for (const name of ["f", "d"]) chmodSync(at(name), 0o6755);
			});
			expect([modeOf(at("f")), modeOf(at("d"))]).toEqual([0o4755, 0o4755]);
		},
	),

	"chmod by a member of the file's group, by a supplementary one too, sets set-group-id": changing(
		{ f: file("x", { uid: user, gid: 77 }) },
		({ at }) => {
			asUser(user, user, () => chmodSync(at("f"), 0o2755), [77]);
			expect(modeOf(at("f"))).toBe(0o2755);
		},
	),

	"a rename and a link keep the bits": changing(withBits(0o6755), ({ at }) => {
		run("mv", at("f"), at("g"));
		run("ln", at("g"), at("h"));
		expect([modeOf(at("g")), modeOf(at("h")), textOf(at("h"))]).toEqual([0o6755, 0o6755, "content"]);
	}),

	...contentChanges(),
};
