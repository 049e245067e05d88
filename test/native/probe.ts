/**
 * Asks a C compiler whether the system's headers declare what native-headers/ declares. Each declaration becomes one
 * line that compiles only where the system says the same; the compiler's errors, line by line, are the answer.
 */
import { camelCase, isFiller } from "../../native-headers/generate.ts";
import type { Architecture, Header } from "../../native-headers/parse.ts";

/** `unknown`: the system does not declare it; `different`: it declares something else. */
export type Verdict = "unknown" | "different";

/** One declaration: its name (`EPERM`, `fuse_attr.ino`, `fuse_attr.sizeof`, `openat()`) and the line that claims it. */
export interface Claim {
	readonly name: string;
	readonly line: string;
}

/** The exports of src/native/layout.ts, as one architecture sees them. */
export type Layout = Readonly<Record<string, number | bigint | Readonly<Record<string, number>>>>;

/** The versions of the system's headers; `linux` and `libfuse` as major * 1000 + minor. */
export interface Versions {
	/** The minor number of FUSE protocol 7. */
	readonly protocol: number;
	readonly linux: number;
	readonly libfuse: number;
}

// These headers do not depend on the architecture, so every compiler may see them.
const flags = ["-x", "c", "-std=gnu11", "-w", "-fdiagnostics-color=never", "-I/usr/include/fuse3"];

/** Evaluates the text of layout.ts with the given architecture in place of the running one. */
export async function loadLayout(text: string, architecture: Architecture): Promise<Layout> {
	const typescript = text.replace("process.arch", `("${architecture}" as string)`);
	const javascript = new Bun.Transpiler({ loader: "ts" }).transformSync(typescript);
	return import(`data:text/javascript;base64,${btoa(javascript)}`);
}

/** What a header declares, with the values that `layout` gives to it. */
export function claimsOf(header: Header, layout: Layout): Claim[] {
	const claims: Claim[] = [];
	for (const name of header.constants.keys()) {
		claims.push({ name, line: constantLine(systemName(name), BigInt(layout[name] as number | bigint)) });
	}
	for (const struct of header.structs.values()) {
		const type = `struct ${systemName(struct.name)}`;
		const offsets = layout[camelCase(struct.name)] as Readonly<Record<string, number>>;
		claims.push({
			name: `${struct.name}.sizeof`,
			line: `_Static_assert(sizeof(${type}) == ${offsets.sizeof}, "");`,
		});
		for (const { name } of struct.fields.filter((field) => !isFiller(field.name))) {
			const line = `_Static_assert(__builtin_offsetof(${type}, ${name}) == ${offsets[camelCase(name)]}, "");`;
			claims.push({ name: `${struct.name}.${name}`, line });
		}
	}
	for (const [name, prototype] of header.prototypes) {
		// A second declaration must be compatible with the first; the address shows that there was a first.
		claims.push({ name: `${name}()`, line: `_Static_assert(sizeof(&${name}) == 8, ""); ${prototype}` });
	}
	return claims;
}

/** A few things have another name in the headers than in the kernel, or than in the calls we make. */
function systemName(name: string): string {
	if (name === "linux_dirent64") return "dirent64";
	return name.replace(/^SYS_/, "__NR_");
}

/** Headers disagree on the sign of constants with the top bit set, so only the bits are compared. */
function constantLine(name: string, value: bigint): string {
	const word = `(unsigned)(${name}) == ${BigInt.asUintN(32, value)}u`;
	const long = `(unsigned long)(${name}) == ${BigInt.asUintN(64, value)}ul`;
	return `_Static_assert(sizeof(${name}) == 4 ? ${word} : ${long}, "");`;
}

/**
 * The claims that the system's headers do not confirm.
 *
 * @throws Error when the compiler complains about anything but a claim, such as a missing header
 */
export function refuted(
	compiler: string,
	includes: readonly string[],
	claims: readonly Claim[],
): Map<string, Verdict> {
	const lines = claims.map(({ line }, index) => `#line ${index} "claim"\n${line}`);
	const run = compile(compiler, ["-fsyntax-only"], [...includes, ...lines]);
	const verdicts = new Map<string, Verdict>();
	for (const line of run.stderr.split("\n").filter((text) => text.includes("error:"))) {
		const error = /^claim:(\d+):\d+: (?:fatal )?error: (.*)$/.exec(line);
		const verdict = error === null ? undefined : judge(error[2]!);
		if (error === null || verdict === undefined) throw new Error(`${compiler}: ${line}`);
		verdicts.set(claims[Number(error[1])]!.name, verdict);
	}
	return verdicts;
}

function judge(message: string): Verdict | undefined {
	if (/static assertion failed|conflicting types/.test(message)) return "different";
	return /undeclared|has no member|undefined type|incomplete type|is not an integer/.test(message)
		? "unknown"
		: undefined;
}

/** The versions of the headers that a compiler finds. */
export function versionsOf(compiler: string): Versions {
	const run = compile(
		compiler,
		["-E", "-P"],
		[
			"#define FUSE_USE_VERSION 35",
			"#include <fuse_common.h>",
			"#include <linux/fuse.h>",
			"#include <linux/version.h>",
			"=FUSE_KERNEL_MINOR_VERSION,LINUX_VERSION_CODE,FUSE_MAJOR_VERSION,FUSE_MINOR_VERSION",
		],
	);
	const found = /=(\d+),(\d+),(\d+),(\d+)/.exec(run.stdout);
	if (!found) throw new Error(`${compiler}: ${run.stderr}`);
	const [protocol, code, major, minor] = found.slice(1).map(Number) as [number, number, number, number];
	return { protocol, linux: (code >> 16) * 1000 + ((code >> 8) & 0xff), libfuse: major * 1000 + minor };
}

function compile(compiler: string, options: string[], lines: readonly string[]) {
	const run = Bun.spawnSync([compiler, ...options, ...flags, "-"], {
		stdin: Buffer.from(`${lines.join("\n")}\n`),
		env: { ...process.env, LC_ALL: "C" },
	});
	return { stdout: run.stdout.toString(), stderr: run.stderr.toString() };
}
