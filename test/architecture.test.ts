/**
 * The map of the source holds: which room imports which, who may end the process, how long files are.
 *
 * A room is a directory of src/ or, at its top, a single file. Type imports count: they tie rooms together too.
 */
import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";

const project = join(import.meta.dir, "..");

/** What each room may import, besides itself and the leaves. `native/x` stands for `native/x.ts` or all of `native/x/`. */
const rooms: Readonly<Record<string, readonly string[]>> = {
	"main.ts": ["cli", "daemon.ts", "limits.ts", "mount.ts"],
	"limits.ts": [],
	"index.ts": ["mount.ts"],
	// Where things are put together and started: of native what concerns this process.
	"daemon.ts": ["mount.ts", "native"],
	"mount.ts": ["fuse", "overlay", "native"],
	cli: [],
	fuse: ["overlay", "native"],
	overlay: ["native/libc", "native/memory", "native/layout"],
	native: [],
};
/** What everybody may import; they import nothing but each other. */
const leaves = ["options.ts", "display.ts", "log.ts", "remedy.ts"];
/** Longer than 400 lines, and why. */
const longFiles: Readonly<Record<string, string>> = {
	"src/native/layout.ts": "generated from native-headers/, and only ever read name by name",
};
const longestFile = 400;

interface Import {
	/** Path under src/, or a module's name. */
	readonly target: string;
	readonly typeOnly: boolean;
}

interface Source {
	/** Path under src/. */
	readonly path: string;
	/** The program without comments and types. */
	readonly code: string;
	readonly imports: readonly Import[];
}

function filesIn(...directories: string[]): string[] {
	const found = directories
		.filter((directory) => existsSync(join(project, directory)))
		.flatMap((directory) => [...new Bun.Glob(`${directory}/**/*.ts`).scanSync({ cwd: project })]);
	return found.sort();
}

function importsOf(path: string, text: string): Import[] {
	const statement = /^(?:import|export)\s+(type\s+)?(?:([\w*{][^;"']*?)\s*from\s*)?"([^"]+)"/gm;
	const call = /\bimport\(\s*"([^"]+)"\s*\)/g;
	const withoutComments = text.replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, "");
	const resolve = (module: string) =>
		module.startsWith(".") ? normalize(join(dirname(path), module)) : module;
	return [
		...withoutComments.matchAll(statement).map(([, type, names = "", module = ""]) => {
			const inBraces = /^\{(.*)\}$/s.exec(names)?.[1]?.split(",") ?? [""];
			const onlyTypes = inBraces.every((name) => /^\s*(type\s|$)/.test(name)) && names.includes("type");
			return { target: resolve(module), typeOnly: type !== undefined || onlyTypes };
		}),
		...withoutComments
			.matchAll(call)
			.map(([, module = ""]) => ({ target: resolve(module), typeOnly: false })),
	];
}

const transpiler = new Bun.Transpiler({ loader: "ts" });
const sources: readonly Source[] = filesIn("src").map((file) => {
	const text = readFileSync(join(project, file), "utf8");
	const path = file.slice("src/".length);
	return { path, code: transpiler.transformSync(text), imports: importsOf(path, text) };
});

function roomOf(path: string): string {
	return path.split("/")[0] ?? path;
}

/** Only what lies under src/ has a room: modules by name and package.json do not. */
function isInside(target: string): boolean {
	return sources.some(({ path }) => path === target);
}

function isAllowed(from: string, target: string, typeOnly: boolean): boolean {
	const room = roomOf(from);
	if (roomOf(target) === room && !leaves.includes(room)) return true;
	if (room === "native") return target === "options.ts" && typeOnly;
	if (leaves.includes(target)) return true;
	return (rooms[room] ?? []).some(
		(allowed) => target === allowed || target === `${allowed}.ts` || target.startsWith(`${allowed}/`),
	);
}

function violations(check: (source: Source, imported: Import) => boolean): string[] {
	return sources.flatMap((source) =>
		source.imports
			.filter((imported) => check(source, imported))
			.map(({ target, typeOnly }) => `${source.path} imports ${typeOnly ? "a type of " : ""}${target}`),
	);
}

test("imports are found in all their forms", () => {
	const text = [
		'import { a, type B } from "./one.ts";',
		'import type { C } from "../two.ts";',
		'import {\n\ttype D,\n\ttype E,\n} from "../three.ts";',
		'import "node:fs";',
		'import * as layout from "./four.ts";',
		'export { f } from "./five.ts";',
		'const late = await import("./six.ts");',
		'/** import { no } from "./never.ts" */',
		'// const no = import("./never.ts");',
	].join("\n");
	expect(importsOf("room/file.ts", text)).toEqual([
		{ target: "room/one.ts", typeOnly: false },
		{ target: "two.ts", typeOnly: true },
		{ target: "three.ts", typeOnly: true },
		{ target: "node:fs", typeOnly: false },
		{ target: "room/four.ts", typeOnly: false },
		{ target: "room/five.ts", typeOnly: false },
		{ target: "room/six.ts", typeOnly: false },
	]);
	expect(sources.length).toBeGreaterThan(30);
	expect(sources.flatMap(({ imports }) => imports).length).toBeGreaterThan(200);
});

describe("rooms", () => {
	test.each(Object.entries(rooms))("%s imports nothing but %p and leaves", (room) => {
		const wrong = violations(
			({ path }, { target, typeOnly }) =>
				roomOf(path) === room && isInside(target) && !isAllowed(path, target, typeOnly),
		);
		expect(wrong).toEqual([]);
	});

	test("leaves import only each other", () => {
		const wrong = violations(
			({ path }, { target }) => leaves.includes(path) && isInside(target) && !leaves.includes(target),
		);
		expect(wrong).toEqual([]);
	});

	test("every file of src/ is in one of them", () => {
		const known = [...Object.keys(rooms), ...leaves];
		expect(sources.map(({ path }) => path).filter((path) => !known.includes(roomOf(path)))).toEqual([]);
	});

	test("every relative import leads to a file that is there", () => {
		const missing = violations((_, { target }) => target.endsWith(".ts") && !isInside(target));
		expect(missing).toEqual([]);
	});

	test("none of them import each other in a circle", () => {
		const edges = new Map<string, Set<string>>();
		for (const { path, imports } of sources) {
			const room = roomOf(path);
			const others = edges.get(room) ?? new Set();
			for (const { target } of imports)
				if (isInside(target) && roomOf(target) !== room) others.add(roomOf(target));
			edges.set(room, others);
		}
		const circles: string[] = [];
		const finished = new Set<string>();
		const visit = (room: string, way: readonly string[]) => {
			if (way.includes(room)) circles.push([...way.slice(way.indexOf(room)), room].join(" -> "));
			if (way.includes(room) || finished.has(room)) return;
			for (const next of edges.get(room) ?? []) visit(next, [...way, room]);
			finished.add(room);
		};
		for (const room of edges.keys()) visit(room, []);
		expect(circles).toEqual([]);
	});
});

test("only native imports bun:ffi", () => {
	expect(violations(({ path }, { target }) => target === "bun:ffi" && roomOf(path) !== "native")).toEqual([]);
});

describe("cli is pure", () => {
	const modules = /^(bun:ffi|(node:)?(fs|child_process|net|worker_threads)(\/.*)?)$/;

	test("it reads no file and calls no system", () => {
		expect(violations(({ path }, { target }) => roomOf(path) === "cli" && modules.test(target))).toEqual([]);
	});

	test("it knows arguments and environment only as they are handed to it", () => {
		const impure = sources.filter(
			({ path, code }) =>
				roomOf(path) === "cli" && /\b(process\.(argv|env|exit|cwd|getuid)|Bun\.)/.test(code),
		);
		expect(impure.map(({ path }) => path)).toEqual([]);
	});
});

test("only main.ts ends the process", () => {
	const enders = sources.filter(({ code }) => /\bprocess\.(exit|abort|reallyExit|kill)\b/.test(code));
	expect(enders.map(({ path }) => path)).toEqual(["main.ts"]);
});

describe("size", () => {
	const lengths = filesIn("src", "test", "bench", "docs", "native-headers").map((file) => ({
		file,
		lines: readFileSync(join(project, file), "utf8").split("\n").length - 1,
	}));

	test(`no file has more than ${longestFile} lines without a reason`, () => {
		const long = lengths.filter(({ file, lines }) => lines > longestFile && longFiles[file] === undefined);
		expect(long).toEqual([]);
	});

	test("no reason is out of date", () => {
		const short = lengths.filter(({ file, lines }) => lines <= longestFile && longFiles[file] !== undefined);
		const missing = Object.keys(longFiles).filter((file) => !lengths.some((length) => length.file === file));
		expect([...short, ...missing]).toEqual([]);
	});
});
