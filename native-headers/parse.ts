/**
 * Reads the subset of C in which native-headers/ is written, and lays structs out by the rules of the LP64 ABIs
 * of x86-64 and aarch64: a field lies at the next multiple of its alignment, a struct is as aligned as its most
 * aligned field, and its size is a multiple of that.
 */

export type Architecture = "x64" | "arm64";

export interface Constant {
	readonly name: string;
	readonly value: bigint;
	/** The base in which the header writes it, so that the generated text stays recognizable. */
	readonly base: 8 | 10 | 16;
}

export interface Field {
	readonly name: string;
	readonly offset: number;
	/** In bytes; 0 for an array without a length. */
	readonly size: number;
}

interface Shape {
	readonly size: number;
	readonly alignment: number;
}

export interface Struct extends Shape {
	readonly name: string;
	readonly fields: readonly Field[];
}

export interface Header {
	/** The #include lines and feature macros: where the system declares the same names. */
	readonly includes: string[];
	readonly constants: Map<string, Constant>;
	readonly structs: Map<string, Struct>;
	/** Function prototypes on one line each, by function name. */
	readonly prototypes: Map<string, string>;
}

const scalars: Readonly<Record<string, number>> = {
	char: 1,
	int8_t: 1,
	uint8_t: 1,
	int16_t: 2,
	uint16_t: 2,
	int: 4,
	"unsigned int": 4,
	int32_t: 4,
	uint32_t: 4,
	long: 8,
	"unsigned long": 8,
	int64_t: 8,
	uint64_t: 8,
	size_t: 8,
};

const pointer: Shape = { size: 8, alignment: 8 };

/**
 * Parses one header as the given architecture sees it.
 *
 * @throws Error naming the header and the text that is outside the subset
 */
export function parseHeader(name: string, source: string, architecture: Architecture): Header {
	try {
		return parse(source, architecture);
	} catch (error) {
		throw new Error(`${name}: ${(error as Error).message}`);
	}
}

function parse(source: string, architecture: Architecture): Header {
	const header: Header = { includes: [], constants: new Map(), structs: new Map(), prototypes: new Map() };
	const definitions: [name: string, expression: string][] = [];
	for (const declaration of splitDeclarations(preprocess(source, architecture))) {
		const struct = /^struct (\w+) \{(.*)\}$/.exec(declaration);
		const enumeration = /^enum \w+ \{(.*)\}$/.exec(declaration);
		const definition = /^#define (\w+) (.+)$/.exec(declaration);
		const prototype = /^[\w *]+?\b(\w+)\(.*\)$/.exec(declaration);
		if (struct) header.structs.set(struct[1]!, layOut(header, struct[1]!, struct[2]!));
		else if (enumeration) definitions.push(...enumerators(enumeration[1]!));
		else if (/^#include |^#define _GNU_SOURCE$|^#define FUSE_USE_VERSION /.test(declaration))
			header.includes.push(declaration);
		else if (definition) definitions.push([definition[1]!, definition[2]!]);
		else if (prototype) header.prototypes.set(prototype[1]!, `${declaration};`);
		else if (!declaration.startsWith("typedef ")) throw new Error(`not understood: ${declaration}`);
	}
	// Only now, because an ioctl number contains the size of a struct, wherever that stands.
	for (const [name, expression] of definitions) {
		if (header.constants.has(name)) throw new Error(`${name} is defined twice`);
		header.constants.set(name, { name, value: evaluate(header, expression), base: baseOf(expression) });
	}
	return header;
}

/** Drops comments and the lines meant for other architectures; joins what remains, `#` lines ending in `;`. */
function preprocess(source: string, architecture: Architecture): string {
	const lines: string[] = [];
	let taken = true;
	let conditional = false;
	for (const line of source.replace(/\/\*.*?\*\//gs, " ").split("\n")) {
		const text = line.trim().replace(/\s+/g, " ");
		if (text === "#if defined(__aarch64__)" && !conditional) {
			conditional = true;
			taken = architecture === "arm64";
		} else if (text === "#else" && conditional) {
			taken = !taken;
		} else if (text === "#endif" && conditional) {
			conditional = false;
			taken = true;
		} else if (taken) {
			lines.push(text.startsWith("#") ? `${text};` : text);
		}
	}
	if (conditional) throw new Error("unfinished #if");
	return lines.join(" ");
}

/** Splits at the semicolons outside braces. */
function* splitDeclarations(text: string): Generator<string> {
	let depth = 0;
	let start = 0;
	for (let i = 0; i < text.length; i++) {
		if (text[i] === "{") depth++;
		else if (text[i] === "}") depth--;
		else if (text[i] === ";" && depth === 0) {
			yield text.slice(start, i).trim();
			start = i + 1;
		}
	}
	const rest = text.slice(start).trim();
	if (rest !== "") throw new Error(`unfinished: ${rest}`);
}

function layOut(header: Header, name: string, body: string): Struct {
	const fields: Field[] = [];
	let end = 0;
	let alignment = 1;
	for (const text of body.split(";").map((field) => field.trim())) {
		if (text === "") continue;
		const field = /^(?:const )?([\w ]+?) ?(\**)(\w+)(?:\[(\d*)\])?$/.exec(text);
		if (!field) throw new Error(`struct ${name}: not understood: ${text}`);
		const shape = field[2] === "" ? shapeOf(header, field[1]!) : pointer;
		const count = field[4] === undefined ? 1 : Number(field[4]);
		const offset = roundUp(end, shape.alignment);
		fields.push({ name: field[3]!, offset, size: shape.size * count });
		end = offset + shape.size * count;
		alignment = Math.max(alignment, shape.alignment);
	}
	return { name, size: roundUp(end, alignment), alignment, fields };
}

function shapeOf(header: Header, type: string): Shape {
	const struct = type.startsWith("struct ") ? header.structs.get(type.slice("struct ".length)) : undefined;
	if (struct) return struct;
	const size = scalars[type];
	if (size === undefined) throw new Error(`unknown type: ${type}`);
	return { size, alignment: size };
}

function roundUp(offset: number, alignment: number): number {
	return Math.ceil(offset / alignment) * alignment;
}

function enumerators(body: string): [string, string][] {
	const items = body.split(",").map((item) => item.trim());
	return items
		.filter((item) => item !== "")
		.map((item) => {
			const enumerator = /^(\w+) = (.+)$/.exec(item);
			if (!enumerator) throw new Error(`an enumerator needs a value: ${item}`);
			return [enumerator[1]!, enumerator[2]!];
		});
}

function baseOf(expression: string): 8 | 10 | 16 {
	if (/^-?[1-9]\d*$|^0$/.test(expression)) return 10;
	return /^0\d+$/.test(expression) ? 8 : 16;
}

/** The value of `number`, `(number << bits)`, a name defined above, or an `_IO*` macro of asm-generic/ioctl.h. */
function evaluate(header: Header, expression: string): bigint {
	const shift = /^\((\w+) << (\d+)\)$/.exec(expression);
	if (shift) return evaluate(header, shift[1]!) << BigInt(shift[2]!);
	const ioctl = /^_IO([RW]*)\((\w+), (\d+)(?:, ([\w ]+))?\)$/.exec(expression);
	if (ioctl) {
		const direction = (ioctl[1]!.includes("W") ? 1n : 0n) | (ioctl[1]!.includes("R") ? 2n : 0n);
		const size = ioctl[4] === undefined ? 0n : BigInt(shapeOf(header, ioctl[4]).size);
		return (direction << 30n) | (size << 16n) | (evaluate(header, ioctl[2]!) << 8n) | BigInt(ioctl[3]!);
	}
	const number = /^(-?)(0x[0-9a-f]+|\d+)(?:ULL)?$/i.exec(expression);
	if (number) {
		const digits = /^0\d/.test(number[2]!) ? `0o${number[2]!}` : number[2]!;
		return number[1] === "-" ? -BigInt(digits) : BigInt(digits);
	}
	const known = header.constants.get(expression);
	if (!known) throw new Error(`not a constant: ${expression}`);
	return known.value;
}
