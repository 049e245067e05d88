import { describe, expect, test } from "bun:test";
import {
	chmodSync,
	chownSync,
	lstatSync,
	mkdirSync,
	readdirSync,
	readFileSync,
	statSync,
	writeFileSync,
} from "node:fs";
import { directory, file } from "../harness/layers.ts";
import { asUser, getxattr, listxattr, mknod, setxattr } from "../harness/native.ts";
import { mountLayers, type Overlay } from "../harness/overlay.ts";
import { lacks } from "../harness/setting.ts";

const owner = (overlay: Overlay, name: string) => {
	const { uid, gid } = lstatSync(overlay.at(name));
	return `${uid}:${gid}`;
};
const ownerInUpper = (overlay: Overlay, name: string) => {
	const { uid, gid } = lstatSync(overlay.inUpper(name));
	return `${uid}:${gid}`;
};
const overflowId = Number(readFileSync("/proc/sys/kernel/overflowuid", "utf8"));

describe("uidmapping and gidmapping", () => {
	const described = [
		{
			root: file("", { uid: 100_000, gid: 200_000 }),
			user: file("", { uid: 101_000, gid: 201_000 }),
			outside: file("", { uid: 5, gid: 6 }),
			dir: directory({ uid: 100_000, gid: 200_000, mode: 0o777 }),
		},
	];
	const options = ["uidmapping=100000:0:65536", "gidmapping=200000:0:65536"];

	test.skipIf(lacks("all ids"))(
		"show the ids of the layers as others, and those outside as the overflow id",
		async () => {
			await using overlay = await mountLayers(described, { options });
			expect(owner(overlay, "root")).toBe("0:0");
			expect(owner(overlay, "user")).toBe("1000:1000");
			expect(owner(overlay, "outside")).toBe(`${overflowId}:${overflowId}`);
		},
	);

	test.skipIf(lacks("all ids"))("store what is made and changed with the ids of the layers", async () => {
		await using overlay = await mountLayers(described, { options });
		asUser(1000, 1000, () => writeFileSync(overlay.at("dir/made"), ""));
		chownSync(overlay.at("user"), 7, 8);
		mkdirSync(overlay.at("new"));
		expect([owner(overlay, "dir/made"), owner(overlay, "user"), owner(overlay, "new")]).toEqual([
			"1000:1000",
			"7:8",
			"0:0",
		]);
		await overlay.unmount();
		expect(ownerInUpper(overlay, "dir/made")).toBe("101000:201000");
		expect(ownerInUpper(overlay, "user")).toBe("100007:200008");
		expect(ownerInUpper(overlay, "new")).toBe("100000:200000");
	});

	test.skipIf(lacks("all ids"))(
		"take several ranges and a leading colon, as containers/storage writes them",
		async () => {
			await using overlay = await mountLayers(
				[{ a: file("", { uid: 1000, gid: 10 }), b: file("", { uid: 100_005, gid: 20 }) }],
				{
					options: ["uidmapping=:1000:0:1:100000:1:65536", "gidmapping=:10:0:1:20:5:1"],
				},
			);
			expect([owner(overlay, "a"), owner(overlay, "b")]).toEqual(["0:0", "6:5"]);
		},
	);
});

describe("squashing", () => {
	const described = [{ a: file("", { uid: 5, gid: 6 }) }];

	test.skipIf(lacks("other ids"))("squash_to_root shows 0:0 and lets chown pass without effect", async () => {
		await using overlay = await mountLayers(described, { options: ["squash_to_root"] });
		expect(owner(overlay, "a")).toBe("0:0");
		chownSync(overlay.at("a"), 9, 9);
		expect(owner(overlay, "a")).toBe("0:0");
		await overlay.unmount();
		expect(lstatSync(overlay.inLower("a")).uid).toBe(5);
	});

	test.skipIf(lacks("other ids"))("squash_to_uid and squash_to_gid win over it", async () => {
		await using overlay = await mountLayers(described, {
			options: ["squash_to_root,squash_to_uid=33,squash_to_gid=44"],
		});
		expect(owner(overlay, "a")).toBe("33:44");
		expect(owner(overlay, ".")).toBe("33:44");
	});
});

describe("xattr_permissions", () => {
	const names = {
		"1": "security.fuseoverlayfs.override_stat",
		"2": "user.containers.override_stat",
	} as const;

	test.skipIf(lacks("devices")).each(["1", "2"] as const)(
		"%s keeps owner, mode and device in an attribute",
		async (mode) => {
			const options = [`xattr_permissions=${mode}`];
			await using overlay = await mountLayers(
				[{ lower: file("x", { xattrs: { [names[mode]]: "7:8:0640" } }) }],
				{ options },
			);
			// C reads the attribute only in layers whose root has it, as those of containers/storage do.
			await overlay.unmount();
			setxattr(overlay.inLower(), names[mode], "0:0:0755");
			await overlay.remount();
			expect([owner(overlay, "lower"), lstatSync(overlay.at("lower")).mode & 0o7777]).toEqual(["7:8", 0o640]);
			writeFileSync(overlay.at("file"), "x");
			chmodSync(overlay.at("file"), 0o4711);
			chownSync(overlay.at("file"), 1000, 2000);
			chmodSync(overlay.at("file"), 0o4711);
			mkdirSync(overlay.at("dir"), 0o700);
			chownSync(overlay.at("dir"), 3, 4);
			mknod(overlay.at("null"), 0o020666, 1, 3);
			const seen = () =>
				["file", "dir", "null"].map((name) => {
					const { mode: shown, uid, gid, rdev } = lstatSync(overlay.at(name));
					return [name, shown.toString(8), uid, gid, rdev];
				});
			const expected = [
				["file", "104711", 1000, 2000, 0],
				["dir", "40700", 3, 4, 0],
				["null", `20${(0o666 & ~process.umask()).toString(8)}`.padStart(5, "0"), 0, 0, 259],
			];
			expect(seen()).toEqual(expected);
			expect(listxattr(overlay.at("file"))).toEqual([]);
			await overlay.remount();
			expect(seen()).toEqual(expected);
			await overlay.unmount();
			expect(getxattr(overlay.inUpper("file"), names[mode]).toString()).toMatch(/^1000:2000:0?4711(:file)?$/);
			expect(getxattr(overlay.inUpper("null"), names[mode]).toString()).toMatch(/^0:0:0?6\d\d:char-1-3$/);
			expect(ownerInUpper(overlay, "file")).toBe("0:0");
		},
	);

	test.skipIf(lacks("other ids"))("a broken value shows the file's own attributes", async () => {
		const xattrs = { "user.containers.override_stat": "no:numbers:at all" };
		await using overlay = await mountLayers([{ a: file("a", { uid: 5, mode: 0o604, xattrs }) }], {
			options: ["xattr_permissions=2"],
		});
		expect([owner(overlay, "a"), lstatSync(overlay.at("a")).mode & 0o7777]).toEqual(["5:0", 0o604]);
		expect(readFileSync(overlay.at("a"), "utf8")).toBe("a");
	});
});

describe("xino and ino32_t", () => {
	test.skipIf(lacks("mounting")).each(["off", "auto", "on"])(
		"xino=%s: numbers are unique and stable while mounted",
		async (xino) => {
			await using overlay = await mountLayers([{ a: "a", "d/b": "b", "d/c": "c" }], {
				upper: { "d/u": "u" },
				onSmallDisk: true,
				options: [`xino=${xino}`],
			});
			const numbers = () =>
				["a", "d", "d/b", "d/c", "d/u", "."].map((name) => lstatSync(overlay.at(name), { bigint: true }).ino);
			const before = numbers();
			expect(new Set(before).size).toBe(before.length);
			chmodSync(overlay.at("d/b"), 0o600);
			readdirSync(overlay.at("d"));
			expect(numbers()).toEqual(before);
			await overlay.remount();
			// Without xino the numbers of several devices may change.
			if (xino !== "off") expect(numbers()).toEqual(before);
		},
	);

	test.skipIf(lacks("mounting"))("ino32_t: numbers fit into 32 bits", async () => {
		await using overlay = await mountLayers([{ a: "a", "d/b": "b" }], {
			onSmallDisk: true,
			options: ["ino32_t"],
		});
		for (const name of ["a", "d", "d/b", "."]) {
			const { ino } = statSync(overlay.at(name), { bigint: true });
			expect(ino > 0n && ino < 2n ** 32n).toBeTrue();
		}
	});
});
