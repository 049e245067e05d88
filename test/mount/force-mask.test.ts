/** A tree that containers/storage or C wrote with owners and modes in an attribute reads right. */
import { describe, expect, test } from "bun:test";
import { lstatSync, readFileSync, unlinkSync, writeFileSync } from "node:fs";
import { open } from "../harness/descriptor.ts";
import { type Description, directory, file, symlink } from "../harness/layers.ts";
import { mountOverlay } from "../harness/mount.ts";
import { asUser, codeOf, listxattr, readDirectoryRecords, setxattr } from "../harness/native.ts";
import { mountLayers } from "../harness/overlay.ts";
import { debianProgram, isExecutable } from "../harness/program.ts";
import { lacks } from "../harness/setting.ts";
import { differences, snapshot } from "../harness/snapshot.ts";

const CONTAINERS = "user.containers.override_stat";
const LEGACY = "user.fuseoverlayfs.override_stat";
const PRIVILEGED = "security.fuseoverlayfs.override_stat";

/** Kind and permissions in octal, owner, device. */
const statOf = (path: string) => {
	const { mode, uid, gid, rdev } = lstatSync(path);
	return `${mode.toString(8)} ${uid}:${gid} ${rdev}`;
};
const overridden = (attribute: string, value: string, content = "x") =>
	file(content, { mode: 0o700, xattrs: { [attribute]: value } });

/** Values, and what is shown of a regular file of mode 0700 that has them. */
const spellings = [
	// Of containers/storage since it names the kind; devices, pipes and sockets are regular files on disk.
	["1000:1001:0640:file", "100640 1000:1001 0"],
	["0:0:4755:file", "104755 0:0 0"],
	["0:5:0620:char-4-7", "20620 0:5 1031"],
	["1006:1017:0600:char-1-3", "20600 1006:1017 259"],
	["0:6:0660:block-8-17", "60660 0:6 2065"],
	["0:6:0660:block-259-70000", "60660 0:6 286327664"],
	["5:6:0622:pipe", "10622 5:6 0"],
	["5:6:0777:socket", "140777 5:6 0"],
	// Of its older versions.
	["1000:1001:0640", "100640 1000:1001 0"],
	["0:0:755", "100755 0:0 0"],
	["0:0:0", "100000 0:0 0"],
	// Of C fuse-overlayfs, which writes the whole st_mode.
	["7:8:100644", "100644 7:8 0"],
	["7:8:104711", "104711 7:8 0"],
	["4294967294:65536:0644", "100644 4294967294:65536 0"],
] as const;

describe.skipIf(lacks("all ids"))("a tree written with force_mask", () => {
	const lower: Description = {
		...Object.fromEntries(spellings.map(([value], index) => [`f${index}`, overridden(CONTAINERS, value)])),
		d: directory({ mode: 0o700, xattrs: { [CONTAINERS]: "3:4:1777:dir" } }),
		"d/old": directory({ mode: 0o700, xattrs: { [CONTAINERS]: "3:4:0750" } }),
		// Symlinks can have no such attribute.
		link: symlink("f0", { uid: 9, gid: 10 }),
		plain: file("x", { uid: 11, mode: 0o604 }),
		legacy: overridden(LEGACY, "1:2:0640"),
	};

	/** As podman mounts such images, and without an upper layer. */
	describe.each([
		["with xattr_permissions=2", { options: ["xattr_permissions=2"], readOnly: false }],
		["without an upper layer", { options: [], readOnly: true }],
	])("%s", (_, settings) => {
		const mountTree = async () => {
			const overlay = await mountLayers([lower], settings);
			await overlay.unmount();
			setxattr(overlay.inLower(), CONTAINERS, "0:0:0555:dir");
			const fresh = { upper: overlay.tree.layer("upper2"), work: overlay.tree.layer("work2") };
			await overlay.remount(settings.readOnly ? {} : fresh);
			return overlay;
		};

		test.each(spellings.map(([value, shown], index) => [value, shown, `f${index}`] as const))(
			"%s is shown as %s",
			async (_, shown, name) => {
				await using overlay = await mountTree();
				expect(statOf(overlay.at(name))).toBe(shown);
			},
		);

		test("directories, symlinks, files without an attribute, and the root", async () => {
			await using overlay = await mountTree();
			expect(["d", "d/old", "link", "plain", "legacy", "."].map((name) => statOf(overlay.at(name)))).toEqual([
				"41777 3:4 0",
				"40750 3:4 0",
				"120777 9:10 0",
				"100604 11:0 0",
				"100640 1:2 0",
				"40555 0:0 0",
			]);
			expect(readFileSync(overlay.at("f0"), "utf8")).toBe("x");
		});

		test("reading the directory tells the kinds shown, with attributes and without", async () => {
			await using overlay = await mountTree();
			const unknown = 0;
			using handle = open(overlay.path);
			for (const { name, type } of readDirectoryRecords(handle.fd, 65536)) {
				if (name.startsWith(".")) continue;
				const kind = lstatSync(overlay.at(name)).mode >> 12;
				expect({ name, isRight: type === unknown || type === kind }).toEqual({ name, isRight: true });
			}
			const listed = Bun.spawnSync(["ls", "-ln", overlay.path]).stdout.toString();
			expect(listed).toMatch(/^crw--w---- .* 0 +5 +4, +7 .* f2$/m);
			expect(listed).toMatch(/^srwxrwxrwx .* 5 +6 .* f7$/m);
		});

		test("permissions are those shown", async () => {
			await using overlay = await mountTree();
			asUser(1000, 2000, () => expect(readFileSync(overlay.at("f0"), "utf8")).toBe("x"));
			asUser(1002, 2000, () => expect(codeOf(() => readFileSync(overlay.at("f0")))).toBe("EACCES"));
		});

		test.skipIf(!isExecutable(debianProgram))("is shown as Debian's fuse-overlayfs shows it", async () => {
			await using overlay = await mountTree();
			await overlay.unmount();
			// Debian's 1.10 cannot list a directory in which a file has no such attribute, and knows no kinds in it.
			const unknown = ["plain", "legacy", ...["f2", "f3", "f4", "f5", "f6", "f7"]];
			for (const name of unknown) unlinkSync(overlay.inLower(name));
			const options = { ignoreAttributes: /^user\.containers\./, ignoreTimes: true };
			const request = { lower: overlay.layers.lower, mountpoint: overlay.tree.layer("debian") };
			await using debian = await mountOverlay({ ...request, program: debianProgram });
			const theirs = snapshot(debian.path, options);
			await debian.unmount();
			await overlay.remount();
			expect(differences(snapshot(overlay.path, options), theirs)).toEqual([]);
		});
	});

	test.each([CONTAINERS, LEGACY, PRIVILEGED])("is known by the root's %s", async (attribute) => {
		const tree = { f: overridden(attribute, "1000:1001:0640"), d: directory() };
		await using overlay = await mountLayers([
			tree,
			{ other: file("x", { xattrs: { [attribute]: "7:7:0600" } }) },
		]);
		expect(statOf(overlay.at("f"))).toBe("100700 0:0 0");
		await overlay.unmount();
		setxattr(overlay.inLower(), attribute, "0:0:0755");
		await overlay.remount();
		// Each layer by its own root.
		expect([statOf(overlay.at("f")), statOf(overlay.at("other"))]).toEqual([
			"100640 1000:1001 0",
			"100644 0:0 0",
		]);
	});

	test("a broken value is reported, and the file's own attributes are shown", async () => {
		await using overlay = await mountLayers([{ a: overridden(CONTAINERS, "no:numbers:at all") }]);
		await overlay.unmount();
		setxattr(overlay.inLower(), CONTAINERS, "0:0:0755");
		await overlay.remount();
		expect(statOf(overlay.at("a"))).toBe("100700 0:0 0");
		expect(overlay.mount.log).toContain("no:numbers:at all");
	});

	test("an upper layer without the option keeps owners and modes on the inodes", async () => {
		await using overlay = await mountLayers([{ f: overridden(CONTAINERS, "1000:1001:0640:file") }]);
		await overlay.unmount();
		setxattr(overlay.inLower(), CONTAINERS, "0:0:0755");
		await overlay.remount();
		writeFileSync(overlay.at("f"), "changed");
		await overlay.unmount();
		expect([statOf(overlay.inUpper("f")), listxattr(overlay.inUpper("f"))]).toEqual([
			"100640 1000:1001 0",
			["trusted.overlay.origin"],
		]);
	});
});
