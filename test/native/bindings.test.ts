/**
 * The functions that src/native binds are those which native-headers/ declares, with arguments as wide as declared;
 * layout.test.ts in turn holds those declarations against the system's. A wrong width goes unnoticed until a
 * register happens to hold something in its upper half.
 */
import { dlopen } from "bun:ffi";
import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { readHeaders } from "../../native-headers/generate.ts";

const root = join(import.meta.dir, "../..");
const headers = readHeaders(process.arch as "x64" | "arm64");
const declared = new Map([...headers.values()].flatMap(({ prototypes }) => [...prototypes]));

/** Bytes per type, in C and in bun:ffi; everything else is 8 bytes wide, va_list included, of which the address is passed. */
const narrow: Readonly<Record<string, number>> = {
	void: 0,
	int: 4,
	"unsigned int": 4,
	mode_t: 4,
	uid_t: 4,
	gid_t: 4,
	pid_t: 4,
	clockid_t: 4,
	short: 2,
	i16: 2,
	i32: 4,
	u32: 4,
};
const wideTypes =
	/^(unsigned long|long|s?size_t|off_t|dev_t|va_list|fuse_req_t|fuse_ino_t|fuse_log_func_t|__sighandler_t)$/;
const wideFfiTypes = /^([iu]64(_fast)?|usize|ptr|pointer|function|buffer|cstring)$/;

/** The width of a C type, or of a parameter with its name. */
function widthOf(declaration: string): number {
	if (declaration.includes("*")) return 8;
	const type = declaration.replace(/^const /, "");
	if (type.startsWith("enum ")) return 4;
	for (const candidate of [type, type.replace(/ \w+$/, "")]) {
		if (candidate in narrow) return narrow[candidate]!;
		if (wideTypes.test(candidate)) return 8;
	}
	throw new Error(`unknown C type: ${declaration}`);
}

/** The width of a type given as `"u32"` or `FFIType.u32`. */
function widthOfFfi(text: string): number {
	const type = /^(?:"(\w+)"|FFIType\.(\w+))$/.exec(text.trim());
	const name = type?.[1] ?? type?.[2] ?? text;
	if (name in narrow) return narrow[name]!;
	if (wideFfiTypes.test(name)) return 8;
	throw new Error(`unknown type: ${text}`);
}

/** Widths of a prototype's result and parameters; those of `...` are unknown. */
function shapeOf(prototype: string) {
	const [, result, list] = /^(.*?)\w+\((.*)\);$/.exec(prototype)!;
	const parameters = list === "void" ? [] : list!.split(", ");
	const variadic = parameters.at(-1) === "...";
	return {
		result: widthOf(result!.trim()),
		parameters: (variadic ? parameters.slice(0, -1) : parameters).map(widthOf),
		variadic,
	};
}

interface Binding {
	readonly file: string;
	readonly name: string;
	readonly parameters: readonly number[];
	readonly result: number;
}

/** Every `name: { args: [...], returns: ... }` in src/native. */
function bindings(): Binding[] {
	const found: Binding[] = [];
	for (const file of new Bun.Glob("src/native/**/*.ts").scanSync(root)) {
		const source = readFileSync(join(root, file), "utf8");
		for (const match of source.matchAll(/(\w+): \{\s*args: \[([^\]]*)\],\s*returns: ([\w."]+)/g)) {
			const [name, args, returns] = match.slice(1) as [string, string, string];
			const types = args.split(",").filter((type) => type.trim() !== "");
			found.push({ file, name, parameters: types.map(widthOfFfi), result: widthOfFfi(returns) });
		}
	}
	return found;
}

describe("what src/native binds", () => {
	test.each(bindings().map((binding) => [binding.name, binding.file, binding] as const))(
		"%s in %s is declared so",
		(name, _file, binding) => {
			const prototype = declared.get(name);
			expect(prototype, "missing in native-headers/").toBeString();
			const { result, parameters, variadic } = shapeOf(prototype!);
			expect(variadic ? binding.parameters.slice(0, parameters.length) : binding.parameters).toEqual(
				parameters,
			);
			if (binding.result !== 0) expect(binding.result).toBe(result);
		},
	);
});

test("no function is bound by a name for large files, which glibc alone has", () => {
	// With musl, and in 64 bits with glibc, too, those without that number take as large ones.
	expect(bindings().filter(({ name }) => name.endsWith("64"))).toEqual([]);
});

describe("what native-headers/ declares is exported by", () => {
	test.each([
		["libc.h", ["libc.so.6"]],
		["libfuse.h", ["libfuse3.so.4", "libfuse3.so.3"]],
	])("the library of %s", (header, libraries) => {
		const names = [...headers.get(header)!.prototypes.keys()];
		const table = Object.fromEntries(names.map((name) => [name, { args: [], returns: "void" } as const]));
		const complaints = libraries.map((library) => {
			try {
				dlopen(library, table).close();
				return "";
			} catch (error) {
				return (error as Error).message;
			}
		});
		// One version of the library is enough, but a version that lacks a symbol is a failure.
		expect(complaints).toContain("");
		expect(complaints.filter((complaint) => complaint.startsWith("Symbol "))).toEqual([]);
	});
});

/**
 * A library names with each function the version that it came with, or was last made anew with. A program that looks
 * one up finds it in older versions only if that is not newer than they are.
 */
const oldest = { GLIBC: [2, 31], FUSE: [3, 10] } as const;
type Family = keyof typeof oldest;

/** Where libraries are, beside those of this architecture those that a cross compiler brings. */
const libraries: readonly (readonly [name: string, family: Family, paths: readonly string[]])[] = [
	["libc.so.6", "GLIBC", [`/lib/${process.arch === "x64" ? "x86_64" : "aarch64"}-linux-gnu/libc.so.6`]],
	["libc.so.6 for aarch64", "GLIBC", ["/usr/aarch64-linux-gnu/lib/libc.so.6"]],
	[
		"libfuse",
		"FUSE",
		["x86_64", "aarch64"].flatMap((architecture) =>
			[3, 4].map((version) => `/lib/${architecture}-linux-gnu/libfuse3.so.${version}`),
		),
	],
];

function readElf(option: string, path: string): string {
	const { exitCode, stdout, stderr } = Bun.spawnSync(["readelf", "-W", option, path]);
	if (exitCode !== 0) throw new Error(`readelf ${path}: ${stderr}`);
	return stdout.toString();
}

function isNewer(version: string, family: Family): boolean {
	const [major = 0, minor = 0] = version.split(".").map(Number);
	const [oldestMajor, oldestMinor] = oldest[family];
	return major > oldestMajor || (major === oldestMajor && minor > oldestMinor);
}

/** What a library exports by default, with the version of each. */
function exportsOf(path: string, family: Family): ReadonlyMap<string, string> {
	const symbols = readElf("--dyn-syms", path).matchAll(new RegExp(` (\\w+)@@${family}_([\\d.]+)$`, "gm"));
	return new Map(Array.from(symbols, ([, name, version]) => [name!, version!]));
}

describe("what src/native binds is there since", () => {
	test.each(libraries)("the oldest %s that is promised", (_name, family, paths) => {
		const names = new Set(
			bindings()
				.map(({ name }) => name)
				.filter((name) => name.startsWith("fuse_") === (family === "FUSE")),
		);
		for (const path of paths.filter(existsSync)) {
			const versions = exportsOf(path, family);
			const tooNew = [...names]
				.map((name) => [name, versions.get(name) ?? "missing"] as const)
				.filter(([, version]) => version === "missing" || isNewer(version, family));
			expect(tooNew, path).toEqual([]);
		}
	});

	test("the oldest C library, for Bun itself", () => {
		const needed = readElf("--version-info", process.execPath).matchAll(/Name: GLIBC_([\d.]+)/g);
		const versions = Array.from(needed, ([, version]) => version!);
		expect(versions).not.toBeEmpty();
		expect(versions.filter((version) => isNewer(version, "GLIBC"))).toEqual([]);
	});
});
