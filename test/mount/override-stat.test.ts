/** `xattr_permissions`: owner, mode and device in an extended attribute, as C and containers/storage keep them. */
import { describe, expect, test } from "bun:test";
import {
	chmodSync,
	chownSync,
	fchmodSync,
	fchownSync,
	fstatSync,
	lchownSync,
	linkSync,
	lstatSync,
	mkdirSync,
	readFileSync,
	readlinkSync,
	renameSync,
	symlinkSync,
	truncateSync,
	unlinkSync,
	writeFileSync,
} from "node:fs";
import { open } from "../harness/descriptor.ts";
import { device, directory, fifo, file, socket, symlink, temporaryTree } from "../harness/layers.ts";
import { daemonsOf, layerOptions, mountOverlay, runProgram, until } from "../harness/mount.ts";
import {
	asUser,
	codeOf,
	getxattr,
	listxattr,
	mknod,
	mount,
	removexattr,
	setxattr,
} from "../harness/native.ts";
import { mountLayers, type Overlay } from "../harness/overlay.ts";
import { isKernel, program } from "../harness/program.ts";
import { refusing } from "../harness/refusing.ts";
import { lacks } from "../harness/setting.ts";
import { differences, snapshot } from "../harness/snapshot.ts";
import { usableFuseDevice } from "../harness/user.ts";

const CONTAINERS = "user.containers.override_stat";
const PRIVILEGED = "security.fuseoverlayfs.override_stat";
const O_RDWR = 2;

/** Kind and permissions in octal, owner, device. */
const statOf = (path: string) => {
	const { mode, uid, gid, rdev } = lstatSync(path);
	return `${mode.toString(8)} ${uid}:${gid} ${rdev}`;
};
const setfacl = (...args: string[]) => Bun.spawnSync(["setfacl", ...args]).exitCode;
/** The access ACL, its entries separated by commas. */
const acl = (path: string) => {
	const { stdout } = Bun.spawnSync(["getfacl", "-acnE", "--absolute-names", path]);
	return stdout.toString().trim().replaceAll("\n", ",");
};
describe.skipIf(lacks("all ids", "devices")).each([
	["1", PRIVILEGED],
	["2", CONTAINERS],
] as const)("xattr_permissions=%s", (mode, attribute) => {
	const options = [`xattr_permissions=${mode}`];
	const valueIn = (overlay: Overlay, name: string) => getxattr(overlay.inUpper(name), attribute).toString();

	test("new objects of every kind have theirs in the attribute, and on disk are the daemon's", async () => {
		await using overlay = await mountLayers([{ "d/x": "" }], { options });
		const at = (name: string) => overlay.at(name);
		chmodSync(at("d"), 0o777);
		asUser(1000, 1001, () => {
			writeFileSync(at("d/file"), "content", { mode: 0o640 });
			mkdirSync(at("d/dir"), 0o700);
			symlinkSync("target", at("d/link"));
			mknod(at("d/fifo"), 0o010600);
			mknod(at("d/socket"), 0o140600);
		});
		mknod(at("d/null"), 0o020600, 1, 3);
		mknod(at("d/disk"), 0o060600, 259, 70_000);
		const names = ["file", "dir", "fifo", "socket", "null", "disk"].map((name) => `d/${name}`);
		const expected = [
			"100640 1000:1001 0",
			"40700 1000:1001 0",
			"10600 1000:1001 0",
			"140600 1000:1001 0",
			"20600 0:0 259",
			"60600 0:0 286327664",
		];
		expect(names.map((name) => statOf(at(name)))).toEqual(expected);
		expect(statOf(at("d/link"))).toBe("120777 1000:1001 0");
		expect(readlinkSync(at("d/link"))).toBe("target");
		await overlay.remount();
		expect(names.map((name) => statOf(at(name)))).toEqual(expected);
		expect(statOf(at("d/link"))).toBe("120777 1000:1001 0");
		expect(names.map((name) => listxattr(at(name)))).toEqual(names.map(() => []));
		expect(asUser(1000, 1001, () => readFileSync(at("d/file"), "utf8"))).toBe("content");
		await overlay.unmount();
		expect(names.map((name) => valueIn(overlay, name))).toEqual([
			"1000:1001:0640:file",
			"1000:1001:0700:dir",
			"1000:1001:0600:pipe",
			"1000:1001:0600:socket",
			"0:0:0600:char-1-3",
			"0:0:0600:block-259-70000",
		]);
		expect(names.map((name) => lstatSync(overlay.inUpper(name)).uid)).toEqual(names.map(() => 0));
		expect(names.filter((name) => lstatSync(overlay.inUpper(name)).isFile())).toHaveLength(5);
	});

	test("chmod and chown of every kind, and of what is copied up for it", async () => {
		const lower = {
			file: file("x", { uid: 5, gid: 6, mode: 0o644 }),
			dir: directory({ mode: 0o700 }),
			fifo: fifo({ mode: 0o600 }),
			socket: socket({ mode: 0o600 }),
			null: device("char", 1, 3, { mode: 0o600 }),
		};
		await using overlay = await mountLayers([lower], { options });
		const at = (name: string) => overlay.at(name);
		const names = Object.keys(lower);
		for (const name of names) chmodSync(at(name), 0o4751);
		for (const name of names) chownSync(at(name), 1000, 70_000);
		const expected = [
			"100751 1000:70000 0",
			"44751 1000:70000 0",
			"10751 1000:70000 0",
			"140751 1000:70000 0",
			"20751 1000:70000 259",
		];
		expect(names.map((name) => statOf(at(name)))).toEqual(expected);
		await overlay.remount();
		expect(names.map((name) => statOf(at(name)))).toEqual(expected);
		await overlay.unmount();
		expect(names.map((name) => lstatSync(overlay.inUpper(name)).uid)).toEqual(names.map(() => 0));
		expect(valueIn(overlay, "null")).toBe("1000:70000:0751:char-1-3");
	});

	test("a kind that cannot be the object's is not shown, and not kept", async () => {
		await using overlay = await mountLayers([{}], {
			options,
			upper: { file: "content", file2: "content", d: directory(), fifo: fifo() },
		});
		const put = (name: string, value: string) => setxattr(overlay.inUpper(name), attribute, value);
		// Before the mount looks at any of them.
		put("file", "3:4:0640:symlink");
		put("file2", "3:4:0640:dir");
		put("d", "3:4:0750:file");
		if (mode === "1") put("fifo", "3:4:0600:char-1-3");
		const at = (name: string) => overlay.at(name);
		expect(["file", "file2", "d"].map((name) => statOf(at(name)))).toEqual([
			"100640 3:4 0",
			"100640 3:4 0",
			"40750 3:4 0",
		]);
		if (mode === "1") expect(statOf(at("fifo"))).toBe("10600 3:4 0");
		expect(readFileSync(at("file"), "utf8")).toBe("content");
		chmodSync(at("file"), 0o600);
		writeFileSync(at("d/new"), "");
		await overlay.unmount();
		expect(valueIn(overlay, "file")).toBe("3:4:0600:file");
	});

	test("copy-up keeps what is shown of every kind, renamed and linked as well", async () => {
		const lower = {
			file: file("x", { uid: 5, gid: 6, mode: 0o4750 }),
			closed: file("closed", { mode: 0o000 }),
			"dir/f": file("f", { uid: 7 }),
			fifo: fifo({ mode: 0o620, uid: 7 }),
			socket: socket({ gid: 8 }),
			disk: device("block", 8, 1, { mode: 0o660, gid: 6 }),
			link: symlink("file", { uid: 8, gid: 9 }),
		};
		await using overlay = await mountLayers([lower], { options });
		const at = (name: string) => overlay.at(name);
		const names = ["file", "closed", "dir/f", "fifo", "socket", "disk", "link"];
		const before = names.map((name) => statOf(at(name)));
		for (const name of names) renameSync(at(name), at(`${name}2`));
		linkSync(at("file2"), at("file3"));
		const after = () => names.map((name) => statOf(at(`${name}2`)));
		expect(after()).toEqual(before);
		await overlay.remount();
		expect(after()).toEqual(before);
		expect(statOf(at("file3"))).toBe(statOf(at("file2")));
		expect(readFileSync(at("closed2"), "utf8")).toBe("closed");
		await overlay.unmount();
		// The daemon must be able to use it, who may not be root.
		expect(lstatSync(overlay.inUpper("closed2")).mode & 0o600).toBe(0o600);
	});

	test("chown of a symlink succeeds", async () => {
		await using overlay = await mountLayers([{ link: symlink("x") }], { options });
		symlinkSync("y", overlay.at("new"));
		for (const name of ["link", "new"]) lchownSync(overlay.at(name), 1000, 1001);
		await overlay.remount();
		for (const name of ["link", "new"]) expect(statOf(overlay.at(name))).toBe("120777 1000:1001 0");
	});

	test("writing, truncating and any chown take set-id bits away, as from a plain file", async () => {
		await using overlay = await mountLayers([{ "d/x": "" }], { options });
		const path = overlay.at("d/f");
		for (const write of [() => writeFileSync(path, "x", { flag: "a" }), () => truncateSync(path, 1)]) {
			writeFileSync(path, "content");
			chmodSync(path, 0o6777);
			asUser(1000, 1000, write);
			expect(lstatSync(path).mode & 0o7777).toBe(0o777);
		}
		chmodSync(path, 0o6777);
		chownSync(path, -1, -1);
		await overlay.remount();
		expect(lstatSync(path).mode & 0o7777).toBe(0o777);
	});

	test("a setgid directory hands down its group, and to directories its bit", async () => {
		await using overlay = await mountLayers([{}], { options });
		const at = (name: string) => overlay.at(name);
		mkdirSync(at("d"));
		chownSync(at("d"), 0, 50);
		chmodSync(at("d"), 0o2777);
		asUser(1000, 1001, () => {
			writeFileSync(at("d/f"), "", { mode: 0o640 });
			mkdirSync(at("d/s"), 0o750);
		});
		expect(["d/f", "d/s"].map((name) => statOf(at(name)))).toEqual(["100640 1000:50 0", "42750 1000:50 0"]);
	});

	test("files whose name is gone have theirs", async () => {
		await using overlay = await mountLayers([{ lower: file("x", { uid: 5 }) }], { options });
		using unlinked = open(overlay.at("lower"), O_RDWR);
		unlinkSync(overlay.at("lower"));
		fchownSync(unlinked.fd, 1000, 70_000);
		fchmodSync(unlinked.fd, 0o4711);
		const { mode: bits, uid, gid } = fstatSync(unlinked.fd);
		expect([bits.toString(8), uid, gid]).toEqual(["104711", 1000, 70_000]);
	});

	test("ACLs decide, go with the mode shown, and are handed down", async () => {
		await using overlay = await mountLayers([{ f: file("x", { mode: 0o600 }), "d/x": "" }], { options });
		const at = (name: string) => overlay.at(name);
		expect(setfacl("-m", "u:1000:rw", at("f"))).toBe(0);
		expect([statOf(at("f")), acl(at("f"))]).toEqual([
			"100660 0:0 0",
			"user::rw-,user:1000:rw-,group::---,mask::rw-,other::---",
		]);
		asUser(1000, 1000, () => expect(codeOf(() => writeFileSync(at("f"), "y"))).toBeUndefined());
		chmodSync(at("f"), 0o440);
		expect([statOf(at("f")), acl(at("f"))]).toEqual([
			"100440 0:0 0",
			"user::r--,user:1000:rw-,group::---,mask::r--,other::---",
		]);
		asUser(1000, 1000, () => expect(codeOf(() => writeFileSync(at("f"), "z"))).toBe("EACCES"));
		expect(setfacl("-d", "-m", "u:1000:rwx,o::---", at("d"))).toBe(0);
		writeFileSync(at("d/new"), "", { mode: 0o666 });
		mkdirSync(at("d/sub"), 0o777);
		mknod(at("d/fifo"), 0o010644);
		const seen = () => ["f", "d/new", "d/sub", "d/fifo"].map((name) => [statOf(at(name)), acl(at(name))]);
		const before = seen();
		expect(before.slice(1).map(([stat]) => stat)).toEqual(["100660 0:0 0", "40770 0:0 0", "10640 0:0 0"]);
		expect(before[1]?.[1]).toBe("user::rw-,user:1000:rwx,group::r-x,mask::rw-,other::---");
		await overlay.remount();
		expect(seen()).toEqual(before);
		expect(setfacl("-b", at("f"))).toBe(0);
		expect([statOf(at("f")), listxattr(at("f"))]).toEqual(["100400 0:0 0", []]);
	});

	test("what is shown does not change when the upper layer becomes a lower one", async () => {
		await using overlay = await mountLayers([{ f: "x" }], { options });
		chmodSync(overlay.path, 0o751);
		chownSync(overlay.at("f"), 1000, 1001);
		mknod(overlay.at("null"), 0o020600, 1, 3);
		const before = snapshot(overlay.path);
		await overlay.unmount();
		const request = {
			lower: [overlay.layers.upper, ...overlay.layers.lower],
			mountpoint: overlay.tree.layer("later"),
		};
		await using later = await mountOverlay(request);
		expect(differences(before, snapshot(later.path))).toEqual([]);
	});

	test("the root takes what the topmost lower root says that has the attribute", async () => {
		await using overlay = await mountLayers([{}, { x: "x" }], { options });
		await overlay.unmount();
		removexattr(overlay.inUpper(), attribute);
		setxattr(String(overlay.layers.lower[1]), attribute, "7:8:0711:dir");
		await overlay.remount();
		expect([statOf(overlay.path), valueIn(overlay, ".")]).toEqual(["40711 7:8 0", "7:8:0711:dir"]);
	});
});

test.skipIf(lacks("the machine's root"))(
	"with a daemon that is not root, root makes devices and gives files away",
	async () => {
		using tree = temporaryTree();
		const user = 65534;
		const mine = { uid: user, gid: user };
		const closed = file("closed", { ...mine, mode: 0o400, xattrs: { "user.note": "n" } });
		const layers = tree.layers([{ f: file("x", mine), closed }]);
		for (const path of [...layers.lower, layers.upper, layers.work, layers.mountpoint])
			chownSync(path, user, user);
		const script = `
		mount --bind "${usableFuseDevice(tree)}" /dev/fuse
		echo user_allow_other >"${tree.join("fuse.conf")}"
		mount --bind "${tree.join("fuse.conf")}" /etc/fuse.conf
		as_user="setpriv --reuid=${user} --regid=${user} --clear-groups --"
		cd /
		$as_user "${program}" -o "${layerOptions(layers)},xattr_permissions=2,allow_other" "${layers.mountpoint}"
		cd "${layers.mountpoint}"
		mknod null c 1 3
		mkfifo fifo
		ln -s f link
		chown 1000:1001 f null fifo
		chown -h 1000:1001 link
		chmod 4750 f
		echo more >>closed
		mkdir dir
		chmod 0 dir
		touch dir/file
		stat -c '%n %F %a %u:%g' f null fifo dir
		cat closed
		cd /
		$as_user fusermount3 -u "${layers.mountpoint}"`;
		const result = await runProgram(["-m", "sh", "-e", "-c", script], { program: "unshare" });
		await until(() => daemonsOf(result.run).length === 0, "the daemon stays after the unmount");
		expect(result).toMatchObject({ stderr: "", exitCode: 0 });
		expect(result.stdout).toBe(`f regular file 4750 1000:1001
null character special file 644 1000:1001
fifo fifo 644 1000:1001
dir directory 0 0:0
closedmore
`);
		expect(getxattr(`${layers.upper}/null`, CONTAINERS).toString()).toBe("1000:1001:0644:char-1-3");
		expect(getxattr(`${layers.upper}/closed`, "user.note").toString()).toBe("n");
		expect(lstatSync(`${layers.upper}/null`)).toMatchObject({ uid: user, gid: user });
	},
);

test.skipIf(lacks("mounting"))(
	"where the upper layer takes no attributes, xattr_permissions is refused",
	async () => {
		const tree = temporaryTree();
		using _ = tree;
		const disk = tree.layer("disk");
		mount("ramfs", disk, "ramfs", 0, "");
		const layers = {
			lower: [tree.layer("lower")],
			upper: tree.layer("disk/upper"),
			work: tree.layer("disk/work"),
			mountpoint: tree.layer("merged"),
		};
		const mounting = mountOverlay({ ...layers, options: ["xattr_permissions=2"] });
		expect(mounting).rejects.toThrow(/user\.containers\.override_stat.*leave out xattr_permissions/);
	},
);

test.skipIf(lacks("the machine's root") || isKernel || Bun.which("strace") === null)(
	"a layer that cannot be asked whether its owners are in attributes is refused",
	async () => {
		using tree = temporaryTree();
		const layers = tree.layers([{ closed: file("closed", { mode: 0o600 }) }]);
		const older = refusing("ENOSYS", "getxattrat,setxattrat,listxattrat,removexattrat");
		const failing = tree.join("failing");
		const inject = "-e trace=getxattr -e inject=getxattr:error=EIO";
		writeFileSync(failing, `#!/bin/sh\nexec strace -f -qq -o /dev/null ${inject} "${older}" "$@"\n`);
		chmodSync(failing, 0o755);
		expect(mountOverlay({ ...layers, program: failing })).rejects.toThrow(/cannot read .*override_stat of /);
	},
);
