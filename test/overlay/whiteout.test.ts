/** Which names stand for something else in a layer. The rest of whiteout.ts is tested in core/whiteout.test.ts. */
import { describe, expect, it } from "bun:test";
import { type Name, readString, store } from "../../src/native/memory.ts";
import type { ByteString } from "../../src/options.ts";
import { hiddenName, isMarker, isReserved } from "../../src/overlay/marks/whiteout.ts";

const named = (text: string): Name => store(text as ByteString);

describe("reserved names", () => {
	it.each([
		[".wh.name", "name"],
		[".wh.\xff\n", "\xff\n"],
		[".wh..hidden", ".hidden"],
		[".wh..wh.name", ".wh.name"],
		[`.wh.${"n".repeat(251)}`, "n".repeat(251)],
		[".wh.", ""],
	])("%p hides %p", (name, hidden) => {
		expect(isReserved(named(name))).toBeTrue();
		expect(readString(hiddenName(named(name)))).toBe(hidden as ByteString);
	});

	it("a user's `.wh.NAME` in its other form is none, and can be hidden like others", () => {
		expect(isReserved(named(".wh..wh.+x"))).toBeFalse();
		const whiteout = named(".wh..wh..wh.+x");
		expect([isReserved(whiteout), isMarker(whiteout), readString(hiddenName(whiteout))] as unknown[]).toEqual(
			[true, false, ".wh..wh.+x"],
		);
	});

	it.each([".", "..", ".w", ".wh", ".whx", ".wH.x", "wh.x", "x.wh.y", "..wh.x", "", "name"])(
		"%p is a name like others",
		(name) => {
			expect(isReserved(named(name))).toBeFalse();
		},
	);
});

describe("markers", () => {
	it.each([".wh..wh..opq", ".wh..wh.plnk", ".wh..wh.aufs", ".wh..wh."])("%p is one", (name) => {
		expect([isReserved(named(name)), isMarker(named(name))]).toEqual([true, true]);
	});

	it.each([".wh.name", ".wh..wh", ".wh..whx", ".wh.x.wh.", ".wh", "name", ""])("%p is none", (name) => {
		expect(isMarker(named(name))).toBeFalse();
	});
});
