/** What shells make of Tab: each completion is loaded by its shell, and completes what the program takes. */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { bashPlace, completionFiles, fishPlace, zshPlace } from "../../packaging/completions/files.ts";
import { begun, options, switches } from "../../packaging/completions/words.ts";
import { parseCommandLine } from "../../src/cli/parse.ts";
import { bytes } from "../cli/bytes.ts";
import { type TemporaryTree, temporaryTree } from "../harness/layers.ts";

/** What is typed before Tab, and the whole line after it. */
const lines = [
	["fuse-overlayfs --vers", "fuse-overlayfs --version"],
	["fuse-overlayfs --for", "fuse-overlayfs --foreground"],
	["fuse-overlayfs -o lowerd", "fuse-overlayfs -o lowerdir="],
	["fuse-overlayfs -o lowerdir=al", "fuse-overlayfs -o lowerdir=alpha"],
	["fuse-overlayfs -o lowerdir=alpha:be", "fuse-overlayfs -o lowerdir=alpha:beta"],
	["fuse-overlayfs -o ro,upperdir=al", "fuse-overlayfs -o ro,upperdir=alpha"],
	["fuse-overlayfs -o ro,xino=a", "fuse-overlayfs -o ro,xino=auto"],
	["fuse-overlayfs -o ro,passt", "fuse-overlayfs -o ro,passthrough="],
	["fuse-overlayfs -o ro be", "fuse-overlayfs -o ro beta"],
] as const;

let tree: TemporaryTree;
beforeAll(() => {
	tree = temporaryTree();
	for (const [place, text] of completionFiles()) {
		mkdirSync(dirname(tree.join(place)), { recursive: true });
		writeFileSync(tree.join(place), text);
	}
	for (const name of ["alpha", "beta", "gamma"]) mkdirSync(tree.join(name));
});
afterAll(() => tree[Symbol.dispose]());

/** What a shell without a user's settings prints. */
function run(...command: string[]): string {
	const { stdout, stderr } = Bun.spawnSync(command, {
		cwd: tree.join("."),
		env: { PATH: process.env.PATH!, HOME: tree.join("."), TERM: "dumb" },
	});
	expect(stderr.toString()).toBe("");
	return stdout.toString();
}

/** Some shells add what parts a directory from the next name only once the user goes on. */
function withoutSlash(line: string): string {
	return line.trim().replace(/\/$/, "");
}

/** A shell on a terminal: the line after `typed` and Tab. */
function onTerminal(prepare: string, typed: string): string {
	return run(
		"zsh",
		"-fc",
		`zmodload zsh/zpty
		zpty shell ${prepare}
		zpty -w -n shell $'${typed}\\t\\C-g'
		zpty -r -m shell answer '*<<*>>*'
		print -r -- "\${\${answer##*<<}%%>>*}"
		zpty -d shell`,
	).trim();
}

const zshSetup = (): string => `
	fpath=(${dirname(tree.join(zshPlace))} $fpath)
	autoload -Uz compinit && compinit -u -D
	setopt nobeep
	show() { print -rn -- "<<$BUFFER>>" }
	zle -N show && bindkey '^G' show
	bindkey '^I' complete-word
	PS1=`;

describe("zsh", () => {
	test.skipIf(Bun.which("zsh") === null).each(lines)("%s", (typed, whole) => {
		writeFileSync(tree.join(".zshrc"), zshSetup());
		expect(withoutSlash(onTerminal("zsh -i", typed).replace(/,$/, ""))).toBe(whole);
	});
});

describe("bash", () => {
	test.each(lines)("%s", (typed, whole) => {
		const script = `source ${tree.join(bashPlace)}
			compopt() { :; }
			COMP_LINE=$1 COMP_POINT=\${#1}
			_fuse_overlayfs
			part=\${1##*[ =:]}
			printf '%s\\n' "\${COMPREPLY[@]/#/\${1%"$part"}}"`;
		expect(withoutSlash(run("bash", "--norc", "-c", script, "bash", typed))).toBe(whole);
	});
});

describe("fish", () => {
	test.skipIf(Bun.which("fish") === null).each(lines)("%s", (typed, whole) => {
		const script = `source ${tree.join(fishPlace)}; complete -C '${typed}'`;
		const [word] = run("fish", "--no-config", "-c", script).split("\t");
		expect(`${typed.slice(0, typed.lastIndexOf(" ") + 1)}${withoutSlash(word ?? "")}`).toBe(whole);
	});
});

describe("what is completed is taken without a warning", () => {
	const values: Record<string, string> = { directory: "a", directories: "a:b", file: "f" };
	const sample: Record<string, string> = {
		uidmapping: "0:0:1",
		gidmapping: "0:0:1",
		squash_to_uid: "1",
		squash_to_gid: "1",
		timeout: "1",
		max_write: "131072",
		context: '"c"',
	};
	test.each(options.filter(({ name }) => name !== "plugins").map((option) => [option.name, option] as const))(
		"%s",
		(name, { value }) => {
			const text = Array.isArray(value)
				? value[0]
				: typeof value === "string"
					? (values[value] ?? sample[name])
					: "";
			const option = value === undefined ? name : `${name}=${text}`;
			const args = ["-o", `lowerdir=a,upperdir=u,workdir=w,${option}`, "m"].map(bytes);
			expect(parseCommandLine(args, { root: true })).toMatchObject({ kind: "mount", warnings: [] });
			expect(begun()).toContain(value === undefined ? name : `${name}=`);
		},
	);

	test("all switches of --help are there", () => {
		expect(switches.map(({ short }) => short)).toEqual(["-o", "-f", "-d", "-h", "-V"]);
	});
});
