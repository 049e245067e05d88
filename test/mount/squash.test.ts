/** `squash_to_root`, `squash_to_uid` and `squash_to_gid`: one owner is shown for everything. */
import { describe, expect, test } from "bun:test";
import {
	chmodSync,
	chownSync,
	closeSync,
	lstatSync,
	mkdirSync,
	openSync,
	readdirSync,
	readFileSync,
	writeFileSync,
} from "node:fs";
import { directory, fifo, file, symlink, temporaryTree } from "../harness/layers.ts";
import { daemonsOf, layerOptions, runProgram, until } from "../harness/mount.ts";
import { asUser, codeOf } from "../harness/native.ts";
import { mountLayers } from "../harness/overlay.ts";
import { program } from "../harness/program.ts";
import { lacks } from "../harness/setting.ts";
import { usableFuseDevice } from "../harness/user.ts";

const ownerOf = (path: string) => {
	const { uid, gid } = lstatSync(path);
	return `${uid}:${gid}`;
};

const described = [
	{
		f: file("x", { uid: 5, gid: 6, mode: 0o600 }),
		d: directory({ uid: 7, gid: 8, mode: 0o777 }),
		l: symlink("f", { uid: 9 }),
		p: fifo({ gid: 10 }),
	},
];
const names = [".", "f", "d", "l", "p"];
const raw = ["0:0", "5:6", "7:8", "9:0", "0:10"];

describe.skipIf(lacks("other ids"))("squashing", () => {
	test.each([
		["squash_to_root", "0:0"],
		["squash_to_uid=33,squash_to_gid=44", "33:44"],
		["squash_to_root,squash_to_uid=33", "33:0"],
		["squash_to_gid=44,squash_to_root", "0:44"],
		["squash_to_root,uidmapping=5:1:1", "0:0"],
	])("%s: everything belongs to %s", async (options, owner) => {
		await using overlay = await mountLayers(described, { options: [options] });
		expect(names.map((name) => ownerOf(overlay.at(name)))).toEqual(names.map(() => owner));
		// Looked at as it is listed, too.
		const listed = Bun.spawnSync(["stat", "-c", "%u:%g", ...readdirSync(overlay.path)], {
			cwd: overlay.path,
		});
		expect(listed.stdout.toString()).toBe(`${owner}\n`.repeat(4));
		await overlay.remount({ options: [] });
		expect(names.map((name) => ownerOf(overlay.at(name)))).toEqual(raw);
	});

	test("one of both leaves the other as it is, and to be changed", async () => {
		await using overlay = await mountLayers(described, { options: ["squash_to_uid=33"] });
		expect(ownerOf(overlay.at("f"))).toBe("33:6");
		chownSync(overlay.at("f"), 1, 2);
		expect(ownerOf(overlay.at("f"))).toBe("33:2");
		await overlay.unmount();
		expect(ownerOf(overlay.inUpper("f"))).toBe("5:2");
	});

	test("chown succeeds and changes nothing; other changes work", async () => {
		await using overlay = await mountLayers(described, { options: ["squash_to_root"] });
		for (const name of ["f", "d", "p"]) chownSync(overlay.at(name), 1000, 1000);
		chmodSync(overlay.at("f"), 0o640);
		expect([ownerOf(overlay.at("f")), lstatSync(overlay.at("f")).mode & 0o777]).toEqual(["0:0", 0o640]);
		await overlay.remount({ options: [] });
		expect(names.map((name) => ownerOf(overlay.at(name)))).toEqual(raw);
	});

	test("permissions are the squashed owner's", async () => {
		await using overlay = await mountLayers(described, {
			options: ["squash_to_uid=1000,squash_to_gid=1000"],
		});
		expect(asUser(1000, 1000, () => readFileSync(overlay.at("f"), "utf8"))).toBe("x");
		expect(asUser(5, 6, () => codeOf(() => readFileSync(overlay.at("f"))))).toBe("EACCES");
	});

	test("set-id bits asked for when a file is made are left off where they would be another's", async () => {
		await using overlay = await mountLayers(described, { options: ["squash_to_uid=1000", "allow_other"] });
		const modeOf = (name: string) => (lstatSync(overlay.at(name)).mode & 0o7777).toString(8);
		const make = (name: string) => closeSync(openSync(overlay.at(name), "wx", 0o6755));
		asUser(5, 5, () => make("d/others"));
		asUser(1000, 1000, () => make("d/own"));
		expect([modeOf("d/others"), modeOf("d/own")]).toEqual(["2755", "6755"]);
	});

	test("what is made belongs to its maker on disk", async () => {
		await using overlay = await mountLayers(described, { options: ["squash_to_root"] });
		asUser(1000, 1001, () => {
			writeFileSync(overlay.at("d/f"), "");
			mkdirSync(overlay.at("d/sub"));
		});
		expect([ownerOf(overlay.at("d/f")), ownerOf(overlay.at("d/sub"))]).toEqual(["0:0", "0:0"]);
		await overlay.unmount();
		expect([ownerOf(overlay.inUpper("d/f")), ownerOf(overlay.inUpper("d/sub"))]).toEqual([
			"1000:1001",
			"1000:1001",
		]);
	});
});

test.skipIf(lacks("the machine's root"))(
	"with a daemon that may not give files away, all the same",
	async () => {
		using tree = temporaryTree();
		const user = 65534;
		const closed = file("closed", { mode: 0o644 });
		const layers = tree.layers([{ mine: file("x", { uid: user, gid: user }), closed }]);
		for (const path of [...layers.lower, layers.upper, layers.work, layers.mountpoint])
			chownSync(path, user, user);
		const script = `
		mount --bind "${usableFuseDevice(tree)}" /dev/fuse
		echo user_allow_other >"${tree.join("fuse.conf")}"
		mount --bind "${tree.join("fuse.conf")}" /etc/fuse.conf
		as_user="setpriv --reuid=${user} --regid=${user} --clear-groups --"
		cd /
		$as_user "${program}" -o "${layerOptions(layers)},squash_to_root,allow_other" "${layers.mountpoint}"
		cd "${layers.mountpoint}"
		echo made >made
		mkdir dir
		ln -s made link
		echo more >>closed
		chown 1000:1001 made closed
		stat -c '%n %F %u:%g' made dir link closed mine
		cd /
		$as_user fusermount3 -u "${layers.mountpoint}"`;
		const result = await runProgram(["-m", "sh", "-e", "-c", script], { program: "unshare" });
		await until(() => daemonsOf(result.run).length === 0, "the daemon stays after the unmount");
		expect(result).toMatchObject({ stderr: "", exitCode: 0 });
		expect(result.stdout).toBe(`made regular file 0:0
dir directory 0:0
link symbolic link 0:0
closed regular file 0:0
mine regular file 0:0
`);
		expect(ownerOf(`${layers.upper}/made`)).toBe(`${user}:${user}`);
		expect(readFileSync(`${layers.upper}/closed`, "utf8")).toBe("closedmore\n");
	},
);
