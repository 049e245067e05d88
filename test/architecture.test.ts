/**
 * The map of the source holds: which room imports which, who may end the process, how long files are.
 *
 * A room is a directory of src/ or of src/overlay/, or a single file beside these. Type imports count: they tie rooms and
 * files together, too.
 */
import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";

const project = join(import.meta.dir, "..");

/** The rooms of the overlay, topmost first: each may import those behind it. */
const floors = ["changes", "reading", "overlay.ts", "overlay-options.ts", "nodes", "marks", "jobs", "layers"];
const overlayRooms = floors.map((floor, index): [string, readonly string[]] => [
	`overlay/${floor}`,
	[
		...floors.slice(index + 1).map((lower) => `overlay/${lower}`),
		"native/libc",
		"native/memory",
		"native/layout",
	],
]);
/** What each room may import, besides itself and the leaves. `native/x` stands for `native/x.ts` or all of `native/x/`. */
const rooms: Readonly<Record<string, readonly string[]>> = {
	"main.ts": ["cli", "daemon.ts", "limits.ts", "mount.ts"],
	"limits.ts": [],
	"index.ts": ["mount.ts"],
	// Where things are put together and started: of native what concerns this process.
	"daemon.ts": ["mount.ts", "succession.ts", "native"],
	"mount.ts": ["fuse", "overlay", "native", "open-overlay.ts"],
	"open-overlay.ts": ["overlay", "native"],
	"succession.ts": ["mount.ts", "fuse", "overlay", "native", "keeper.ts"],
	"keeper.ts": ["native"],
	cli: [],
	// Not how something is kept on disk, nor where.
	fuse: ["overlay/changes", "overlay/reading", "overlay/overlay", "overlay/nodes", "overlay/jobs", "native"],
	...Object.fromEntries(overlayRooms),
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
	const [top = path, second] = path.split("/");
	return top === "overlay" && second !== undefined ? `${top}/${second}` : top;
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

/** Which of them import which, files or rooms, by the name that `nameOf` gives a path. */
function edgesBetween(files: readonly Source[], nameOf: (path: string) => string): Map<string, Set<string>> {
	const paths = new Set(files.map(({ path }) => path));
	const edges = new Map<string, Set<string>>();
	for (const { path, imports } of files) {
		const from = nameOf(path);
		const others = edges.get(from) ?? new Set();
		for (const { target } of imports)
			if (paths.has(target) && nameOf(target) !== from) others.add(nameOf(target));
		edges.set(from, others);
	}
	return edges;
}

function circlesOf(edges: ReadonlyMap<string, ReadonlySet<string>>): string[] {
	const circles: string[] = [];
	const finished = new Set<string>();
	const visit = (at: string, way: readonly string[]) => {
		if (way.includes(at)) circles.push([...way.slice(way.indexOf(at)), at].join(" -> "));
		if (way.includes(at) || finished.has(at)) return;
		for (const next of edges.get(at) ?? []) visit(next, [...way, at]);
		finished.add(at);
	};
	for (const at of edges.keys()) visit(at, []);
	return circles;
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
		expect(circlesOf(edgesBetween(sources, roomOf))).toEqual([]);
	});
});

test("no files import each other in a circle", () => {
	expect(circlesOf(edgesBetween(sources, (path) => path))).toEqual([]);
});

test("an arrow that is turned round is seen", () => {
	const made = (path: string, ...targets: string[]): Source => ({
		path,
		code: "",
		imports: targets.map((target) => ({ target, typeOnly: true })),
	});
	expect(isAllowed("overlay/changes/create.ts", "overlay/marks/whiteout.ts", false)).toBeTrue();
	expect(isAllowed("overlay/marks/whiteout.ts", "overlay/changes/create.ts", true)).toBeFalse();
	expect(isAllowed("fuse/reply.ts", "overlay/marks/whiteout.ts", true)).toBeFalse();
	const round = [
		made("a/one.ts", "b/two.ts"),
		made("b/two.ts", "b/three.ts"),
		made("b/three.ts", "a/one.ts"),
	];
	expect(circlesOf(edgesBetween(round, (path) => path))).toEqual([
		"a/one.ts -> b/two.ts -> b/three.ts -> a/one.ts",
	]);
	expect(circlesOf(edgesBetween(round, roomOf))).toEqual(["a -> b -> a"]);
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
