/** What holds of every name and attribute that lies in a layer. */

import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import {
	ACL_GROUP,
	ACL_GROUP_OBJ,
	ACL_MASK,
	ACL_OTHER,
	ACL_USER,
	ACL_USER_OBJ,
	S_IFBLK,
	S_IFCHR,
	S_IFDIR,
	S_IFIFO,
	S_IFLNK,
	S_IFMT,
	S_IFREG,
	S_IFSOCK,
} from "../../src/native/layout.ts";
import { bytes, readString, release, reserve, store } from "../../src/native/memory.ts";
import { mapAcl, modeOfAcl, setModeOfAcl } from "../../src/overlay/marks/acl.ts";
import { attributeOnDisk, attributeShown } from "../../src/overlay/marks/attribute-name.ts";
import { formatOverrideStat, parseOverrideStat } from "../../src/overlay/marks/override-stat.ts";
import { isKept } from "../../src/overlay/marks/whiteout.ts";
import { nameOnDisk, nameShown, reserveName, surplus } from "../../src/overlay/nodes/user-name.ts";
import { byteStrings, names } from "./arbitrary.ts";

const id = fc.integer({ min: 0, max: 2 ** 32 - 1 });

describe("override_stat", () => {
	const kinds = [S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFREG, S_IFSOCK];

	test("is read as what was written", () => {
		const overrides = fc.record({
			uid: id,
			gid: id,
			mode: fc
				.tuple(fc.constantFrom(...kinds), fc.integer({ min: 0, max: 0o7777 }))
				.map(([kind, mode]) => kind | mode),
			major: fc.integer({ min: 0, max: 0xfff }),
			minor: fc.integer({ min: 0, max: 0xfffff }),
		});
		fc.assert(
			fc.property(overrides, (override) => {
				const isDevice = [S_IFBLK, S_IFCHR].includes(override.mode & S_IFMT);
				const expected = isDevice ? override : { ...override, major: 0, minor: 0 };
				expect(parseOverrideStat(formatOverrideStat(override))).toEqual(expected);
			}),
		);
	});

	test("whatever it holds is refused or within bounds, and then written the same from then on", () => {
		const number = fc.oneof(
			id.map(String),
			fc.bigInt({ min: 0n, max: 1n << 70n }).map(String),
			byteStrings("-", { maxLength: 3 }),
		);
		const kind = fc.oneof(
			fc.constantFrom("", ":dir", ":file", ":symlink", ":pipe", ":socket", ":char", ":block"),
			fc.tuple(fc.constantFrom(":char", ":block"), number, number).map((parts) => parts.join("-")),
		);
		const mode = fc.oneof(
			fc.integer({ min: 0, max: 0o7777777 }).map((bits) => bits.toString(8)),
			number,
		);
		const values = fc.oneof(
			byteStrings("::01"),
			fc.tuple(number, number, mode, kind).map(([uid, gid, bits, end]) => `${uid}:${gid}:${bits}${end}`),
		);
		fc.assert(
			fc.property(values, (value) => {
				const parsed = parseOverrideStat(value);
				if (parsed === undefined) return;
				const { uid, gid, mode: bits, major, minor } = parsed;
				expect([uid, gid].every((one) => one >= 0 && one < 2 ** 32)).toBeTrue();
				expect([0, ...kinds]).toContain(bits & ~0o7777);
				expect(major <= 0xfff && minor <= 0xfffff).toBeTrue();
				expect(parseOverrideStat(formatOverrideStat(parsed))).toEqual(parsed);
			}),
		);
	});
});

describe("the name of an attribute", () => {
	const marks = [
		"trusted.overlay.",
		"user.overlay.",
		"trusted.fuseoverlayfs.",
		"user.fuseoverlayfs.",
		"security.fuseoverlayfs.",
	];
	const overriding = ["user.containers.override_", "user.containers.override_security.", "security."];
	const doubled = ["trusted.overlay.overlay.", "user.fuseoverlayfs.fuseoverlayfs."];
	const anyName = names(...marks, ...overriding, ...doubled, "user.containers.override_stat");

	test("that a user gives is shown as that user gave it", () => {
		fc.assert(
			fc.property(anyName, fc.boolean(), (name, isolated) => {
				expect(attributeShown(attributeOnDisk(name, isolated), isolated)).toBe(name);
			}),
		);
	});

	test("that a user gives is never one in which an overlay keeps something", () => {
		fc.assert(
			fc.property(anyName, fc.boolean(), (name, isolated) => {
				const stored = attributeOnDisk(name, isolated);
				const mark = marks.find((prefix) => stored.startsWith(prefix));
				const word = mark?.slice(mark.indexOf(".") + 1) ?? "";
				if (mark !== undefined) expect(stored.slice(mark.length).startsWith(word)).toBeTrue();
				if (isolated) {
					expect(stored).not.toStartWith("security.");
					expect(stored).not.toBe("user.containers.override_stat");
				}
			}),
		);
	});
});

describe("the name of a file", () => {
	const target = reserveName();
	const anyName = names(".wh.", ".wh..wh.", ".wh..wh.+", ".wh..wh..opq", ".wh..wh.+.wh.");

	test("that a user gives is shown as that user gave it, and is no whiteout", () => {
		fc.assert(
			fc.property(anyName, (text) => {
				const name = store(text);
				const stored = nameOnDisk(name, target);
				const onDisk = readString(stored);
				expect(onDisk.startsWith(".wh.") && !onDisk.startsWith(".wh..wh.+")).toBeFalse();
				expect(isKept(stored)).toBe(text.startsWith(".wh."));
				expect(surplus(stored)).toBe(onDisk.length - text.length);
				expect(readString(nameShown(stored))).toBe(text);
				release(name, text.length + 1);
			}),
		);
	});
});

describe("a POSIX ACL", () => {
	const size = 256;
	const guard = 64;
	const place = reserve(size + 2 * guard);
	const acl = place + guard;
	const around = Buffer.alloc(guard, 0xa5);
	const tags = fc.constantFrom(ACL_USER_OBJ, ACL_USER, ACL_GROUP_OBJ, ACL_GROUP, ACL_MASK, ACL_OTHER);
	const entry = fc
		.tuple(fc.oneof(tags, fc.nat(0xffff)), fc.nat(0xffff), id)
		.map(([tag, permissions, who]) => {
			const written = Buffer.alloc(8);
			written.writeUInt16LE(tag, 0);
			written.writeUInt16LE(permissions, 2);
			written.writeUInt32LE(who, 4);
			return written;
		});
	const blobs = fc.oneof(
		fc.uint8Array({ maxLength: size }),
		fc
			.array(entry, { maxLength: 20 })
			.map((entries) => Buffer.concat([Buffer.from([2, 0, 0, 0]), ...entries])),
	);

	/** Runs `action` on the blob in memory; the blob afterwards. What lies around it must not change. */
	function inMemory(blob: Uint8Array, action: () => void): Buffer {
		bytes.fill(0xa5, place, place + size + 2 * guard);
		bytes.set(blob, acl);
		action();
		const end = acl + blob.length;
		expect(Buffer.from(bytes.subarray(place, acl))).toEqual(around);
		expect(Buffer.from(bytes.subarray(end, end + guard))).toEqual(around);
		return Buffer.from(bytes.subarray(acl, end));
	}

	test("with whatever in it stands for permissions, and for nothing else of a mode", () => {
		fc.assert(
			fc.property(blobs, (blob) => {
				inMemory(blob, () => expect(modeOfAcl(acl, blob.length) & ~0o777).toBe(0));
			}),
		);
	});

	test("with a mode set stands for that mode, where it has an entry for it", () => {
		fc.assert(
			fc.property(blobs, fc.nat(0o777), (blob, mode) => {
				inMemory(blob, () => {
					const before = modeOfAcl(acl, blob.length);
					setModeOfAcl(acl, blob.length, mode);
					const after = modeOfAcl(acl, blob.length);
					for (const bits of [0o700, 0o070, 0o007]) {
						const entryIsMissing = (before & bits) === 0 && (after & bits) === 0;
						expect(entryIsMissing || (after & bits) === (mode & bits)).toBeTrue();
					}
				});
			}),
		);
	});

	test("with its ids mapped and mapped back is what it was", () => {
		const invert = (one: number) => ~one >>> 0;
		fc.assert(
			fc.property(blobs, (blob) => {
				const mapped = inMemory(blob, () => mapAcl(acl, blob.length, invert, invert));
				const back = inMemory(mapped, () => mapAcl(acl, blob.length, invert, invert));
				expect(back).toEqual(Buffer.from(blob));
			}),
		);
	});
});
