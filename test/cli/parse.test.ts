import { describe, expect, it } from "bun:test";
import { defaultKernelOptions } from "../../src/cli/kernel-options.ts";
import { parseCommandLine, UsageError } from "../../src/cli/parse.ts";
import { type ByteString, defaultOptions, type MountOptions } from "../../src/options.ts";
import { bytes, raw } from "./bytes.ts";

const $ = String.raw;

function mount(args: readonly (string | ByteString)[], root = false) {
	const commandLine = parseCommandLine(args as readonly ByteString[], { root });
	if (commandLine.kind !== "mount") throw new Error(`is ${commandLine.kind}`);
	return commandLine;
}

/** A complete command line with these mount options added. */
function withOptions(options: string, root = false) {
	return mount(["-o", "lowerdir=lower", "-o", bytes(options), "merged"], root);
}

const minimal: MountOptions = {
	...defaultOptions,
	mountpoint: bytes("merged"),
	lowerDirectories: [bytes("lower")],
	kernelOptions: ["default_permissions", "noatime"],
};

describe("a whole command line", () => {
	it("has the documented defaults", () => {
		expect(withOptions("")).toEqual({ kind: "mount", options: minimal, warnings: [] });
	});

	it("has more defaults as root", () => {
		expect(withOptions("", true).options).toEqual({
			...minimal,
			kernelOptions: ["default_permissions", "allow_other", "suid", "noatime"],
		});
	});

	it.each([
		["-o", "lowerdir=l/A:l/B,upperdir=id/diff,workdir=id/work,uidmapping=:0:1000:1,volatile", "merged"],
		[
			"merged",
			"-olowerdir=l/A:l/B",
			"-o",
			"upperdir=id/diff",
			"-oworkdir=id/work,volatile,uidmapping=0:1000:1",
		],
		[
			...["overlay", "merged", "-o", "lowerdir=l/A:l/B,upperdir=id/diff,workdir=id/work"],
			...["-o", "volatile,uidmapping=:0:1000:1", "-t", "fuse-overlayfs"],
		],
	])("is understood as %j %j %j ...", (...args) => {
		expect(mount(args)).toEqual({
			kind: "mount",
			options: {
				...minimal,
				lowerDirectories: [bytes("l/A"), bytes("l/B")],
				upperDirectory: bytes("id/diff"),
				workDirectory: bytes("id/work"),
				uidMapping: [{ onDisk: 0, shown: 1000, length: 1 }],
				fsync: "volatile",
			},
			warnings: [],
		});
	});

	it("is frozen", () => {
		const commandLine = withOptions("uidmapping=0:0:1,dev,unknown");
		const { options, warnings } = commandLine;
		for (const value of [commandLine, options, warnings, ...Object.values(options)]) {
			expect(Object.isFrozen(value)).toBe(true);
		}
		expect(Object.isFrozen(options.uidMapping[0])).toBe(true);
	});

	it("does not remember the one before", () => {
		withOptions("nosuid,xino=on,unknown,uidmapping=0:0:1");
		expect(withOptions("")).toEqual({ kind: "mount", options: minimal, warnings: [] });
	});
});

describe("help and version", () => {
	it.each([
		[["-h"], "help"],
		[["--help"], "help"],
		[["-V"], "version"],
		[["--version"], "version"],
		[["-V", "-h"], "help"],
		[["-fV"], "version"],
		[["-o", "timeout=junk", "-x", "--help"], "help"],
		[["--version", "-o", "lowerdir="], "version"],
	])("%j asks for %s", (args, kind) => {
		expect(parseCommandLine(args.map(bytes), { root: false })).toEqual({ kind } as never);
	});

	it.each([[["-o", "lowerdir=l", "--", "-h"], "-h"]])("%j does not", (args, mountpoint) => {
		expect(mount(args).options.mountpoint).toBe(bytes(mountpoint));
	});
});

describe("switches", () => {
	it.each<[string[], Partial<MountOptions>]>([
		[["-f"], { foreground: true }],
		[["--foreground"], { foreground: true }],
		[["-d"], { debug: true, foreground: true }],
		[["--debug"], { debug: true, foreground: true }],
		[["-o", "debug"], { debug: true, foreground: true }],
		[["-df"], { debug: true, foreground: true }],
		[["-s"], {}],
		[["-t", "fuse-overlayfs"], {}],
	])("%j", (args, expected) => {
		const commandLine = mount([...args, "-o", "lowerdir=lower", "merged"]);
		expect(commandLine).toEqual({ kind: "mount", options: { ...minimal, ...expected }, warnings: [] });
	});
});

describe("mount options", () => {
	it.each<[string, Partial<MountOptions>]>([
		["uidmapping=0:1:2", { uidMapping: [{ onDisk: 0, shown: 1, length: 2 }] }],
		["gidmapping=:0:1:2", { gidMapping: [{ onDisk: 0, shown: 1, length: 2 }] }],
		["timeout=0", { timeout: 0 }],
		["timeout=1.5", { timeout: 1.5 }],
		["timeout=.5", { timeout: 0.5 }],
		["timeout=+2.", { timeout: 2 }],
		["timeout=1e3", { timeout: 1000 }],
		["timeout=1e300", { timeout: 2 ** 32 }],
		["timeout=1e999", { timeout: 2 ** 32 }],
		["failover=on", { failover: "on" }],
		["failover=off", {}],
		["threaded=1", { threaded: true }],
		["threaded=0", {}],
		["threaded", { threaded: true }],
		["threaded=4", { threaded: true }],
		["threaded=-1", { threaded: true }],
		["fsync=0", { fsync: "off" }],
		["fsync=1", {}],
		["fsync=00", { fsync: "off" }],
		["fsync=0,fsync", {}],
		["sync=0", { fsync: "off" }],
		["volatile", { fsync: "volatile" }],
		["volatile,fsync=1", { fsync: "volatile" }],
		["fsync=0,volatile", { fsync: "volatile" }],
		["volatile=0", {}],
		["fsync=0,volatile=0", { fsync: "off" }],
		["fsync=auto", {}],
		["fsync=strict", { fsync: "strict" }],
		["fsync=volatile", { fsync: "volatile" }],
		["fsync=strict,volatile", { fsync: "volatile" }],
		["volatile,fsync=strict", { fsync: "strict" }],
		["volatile,fsync=auto", {}],
		["fsync=volatile,fsync=1", {}],
		["userxattr", { userAttributes: true }],
		["userxattr=0", {}],
		["uuid=auto", {}],
		["uuid=null", {}],
		["uuid=off", { originUuids: false }],
		["uuid=off,uuid=auto", {}],
		["nfs_export=off", {}],
		["writeback=0", { writeback: false }],
		["writeback", {}],
		["writeback=0,writeback=1", {}],
		["fast_ino=1", { fastInode: true }],
		["fast_ino", { fastInode: true }],
		["fast_ino_check=1", { fastInode: true }],
		["noxattrs=1", { xattrs: false }],
		["noxattrs", { xattrs: false }],
		["noxattrs=0", {}],
		["xattr_permissions=0", {}],
		["xattr_permissions=1", { xattrPermissions: 1 }],
		["xattr_permissions=2", { xattrPermissions: 2 }],
		["squash_to_root", { squashToRoot: true }],
		["squash_to_uid=0", { squashToUid: 0 }],
		["squash_to_uid=4294967294", { squashToUid: 4294967294 }],
		["squash_to_gid=100", { squashToGid: 100 }],
		["static_nlink", { staticLinkCount: true }],
		["noacl", { acl: false }],
		["noacl=0", {}],
		["redirect_dir=off", {}],
		["redirect_dir=on", { redirectDirectories: "on" }],
		["redirect_dir=follow", { redirectDirectories: "follow" }],
		["redirect_dir=nofollow", { redirectDirectories: "nofollow" }],
		["metacopy=off", {}],
		["metacopy=on", { metacopies: "on" }],
		["metacopy=1", { metacopies: "on" }],
		["context=u:r:t:s0", { context: bytes("u:r:t:s0") }],
		['context="u:r:t:s0:c1,c2"', { context: bytes("u:r:t:s0:c1,c2") }],
		[$`context=u:r:t:s0:c1\,c2`, { context: bytes("u:r:t:s0:c1,c2") }],
		["xino=off", {}],
		["xino=auto", { xino: "auto" }],
		["xino=on", { xino: "on" }],
		["xino=on,xino=off", {}],
		["ino32_t", { inode32: true }],
		["ro", { readOnly: true }],
		["rw", {}],
		["ro,rw", {}],
		["rw,ro", { readOnly: true }],
		["max_write=131072", { maxWrite: 131072 }],
		["debug=0", {}],
		["upperdir=u,workdir=w", { upperDirectory: bytes("u"), workDirectory: bytes("w") }],
		[$`upperdir=a\:b,workdir=a\\:b`, { upperDirectory: bytes("a:b"), workDirectory: bytes("a:b") }],
		["upperdir=a:b,workdir=w", { upperDirectory: bytes("a:b"), workDirectory: bytes("w") }],
		["upperdir=a=b,workdir=w", { upperDirectory: bytes("a=b"), workDirectory: bytes("w") }],
		["lowerdir=x:y", { lowerDirectories: [bytes("x"), bytes("y")] }],
		["lowerdir=x:y:", { lowerDirectories: [bytes("x"), bytes("y")] }],
		[$`lowerdir=a\:b:c\,d:e\\f`, { lowerDirectories: [bytes("a:b"), bytes("c,d"), bytes($`e\f`)] }],
		[$`lowerdir=lower\\:1`, { lowerDirectories: [bytes("lower:1")] }],
		["lowerdir=a\nb", { lowerDirectories: [bytes("a\nb")] }],
		['lowerdir="a"', { lowerDirectories: [bytes('"a"')] }],
		[$`lowerdir=\377`, { lowerDirectories: [raw(0xff)] }],
	])("%j", (options, expected) => {
		const commandLine = withOptions(options);
		expect(commandLine).toEqual({ kind: "mount", options: { ...minimal, ...expected }, warnings: [] });
	});

	it("keeps names that are not UTF-8", () => {
		const name = raw(0x2f, 0xff, 0xc3, 0x28);
		const { options } = mount([
			"-o",
			`lowerdir=${name}:${name}`,
			"-o",
			`upperdir=${name},workdir=${name}`,
			name,
		]);
		expect(options.lowerDirectories).toEqual([name, name]);
		expect([options.upperDirectory, options.workDirectory, options.mountpoint]).toEqual([name, name, name]);
	});

	it("takes the mountpoint literally, the last one given", () => {
		expect(mount(["a", $`b\:c,d`, "-o", "lowerdir=l"]).options.mountpoint).toBe(bytes($`b\:c,d`));
		expect(mount(["-o", "lowerdir=l", "/dev/fd/7"]).options.mountpoint).toBe(bytes("/dev/fd/7"));
	});
});

describe("kernel options", () => {
	it.each([
		["dev", ["default_permissions", "allow_other", "suid", "noatime", "dev"]],
		["nosuid", ["default_permissions", "allow_other", "noatime", "nosuid"]],
		["nosuid,suid", ["default_permissions", "allow_other", "noatime", "suid"]],
		["noexec,atime", ["default_permissions", "allow_other", "suid", "noexec", "atime"]],
		["allow_other,noatime", ["default_permissions", "suid", "allow_other", "noatime"]],
		["allow_root", [...defaultKernelOptions(true), "allow_root"]],
		[
			"rw,dev,suid,exec,nodiratime,kernel_cache,splice_read,splice_write,splice_move",
			[
				...["default_permissions", "allow_other", "noatime", "dev", "suid", "exec", "nodiratime"],
				...["kernel_cache", "splice_read", "splice_write", "splice_move"],
			],
		],
	])("%j", (options, expected) => {
		const commandLine = withOptions(options, true);
		expect(commandLine.options.kernelOptions).toEqual(expected as MountOptions["kernelOptions"]);
		expect(commandLine.warnings).toEqual([]);
	});
});

describe("environment", () => {
	it("is part of the options", () => {
		const environment = {
			FUSE_OVERLAYFS_DISABLE_OVL_WHITEOUT: "1",
			FUSE_OVERLAYFS_NO_PASSTHROUGH: "1",
			FUSE_OVERLAYFS_DEBUG_LOG: "log",
		};
		const args = ["-o", "lowerdir=lower", "merged"].map(bytes);
		expect(parseCommandLine(args, { root: false, environment })).toMatchObject({
			options: { ...minimal, fileWhiteouts: true, passthrough: "off", logFile: bytes("log") },
		});
	});
});

describe("errors", () => {
	const noMountpoint = "no mountpoint given: write fuse-overlayfs -o lowerdir=DIR[:DIR...] MOUNTPOINT";

	it.each([
		[[], noMountpoint],
		[["-o", "lowerdir=l"], noMountpoint],
		[["-o", "lowerdir=l", ""], noMountpoint],
		[["m"], "no lowerdir given: name at least one directory with -o lowerdir=DIR[:DIR...]"],
		[["m", "-o"], "missing argument after -o: write -o OPTION[,OPTION...]"],
	])("%j", (args, message) => {
		expect(() => mount(args)).toThrow(new UsageError(message));
	});

	it.each([
		[
			"upperdir=u",
			"upperdir given without workdir: add -o workdir=DIR, an empty directory on the file system of upperdir",
		],
		[
			"workdir=w",
			"workdir given without upperdir: add -o upperdir=DIR, or leave out workdir for a read-only mount",
		],
		...["", ":", ":a", "a::", "::a", "a:::b", "a::b::", "a::b:::c", ":::"].map((value) => [
			`lowerdir=${value}`,
			`lowerdir=${value}: a directory name is empty: write lowerdir=DIR[:DIR...][::DATA...]`,
		]),
		...["a::b:c", "a::b:c::d", "a:b::c::d:e:"].map((value) => [
			`lowerdir=${value}`,
			`lowerdir=${value}: a layer that is to be seen cannot follow a data-only one: write lowerdir=DIR[:DIR...][::DATA...]`,
		]),
		[
			"lowerdir+=a",
			"lowerdir+=a follows a lowerdir: name all lower layers in that, or each by lowerdir+ and datadir+",
		],
		[
			"datadir+=a",
			"datadir+=a follows a lowerdir: name all lower layers in that, or each by lowerdir+ and datadir+",
		],
		["lowerdir+", "lowerdir+ needs a value: write lowerdir+=DIR"],
		["datadir+=", "datadir+ is empty: write datadir+=DIR"],
		["failover=yes", "failover=yes is not valid: write failover=on or failover=off"],
		["verity=yes", "verity=yes is not valid: write verity=off or verity=on or verity=require"],
		[$`lowerdir=a\000b`, $`lowerdir=a\x00b is not valid: a file name cannot hold a NUL byte`],
		["upperdir=", "upperdir is empty: write upperdir=DIR"],
		["workdir=", "workdir is empty: write workdir=DIR"],
		["lowerdir", "lowerdir needs a value: write lowerdir=DIR[:DIR...][::DATA...]"],
		["upperdir", "upperdir needs a value: write upperdir=DIR"],
		["xino", "xino needs a value: write xino=off|auto|on"],
		["plugins", "plugins needs a value: write plugins=FILE[:FILE...]"],
		["max_write", "max_write needs a value: write max_write=BYTES"],
		[
			"redirect_dir=",
			"redirect_dir= is not valid: write redirect_dir=off or redirect_dir=on or redirect_dir=follow or redirect_dir=nofollow",
		],
		["metacopy=follow", "metacopy=follow is not valid: write metacopy=off or metacopy=on"],
		["uidmapping=1:2", "uidmapping=1:2: 2 numbers do not make triples: give triples ON-DISK:SHOWN:LENGTH"],
		["xino=yes", "xino=yes is not valid: write xino=off or xino=auto or xino=on"],
		[
			"xattr_permissions=3",
			"xattr_permissions=3 is not valid: write xattr_permissions=0 or xattr_permissions=1 or xattr_permissions=2",
		],
		['context="a', 'context has no closing quote: write context="VALUE"'],
		["context=", 'context= is not valid: write context="CONTEXT"'],
		['context=""', 'context="" is not valid: write context="CONTEXT"'],
		['context="a"b', 'context="a"b is not valid: write context="CONTEXT"'],
		['context=a"b', 'context=a"b is not valid: write context="CONTEXT"'],
		[
			"fsync=a\nb",
			"fsync=a\\nb is not valid: write fsync=0 or fsync=1 or fsync=auto or fsync=strict or fsync=volatile",
		],
		[
			"uuid=on",
			"uuid=on: a FUSE mount cannot have a file system id of its own: leave it out, or write uuid=null",
		],
		["uuid=yes", "uuid=yes is not valid: write uuid=auto or uuid=null or uuid=off or uuid=on"],
		[
			"nfs_export=on",
			"nfs_export=on: the file handles of a FUSE mount do not last, so NFS clients would lose their files: leave it out, and mount with kernel overlayfs what NFS is to export",
		],
		["nfs_export", "nfs_export needs a value: write nfs_export=off|on"],
	])("%j", (options, message) => {
		expect(() => withOptions(options)).toThrow(new UsageError(message));
	});

	it.each(["junk", "", "-1", "1s", "0x10", " 1", "1,5", "inf", "nan", ".", "1e", "1\n"])(
		"timeout=%j",
		(value) => {
			expect(() => withOptions(`timeout=${value.replace(",", "\\,")}`)).toThrow(
				/^timeout=.* is not valid: give seconds, such as timeout=1\.5, or timeout=0 for no caching$/,
			);
		},
	);

	it.each(["junk", "", "-1", "1.5", "4294967295", "4294967296", "99999999999999999999", "0x0"])(
		"squash ids: %j",
		(value) => {
			for (const option of ["squash_to_uid", "squash_to_gid"]) {
				expect(() => withOptions(`${option}=${value}`)).toThrow(
					new UsageError(`${option}=${value} is not valid: give a numeric id from 0 to 4294967294`),
				);
			}
		},
	);

	it.each(["junk", "", "-1", "0", "1k", "4294967296"])("max_write=%j", (value) => {
		expect(() => withOptions(`max_write=${value}`)).toThrow(
			new UsageError(`max_write=${value} is not valid: give a size in bytes, such as max_write=131072`),
		);
	});

	it.each([
		...["threaded", "userxattr", "volatile", "writeback", "fast_ino", "noxattrs", "noacl", "static_nlink"],
		...["squash_to_root", "ino32_t", "debug"],
	])("%s with a bad value", (option) => {
		for (const value of ["", "yes", "1x", "0.5"]) {
			expect(() => withOptions(`${option}=${value}`)).toThrow(
				new UsageError(`${option}=${value} is not valid: write ${option}=0 or ${option}=1`),
			);
		}
	});
});
