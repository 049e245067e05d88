import { describe, expect, it } from "bun:test";
import { type Argument, parseArguments, type Switch } from "../../src/cli/arguments.ts";
import { bytes, raw } from "./bytes.ts";

const on = (name: Switch): Argument => ({ kind: "switch", name });
const options = (text: string): Argument => ({ kind: "options", text: bytes(text) });
const positional = (text: string): Argument => ({ kind: "positional", text: bytes(text) });
const unknown = (text: string): Argument => ({ kind: "unknown", text: bytes(text) });

describe("parseArguments", () => {
	it.each<[string[], Argument[]]>([
		[[], []],
		[["-f"], [on("foreground")]],
		[["--foreground"], [on("foreground")]],
		[["-d"], [on("debug")]],
		[["--debug"], [on("debug")]],
		[["-h"], [on("help")]],
		[["--help"], [on("help")]],
		[["-V"], [on("version")]],
		[["--version"], [on("version")]],
		[["-s"], []],
		[["-df"], [on("debug"), on("foreground")]],
		[["-sfd"], [on("foreground"), on("debug")]],
		[["-o", "a,b"], [options("a,b")]],
		[["-oa,b"], [options("a,b")]],
		[["-o=a"], [options("=a")]],
		[
			["-o", "a", "-ob", "-o", "c"],
			[options("a"), options("b"), options("c")],
		],
		[
			["-fo", "a"],
			[on("foreground"), options("a")],
		],
		[["--options", "a"], [options("a")]],
		[["--options=a=b"], [options("a=b")]],
		[["-o", "-f"], [options("-f")]],
		[["-o", "--"], [options("--")]],
		[["-o", ""], [options("")]],
		[
			["a", "b"],
			[positional("a"), positional("b")],
		],
		[[""], [positional("")]],
		[
			["-f", "--", "-d", "--", "-o"],
			[on("foreground"), positional("-d"), positional("--"), positional("-o")],
		],
		[["--"], []],
		[["-t", "fuse-overlayfs", "m"], [positional("m")]],
		[
			["overlay", "m", "-o", "a", "-o", "b", "-t", "fuse-overlayfs"],
			[positional("overlay"), positional("m"), options("a"), options("b")],
		],
		[["-"], [unknown("-")]],
		[["-x"], [unknown("-x")]],
		[["-dx"], [unknown("-dx")]],
		[["-force"], [unknown("-force")]],
		[["-f1"], [unknown("-f1")]],
		[["-f\n"], [unknown("-f\n")]],
		[["--Debug"], [unknown("--Debug")]],
		[["--debug=1"], [unknown("--debug=1")]],
		[["--no-debug"], [unknown("--no-debug")]],
		[["---"], [unknown("---")]],
	])("reads %j", (args, expected) => {
		expect(parseArguments(args.map(bytes))).toEqual(expected);
	});

	it("keeps bytes that are not UTF-8", () => {
		expect(parseArguments([raw(0xff), bytes("-o"), raw(0xfe)])).toEqual([
			{ kind: "positional", text: raw(0xff) },
			{ kind: "options", text: raw(0xfe) },
		]);
	});

	it.each([
		[["-o"], "missing argument after -o: write -o OPTION[,OPTION...]"],
		[["m", "-fo"], "missing argument after -o: write -o OPTION[,OPTION...]"],
		[["--options"], "missing argument after --options: write --options OPTION[,OPTION...]"],
		[["-t"], "missing argument after -t: write -t fuse-overlayfs, or leave it out"],
	])("refuses %j", (args, message) => {
		expect(() => parseArguments(args.map(bytes))).toThrow(message);
	});
});
