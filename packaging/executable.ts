/**
 * The program as one ELF file, Bun included, for any processor and C library that Bun runs on.
 *
 * Bun starts the program whose address it finds in eight bytes of its data, which `bun build` fills in. In what it writes
 * no section of the ELF file holds these eight bytes any more: strip, objcopy and patchelf, which keep what sections
 * hold, would write zeros there, and the binary be plain Bun. So the section in front of them is made to hold them, too.
 */
import { createHash } from "node:crypto";
import { closeSync, mkdtempSync, openSync, readSync, renameSync, rmSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { ADDRESS_SIZE, ElfFile, PT_NOTE, SHF_WRITE, SHT_INIT_ARRAY, SHT_PROGBITS } from "./elf.ts";

const project = join(import.meta.dir, "..");
const name = "fuse-overlayfs";
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

/** Processors by the names that npm and Bun have for them. */
export type Processor = "x64" | "arm64";
/** What a binary runs on, by Bun's names: with glibc, or with musl where that is said. */
export type Platform = Processor | `${Processor}-musl`;

/** What the Bun in the file `runtime`, which is for this machine's processor, runs on. */
export function platformOf(runtime: string): Platform {
	const processor = process.arch as Processor;
	// The loader's path stands near the file's beginning.
	const start = Buffer.alloc(4096);
	const file = openSync(runtime, "r");
	readSync(file, start);
	closeSync(file);
	return start.includes("/lib/ld-musl-") ? `${processor}-musl` : processor;
}

/**
 * Writes the program with the Bun in the file `runtime`, which is one for `platform`, to `outfile`. The same sources and
 * the same Bun give the same bytes. Throws if Bun cannot build it, or if `runtime` has another form than known.
 */
export function makeExecutable(platform: Platform, runtime: string, outfile: string): void {
	// The file has its own name inside it: always the same, whatever it is called afterwards.
	const directory = mkdtempSync(join(dirname(outfile), ".build-"));
	try {
		const file = join(directory, name);
		const { exitCode } = Bun.spawnSync(
			[
				process.execPath,
				"build",
				...options,
				`--target=bun-linux-${platform}`,
				`--compile-executable-path=${runtime}`,
				`--outfile=${file}`,
				...entries,
			],
			{ cwd: project, stdio: ["ignore", "inherit", "inherit"] },
		);
		if (exitCode !== 0) throw new Error(`${basename(process.execPath)} build failed, see above`);
		keepAddress(file);
		if (platform === "x64") requireProcessor(file);
		identify(file);
		renameSync(file, outfile);
	} finally {
		rmSync(directory, { recursive: true });
	}
}

/** Has a section hold the program's address. Throws where that does not come right after a section of data. */
function keepAddress(path: string): void {
	using file = new ElfFile(path);
	const sections = file.sections();
	const program = sections.find(({ name }) => name === ".bun");
	const isData = (type: number) => type === SHT_PROGBITS || type === SHT_INIT_ARRAY;
	const data = sections.filter(({ type, flags }) => isData(type) && (flags & SHF_WRITE) !== 0);
	const before = data
		.map((section) => ({ section, end: align(section.offset + section.size) }))
		.filter(({ end }) =>
			data.every(({ offset, size }) => end + ADDRESS_SIZE <= offset || end >= offset + size),
		)
		.filter(({ end }) => file.readAddress(end) === program?.address);
	if (program === undefined || before.length !== 1) throw new UnknownForm(path, "strip would break it");
	const { section, end } = before[0]!;
	file.writeAddress(section.headerAt + 0x20, end + ADDRESS_SIZE - section.offset);
}

const NT_GNU_BUILD_ID = 3;
const NT_GNU_PROPERTY_TYPE_0 = 5;
const GNU_PROPERTY_X86_ISA_1_NEEDED = 0xc0008002;
/** SSE4.2 and what came before it: what Bun is compiled for. */
const GNU_PROPERTY_X86_ISA_1_V2 = 2;
const PROPERTY_NOTE_SIZE = 32;
const NOTE_HEADER_SIZE = 16;
const BUILD_ID_SIZE = 16;

/**
 * Has the loader (glibc 2.33; musl's knows nothing of it) refuse a processor without SSE4.2, by a line that says so, where Bun
 * would be ended by SIGILL. The note for it takes the place of the one with the oldest kernel, which is read in libraries
 * only, and of four bytes of the build's id.
 */
function requireProcessor(path: string): void {
	using file = new ElfFile(path);
	const sections = file.sections();
	const system = sections.find(({ name }) => name === ".note.ABI-tag");
	const build = sections.find(({ name }) => name === ".note.gnu.build-id");
	const notes = file.segments().filter(({ type }) => type === PT_NOTE);
	const [segment] = notes;
	if (system === undefined || build === undefined || segment === undefined || notes.length !== 1)
		throw new UnknownForm(path, "it has no room for what it needs of a processor");
	const start = align(segment.offset);
	const end = start + PROPERTY_NOTE_SIZE + NOTE_HEADER_SIZE + BUILD_ID_SIZE;
	if (segment.offset !== system.offset || end > segment.offset + segment.size)
		throw new UnknownForm(path, "it has no room for what it needs of a processor");
	const property = new Uint32Array([
		GNU_PROPERTY_X86_ISA_1_NEEDED,
		Uint32Array.BYTES_PER_ELEMENT,
		GNU_PROPERTY_X86_ISA_1_V2,
		0,
	]);
	file.write(start, note(NT_GNU_PROPERTY_TYPE_0, new Uint8Array(property.buffer)));
	file.write(start + PROPERTY_NOTE_SIZE, note(NT_GNU_BUILD_ID, new Uint8Array(BUILD_ID_SIZE)));
	file.placeSection(system, start, PROPERTY_NOTE_SIZE, ADDRESS_SIZE);
	file.placeSection(build, start + PROPERTY_NOTE_SIZE, end - start - PROPERTY_NOTE_SIZE, ADDRESS_SIZE);
	file.placeSegment(segment, start, end - start, ADDRESS_SIZE);
	file.renameSection(system, ".note.isa");
}

function note(type: number, description: Uint8Array): Uint8Array {
	const owner = Buffer.from("GNU\0");
	const header = new Uint32Array([owner.length, description.length, type]);
	return Buffer.concat([new Uint8Array(header.buffer), owner, description]);
}

/** Gives it an id of its own: package managers and debuggers take two files with one id for the same. */
function identify(path: string): void {
	using file = new ElfFile(path);
	const build = file.sections().find(({ name }) => name === ".note.gnu.build-id");
	if (build === undefined) throw new UnknownForm(path, "it has no build id");
	const at = build.offset + NOTE_HEADER_SIZE;
	const size = build.size - NOTE_HEADER_SIZE;
	file.write(at, new Uint8Array(size));
	file.write(at, createHash("sha256").update(file.content()).digest().subarray(0, size));
}

class UnknownForm extends Error {
	constructor(path: string, consequence: string) {
		super(`${path}: another form than Bun ${Bun.version} had: ${consequence}`);
	}
}

function align(offset: number): number {
	return Math.ceil(offset / ADDRESS_SIZE) * ADDRESS_SIZE;
}
