/** Names and paths: how long, of which bytes, and with which error when they cannot be. */

import { expect } from "bun:test";
import {
	existsSync,
	linkSync,
	lstatSync,
	mkdirSync,
	openSync,
	readdirSync,
	readFileSync,
	readlinkSync,
	renameSync,
	rmdirSync,
	rmSync,
	symlinkSync,
	unlinkSync,
	writeFileSync,
} from "node:fs";
import { codeOf, getxattr, mknod } from "../../harness/native.ts";
import { changing, looking, type Place, type Subject } from "../statement.ts";

const longest = "n".repeat(255);
const tooLong = "n".repeat(256);
/** Two and three bytes a character: 255 bytes, but far fewer characters. */
const longestOfLetters = `${"é".repeat(126)}ß1`;

/** Every call that takes a path, on `path`; `other` is a file that exists. */
function everyCallOn(path: string, other: string): Record<string, string | undefined> {
	return {
		stat: codeOf(() => lstatSync(path)),
		open: codeOf(() => openSync(path, "r")),
		create: codeOf(() => openSync(path, "w")),
		exclusively: codeOf(() => openSync(path, "wx")),
		mkdir: codeOf(() => mkdirSync(path)),
		rmdir: codeOf(() => rmdirSync(path)),
		unlink: codeOf(() => unlinkSync(path)),
		symlink: codeOf(() => symlinkSync("target", path)),
		readlink: codeOf(() => readlinkSync(path)),
		"link to": codeOf(() => linkSync(other, path)),
		"link from": codeOf(() => linkSync(path, `${other}2`)),
		"rename to": codeOf(() => renameSync(other, path)),
		"rename from": codeOf(() => renameSync(path, other)),
		mkfifo: codeOf(() => mknod(path, 0o010644)),
		getxattr: codeOf(() => getxattr(path, "user.x")),
	};
}

/** As long a relative chain of directories below `place` as leaves `rest` bytes of PATH_MAX, its NUL included. */
function deepPath(place: Place, rest: number): string {
	let path = place.path;
	const goal = 4096 - rest;
	while (path.length + 2 <= goal) {
		const step = Math.min(201, goal - path.length) - 1;
		// A last step of one byte more or less would miss the goal.
		const name = "d".repeat(goal - path.length - 1 - step === 1 ? step - 1 : step);
		path = `${path}/${name}`;
	}
	return path;
}

export const names: Subject = {
	"a name of 255 bytes is found, listed and read": looking({ [longest]: "content" }, (place) => {
		expect(readFileSync(place.at(longest), "utf8")).toBe("content");
		expect(readdirSync(place.path)).toEqual([longest]);
	}),

	"a name of 255 bytes is made, changed, linked, renamed and removed": changing(
		{ [longest]: "content" },
		(place) => {
			const other = longest.replace("n", "m");
			writeFileSync(place.at(longest), "changed");
			linkSync(place.at(longest), place.at("short"));
			renameSync(place.at(longest), place.at(other));
			expect(readdirSync(place.path).sort()).toEqual([other, "short"]);
			unlinkSync(place.at(other));
			mkdirSync(place.at(longest));
			writeFileSync(place.at(longest, longest), "inner");
			expect(readFileSync(place.at(longest, longest), "utf8")).toBe("inner");
			expect(readdirSync(place.path).sort()).toEqual([longest, "short"]);
		},
	),

	"255 is the limit of bytes, not of characters": changing({ [longestOfLetters]: "x" }, (place) => {
		expect(Buffer.byteLength(longestOfLetters)).toBe(255);
		expect(readdirSync(place.path)).toEqual([longestOfLetters]);
		renameSync(place.at(longestOfLetters), place.at("x"));
		expect(codeOf(() => renameSync(place.at("x"), place.at(`${longestOfLetters}2`)))).toBe("ENAMETOOLONG");
		renameSync(place.at("x"), place.at(longestOfLetters));
	}),

	"a name of 256 bytes is ENAMETOOLONG for every call": changing({ a: "a", d: "d" }, (place) => {
		writeFileSync(place.at("new"), "");
		for (const [call, code] of Object.entries(everyCallOn(place.at(tooLong), place.at("a")))) {
			expect({ call, code }).toEqual({ call, code: "ENAMETOOLONG" });
		}
		expect(codeOf(() => lstatSync(place.at(tooLong, "below")))).toBe("ENAMETOOLONG");
		expect(readdirSync(place.path).sort()).toEqual(["a", "d", "new"]);
	}),

	"a name of 256 bytes is ENAMETOOLONG to look for, never ENOENT": looking({ a: "a" }, (place) => {
		expect(codeOf(() => lstatSync(place.at(tooLong)))).toBe("ENAMETOOLONG");
		expect(codeOf(() => openSync(place.at(tooLong), "r"))).toBe("ENAMETOOLONG");
		expect(codeOf(() => readlinkSync(place.at(tooLong)))).toBe("ENAMETOOLONG");
	}),

	"a path of PATH_MAX bytes works, one more is ENAMETOOLONG": changing({ x: "x" }, (place) => {
		// With a file name of one byte: 4095 and the NUL.
		const directory = deepPath(place, 3);
		mkdirSync(directory, { recursive: true });
		expect(`${directory}/f`.length).toBe(4095);
		writeFileSync(`${directory}/f`, "deep");
		expect(readFileSync(`${directory}/f`, "utf8")).toBe("deep");
		expect(codeOf(() => writeFileSync(`${directory}/ff`, ""))).toBe("ENAMETOOLONG");
		expect(codeOf(() => lstatSync(`${directory}/ff`))).toBe("ENAMETOOLONG");
		rmSync(place.at("d".repeat(200)), { recursive: true });
	}),

	"a symlink's target may be 4095 bytes long": changing({}, (place) => {
		const target = "t".repeat(4095);
		symlinkSync(target, place.at("link"));
		expect(readlinkSync(place.at("link"))).toBe(target);
		expect(lstatSync(place.at("link")).size).toBe(4095);
		expect(codeOf(() => symlinkSync(`${target}t`, place.at("longer")))).toBe("ENAMETOOLONG");
		unlinkSync(place.at("link"));
		symlinkSync("t".repeat(1000), place.at("link"));
	}),

	"names of all bytes but NUL and slash can be made, listed, renamed and removed": changing({}, (place) => {
		const all = Array.from({ length: 255 }, (_, index) => String.fromCharCode(index + 1)).filter(
			(char) => char !== "/" && char !== ".",
		);
		for (const char of all) writeFileSync(place.bytes(char), char);
		const listed = () =>
			readdirSync(Buffer.from(place.path), { encoding: "buffer" }).map((name) => name.toString("latin1"));
		expect(listed().sort()).toEqual([...all].sort());
		for (const char of all) renameSync(place.bytes(char), place.bytes(`${char}${char}`));
		expect(listed().sort()).toEqual(all.map((char) => `${char}${char}`).sort());
		for (const char of all.slice(1)) unlinkSync(place.bytes(`${char}${char}`));
	}),

	"dots, spaces and dashes are names like others": changing(
		{ " ": "1", "...": "2", "-rf": "3", "a b": "4" },
		(place) => {
			expect(readdirSync(place.path).sort()).toEqual([" ", "-rf", "...", "a b"].sort());
			for (const name of [" ", "...", "-rf", "a b"]) unlinkSync(place.at(name));
			expect(readdirSync(place.path)).toEqual([]);
			writeFileSync(place.at("..a"), "");
		},
	),

	"a name's case matters": changing({ a: "small" }, (place) => {
		writeFileSync(place.at("A"), "large");
		expect(readFileSync(place.at("a"), "utf8")).toBe("small");
		expect(readFileSync(place.at("A"), "utf8")).toBe("large");
	}),

	"a missing name is ENOENT, a name below a file ENOTDIR": looking({ a: "a", d: "d" }, (place) => {
		expect(codeOf(() => lstatSync(place.at("missing")))).toBe("ENOENT");
		expect(codeOf(() => lstatSync(place.at("missing/below")))).toBe("ENOENT");
		expect(codeOf(() => lstatSync(place.at("a/below")))).toBe("ENOTDIR");
		expect(codeOf(() => openSync(place.at("a/"), "r"))).toBe("ENOTDIR");
		expect(existsSync(place.at("a"))).toBeTrue();
	}),

	"a trailing slash asks for a directory": changing({ f: "f", "d/x": "x" }, (place) => {
		expect(codeOf(() => unlinkSync(place.at("f/")))).toBe("ENOTDIR");
		expect(codeOf(() => renameSync(place.at("f"), place.at("g/")))).toBe("ENOTDIR");
		expect(codeOf(() => openSync(place.at("new/"), "w"))).toBe("EISDIR");
		mkdirSync(place.at("e/"));
		expect(readdirSync(place.at("e/"))).toEqual([]);
	}),
};
