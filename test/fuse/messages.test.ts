/** Messages as older kernels send them, and as none does: what they mean, and that nothing is read beside them. */
import { describe, expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { constants } from "node:os";
import * as protocol from "../../src/native/layout.ts";
import { getxattr, listxattr, setxattr } from "../harness/native.ts";
import { isKernel } from "../harness/program.ts";
import { bodyOf, PlayedKernel } from "./played-kernel.ts";

const { EIO, E2BIG } = constants.errno;
const {
	FUSE_ASYNC_READ,
	FUSE_BIG_WRITES,
	FUSE_DONT_MASK,
	FUSE_LOOKUP,
	FUSE_MAX_PAGES,
	FUSE_NO_OPEN_SUPPORT,
	FUSE_NO_OPENDIR_SUPPORT,
	FUSE_POSIX_ACL,
	FUSE_SETXATTR,
	fuseEntryOut,
	fuseInitOut,
} = protocol;

/** Linux 5.6 offers these, among others. */
const flags =
	FUSE_ASYNC_READ |
	FUSE_BIG_WRITES |
	FUSE_DONT_MASK |
	FUSE_NO_OPEN_SUPPORT |
	FUSE_NO_OPENDIR_SUPPORT |
	FUSE_POSIX_ACL;
const old = { minor: 31, flags: flags | FUSE_MAX_PAGES };

/** The id of a name in the root. */
function lookUp(kernel: PlayedKernel, name: string): bigint {
	const { error, body } = kernel.ask(FUSE_LOOKUP, bodyOf(name));
	expect(error).toBe(0);
	return body.readBigUInt64LE(fuseEntryOut.nodeid);
}

describe.skipIf(isKernel)("an older kernel", () => {
	test("is answered in its protocol, with what it offered", async () => {
		await using kernel = new PlayedKernel(old, {});
		const { error, body } = kernel.init;
		expect([error, body.length, body.readUInt32LE(0), body.readUInt32LE(4)]).toEqual([0, 64, 7, 31]);
		expect(kernel.taken).toBe(old.flags);
		expect(body.readUInt32LE(fuseInitOut.maxWrite)).toBe(1 << 20);
		expect(body.readUInt16LE(fuseInitOut.maxPages)).toBe(256);
	});

	test("without FUSE_MAX_PAGES gets writes of 32 pages", async () => {
		await using kernel = new PlayedKernel({ minor: 29, flags }, {});
		expect(kernel.init.body.readUInt32LE(fuseInitOut.maxWrite)).toBe(128 << 10);
		expect(kernel.init.body.readUInt16LE(fuseInitOut.maxPages)).toBe(0);
	});

	test("sets attributes by messages without the newer fields", async () => {
		await using kernel = new PlayedKernel(old, { f: "x" });
		const node = lookUp(kernel, "f");
		// As an ordinary user's; the first 8 bytes of the name must not be taken for arguments.
		const name = "user.abcsecurity.capability";
		expect(kernel.ask(FUSE_SETXATTR, bodyOf(5, 0, name, Buffer.from("value")), node, 1000).error).toBe(0);
		expect(listxattr(`${kernel.upper}/f`).filter((set) => !/overlay/.test(set))).toEqual([name]);
		expect(getxattr(`${kernel.upper}/f`, name).toString()).toBe("value");
	});
});

/** One message of each kind that has arguments, about the file and the root; the shortest that are whole. */
function wholeMessages(file: bigint): readonly (readonly [name: string, body: Buffer, about: bigint])[] {
	const root = BigInt(protocol.FUSE_ROOT_ID);
	const reading = bodyOf(0n, 0n, 1, 0, 0n, 0, 0);
	return [
		["LOOKUP", bodyOf("nothing"), root],
		["GETXATTR", bodyOf(100, 0, "user.a"), file],
		["SETXATTR", bodyOf(3, 0, "user.a", Buffer.from("abc")), file],
		["REMOVEXATTR", bodyOf("user.a"), file],
		["LISTXATTR", bodyOf(100, 0), file],
		["SETATTR", bodyOf(protocol.FATTR_MODE, 0, 0n, 0n, 0n, 0n, 0n, 0n, 0, 0, 0, 0o600, 0, 0, 0, 0), file],
		["MKNOD", bodyOf(0o100644, 0, 0, 0, "node"), root],
		["MKDIR", bodyOf(0o755, 0, "directory"), root],
		["SYMLINK", bodyOf("link", "target"), root],
		["LINK", bodyOf(file, "second"), root],
		["RENAME", bodyOf(root, "second", "third"), root],
		["RENAME2", bodyOf(root, 0, 0, "third", "fourth"), root],
		["UNLINK", bodyOf("fourth"), root],
		["RMDIR", bodyOf("directory"), root],
		["CREATE", bodyOf(0, 0o644, 0, 0, "created"), root],
		["READ", reading, file],
		["WRITE", bodyOf(0n, 0n, 4, 0, 0n, 0, 0, Buffer.from("text")), file],
		["READDIR", reading, root],
		["READDIRPLUS", reading, root],
		["FALLOCATE", bodyOf(0n, 0n, 10n, 0, 0), file],
		["LSEEK", bodyOf(0n, 0n, 3, 0), file],
		["COPY_FILE_RANGE", bodyOf(0n, 0n, file, 0n, 100n, 4n, 0n), file],
		["IOCTL", bodyOf(0n, 0, protocol.FS_IOC_GETFLAGS, 0n, 0, 8), file],
	];
}

function opcodeOf(name: string): number {
	return (protocol as unknown as Record<string, number>)[`FUSE_${name}`]!;
}

describe.skipIf(isKernel)("a message that ends too early", () => {
	/** Arguments that an operation does not look at. */
	const unread: Readonly<Record<string, number>> = {
		SETATTR: 16,
		LISTXATTR: 4,
		READ: 20,
		READDIR: 20,
		READDIRPLUS: 20,
		FALLOCATE: 4,
		LSEEK: 4,
	};

	test("is EIO, wherever it ends, changes nothing, and the next is answered", async () => {
		await using kernel = new PlayedKernel(old, { f: "content" });
		const file = lookUp(kernel, "f");
		const before = readdirSync(kernel.upper);
		let broken = 0;
		for (const [name, body, about] of wholeMessages(file)) {
			const needed = body.length - (unread[name] ?? 0);
			for (let size = 0; size < needed; size++) {
				const { error } = kernel.ask(opcodeOf(name), body.subarray(0, size), about);
				expect([name, size, error]).toEqual([name, size, EIO]);
				broken++;
			}
		}
		expect(readdirSync(kernel.upper)).toEqual(before);
		expect(kernel.ask(FUSE_LOOKUP, bodyOf("nothing")).error).toBe(0);
		expect(lookUp(kernel, "f")).toBe(file);
		const complaints = (await kernel.end()).split("\n").filter((line) => line.includes("MessageBroken"));
		expect(complaints.length).toBe(broken);
	});

	test("whole, each of them does what it says", async () => {
		await using kernel = new PlayedKernel(old, { f: "content" });
		setxattr(`${kernel.upper}/../lower1/f`, "user.a", "before");
		const file = lookUp(kernel, "f");
		for (const [name, body, about] of wholeMessages(file))
			expect([name, kernel.ask(opcodeOf(name), body, about).error]).toEqual([name, 0]);
		expect(await kernel.end()).toBe("");
	});

	test("a count of nodes to forget, or a size, that the message does not hold forgets nothing", async () => {
		await using kernel = new PlayedKernel(old, { f: "x" });
		const file = lookUp(kernel, "f");
		kernel.tell(protocol.FUSE_BATCH_FORGET, bodyOf(1000, 0, file, 1n));
		kernel.tell(protocol.FUSE_FORGET, Buffer.alloc(4), file);
		expect(kernel.ask(protocol.FUSE_GETATTR, bodyOf(0, 0, 0n), file).error).toBe(0);
		const huge = bodyOf(0n, 0n, 0xffffffff, 0, 0n, 0, 0, Buffer.from("text"));
		expect(kernel.ask(protocol.FUSE_WRITE, huge, file).error).toBe(EIO);
		expect(kernel.ask(FUSE_SETXATTR, bodyOf(0xffffffff, 0, "user.a", "v"), file).error).toBe(E2BIG);
		expect(await kernel.end()).toContain("MessageBroken");
	});
});
