/**
 * Writes src/native/layout.ts from the C headers beside this file: `bun native-headers/generate.ts`.
 *
 * The headers are a strict subset of C, so that a few hundred lines can read them: structs of integers, pointers,
 * arrays and other structs; enums; #define of integer constants; typedefs; function prototypes; and
 * `#if defined(__aarch64__)` blocks. Anything else is an error. Both architectures that we serve, x86-64 and
 * aarch64, are little-endian LP64 with natural alignment; what differs between them differs in the headers.
 *
 * Names in layout.ts:
 * - a constant keeps its C name; one above 2^53 is a bigint;
 * - a struct is its C name in camelCase: an object of byte offsets, one per field in camelCase, and `sizeof`;
 *   a field that is a struct has the offset at which that struct begins;
 * - padding, dummy, reserved, spare, unused and names with two leading underscores are left out;
 * - what differs between architectures is chosen once, from process.arch;
 * - `errnoNames` has the names of the errors by their codes, so that nobody has to look through all constants.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Architecture, type Constant, type Header, parseHeader, type Struct } from "./parse.ts";

/** The headers, in the order in which they may refer to each other. */
export const headerNames = ["fuse-kernel.h", "libfuse.h", "linux.h", "libc.h"] as const;

/** Reads all headers as one architecture sees them. */
export function readHeaders(architecture: Architecture): Map<string, Header> {
	const headers = new Map<string, Header>();
	for (const name of headerNames) {
		headers.set(name, parseHeader(name, readFileSync(join(import.meta.dir, name), "utf8"), architecture));
	}
	return headers;
}

/** A C name in camelCase: `fuse_in_header` is `fuseInHeader`, a name in capitals keeps its case. */
export function camelCase(name: string): string {
	return name.replace(/_+([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}

/** Whether a field only fills space, or belongs to nobody yet. */
export function isFiller(field: string): boolean {
	return field.startsWith("__") || /^(padding|dummy|reserved|spare|unused)\d*$|_(pad|spare)$/.test(field);
}

/** The text of src/native/layout.ts. */
export function generateLayout(): string {
	const x64 = readHeaders("x64");
	const arm64 = readHeaders("arm64");
	const out = [
		"// Generated from native-headers/ by native-headers/generate.ts: do not edit.",
		"// Byte offsets and constants of the kernel's, libfuse's and libc's C interface; the rules are told there.",
		"",
		'const arm64 = process.arch === "arm64";',
	];
	for (const name of headerNames) {
		const ours = x64.get(name)!;
		const theirs = arm64.get(name)!;
		out.push("", `// ---- ${name}`, "");
		for (const constant of ours.constants.values()) {
			out.push(constantText(constant, counterpart(theirs.constants, constant.name, name)));
		}
		expectSameNames(ours.constants, theirs.constants, name);
		for (const struct of ours.structs.values()) {
			out.push("", ...structText(struct, counterpart(theirs.structs, struct.name, name)));
		}
		expectSameNames(ours.structs, theirs.structs, name);
	}
	const errors = [...x64.get("linux.h")!.constants.values()].filter(({ name }) => /^E[A-Z0-9]+$/.test(name));
	out.push("", "export const errnoNames: { readonly [code: number]: string } = {");
	out.push(...errors.map(({ name, value }) => `\t${value}: "${name}",`), "};");
	return `${out.join("\n")}\n`;
}

function counterpart<T>(table: Map<string, T>, key: string, header: string): T {
	const found = table.get(key);
	if (found === undefined) throw new Error(`${header}: ${key} is missing on aarch64`);
	return found;
}

function expectSameNames(x64: Map<string, unknown>, arm64: Map<string, unknown>, header: string): void {
	for (const key of arm64.keys()) {
		if (!x64.has(key)) throw new Error(`${header}: ${key} is missing on x86-64`);
	}
}

function constantText(x64: Constant, arm64: Constant): string {
	const value = x64.value === arm64.value ? literal(x64) : `arm64 ? ${literal(arm64)} : ${literal(x64)}`;
	return `export const ${x64.name} = ${value};`;
}

/** A constant in the base in which its header writes it. */
function literal({ value, base }: Constant): string {
	const suffix = value > BigInt(Number.MAX_SAFE_INTEGER) ? "n" : "";
	if (value < 0n || value < 8n) return `${value}${suffix}`;
	if (base === 16) return `0x${value.toString(16)}${suffix}`;
	if (base === 8) return `0o${value.toString(8)}${suffix}`;
	return `${value}${suffix}`;
}

function structText(x64: Struct, arm64: Struct): string[] {
	const name = camelCase(x64.name);
	const ours = objectLines(x64);
	const theirs = objectLines(arm64);
	if (ours.join() === theirs.join()) return [`export const ${name} = {`, ...ours, "} as const;"];
	return [
		`const ${name}X64 = {`,
		...ours,
		"} as const;",
		`const ${name}Arm64 = {`,
		...theirs,
		"} as const;",
		`export const ${name} = arm64 ? ${name}Arm64 : ${name}X64;`,
	];
}

function objectLines(struct: Struct): string[] {
	const shown = struct.fields.filter((field) => !isFiller(field.name));
	return [
		`\tsizeof: ${struct.size},`,
		...shown.map((field) => `\t${camelCase(field.name)}: ${field.offset},`),
	];
}

if (import.meta.main) {
	writeFileSync(join(import.meta.dir, "../src/native/layout.ts"), generateLayout());
}
