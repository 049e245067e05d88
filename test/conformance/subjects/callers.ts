/** What callers other than root may do, and with which error they are refused. */

import { expect } from "bun:test";
import {
	chmodSync,
	chownSync,
	constants,
	linkSync,
	lstatSync,
	mkdirSync,
	openSync,
	readdirSync,
	readFileSync,
	readlinkSync,
	renameSync,
	rmdirSync,
	symlinkSync,
	truncateSync,
	unlinkSync,
	writeFileSync,
} from "node:fs";
import { open } from "../../harness/descriptor.ts";
import { directory, file, symlink } from "../../harness/layers.ts";
import { asUser, codeOf, getxattr, mknod, removexattr, setTimes, setxattr } from "../../harness/native.ts";
import { modeOf, namesIn, ownerOf, statOf, textOf } from "../observe.ts";
import { changing, looking, type Subject } from "../statement.ts";

const user = 1000;
const stranger = 2000;
const mine = { uid: user, gid: user };
const O_NOATIME = 0o1000000;

const read = (path: string) => codeOf(() => open(path, "r").close());
const write = (path: string) => codeOf(() => open(path, "r+").close());

const byMode = {
	"user-only": file("x", { mode: 0o600, uid: user, gid: 77 }),
	"group-only": file("x", { mode: 0o060, uid: user, gid: 77 }),
	"others-only": file("x", { mode: 0o006, uid: user, gid: 77 }),
	"read-only": file("x", { mode: 0o444, uid: user, gid: 77 }),
};
const readable = (at: (name: string) => string) =>
	Object.keys(byMode).filter((name) => read(at(name)) === undefined);
const writable = (at: (name: string) => string) =>
	Object.keys(byMode).filter((name) => write(at(name)) === undefined);

const closedDirectories = {
	unlisted: directory({ mode: 0o711 }),
	"unlisted/f": file("f", { mode: 0o666 }),
	unsearched: directory({ mode: 0o744 }),
	"unsearched/f": file("f", { mode: 0o666 }),
	unwritten: directory({ mode: 0o755 }),
	"unwritten/f": file("f", { mode: 0o666 }),
	"unwritten/d": directory({ mode: 0o777 }),
};

const ownFiles = {
	d: directory({ ...mine, mode: 0o755 }),
	"d/f": file("content", mine),
	"d/sub": directory(mine),
	"d/sub/x": file("x", mine),
};

export const callers: Subject = {
	"the owner's bits decide for the owner, the group's for the group, the rest for others": looking(
		byMode,
		({ at }) => {
			expect(asUser(user, user, () => readable(at))).toEqual(["user-only", "read-only"]);
			expect(asUser(stranger, 77, () => readable(at))).toEqual(["group-only", "read-only"]);
			expect(asUser(stranger, stranger, () => readable(at), [77])).toEqual(["group-only", "read-only"]);
			expect(asUser(stranger, stranger, () => readable(at), [])).toEqual(["others-only", "read-only"]);
			expect(readable(at)).toEqual(Object.keys(byMode));
		},
	),

	"a file is opened for writing by whom its bits allow, and only them": changing(byMode, ({ at }) => {
		writeFileSync(at("user-only"), "root");
		expect(asUser(user, user, () => writable(at))).toEqual(["user-only"]);
		expect(asUser(stranger, 77, () => writable(at))).toEqual(["group-only"]);
		expect(asUser(stranger, stranger, () => writable(at), [77])).toEqual(["group-only"]);
		expect(asUser(stranger, stranger, () => writable(at), [])).toEqual(["others-only"]);
		expect(writable(at)).toEqual(Object.keys(byMode));
		expect(asUser(user, user, () => write(at("read-only")))).toBe("EACCES");
	}),

	"a user writes what is open to all, and it stays the owner's": changing(
		{ f: file("content", { mode: 0o666 }) },
		({ at }) => {
			asUser(user, user, () => writeFileSync(at("f"), "theirs", { flag: "r+" }));
			expect([textOf(at("f")), ownerOf(at("f")), modeOf(at("f"))]).toEqual(["theirst", "0:0", 0o666]);
		},
	),

	"a directory that cannot be read is not listed, its names can be used": looking(
		closedDirectories,
		({ at }) => {
			asUser(user, user, () => {
				expect(codeOf(() => readdirSync(at("unlisted")))).toBe("EACCES");
				expect(readFileSync(at("unlisted/f"), "utf8")).toBe("f");
				expect(codeOf(() => lstatSync(at("unlisted/missing")))).toBe("ENOENT");
			});
		},
	),

	"a directory that cannot be searched is listed, its names cannot be used": looking(
		closedDirectories,
		({ at }) => {
			asUser(user, user, () => {
				expect(namesIn(at("unsearched"))).toEqual(["f"]);
				for (const use of [lstatSync, readFileSync, readlinkSync]) {
					expect(codeOf(() => use(at("unsearched/f")))).toBe("EACCES");
				}
				expect(codeOf(() => lstatSync(at("unsearched/missing")))).toBe("EACCES");
			});
		},
	),

	"in a directory that cannot be written nothing is made, removed or renamed": changing(
		closedDirectories,
		({ at }) => {
			writeFileSync(at("mine"), "");
			asUser(user, user, () => {
				const attempts = {
					create: () => openSync(at("unwritten/new"), "w"),
					mkdir: () => mkdirSync(at("unwritten/new")),
					mkfifo: () => mknod(at("unwritten/new"), 0o010666),
					symlink: () => symlinkSync("x", at("unwritten/new")),
					link: () => linkSync(at("unlisted/f"), at("unwritten/new")),
					unlink: () => unlinkSync(at("unwritten/f")),
					rmdir: () => rmdirSync(at("unwritten/d")),
					"rename within": () => renameSync(at("unwritten/f"), at("unwritten/g")),
					"rename out": () => renameSync(at("unwritten/f"), at("unwritten/d/f")),
				};
				for (const [call, attempt] of Object.entries(attempts)) {
					const code = codeOf(attempt);
					expect({ call, code }).toEqual({
						call,
						code: call === "link" ? expect.stringMatching(/EACCES|EPERM/) : "EACCES",
					});
				}
				writeFileSync(at("unwritten/f"), "content can be written");
				writeFileSync(at("unwritten/d/new"), "and in a directory that is open");
			});
			expect(namesIn(at("unwritten"))).toEqual(["d", "f"]);
		},
	),

	"an existing name is EEXIST also where nothing could be made": changing(closedDirectories, ({ at }) => {
		writeFileSync(at("mine"), "");
		asUser(user, user, () => {
			expect(codeOf(() => mkdirSync(at("unwritten/d")))).toBe("EEXIST");
			expect(codeOf(() => openSync(at("unwritten/f"), "wx"))).toBe("EEXIST");
		});
	}),

	"only the owner changes the mode": changing({ f: file("x", { ...mine, mode: 0o666 }) }, ({ at }) => {
		expect(asUser(stranger, user, () => codeOf(() => chmodSync(at("f"), 0o600)))).toBe("EPERM");
		asUser(user, user, () => chmodSync(at("f"), 0o640));
		expect(modeOf(at("f"))).toBe(0o640);
	}),

	"nobody but root gives a file away": changing({ f: file("x", mine) }, ({ at }) => {
		expect(asUser(user, user, () => codeOf(() => chownSync(at("f"), stranger, user)))).toBe("EPERM");
		expect(asUser(stranger, user, () => codeOf(() => chownSync(at("f"), stranger, user)))).toBe("EPERM");
		expect(asUser(user, user, () => codeOf(() => chownSync(at("f"), user, user)))).toBeUndefined();
		chownSync(at("f"), stranger, 5);
		expect(ownerOf(at("f"))).toBe(`${stranger}:5`);
	}),

	"the owner changes the group to one of theirs only": changing({ f: file("x", mine) }, ({ at }) => {
		expect(asUser(user, user, () => codeOf(() => chownSync(at("f"), user, 77)))).toBe("EPERM");
		asUser(user, user, () => chownSync(at("f"), user, 77), [77]);
		expect(ownerOf(at("f"))).toBe(`${user}:77`);
		expect(asUser(stranger, 77, () => codeOf(() => chownSync(at("f"), user, 77)))).toBe("EPERM");
	}),

	"times: the owner sets any, who may write sets now": changing(
		{ f: file("x", { ...mine, mode: 0o646, time: 5n }), closed: file("x", { ...mine, mode: 0o644 }) },
		({ at }) => {
			asUser(stranger, stranger, () => {
				expect(codeOf(() => setTimes(at("f"), 1n, 1n))).toBe("EPERM");
				expect(codeOf(() => setTimes(at("f"), "now", "omit"))).toBe("EPERM");
				expect(codeOf(() => setTimes(at("closed"), "now", "now"))).toBe("EACCES");
				expect(codeOf(() => setTimes(at("closed"), 1n, 1n))).toBe("EPERM");
				setTimes(at("f"), "now", "now");
			});
			expect(statOf(at("f")).mtimeNs).toBeGreaterThan(1_000_000_000n);
			asUser(user, user, () => setTimes(at("closed"), 1n, 2n));
			expect(statOf(at("closed")).mtimeNs).toBe(2n);
		},
	),

	"truncating needs permission to write": changing({ f: file("content", { mode: 0o644 }) }, ({ at }) => {
		expect(asUser(user, user, () => codeOf(() => truncateSync(at("f"), 1)))).toBe("EACCES");
		expect(asUser(user, user, () => codeOf(() => openSync(at("f"), "w")))).toBe("EACCES");
		truncateSync(at("f"), 1);
		expect(textOf(at("f"))).toBe("c");
	}),

	"a file made with a mode of 0 is still written by who made it": changing(
		{ d: directory({ mode: 0o777 }) },
		({ at }) => {
			asUser(user, user, () => {
				using handle = open(at("d/f"), constants.O_CREAT | constants.O_EXCL | constants.O_RDWR, 0);
				writeFileSync(handle.fd, "written");
				expect(handle.text()).toBe("written");
				expect(read(at("d/f"))).toBe("EACCES");
			});
			expect([textOf(at("d/f")), modeOf(at("d/f")), ownerOf(at("d/f"))]).toEqual([
				"written",
				0,
				`${user}:${user}`,
			]);
		},
	),

	"devices are made by root only, FIFOs and sockets by everybody": changing(
		{ d: directory({ mode: 0o777 }) },
		({ at }) => {
			asUser(user, user, () => {
				expect(codeOf(() => mknod(at("d/char"), 0o020666, 1, 3))).toBe("EPERM");
				expect(codeOf(() => mknod(at("d/block"), 0o060666, 7, 0))).toBe("EPERM");
				mknod(at("d/fifo"), 0o010644);
				mknod(at("d/socket"), 0o140644);
			});
			expect(namesIn(at("d"))).toEqual(["fifo", "socket"]);
		},
	),

	"attributes of the user namespace need permission on the file": changing(
		{
			f: file("x", { mode: 0o644, xattrs: { "user.a": "1" } }),
			secret: file("x", { mode: 0o600, xattrs: { "user.a": "1" } }),
			own: file("x", { ...mine, mode: 0o400 }),
		},
		({ at }) => {
			asUser(user, user, () => {
				expect(getxattr(at("f"), "user.a").toString()).toBe("1");
				expect(codeOf(() => setxattr(at("f"), "user.b", "2"))).toBe("EACCES");
				expect(codeOf(() => removexattr(at("f"), "user.a"))).toBe("EACCES");
				expect(codeOf(() => getxattr(at("secret"), "user.a"))).toBe("EACCES");
				expect(codeOf(() => setxattr(at("own"), "user.b", "2"))).toBe("EACCES");
			});
			setxattr(at("own"), "user.b", "2");
		},
	),

	"O_NOATIME is for the owner": looking({ f: file("x", { mode: 0o644 }) }, ({ at }) => {
		const quietly = () => codeOf(() => open(at("f"), constants.O_RDONLY | O_NOATIME).close());
		expect(asUser(user, user, quietly)).toBe("EPERM");
		expect(quietly()).toBeUndefined();
	}),

	"a user works in a directory of their own": changing(ownFiles, ({ at }) => {
		asUser(user, user, () => {
			writeFileSync(at("d/f"), "changed");
			writeFileSync(at("d/new"), "new");
			mkdirSync(at("d/made"));
			renameSync(at("d/f"), at("d/made/f"));
			linkSync(at("d/new"), at("d/link"));
			unlinkSync(at("d/new"));
			unlinkSync(at("d/sub/x"));
		});
		expect([textOf(at("d/made/f")), textOf(at("d/link"))]).toEqual(["changed", "new"]);
		expect([ownerOf(at("d/link")), ownerOf(at("d/made"))]).toEqual([`${user}:${user}`, `${user}:${user}`]);
	}),

	"a user removes a directory that is not theirs and not writable, from one of theirs, when it is empty":
		changing({ d: directory({ ...mine, mode: 0o755 }), "d/roots": directory({ mode: 0o700 }) }, ({ at }) => {
			asUser(user, user, () => rmdirSync(at("d/roots")));
			expect(namesIn(at("d"))).toEqual([]);
		}),

	"a symlink's own mode is no obstacle": looking(
		{ d: directory({ mode: 0o755 }), "d/f": file("x", { mode: 0o644 }), "d/l": symlink("f") },
		({ at }) => {
			expect(asUser(user, user, () => readlinkSync(at("d/l")))).toBe("f");
			expect(asUser(user, user, () => textOf(at("d/l")))).toBe("x");
		},
	),
};
