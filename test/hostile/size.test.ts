/** Much of everything: names of one file, levels of directories, bytes that names can have. */

import { describe, expect, test } from "bun:test";
import {
	appendFileSync,
	linkSync,
	lstatSync,
	mkdirSync,
	readdirSync,
	readFileSync,
	renameSync,
	unlinkSync,
	writeFileSync,
} from "node:fs";
import { join } from "node:path";
import type { Description } from "../harness/layers.ts";
import { codeOf } from "../harness/native.ts";
import { mountLayers } from "../harness/overlay.ts";

/** What a command prints; it must succeed. */
async function output(command: readonly string[], cwd = "/"): Promise<string> {
	const child = Bun.spawn([...command], { cwd, stdio: ["ignore", "pipe", "pipe"] });
	const [stdout, stderr] = await Promise.all([
		new Response(child.stdout).text(),
		new Response(child.stderr).text(),
	]);
	const [program] = command;
	const exitCode = await child.exited;
	expect({ program, exitCode, stderr: stderr.slice(0, 500) }).toEqual({ program, exitCode: 0, stderr: "" });
	return stdout;
}

describe("a file of thousands of names in a lower layer", () => {
	const directories = 8;
	const each = 500;
	const names = Array.from({ length: directories * each }, (_, index) => `d${index % directories}/n${index}`);

	test("is changed by one of them, then by many, and is removed by all", async () => {
		await using overlay = await mountLayers([{ "d0/first": "content" }]);
		await overlay.unmount();
		for (let index = 1; index < directories; index++) mkdirSync(overlay.inLower(`d${index}`));
		for (const name of names) linkSync(overlay.inLower("d0/first"), overlay.inLower(name));
		await overlay.remount();
		const links = (name: string) => lstatSync(overlay.at(name)).nlink;
		expect(links("d1/n1")).toBe(names.length + 1);
		appendFileSync(overlay.at("d1/n1"), "+");
		expect({ content: readFileSync(overlay.at("d1/n1"), "utf8"), links: links("d1/n1") }).toEqual({
			content: "content+",
			links: 1,
		});
		for (const name of names) {
			expect(readFileSync(overlay.at(name), "utf8")).toBe(name === "d1/n1" ? "content+" : "content");
		}
		const changed = names.filter((_, index) => index % 40 === 3);
		for (const name of changed) appendFileSync(overlay.at(name), "!");
		for (const name of changed) expect(readFileSync(overlay.at(name), "utf8")).toBe("content!");
		expect(readFileSync(overlay.at("d0/first"), "utf8")).toBe("content");
		for (let index = 0; index < directories; index++) {
			expect(readdirSync(overlay.at(`d${index}`))).toHaveLength(each + (index === 0 ? 1 : 0));
		}
		await output(["rm", "-r", ...Array.from({ length: directories }, (_, index) => overlay.at(`d${index}`))]);
		await overlay.remount();
		expect(readdirSync(overlay.path)).toEqual([]);
		expect(lstatSync(overlay.inLower("d0/first")).nlink).toBe(names.length + 1);
		expect(readFileSync(overlay.inLower("d0/first"), "utf8")).toBe("content");
	});
});

describe("directories 2,000 deep, so that no path is short enough to name the last", () => {
	const depth = 2000;
	const name = "deeper";
	/** Walks down by relative steps from the current directory, making what is missing, and then runs some Perl. */
	const descend = (then: string) => [
		"perl",
		"-e",
		`for (1..${depth}) { mkdir "${name}"; chdir "${name}" or die "$_: $!" } ${then}`,
	];
	const write = (text: string) =>
		`open(my $f, ">>", "bottom") or die "open: $!"; print $f "${text}"; close($f) or die "close: $!";`;
	const read = `open(my $f, "<", "bottom") or die "open: $!"; print <$f>;`;
	const count = async (root: string) =>
		(await output(["find", ".", "-name", name], root)).split("\n").length - 1;

	test("in a lower layer are walked, listed, copied up from the bottom, and removed", async () => {
		await using overlay = await mountLayers([{}]);
		await overlay.unmount();
		await output(descend(write("lower")), overlay.inLower());
		await overlay.remount();
		expect(await output(descend(read), overlay.path)).toBe("lower");
		expect(await count(overlay.path)).toBe(depth);
		await output(
			descend(`${write("+")} chmod(0600, "bottom") or die; rename("bottom", "other") or die;`),
			overlay.path,
		);
		expect(await count(overlay.layers.upper)).toBe(depth);
		expect(await output(descend(read.replace("bottom", "other")), overlay.path)).toBe("lower+");
		await overlay.remount();
		expect(await output(descend(read.replace("bottom", "other")), overlay.path)).toBe("lower+");
		await output(["rm", "-rf", name], overlay.path);
		expect(readdirSync(overlay.path)).toEqual([]);
		await overlay.remount();
		expect(readdirSync(overlay.path)).toEqual([]);
		expect(readdirSync(overlay.layers.upper)).toEqual([name]);
		expect(await output(descend(read), overlay.inLower())).toBe("lower");
		await output(["rm", "-rf", name], overlay.inLower());
	});

	test("are made through the mount, moved, reached with few open files, and removed", async () => {
		await using overlay = await mountLayers([{ kept: "" }], { openFiles: 1024 });
		await output(descend(write("upper")), overlay.path);
		expect(await output(descend(read), overlay.path)).toBe("upper");
		mkdirSync(overlay.at("elsewhere"));
		renameSync(overlay.at(name), overlay.at("elsewhere", name));
		expect(await output(descend(read), overlay.at("elsewhere"))).toBe("upper");
		await overlay.remount();
		expect(await output(descend(read), overlay.at("elsewhere"))).toBe("upper");
		await output(["rm", "-rf", "elsewhere"], overlay.path);
		expect(readdirSync(overlay.path)).toEqual(["kept"]);
		expect(readdirSync(overlay.layers.upper)).toEqual([]);
	});

	test("left in the workdir are cleared away by the next mount", async () => {
		await using overlay = await mountLayers([{ a: "a" }]);
		await overlay.unmount();
		const work = join(overlay.layers.work, "work");
		await output(descend(write("rubbish")), work);
		await overlay.remount();
		expect(readdirSync(work).filter((left) => left !== "#whiteout")).toEqual([]);
	});

	test("hidden in a directory that is removed, under a name that is none, go with it", async () => {
		const hidden = ".wh..wh.deep";
		await using overlay = await mountLayers([{ "d/below": "" }], { upper: { [`d/${hidden}/x`]: "x" } });
		await overlay.unmount();
		await output(descend(write("hidden")), overlay.inUpper("d", hidden));
		await overlay.remount();
		await output(["rm", "-r", "d"], overlay.path);
		expect(readdirSync(overlay.path)).toEqual([]);
		expect(readdirSync(join(overlay.layers.work, "work")).filter((left) => left !== "#whiteout")).toEqual([]);
	});
});

describe("a name of any byte", () => {
	const singles = Array.from({ length: 255 }, (_, index) => String.fromCharCode(index + 1)).filter(
		(char) => char !== "/" && char !== ".",
	);
	/** Each byte alone, in the middle of others, and as often as a name may hold it. */
	const names = singles.flatMap((char) => [char, `a${char}z`, char.repeat(255)]);
	const bytesOf = (text: string) => Buffer.from(text, "latin1");
	const listing = (path: string | Buffer) =>
		readdirSync(path, { encoding: "buffer" })
			.map((found) => found.toString("latin1"))
			.sort();

	test("is listed, found, changed, renamed, removed and made, in both layers", async () => {
		const described: Description = names.map((name) => [bytesOf(`d/${name}`), "lower"] as const);
		await using overlay = await mountLayers([described]);
		const at = (name: string) => overlay.bytes(`d/${name}`);
		expect(listing(overlay.at("d"))).toEqual([...names].sort());
		for (const name of names) appendFileSync(at(name), "+");
		for (const name of names) expect(readFileSync(at(name), "utf8")).toBe("lower+");
		for (const name of names) unlinkSync(at(name));
		expect(listing(overlay.at("d"))).toEqual([]);
		for (const name of names) writeFileSync(at(name), "new");
		mkdirSync(overlay.at("e"));
		for (const name of names) renameSync(at(name), overlay.bytes(`e/${name}`));
		expect(listing(overlay.at("d"))).toEqual([]);
		await overlay.remount();
		expect(listing(overlay.at("d"))).toEqual([]);
		expect(listing(overlay.at("e"))).toEqual([...names].sort());
		expect(codeOf(() => lstatSync(overlay.bytes(`e/${"x".repeat(256)}`)))).toBe("ENAMETOOLONG");
	});
});
