/** The subset of C that native-headers/ is written in: what it means, and that everything else is an error. */
import { describe, expect, test } from "bun:test";
import { camelCase, isFiller } from "../../native-headers/generate.ts";
import { parseHeader } from "../../native-headers/parse.ts";

const parse = (source: string, architecture: "x64" | "arm64" = "x64") =>
	parseHeader("h", source, architecture);

describe("structs", () => {
	test.each([
		["char a; long b; char c;", 24, [0, 8, 16]],
		["uint16_t a[3]; uint32_t b;", 12, [0, 8]],
		["int a; char **b; void *c[2];", 32, [0, 8, 16]],
		["uint64_t a; uint8_t b; char name[];", 16, [0, 8, 9]],
		["uint8_t a; struct inner b; uint8_t c;", 20, [0, 4, 16]],
		["uint8_t a; struct inner b[2]; const char *c;", 40, [0, 4, 32]],
	])("%s", (fields, size, offsets) => {
		const { structs } = parse(`struct inner { uint32_t x; uint16_t y[4]; };\nstruct s { ${fields} };`);
		const struct = structs.get("s")!;
		expect(struct.fields.map(({ offset }) => offset)).toEqual(offsets);
		expect(struct.size).toBe(size);
	});
});

describe("constants", () => {
	test.each([
		["10", 10n, 10],
		["-100", -100n, 10],
		["0x1F", 31n, 16],
		["0170000", 0o170000n, 8],
		["(1 << 31)", 2147483648n, 16],
		["(1ULL << 63)", 1n << 63n, 16],
		["_IO(229, 3)", 0xe503n, 16],
		["_IOR(0xe5, 0, uint32_t)", 0x8004e500n, 16],
		["_IOW(BASE, 1, struct later)", 0x40100701n, 16],
		["_IOWR(0x58, 2, long)", 0xc0085802n, 16],
		["BASE", 7n, 16],
	])("%s", (expression, value, base) => {
		const source = `#define BASE 7\n#define X ${expression}\nstruct later { uint64_t a[2]; };`;
		expect(parse(source).constants.get("X")).toEqual({ name: "X", value, base: base as 8 | 10 | 16 });
	});

	test("of an enum", () => {
		const { constants } = parse("enum e {\n\tA = 1, /* one */\n\tB = (1 << 4),\n};");
		expect([...constants.values()].map(({ name, value }) => [name, value])).toEqual([
			["A", 1n],
			["B", 16n],
		]);
	});
});

test("each architecture sees its own lines", () => {
	const source = "#if defined(__aarch64__)\n#define X 1\n#else\n#define X 2\n#endif\n#define Y 3";
	expect(parse(source, "arm64").constants.get("X")!.value).toBe(1n);
	expect(parse(source, "x64").constants.get("X")!.value).toBe(2n);
	expect(parse(source, "x64").constants.get("Y")!.value).toBe(3n);
});

test("prototypes are kept on one line", () => {
	const { prototypes } = parse("struct s *f(const char *name,\n\tsize_t size, ...);\nvoid g(void);");
	expect([...prototypes]).toEqual([
		["f", "struct s *f(const char *name, size_t size, ...);"],
		["g", "void g(void);"],
	]);
});

test.each([
	["struct s { uint32_t a : 1; };", "not understood: uint32_t a : 1"],
	["struct s { double a; };", "unknown type: double"],
	["struct s { struct other a; };", "unknown type: struct other"],
	["struct s { union { int a; } b; };", "not understood"],
	["enum e { A };", "an enumerator needs a value: A"],
	["#define X (1 + 2)", "not a constant: (1 + 2)"],
	["#define X Y", "not a constant: Y"],
	["#define X 1\n#define X 1", "X is defined twice"],
	["#ifdef X", "not understood: #ifdef X"],
	["#if defined(__aarch64__)\n#define X 1", "unfinished #if"],
	["int a;", "not understood: int a"],
	["struct s { int a; }", "unfinished"],
])("outside the subset: %s", (source, message) => {
	expect(() => parse(source)).toThrow(message);
});

test.each([
	["fuse_in_header", "fuseInHeader"],
	["fuse_rename2_in", "fuseRename2In"],
	["linux_dirent64", "linuxDirent64"],
	["stat", "stat"],
])("%s is called %s", (name, camel) => {
	expect(camelCase(name)).toBe(camel);
});

test.each(["padding", "padding2", "dummy", "unused4", "spare", "reserved", "__spare0", "fsx_pad", "f_spare"])(
	"%s is left out",
	(name) => {
		expect(isFiller(name)).toBe(true);
	},
);
