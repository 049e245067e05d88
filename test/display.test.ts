import { expect, it } from "bun:test";
import { display } from "../src/display.ts";
import { bytes, raw } from "./cli/bytes.ts";

it.each([
	["plain", bytes("/a b/c,d:e"), "/a b/c,d:e"],
	["backslash", bytes("a\\b"), "a\\b"],
	["UTF-8", bytes("grün/日本"), "grün/日本"],
	["not UTF-8", raw(0x61, 0xff, 0xfe, 0x62), "a\ufffd\ufffdb"],
	["cut-off UTF-8", raw(0xe6, 0x97), "\ufffd"],
	["newline", bytes("a\nfuse-overlayfs: b"), "a\\nfuse-overlayfs: b"],
	["carriage return", bytes("a\rb"), "a\\x0db"],
	["tab", bytes("a\tb"), "a\\tb"],
	["escape sequence", bytes("\u001b[2J"), "\\x1b[2J"],
	["delete", bytes("\u007f"), "\\x7f"],
	["C1 control", bytes("\u009b"), "\\x9b"],
	["line separator", bytes("\u2028"), "\\u{2028}"],
	["right-to-left override", bytes("\u202e"), "\\u{202e}"],
	["empty", bytes(""), ""],
])("shows %s", (_, given, shown) => {
	expect(display(given)).toBe(shown);
});
