/** Open files whose name is gone, by unlink or by a rename over it. */

import { expect } from "bun:test";
import {
	existsSync,
	fchmodSync,
	fchownSync,
	fstatSync,
	fsyncSync,
	ftruncateSync,
	lstatSync,
	readdirSync,
	readFileSync,
	renameSync,
	unlinkSync,
	writeFileSync,
	writeSync,
} from "node:fs";
import { type Descriptor, open } from "../../harness/descriptor.ts";
import { file, hardLink } from "../../harness/layers.ts";
import {
	codeOf,
	fallocate,
	fgetxattr,
	fsetxattr,
	linkDescriptor,
	mapMemory,
	setTimesOf,
} from "../../harness/native.ts";
import { type Check, changing, inPassing, type Place, type Subject } from "../statement.ts";

const content = {
	f: file("content", { mode: 0o644, uid: 5, gid: 6, xattrs: inPassing({ "user.note": "kept" }) }),
	other: "other",
};

/** A statement on a file opened for reading and writing and then unlinked. */
function withUnlinked(check: (handle: Descriptor, place: Place) => void): Check {
	return (place) => {
		using handle = open(place.at("f"), "r+");
		unlinkSync(place.at("f"));
		expect(existsSync(place.at("f"))).toBeFalse();
		check(handle, place);
		expect(readdirSync(place.path)).not.toContain("f");
	};
}

export const unlinked: Subject = {
	"fstat answers, with link count 0": changing(
		content,
		withUnlinked(({ fd }) => {
			const { size, nlink, mode, uid, gid } = fstatSync(fd);
			expect([size, nlink, mode & 0o7777, uid, gid]).toEqual([7, 0, 0o644, 5, 6]);
		}),
	),

	"reading and writing go on": changing(
		content,
		withUnlinked((handle) => {
			expect(handle.text()).toBe("content");
			writeSync(handle.fd, "CON", 0);
			writeSync(handle.fd, " and more", 7);
			fsyncSync(handle.fd);
			expect(handle.text()).toBe("CONtent and more");
			expect(fstatSync(handle.fd).size).toBe(16);
		}),
	),

	"fchmod, fchown and futimens change it": changing(
		content,
		withUnlinked(({ fd }) => {
			fchmodSync(fd, 0o601);
			fchownSync(fd, 77, 88);
			setTimesOf(fd, 5_000_000_001n, 6_000_000_002n);
			const { mode, uid, gid, mtimeNs, atimeNs } = fstatSync(fd, { bigint: true });
			expect([mode & 0o7777n, uid, gid, atimeNs, mtimeNs]).toEqual([
				0o601n,
				77n,
				88n,
				5_000_000_001n,
				6_000_000_002n,
			]);
		}),
	),

	"ftruncate shortens and lengthens it": changing(
		content,
		withUnlinked((handle) => {
			ftruncateSync(handle.fd, 3);
			expect(handle.text()).toBe("con");
			ftruncateSync(handle.fd, 6);
			expect(handle.text()).toBe("con\0\0\0");
		}),
	),

	"fgetxattr and fsetxattr work": changing(
		content,
		withUnlinked(({ fd }) => {
			expect(fgetxattr(fd, "user.note").toString()).toBe("kept");
			fsetxattr(fd, "user.more", "x");
			expect(fgetxattr(fd, "user.more").toString()).toBe("x");
			expect(codeOf(() => fgetxattr(fd, "user.none"))).toBe("ENODATA");
		}),
	),

	"fallocate reserves in it": changing(
		content,
		withUnlinked(({ fd }) => {
			fallocate(fd, 0, 0, 10_000);
			expect(fstatSync(fd).size).toBe(10_000);
		}),
	),

	"a shared mapping is written and read": changing(
		content,
		withUnlinked((handle) => {
			using mapping = mapMemory(7, handle.fd);
			mapping.bytes.write("MAPPED!", "latin1");
			mapping.sync();
			expect(handle.text()).toBe("MAPPED!");
		}),
	),

	"it cannot be linked again": changing(
		content,
		withUnlinked(({ fd }, place) => {
			expect(codeOf(() => linkDescriptor(fd, place.at("again")))).toBe("ENOENT");
		}),
	),

	"it is another file than one made under its name since": changing(content, (place) => {
		using handle = open(place.at("f"), "r+");
		unlinkSync(place.at("f"));
		writeFileSync(place.at("f"), "the new file");
		writeSync(handle.fd, "OLD", 0);
		expect(handle.text()).toBe("OLDtent");
		expect(readFileSync(place.at("f"), "utf8")).toBe("the new file");
		expect(lstatSync(place.at("f")).ino).not.toBe(fstatSync(handle.fd).ino);
	}),

	"a file that another was renamed over goes on, with link count 0": changing(content, (place) => {
		using handle = open(place.at("f"), "r+");
		renameSync(place.at("other"), place.at("f"));
		expect(handle.text()).toBe("content");
		writeSync(handle.fd, "OLD", 0);
		fchmodSync(handle.fd, 0o600);
		expect(handle.text()).toBe("OLDtent");
		expect(fstatSync(handle.fd).nlink).toBe(0);
		expect(readFileSync(place.at("f"), "utf8")).toBe("other");
	}),

	"unlinked after it was written, it stays as it was": changing(content, (place) => {
		writeFileSync(place.at("f"), "written");
		using handle = open(place.at("f"), "r+");
		writeSync(handle.fd, "W", 0);
		unlinkSync(place.at("f"));
		expect(handle.text()).toBe("Written");
		expect(fstatSync(handle.fd).nlink).toBe(0);
		writeSync(handle.fd, "!", 7);
		expect(handle.text()).toBe("Written!");
	}),

	"two descriptions of it see the same": changing(content, (place) => {
		using reader = open(place.at("f"), "r");
		using writer = open(place.at("f"), "r+");
		unlinkSync(place.at("f"));
		writeSync(writer.fd, "seen", 0);
		expect(reader.text()).toBe("seenent");
		ftruncateSync(writer.fd, 2);
		expect(reader.text()).toBe("se");
		expect(fstatSync(reader.fd).size).toBe(2);
	}),

	"one of two names gone, the other counts one": changing({ f: "content", g: hardLink("f") }, (place) => {
		using handle = open(place.at("f"), "r");
		expect(fstatSync(handle.fd).nlink).toBe(2);
		unlinkSync(place.at("f"));
		expect(lstatSync(place.at("g")).nlink).toBe(1);
		expect(handle.text()).toBe("content");
	}),
};
