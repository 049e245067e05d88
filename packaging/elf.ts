/** ELF files of 64 bits in the byte order of x86-64 and aarch64, read and mended in place: elf(5). */
import { closeSync, fstatSync, openSync, readFileSync, readSync, writeSync } from "node:fs";

const PROGRAM_HEADERS = 0x20;
const SECTION_HEADERS = 0x28;
const PROGRAM_HEADER_SIZE = 0x36;
const PROGRAM_HEADER_COUNT = 0x38;
const SECTION_HEADER_SIZE = 0x3a;
const SECTION_HEADER_COUNT = 0x3c;
const SECTION_HEADER_OF_NAMES = 0x3e;
export const SHT_PROGBITS = 1;
export const SHT_INIT_ARRAY = 14;
export const SHF_WRITE = 1;
export const PT_NOTE = 4;
/** Of an address or size, and the alignment of both. */
export const ADDRESS_SIZE = 8;

export interface Section {
	readonly name: string;
	readonly type: number;
	readonly flags: number;
	readonly address: number;
	readonly offset: number;
	readonly size: number;
	/** Where its header stands, and where its name. */
	readonly headerAt: number;
	readonly nameAt: number;
}

export interface Segment {
	readonly type: number;
	readonly offset: number;
	readonly address: number;
	readonly size: number;
	/** Where its header stands. */
	readonly headerAt: number;
}

export class ElfFile implements Disposable {
	readonly #fd: number;
	readonly #path: string;

	constructor(path: string) {
		this.#path = path;
		this.#fd = openSync(path, "r+");
	}

	[Symbol.dispose](): void {
		closeSync(this.#fd);
	}

	read(offset: number, length: number): DataView {
		const bytes = new Uint8Array(length);
		const read = readSync(this.#fd, bytes, 0, length, offset);
		if (read !== length)
			throw new Error(`${this.#path}: an ELF file of ${fstatSync(this.#fd).size} bytes ends too early`);
		return new DataView(bytes.buffer);
	}

	write(offset: number, bytes: Uint8Array): void {
		writeSync(this.#fd, bytes, 0, bytes.length, offset);
	}

	/** The file as it is now. */
	content(): Buffer {
		return readFileSync(this.#path);
	}

	readAddress(offset: number): number {
		return Number(this.read(offset, ADDRESS_SIZE).getBigUint64(0, true));
	}

	writeAddress(offset: number, value: number): void {
		const bytes = new DataView(new ArrayBuffer(ADDRESS_SIZE));
		bytes.setBigUint64(0, BigInt(value), true);
		this.write(offset, new Uint8Array(bytes.buffer));
	}

	sections(): Section[] {
		const headers = this.#headers(SECTION_HEADERS, SECTION_HEADER_SIZE, SECTION_HEADER_COUNT);
		const namesHeader = headers[this.read(SECTION_HEADER_OF_NAMES, 2).getUint16(0, true)]!;
		const namesAt = this.readAddress(namesHeader + 0x18);
		const names = this.read(namesAt, this.readAddress(namesHeader + 0x20));
		const text = Buffer.from(names.buffer).toString("latin1");
		return headers.map((headerAt) => {
			const fields = this.read(headerAt, 0x28);
			const nameAt = fields.getUint32(0, true);
			return {
				name: text.slice(nameAt, text.indexOf("\0", nameAt)),
				type: fields.getUint32(4, true),
				flags: Number(fields.getBigUint64(8, true)),
				address: Number(fields.getBigUint64(0x10, true)),
				offset: Number(fields.getBigUint64(0x18, true)),
				size: Number(fields.getBigUint64(0x20, true)),
				headerAt,
				nameAt: namesAt + nameAt,
			};
		});
	}

	segments(): Segment[] {
		return this.#headers(PROGRAM_HEADERS, PROGRAM_HEADER_SIZE, PROGRAM_HEADER_COUNT).map((headerAt) => ({
			type: this.read(headerAt, 4).getUint32(0, true),
			offset: this.readAddress(headerAt + 8),
			address: this.readAddress(headerAt + 0x10),
			size: this.readAddress(headerAt + 0x20),
			headerAt,
		}));
	}

	/** Moves a section within what is loaded, and gives it another size. */
	placeSection({ headerAt, address, offset }: Section, to: number, size: number, alignment: number): void {
		this.writeAddress(headerAt + 0x10, address + to - offset);
		this.writeAddress(headerAt + 0x18, to);
		this.writeAddress(headerAt + 0x20, size);
		this.writeAddress(headerAt + 0x30, alignment);
	}

	/** The same of a segment, in memory and in the file. */
	placeSegment({ headerAt, address, offset }: Segment, to: number, size: number, alignment: number): void {
		this.writeAddress(headerAt + 8, to);
		this.writeAddress(headerAt + 0x10, address + to - offset);
		this.writeAddress(headerAt + 0x18, address + to - offset);
		this.writeAddress(headerAt + 0x20, size);
		this.writeAddress(headerAt + 0x28, size);
		this.writeAddress(headerAt + 0x30, alignment);
	}

	/** A section's name gives way to another, which must not be longer. */
	renameSection({ name, nameAt }: Section, to: string): void {
		if (to.length > name.length) throw new Error(`${to} is longer than ${name}`);
		this.write(nameAt, Buffer.from(to.padEnd(name.length, "\0"), "latin1"));
	}

	#headers(startAt: number, sizeAt: number, countAt: number): number[] {
		const header = this.read(0, 0x40);
		const start = this.readAddress(startAt);
		const size = header.getUint16(sizeAt, true);
		return Array.from({ length: header.getUint16(countAt, true) }, (_, index) => start + index * size);
	}
}
