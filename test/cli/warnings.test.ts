/** What is said of arguments that mean nothing here. */
import { describe, expect, it } from "bun:test";
import { parseCommandLine, UsageError } from "../../src/cli/parse.ts";
import type { ByteString } from "../../src/options.ts";
import { bytes, raw } from "./bytes.ts";

const $ = String.raw;

function mount(args: readonly (string | ByteString)[]) {
	const commandLine = parseCommandLine(args as readonly ByteString[], { root: false });
	if (commandLine.kind !== "mount") throw new Error(`is ${commandLine.kind}`);
	return commandLine;
}

describe("warnings", () => {
	it.each([
		["private", ["unknown argument ignored: private"]],
		["fsname=x", ["unknown argument ignored: fsname=x"]],
		["sync", ["unknown argument ignored: sync"]],
		["fast_ino_check", ["unknown argument ignored: fast_ino_check"]],
		[
			"dirsync,ro=1",
			["unknown argument ignored: dirsync", "unknown argument ignored: ro=1: ro takes no value"],
		],
		["dev=1", ["unknown argument ignored: dev=1: dev takes no value"]],
		["LOWERDIR=x", ["unknown argument ignored: LOWERDIR=x: did you mean lowerdir?"]],
		["lowerdirs=x", ["unknown argument ignored: lowerdirs=x: did you mean lowerdir?"]],
		["worckdir=w", ["unknown argument ignored: worckdir=w: did you mean workdir?"]],
		["upperdri", ["unknown argument ignored: upperdri: did you mean upperdir?"]],
		["squash_to_uuid=1", ["unknown argument ignored: squash_to_uuid=1: did you mean squash_to_uid?"]],
		[
			"nfs_export=off,index=off,relatime,async,uuid=null",
			["unknown argument ignored: relatime", "unknown argument ignored: async"],
		],
		[" xino=on", ["unknown argument ignored:  xino=on: write no blanks after commas"]],
		["=x", ["unknown argument ignored: =x"]],
		["a\nb", ["unknown argument ignored: a\\nb"]],
		[$`a\,b`, ["unknown argument ignored: a,b"]],
		["toString,__proto__=1", ["unknown argument ignored: toString", "unknown argument ignored: __proto__=1"]],
		['fscontext="a,b"', ['unknown argument ignored: fscontext="a,b"']],
		["plugins=/a.so:/b.so", ["plugins are not supported, ignored: plugins=/a.so:/b.so"]],
		["defaults,auto,noauto,user,users,nouser,owner,group,nofail,_netdev", []],
		["x-systemd.automount,x-gvfs-hide,X-mount.mkdir,x-a=b,user=me,comment=c", []],
	])("%j", (options, warnings) => {
		expect(mount(["-o", "lowerdir=lower", "-o", bytes(options), "merged"]).warnings).toEqual(warnings);
	});

	it.each([
		["--lowerdir=l", "options of the mount follow -o: write -o lowerdir"],
		["-lowerdri=l", "options of the mount follow -o: write -o lowerdir"],
		["--debgu", "did you mean --debug?"],
		["--verison", "did you mean --version?"],
	])("%s: %s", (argument, hint) => {
		expect(mount([argument, "-o", "lowerdir=l", "m"]).warnings).toEqual([
			`unknown argument ignored: ${argument}: ${hint}`,
		]);
	});

	it("tell of a comma in a name", () => {
		for (const [name, rest] of [
			["lowerdir=/srv/a", "b"],
			["lowerdir=/srv/a", " b/c"],
			["upperdir=/srv/a", "2024"],
		]) {
			expect(mount(["-o", `lowerdir=l,workdir=w,upperdir=u,${name},${rest}`, "m"]).warnings).toEqual([
				`unknown argument ignored: ${rest}: if it is the rest of a name, write \\, for the comma in that`,
			]);
		}
	});

	it("tell of options that a blank after a comma has made arguments of their own", () => {
		expect(mount(["-o", "lowerdir=l,", "upperdir=u", "m"])).toMatchObject({
			options: { mountpoint: "m" },
			warnings: [
				"upperdir=u stands alone and is no option: write -o in front of it, or no blank after the comma",
			],
		});
	});

	it("stand in the order of the arguments", () => {
		const { warnings } = mount(["-x", "-o", "lowerdir=l,one", "--long", "m", "-o", "two", "-"]);
		expect(warnings).toEqual(
			["-x", "one", "--long", "two", "-"].map((text) => `unknown argument ignored: ${text}`),
		);
	});

	it("replace bytes that are not UTF-8", () => {
		expect(mount(["-o", "lowerdir=l", "-o", raw(0x61, 0xff), "m"]).warnings).toEqual([
			"unknown argument ignored: a\ufffd",
		]);
	});

	it("come before an error that they may be the reason of", () => {
		const refusal = (args: string[]): string[] => {
			try {
				mount(args);
				return [];
			} catch (error) {
				if (!(error instanceof UsageError)) throw error;
				return [...error.warnings, error.message];
			}
		};
		expect(refusal(["-o", "lowerdr=low", "m"])).toEqual([
			"unknown argument ignored: lowerdr=low: did you mean lowerdir?",
			"no lowerdir given: name at least one directory with -o lowerdir=DIR[:DIR...]",
		]);
		expect(refusal(["-o", "lowerdir=l,upperdri=u,workdir=w", "m"])[0]).toMatch("did you mean upperdir?");
		expect(refusal(["-o", "lowerdir=l,", "upperdir=u", "-o", "timeout=x"])[0]).toMatch("stands alone");
	});
});
