/** `uidmapping` and `gidmapping`: ids of the layers shown as others, in both directions and wherever ids are. */
import { describe, expect, test } from "bun:test";
import {
	chmodSync,
	chownSync,
	closeSync,
	lchownSync,
	linkSync,
	lstatSync,
	mkdirSync,
	openSync,
	readFileSync,
	renameSync,
	symlinkSync,
	unlinkSync,
	writeFileSync,
} from "node:fs";
import { mountIdMapped } from "../harness/id-mapped-mount.ts";
import { directory, fifo, file, symlink, temporaryTree, whiteout } from "../harness/layers.ts";
import { mountOverlay } from "../harness/mount.ts";
import { asUser, codeOf, getxattr, mknod } from "../harness/native.ts";
import { mountLayers, type Overlay } from "../harness/overlay.ts";
import { lacks } from "../harness/setting.ts";

const ownerOf = (path: string) => {
	const { uid, gid } = lstatSync(path);
	return `${uid}:${gid}`;
};
const owners = (overlay: Overlay, names: readonly string[]) => names.map((name) => ownerOf(overlay.at(name)));
const overflow = ["uid", "gid"]
	.map((id) => readFileSync(`/proc/sys/kernel/overflow${id}`, "utf8").trim())
	.join(":");

const setfacl = (...args: string[]) => Bun.spawnSync(["setfacl", ...args]).exitCode;
const getfacl = (path: string) =>
	Bun.spawnSync(["getfacl", "--numeric", "--omit-header", "--absolute-names", path]).stdout.toString();

/** One name of each kind, also over a whiteout `hidden`. */
function makeOfEveryKind(directory: string): void {
	symlinkSync("x", `${directory}/link`);
	for (const name of ["file", "hidden"]) writeFileSync(`${directory}/${name}`, "x", { flag: "wx" });
	mkdirSync(`${directory}/dir`);
	mknod(`${directory}/fifo`, 0o010644);
	mknod(`${directory}/socket`, 0o140644);
}
const made = ["link", "file", "hidden", "dir", "fifo", "socket"].map((name) => `open/${name}`);
const modeOf = (path: string) => (lstatSync(path).mode & 0o7777).toString(8);

const described = [
	{
		root: file("", { uid: 100_000, gid: 200_000 }),
		user: file("", { uid: 101_000, gid: 201_000 }),
		last: file("", { uid: 165_535, gid: 265_535 }),
		behind: file("", { uid: 165_536, gid: 265_536 }),
		outside: file("", { uid: 5, gid: 6 }),
		dir: directory({ uid: 101_000, gid: 201_000, mode: 0o755 }),
		link: symlink("root", { uid: 101_000, gid: 200_000 }),
		fifo: fifo({ uid: 100_007, gid: 200_008 }),
	},
];
const names = Object.keys(described[0] ?? {});
const options = ["uidmapping=100000:0:65536", "gidmapping=200000:0:65536"];
const shown = ["0:0", "1000:1000", "65535:65535", overflow, overflow, "1000:1000", "1000:0", "7:8"];

describe.skipIf(lacks("all ids"))("uidmapping and gidmapping", () => {
	test("show ids of the layers as others, and those of no range as the overflow id", async () => {
		await using overlay = await mountLayers(described, { options });
		expect(owners(overlay, names)).toEqual(shown);
		// ls lists with attributes, too.
		const listed = Bun.spawnSync(["ls", "-n", overlay.path]).stdout.toString();
		expect(listed).toMatch(/ 1000 +1000 .* user$/m);
		await overlay.remount({ options: [] });
		expect(owners(overlay, names).slice(0, 2)).toEqual(["100000:200000", "101000:201000"]);
	});

	test("store what users make with the ids of the layers", async () => {
		await using overlay = await mountLayers(described, { options });
		asUser(1000, 1000, () => {
			writeFileSync(overlay.at("dir/file"), "");
			mkdirSync(overlay.at("dir/sub"));
			symlinkSync("x", overlay.at("dir/link"));
			mknod(overlay.at("dir/fifo"), 0o010644);
		});
		writeFileSync(overlay.at("roots"), "");
		const made = ["dir/file", "dir/sub", "dir/link", "dir/fifo", "roots"];
		expect(owners(overlay, made)).toEqual(["1000:1000", "1000:1000", "1000:1000", "1000:1000", "0:0"]);
		await overlay.unmount();
		expect(made.map((name) => ownerOf(overlay.inUpper(name)))).toEqual([
			"101000:201000",
			"101000:201000",
			"101000:201000",
			"101000:201000",
			"100000:200000",
		]);
	});

	test("chown takes ids of the mount, of every kind; those of no range are EINVAL", async () => {
		await using overlay = await mountLayers(described, { options });
		for (const name of ["user", "dir", "fifo"]) chownSync(overlay.at(name), 7, 8);
		lchownSync(overlay.at("link"), 9, 10);
		expect(owners(overlay, ["user", "dir", "fifo", "link"])).toEqual(["7:8", "7:8", "7:8", "9:10"]);
		expect(codeOf(() => chownSync(overlay.at("user"), 70_000, 8))).toBe("EINVAL");
		expect(codeOf(() => chownSync(overlay.at("user"), 7, 70_000))).toBe("EINVAL");
		await overlay.unmount();
		expect(ownerOf(overlay.inUpper("user"))).toBe("100007:200008");
		expect(ownerOf(overlay.inUpper("link"))).toBe("100009:200010");
	});

	test("chown to no other user or group takes set-id bits away", async () => {
		await using overlay = await mountLayers(
			[{ f: file("f", { uid: 101_000, gid: 201_000, mode: 0o6755 }) }],
			{
				options,
			},
		);
		chownSync(overlay.at("f"), -1, -1);
		expect(lstatSync(overlay.at("f")).mode & 0o7777).toBe(0o755);
		expect(owners(overlay, ["f"])).toEqual(["1000:1000"]);
	});

	test("what a caller of no range makes belongs to the overflow ids on disk, and root may give it away", async () => {
		await using overlay = await mountLayers([{ open: directory({ mode: 0o777 }), "open/hidden": "x" }], {
			options: [...options, "allow_other"],
			upper: { open: directory({ mode: 0o777 }), "open/hidden": whiteout() },
		});
		asUser(70_000, 70_001, () => makeOfEveryKind(overlay.at("open")));
		expect(overflow).toBe("65534:65534");
		// 65534 on disk is in none of the ranges.
		expect(owners(overlay, made)).toEqual(made.map(() => overflow));
		lchownSync(overlay.at("open/link"), 7, 8);
		expect(ownerOf(overlay.at("open/link"))).toBe("7:8");
		await overlay.unmount();
		expect(made.slice(1).map((name) => ownerOf(overlay.inUpper(name)))).toEqual(
			made.slice(1).map(() => overflow),
		);
		expect(ownerOf(overlay.inUpper("open/link"))).toBe("100007:200008");
	});

	test("it is shown as the id that the overflow id stands for, where a range holds it", async () => {
		await using overlay = await mountLayers([{ open: directory({ uid: 0, mode: 0o777 }) }], {
			options: ["uidmapping=0:100000:65536", "gidmapping=0:100000:65536", "allow_other"],
		});
		symlinkSync("/proc/mounts", overlay.at("open/mtab"));
		expect(ownerOf(overlay.at("open/mtab"))).toBe("165534:165534");
		lchownSync(overlay.at("open/mtab"), 100_000, 100_000);
		await overlay.unmount();
		expect(ownerOf(overlay.inUpper("open/mtab"))).toBe("0:0");
	});

	test.each(["0", "1", "2"])(
		"set-id bits of what a caller of no range makes give nobody's rights; with xattr_permissions=%s",
		async (permissions) => {
			await using overlay = await mountLayers([{ open: directory({ mode: 0o777 }), "open/hidden": "x" }], {
				options: [...options, "allow_other", `xattr_permissions=${permissions}`],
				upper: { open: directory({ mode: 0o777 }), "open/hidden": whiteout() },
			});
			const make = () => {
				for (const name of ["open/new", "open/hidden"]) closeSync(openSync(overlay.at(name), "wx", 0o6755));
				mknod(overlay.at("open/fifo"), 0o016755);
			};
			const names = ["open/new", "open/hidden", "open/fifo"];
			const shown = () => names.map((name) => `${ownerOf(overlay.at(name))} ${modeOf(overlay.at(name))}`);
			asUser(70_000, 70_001, make);
			expect(shown()).toEqual(names.map(() => `${overflow} 755`));
			await overlay.remount();
			expect(shown()).toEqual(names.map(() => `${overflow} 755`));
			for (const name of names) unlinkSync(overlay.at(name));
			asUser(1000, 1001, make);
			expect(shown()).toEqual(names.map(() => "1000:1001 6755"));
		},
	);

	test("a caller of no range changes what permissions let it change", async () => {
		await using overlay = await mountLayers(
			[{ open: directory({ mode: 0o777 }), "open/f": file("", { mode: 0o666 }) }],
			{ options: [...options, "allow_other"] },
		);
		asUser(70_000, 70_000, () => {
			writeFileSync(overlay.at("open/f"), "written");
			renameSync(overlay.at("open/f"), overlay.at("open/g"));
			linkSync(overlay.at("open/g"), overlay.at("open/h"));
		});
		expect(readFileSync(overlay.at("open/h"), "utf8")).toBe("written");
	});

	test("copying up and renaming leave the ids on disk as they are, also those of no range", async () => {
		await using overlay = await mountLayers(described, { options });
		for (const name of ["user", "outside", "behind"]) chmodSync(overlay.at(name), 0o600);
		renameSync(overlay.at("fifo"), overlay.at("renamed"));
		await overlay.unmount();
		expect(["user", "outside", "behind", "renamed"].map((name) => ownerOf(overlay.inUpper(name)))).toEqual([
			"101000:201000",
			"5:6",
			"165536:265536",
			"100007:200008",
		]);
	});

	test("permissions are those of the ids shown", async () => {
		const lower = { dir: directory({ mode: 0o755 }), "dir/f": file("x", { uid: 101_000, mode: 0o600 }) };
		await using overlay = await mountLayers([lower], { options });
		asUser(1000, 1000, () => {
			expect(codeOf(() => writeFileSync(overlay.at("dir/f"), "y"))).toBeUndefined();
		});
		asUser(2000, 2000, () => {
			expect(codeOf(() => readFileSync(overlay.at("dir/f")))).toBe("EACCES");
		});
	});

	test("a setgid directory hands down its group as it is on disk", async () => {
		const dir = directory({ uid: 101_000, gid: 200_050, mode: 0o2775 });
		await using overlay = await mountLayers([{ dir }], { options });
		asUser(1000, 1000, () => writeFileSync(overlay.at("dir/f"), ""));
		expect(ownerOf(overlay.at("dir/f"))).toBe("1000:50");
		await overlay.unmount();
		expect(ownerOf(overlay.inUpper("dir/f"))).toBe("101000:200050");
	});

	test("several ranges, the later winning, after a leading colon, as containers/storage writes them", async () => {
		const lower = {
			a: file("", { uid: 1000, gid: 10 }),
			b: file("", { uid: 100_005, gid: 20 }),
			none: file("", { uid: 1001, gid: 11 }),
		};
		await using overlay = await mountLayers([lower], {
			options: ["uidmapping=:1000:0:1:100000:1:65536", "gidmapping=:10:0:1:20:5:1:20:7:1"],
		});
		expect(owners(overlay, ["a", "b", "none"])).toEqual(["0:0", "6:7", overflow]);
		chownSync(overlay.at("none"), 1, 7);
		await overlay.unmount();
		expect(ownerOf(overlay.inUpper("none"))).toBe("100000:20");
	});

	test("a range may reach up to the largest id", async () => {
		const lower = { a: file("", { uid: 4_294_967_294 }), b: file("", { uid: 4_000_000_000 }) };
		await using overlay = await mountLayers([lower], { options: ["uidmapping=4000000000:0:294967295"] });
		expect(owners(overlay, ["a", "b"])).toEqual(["294967294:0", "0:0"]);
	});
});

describe.skipIf(lacks("all ids", "ACLs in the kernel"))("ids in ACLs", () => {
	/** user::rw-, user:101000:rw-, group::r--, group:5:r--, mask::rw-, other::---, as on disk. */
	const acl = Buffer.from(
		"02000000 01000600ffffffff 02000600888a0100 04000400ffffffff 0800040005000000 10000600ffffffff 20000000ffffffff".replaceAll(
			" ",
			"",
		),
		"hex",
	);
	const lower = { f: file("x", { xattrs: { "system.posix_acl_access": acl } }), "d/x": "" };

	test("are shown as the mount's, and decide", async () => {
		await using overlay = await mountLayers([lower], { options });
		expect(getfacl(overlay.at("f"))).toContain("user:1000:rw-");
		expect(getfacl(overlay.at("f"))).toContain(`group:${overflow.split(":")[1]}:r--`);
		asUser(1000, 1000, () => {
			expect(codeOf(() => writeFileSync(overlay.at("f"), "y"))).toBeUndefined();
		});
		asUser(2000, 2000, () => {
			expect(codeOf(() => readFileSync(overlay.at("f")))).toBe("EACCES");
		});
		// Copied up as it is.
		await overlay.unmount();
		expect(getxattr(overlay.inUpper("f"), "system.posix_acl_access")).toEqual(acl);
	});

	test("are stored as the layers', also in default ACLs, and handed down", async () => {
		await using overlay = await mountLayers([lower], { options });
		expect(setfacl("-m", "u:1000:rw,g:50:r", overlay.at("d/x"))).toBe(0);
		expect(setfacl("-d", "-m", "u:1000:rwx", overlay.at("d"))).toBe(0);
		writeFileSync(overlay.at("d/new"), "");
		mkdirSync(overlay.at("d/sub"));
		expect(getfacl(overlay.at("d/x"))).toContain("user:1000:rw-\ngroup::r--\ngroup:50:r--\n");
		expect(getfacl(overlay.at("d/new"))).toContain("user:1000:rwx");
		expect(getfacl(overlay.at("d/sub"))).toContain("default:user:1000:rwx");
		await overlay.unmount();
		expect(getfacl(overlay.inUpper("d/x"))).toContain("user:101000:rw-\ngroup::r--\ngroup:200050:r--\n");
		expect(getfacl(overlay.inUpper("d"))).toContain("default:user:101000:rwx");
		expect(getfacl(overlay.inUpper("d/new"))).toContain("user:101000:rwx");
	});

	test("that have none on disk are refused", async () => {
		await using overlay = await mountLayers([lower], { options });
		expect(setfacl("-m", "u:70000:r", overlay.at("d/x"))).not.toBe(0);
		expect(getfacl(overlay.at("d/x"))).not.toContain("user:7");
	});
});

describe.skipIf(lacks("all ids", "the machine's root", "ID-mapped mounts"))(
	"a lower layer on an ID-mapped mount",
	() => {
		/** user::rw-, user:7:rw-, group::r--, mask::rw-, other::---, as on disk. */
		const acl = Buffer.from(
			"0200000001000600ffffffff020006000700000004000400ffffffff10000600ffffffff20000000ffffffff",
			"hex",
		);
		const lower = {
			root: file("x", { uid: 0, gid: 0 }),
			user: file("x", { uid: 7, gid: 8 }),
			outside: file("x", { uid: 70_000, gid: 70_000 }),
			acl: file("x", { uid: 7, gid: 7, xattrs: { "system.posix_acl_access": acl } }),
		};
		const options = ["uidmapping=:0:100000:65536", "gidmapping=:0:100000:65536"];

		async function mountMapped() {
			const tree = temporaryTree();
			const layers = tree.layers([lower]);
			const mapped = tree.layer("mapped");
			await mountIdMapped(layers.lower[0] ?? "", mapped, "0 100000 65536");
			const overlay = await mountOverlay({ ...layers, lower: [mapped], options });
			return { tree, layers, overlay };
		}

		test.skipIf(lacks("ACLs in the kernel"))(
			"has the ids that it is shown with: they are not mapped twice",
			async () => {
				const { tree, layers, overlay } = await mountMapped();
				using _tree = tree;
				await using _overlay = overlay;
				const shown = ["root", "user", "outside"].map((name) => ownerOf(overlay.at(name)));
				expect(shown).toEqual(["100000:100000", "100007:100008", "165534:165534"]);
				expect(getfacl(overlay.at("acl"))).toContain("user:100007:rw-");
				const copied = ["root", "user", "outside", "acl"];
				for (const name of copied) writeFileSync(overlay.at(name), "y", { flag: "a" });
				expect(copied.slice(0, 3).map((name) => ownerOf(overlay.at(name)))).toEqual(shown);
				expect(getfacl(overlay.at("acl"))).toContain("user:100007:rw-");
				await overlay.unmount();
				const onDisk = copied.map((name) => ownerOf(`${layers.upper}/${name}`));
				expect(onDisk).toEqual(["0:0", "7:8", overflow, "7:7"]);
				expect(getxattr(`${layers.upper}/acl`, "system.posix_acl_access")).toEqual(acl);
			},
		);
	},
);
