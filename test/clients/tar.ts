/** What a tar archive holds, in words that can be compared. Reads POSIX (pax) and GNU archives. */
import { createHash } from "node:crypto";
import { closeSync, openSync, readSync } from "node:fs";

export interface Member {
	readonly kind: string;
	/** Mode, owner, group, link target, device number, extended attributes. */
	readonly attributes: string;
	/** Digest of a file's content; empty for all else. */
	readonly digest: string;
}

const block = 512;
const kinds: Readonly<Record<string, string>> = {
	"\0": "file",
	"0": "file",
	"1": "hard link",
	"2": "symlink",
	"3": "char",
	"4": "block",
	"5": "directory",
	"6": "fifo",
};

/** A NUL-terminated field of a header. */
function text(header: Buffer, at: number, length: number): string {
	const field = header.toString("latin1", at, at + length);
	return field.split("\0", 1)[0] ?? "";
}

/** A number, in octal or, with the first bit set, in binary. */
function number(header: Buffer, at: number, length: number): number {
	if ((header.readUInt8(at) & 0x80) === 0) return Number.parseInt(text(header, at, length).trim() || "0", 8);
	return header.readUIntBE(at + length - 6, 6);
}

/** `LENGTH KEY=VALUE\n`, one after the other. */
function readPax(data: Buffer): Map<string, string> {
	const records = new Map<string, string>();
	for (let at = 0; at < data.length; ) {
		const length = Number.parseInt(data.toString("latin1", at, at + 12), 10);
		const record = data.toString("latin1", data.indexOf(0x20, at) + 1, at + length - 1);
		records.set(record.slice(0, record.indexOf("=")), record.slice(record.indexOf("=") + 1));
		at += length;
	}
	return records;
}

class Reader {
	readonly #fd: number;

	constructor(path: string) {
		this.#fd = openSync(path, "r");
	}

	/** The next bytes; fewer at the end. */
	read(length: number): Buffer {
		const bytes = Buffer.alloc(length);
		let filled = 0;
		while (filled < length) {
			const count = readSync(this.#fd, bytes, filled, length - filled, null);
			if (count === 0) break;
			filled += count;
		}
		return bytes.subarray(0, filled);
	}

	/** The data of a member, and its padding. */
	readData(size: number): Buffer {
		return this.read(Math.ceil(size / block) * block).subarray(0, size);
	}

	close(): void {
		closeSync(this.#fd);
	}
}

function describe(header: Buffer, pax: ReadonlyMap<string, string>, kind: string): string {
	const target = pax.get("linkpath") ?? text(header, 157, 100);
	const isDevice = kind === "char" || kind === "block";
	const attributes = [...pax].filter(([key]) => key.startsWith("SCHILY.xattr.")).sort();
	return [
		(number(header, 100, 8) & 0o7777).toString(8),
		`${pax.get("uid") ?? number(header, 108, 8)}:${pax.get("gid") ?? number(header, 116, 8)}`,
		...(target === "" ? [] : [`-> ${target}`]),
		...(isDevice ? [`device ${number(header, 329, 8)}:${number(header, 337, 8)}`] : []),
		...attributes.map(
			([key, value]) =>
				`${key.slice("SCHILY.xattr.".length)}=${Buffer.from(value, "latin1").toString("hex")}`,
		),
	].join(" ");
}

/** The members by name, without the slash after directories' names. */
export function readArchive(path: string): Map<string, Member> {
	const members = new Map<string, Member>();
	const reader = new Reader(path);
	let pax = new Map<string, string>();
	try {
		for (;;) {
			const header = reader.read(block);
			if (header.length < block || header.every((byte) => byte === 0)) return members;
			const type = String.fromCharCode(header.readUInt8(156));
			const size = Number(pax.get("size") ?? number(header, 124, 12));
			const data = reader.readData(size);
			if (type === "x") pax = readPax(data);
			else if (type === "L") pax.set("path", text(data, 0, data.length));
			else if (type === "K") pax.set("linkpath", text(data, 0, data.length));
			if ("xLKg".includes(type)) continue;
			const prefix = header.toString("latin1", 257, 263) === "ustar\0" ? text(header, 345, 155) : "";
			const name = pax.get("path") ?? (prefix === "" ? "" : `${prefix}/`) + text(header, 0, 100);
			const kind = kinds[type] ?? `type ${type}`;
			members.set(name.replace(/^\.\//, "").replace(/\/$/, ""), {
				kind,
				attributes: describe(header, pax, kind),
				digest: kind === "file" ? createHash("sha256").update(data).digest("hex").slice(0, 16) : "",
			});
			pax = new Map();
		}
	} finally {
		reader.close();
	}
}
