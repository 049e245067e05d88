/**
 * `npm run build [-- FILE]`: the program as one binary, Bun included, in dist/fuse-overlayfs or FILE.
 *
 * Bun starts the program whose address it finds in eight bytes of its data, which `bun build` fills in. In what it writes
 * no section of the ELF file holds these eight bytes any more: strip, objcopy and patchelf, which keep what sections
 * hold, would write zeros there, and the binary be plain Bun. So the section in front of them is made to hold them, too.
 */
import { closeSync, fstatSync, openSync, readSync, writeSync } from "node:fs";
import { join } from "node:path";

const project = join(import.meta.dir, "..");
const entries = ["src/main.ts", "src/overlay/jobs/copy-worker.ts"];
const options = [
	"--compile",
	"--minify",
	"--bytecode",
	"--splitting",
	"--format=esm",
	// Whoever runs the program decides what it loads, not the directory in which it is run.
	"--no-compile-autoload-dotenv",
	"--no-compile-autoload-bunfig",
	"--no-compile-autoload-tsconfig",
	"--no-compile-autoload-package-json",
	"--entry-naming=[name].[ext]",
];

/** Of an ELF file with 64 bits, the byte order of x86-64 and aarch64: elf(5). */
const SECTION_HEADERS = 0x28;
const SECTION_HEADER_SIZE = 0x3a;
const SECTION_HEADER_COUNT = 0x3c;
const SECTION_HEADER_OF_NAMES = 0x3e;
const SHT_PROGBITS = 1;
const SHF_WRITE = 1;
const ADDRESS_SIZE = 8;

interface Section {
	readonly name: string;
	readonly type: number;
	readonly flags: number;
	readonly address: number;
	readonly offset: number;
	readonly size: number;
	/** Where its header keeps its size. */
	readonly sizeAt: number;
}

class ElfFile implements Disposable {
	readonly #fd: number;

	constructor(path: string) {
		this.#fd = openSync(path, "r+");
	}

	[Symbol.dispose](): void {
		closeSync(this.#fd);
	}

	read(offset: number, length: number): DataView {
		const bytes = new Uint8Array(length);
		const read = readSync(this.#fd, bytes, 0, length, offset);
		if (read !== length) throw new Error(`an ELF file of ${fstatSync(this.#fd).size} bytes ends too early`);
		return new DataView(bytes.buffer);
	}

	readAddress(offset: number): number {
		return Number(this.read(offset, ADDRESS_SIZE).getBigUint64(0, true));
	}

	writeAddress(offset: number, value: number): void {
		const bytes = new DataView(new ArrayBuffer(ADDRESS_SIZE));
		bytes.setBigUint64(0, BigInt(value), true);
		writeSync(this.#fd, bytes, 0, ADDRESS_SIZE, offset);
	}

	sections(): Section[] {
		const start = this.readAddress(SECTION_HEADERS);
		const header = this.read(0, 0x40);
		const size = header.getUint16(SECTION_HEADER_SIZE, true);
		const count = header.getUint16(SECTION_HEADER_COUNT, true);
		const headers = Array.from({ length: count }, (_, index) => start + index * size);
		const namesHeader = headers[header.getUint16(SECTION_HEADER_OF_NAMES, true)]!;
		const names = this.read(this.readAddress(namesHeader + 0x18), this.readAddress(namesHeader + 0x20));
		const text = Buffer.from(names.buffer).toString("latin1");
		return headers.map((at) => {
			const fields = this.read(at, 0x28);
			const nameAt = fields.getUint32(0, true);
			return {
				name: text.slice(nameAt, text.indexOf("\0", nameAt)),
				type: fields.getUint32(4, true),
				flags: Number(fields.getBigUint64(8, true)),
				address: Number(fields.getBigUint64(0x10, true)),
				offset: Number(fields.getBigUint64(0x18, true)),
				size: Number(fields.getBigUint64(0x20, true)),
				sizeAt: at + 0x20,
			};
		});
	}
}

/** Has a section hold the program's address. Throws where that does not come right after a section of data. */
function keepAddress(path: string): void {
	using file = new ElfFile(path);
	const sections = file.sections();
	const program = sections.find(({ name }) => name === ".bun");
	const data = sections.filter(({ type, flags }) => type === SHT_PROGBITS && (flags & SHF_WRITE) !== 0);
	const before = data
		.map((section) => ({ section, end: align(section.offset + section.size) }))
		.filter(({ end }) =>
			data.every(({ offset, size }) => end + ADDRESS_SIZE <= offset || end >= offset + size),
		)
		.filter(({ end }) => file.readAddress(end) === program?.address);
	if (program === undefined || before.length !== 1) {
		throw new Error(`${path}: another form than Bun ${Bun.version} had: strip would break it`);
	}
	const { section, end } = before[0]!;
	file.writeAddress(section.sizeAt, end + ADDRESS_SIZE - section.offset);
}

function align(offset: number): number {
	return Math.ceil(offset / ADDRESS_SIZE) * ADDRESS_SIZE;
}

const outfile = process.argv[2] ?? join(project, "dist/fuse-overlayfs");
const { exitCode } = Bun.spawnSync(
	[process.execPath, "build", ...options, `--outfile=${outfile}`, ...entries],
	{
		cwd: project,
		stdio: ["ignore", "inherit", "inherit"],
	},
);
if (exitCode === 0) keepAddress(outfile);
else process.exitCode = exitCode;
