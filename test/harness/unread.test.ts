import { expect, test } from "bun:test";
import { type Description, directory, temporaryTree, whiteout } from "./layers.ts";
import { hasMergeThatEnds, hasUsersMarks, hasWhiteoutAttributes } from "./unread.ts";

const plain = { "d/x": "x" };
const both = { xattrs: { "user.overlay.opaque": "y", "user.fuseoverlayfs.opaque": "y" } };
const cases: [string, readonly Description[], boolean[]][] = [
	["plain directories", [plain, plain, plain], [false, false, false]],
	["whiteouts that are attributes", [plain, { "d/x": whiteout("xattr") }], [true, false, false]],
	["a mark of users alone", [{ "a/d": directory({ opaque: "user" }) }], [false, true, false]],
	["both marks", [{ d: directory(both) }], [false, false, false]],
	["a whiteout on top", [{ d: whiteout() }, plain], [false, false, false]],
	["a whiteout between directories", [plain, { d: whiteout() }, plain], [false, false, true]],
	["a file between directories", [plain, { d: "file" }, {}, plain], [false, false, true]],
	["a directory on a file", [plain, { d: "file" }], [false, false, false]],
];

test.each(cases)("%s", (_, described, expected) => {
	using tree = temporaryTree();
	const { lower } = tree.layers(described);
	expect([hasWhiteoutAttributes(lower), hasUsersMarks(lower), hasMergeThatEnds(lower)]).toEqual(expected);
});
