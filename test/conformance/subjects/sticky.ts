/** Directories with the sticky bit: a name is removed and replaced by the owner of the file or of the directory only. */

import { expect } from "bun:test";
import { chmodSync, mkdirSync, renameSync, rmdirSync, unlinkSync, writeFileSync } from "node:fs";
import { directory, fifo, file, symlink } from "../../harness/layers.ts";
import { asUser, codeOf, RENAME_EXCHANGE, renameat2 } from "../../harness/native.ts";
import { namesIn, textOf } from "../observe.ts";
import { changing, type Subject } from "../statement.ts";

const user = 1000;
const stranger = 2000;
const mine = { uid: user, gid: user };
const theirs = { uid: stranger, gid: stranger };

const content = {
	d: directory({ mode: 0o1777 }),
	"d/mine": file("mine", { ...mine, mode: 0o666 }),
	"d/theirs": file("theirs", { ...theirs, mode: 0o666 }),
	"d/their-dir": directory({ ...theirs, mode: 0o777 }),
	"d/their-pipe": fifo({ ...theirs, mode: 0o666 }),
	"d/their-link": symlink("x", theirs),
	open: directory({ mode: 0o777 }),
	"open/mine": file("mine", { ...mine, mode: 0o666 }),
};

export const sticky: Subject = {
	"what others own is not removed": changing(content, ({ at }) => {
		writeFileSync(at("d/new"), "");
		asUser(user, user, () => {
			for (const name of ["theirs", "their-pipe", "their-link", "new"]) {
				expect({ name, code: codeOf(() => unlinkSync(at("d", name))) }).toEqual({ name, code: "EPERM" });
			}
			expect(codeOf(() => rmdirSync(at("d/their-dir")))).toBe("EPERM");
			unlinkSync(at("d/mine"));
		});
		expect(namesIn(at("d"))).toEqual(["new", "their-dir", "their-link", "their-pipe", "theirs"]);
	}),

	"what others own is not renamed, nor replaced": changing(content, ({ at }) => {
		writeFileSync(at("d/new"), "");
		asUser(user, user, () => {
			expect(codeOf(() => renameSync(at("d/theirs"), at("d/renamed")))).toBe("EPERM");
			expect(codeOf(() => renameSync(at("d/theirs"), at("open/renamed")))).toBe("EPERM");
			expect(codeOf(() => renameSync(at("d/mine"), at("d/theirs")))).toBe("EPERM");
			expect(codeOf(() => renameSync(at("open/mine"), at("d/theirs")))).toBe("EPERM");
			expect(codeOf(() => renameat2(at("d/mine"), at("d/theirs"), RENAME_EXCHANGE))).toBe("EPERM");
			renameSync(at("d/mine"), at("d/renamed"));
			renameSync(at("d/renamed"), at("open/mine"));
		});
		expect(textOf(at("d/theirs"))).toBe("theirs");
	}),

	"what others own is written where its mode allows": changing(content, ({ at }) => {
		asUser(user, user, () => writeFileSync(at("d/theirs"), "WRITTEN", { flag: "r+" }));
		expect(textOf(at("d/theirs"))).toBe("WRITTEN");
	}),

	"the directory's owner removes everything": changing(
		{ ...content, d: directory({ ...mine, mode: 0o1777 }) },
		({ at }) => {
			asUser(user, user, () => {
				for (const name of ["theirs", "their-pipe", "their-link", "mine"]) unlinkSync(at("d", name));
				rmdirSync(at("d/their-dir"));
			});
			expect(namesIn(at("d"))).toEqual([]);
		},
	),

	"root removes and replaces everything": changing(content, ({ at }) => {
		renameSync(at("d/mine"), at("d/theirs"));
		unlinkSync(at("d/their-pipe"));
		expect(namesIn(at("d"))).toEqual(["their-dir", "their-link", "theirs"]);
	}),

	"without the bit everybody who may write does": changing(content, ({ at }) => {
		chmodSync(at("d"), 0o777);
		asUser(user, user, () => {
			renameSync(at("d/mine"), at("d/theirs"));
			rmdirSync(at("d/their-dir"));
		});
		expect(textOf(at("d/theirs"))).toBe("mine");
	}),

	"the bit set later counts at once": changing(
		{ d: directory({ mode: 0o777 }), "d/f": file("x", theirs) },
		({ at }) => {
			chmodSync(at("d"), 0o1777);
			expect(asUser(user, user, () => codeOf(() => unlinkSync(at("d/f"))))).toBe("EPERM");
			asUser(user, user, () => mkdirSync(at("d/mine")));
			asUser(stranger, stranger, () => unlinkSync(at("d/f")));
			expect(namesIn(at("d"))).toEqual(["mine"]);
		},
	),
};
