/** Upper layers that other programs wrote show here what they showed there, and the reverse. */
import { describe, expect, test } from "bun:test";
import { chmodSync, chownSync, lstatSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { changeable, changeMuch, expectChanged } from "../harness/changes.ts";
import { type Description, directory, file, temporaryTree, whiteout } from "../harness/layers.ts";
import { layerOptions, type MountRequest, mountOverlay } from "../harness/mount.ts";
import { listxattr, mount, setxattr, umount } from "../harness/native.ts";
import { debianProgram, isExecutable } from "../harness/program.ts";
import { lacks, overlayAttributes } from "../harness/setting.ts";
import { differences, type Snapshot, snapshot } from "../harness/snapshot.ts";

interface Writer {
	readonly name: string;
	readonly isMissing: boolean;
	/** Mounts, has `action` done in the mount, and unmounts. */
	readonly within: (request: MountRequest, action: (path: string) => void) => Promise<void>;
}

function kernel(options: string): Writer["within"] {
	return async (request, action) => {
		mount("overlay", request.mountpoint, "overlay", 0, `${layerOptions(request)}${options}`);
		try {
			action(request.mountpoint);
		} finally {
			umount(request.mountpoint);
		}
	};
}

function program(settings: Partial<MountRequest>): Writer["within"] {
	return async (request, action) => {
		await using mounted = await mountOverlay({ ...request, ...settings });
		action(mounted.path);
		await mounted.unmount();
	};
}

const asFiles = { FUSE_OVERLAYFS_DISABLE_OVL_WHITEOUT: "1" };
const debian = { program: debianProgram };
const isDebianMissing = !isExecutable(debianProgram);
const writers: readonly Writer[] = [
	{ name: "kernel overlayfs", isMissing: lacks("trusted attributes"), within: kernel("") },
	{
		name: "kernel overlayfs with userxattr",
		isMissing: lacks("kernel overlayfs", "attributes of users in kernel overlayfs"),
		within: kernel(",userxattr"),
	},
	{ name: "Debian's fuse-overlayfs", isMissing: isDebianMissing, within: program(debian) },
	{
		name: "Debian's fuse-overlayfs, `.wh.` files",
		isMissing: isDebianMissing,
		within: program({ ...debian, environment: asFiles }),
	},
	{ name: "this program", isMissing: false, within: program({}) },
	{ name: "this program, `.wh.` files", isMissing: false, within: program({ environment: asFiles }) },
];
const ours = program({});

describe.each(writers.filter(({ isMissing }) => !isMissing))(
	"what $name wrote",
	({ name: writer, within }) => {
		// Debian's write cache tells times that its layers do not have.
		const looks = { ignoreLinks: true, ignoreTimes: writer.startsWith("Debian") };

		test("is read, as an upper layer and as a lower one", async () => {
			using tree = temporaryTree();
			const layers = tree.layers([changeable]);
			let seen: Snapshot = {};
			await within(layers, (path) => {
				changeMuch((name) => `${path}/${name}`);
				seen = snapshot(path, looks);
			});
			const lower = [layers.upper, ...layers.lower];
			const roles = [layers, { ...layers, lower, upper: undefined, work: undefined }];
			for (const role of roles) {
				await ours(role as MountRequest, (path) => {
					expectChanged((name) => `${path}/${name}`);
					expect(differences(seen, snapshot(path, looks))).toEqual([]);
				});
			}
		});

		test("is changed further, and the writer shows that", async () => {
			using tree = temporaryTree();
			const layers = tree.layers([changeable]);
			await within(layers, (path) => changeMuch((name) => `${path}/${name}`));
			let seen: Snapshot = {};
			await ours(layers, (path) => {
				for (const name of ["moved", "removed"]) writeFileSync(`${path}/${name}`, "back");
				mkdirSync(`${path}/merged/hidden`);
				chmodSync(`${path}/replaced`, 0o711);
				writeFileSync(`${path}/replaced/lower`, "back");
				seen = snapshot(path, { ignoreLinks: true });
			});
			await within(layers, (path) => {
				// The kernel shows the marks it does not read as they are.
				const options = { ignoreLinks: true, ignoreAttributes: /^(trusted\.overlay|user\.fuseoverlayfs)\./ };
				expect(differences(seen, snapshot(path, options))).toEqual([]);
			});
		});

		// Only root may open the handles that the kernel writes.
		const isClosed = writer.startsWith("kernel") && lacks("trusted attributes");
		test.skipIf(isClosed)("keeps its inode numbers: origins are followed", async () => {
			using tree = temporaryTree();
			const layers = tree.layers([{ copied: "lower", "merged/copied": "lower" }]);
			const names = ["copied", "merged/copied", "merged"];
			const numbers = (path: string) =>
				names.map((name) => lstatSync(`${path}/${name}`, { bigint: true }).ino);
			const before = numbers(layers.lower[0] ?? "");
			await within(layers, (path) => {
				for (const name of names.slice(0, 2)) writeFileSync(`${path}/${name}`, "changed");
			});
			expect(numbers(layers.upper)).not.toEqual(before);
			await ours(layers, (path) => expect(numbers(path)).toEqual(before));
		});
	},
);

describe("marks that only tools write", () => {
	const below: Description = { a: "a", b: "b", "d/a": "a", "d/b": "b" };

	/** The kernel reads those of the user namespace with `userxattr` only. */
	test
		.skipIf(lacks("kernel overlayfs", "whiteouts as attributes"))
		.each(lacks("trusted attributes") ? ["user"] : ["trusted", "user"])(
		"whiteouts by %s.overlay.whiteout, in directories with overlay.opaque=x, hide what the kernel hides",
		async (namespace) => {
			using tree = temporaryTree();
			const empty = () => file("", { xattrs: { [`${namespace}.overlay.whiteout`]: "" } });
			const marked = () => directory({ xattrs: { [`${namespace}.overlay.opaque`]: "x" } });
			const layers = tree.layers([
				{ a: empty(), d: marked(), "d/a": empty(), "d/plain": "" },
				{ a: "second" },
				below,
			]);
			setxattr(layers.lower[0] ?? "", `${namespace}.overlay.opaque`, "x");
			let shown: Snapshot = {};
			await kernel(namespace === "user" ? ",userxattr" : "")(layers, (path) => {
				shown = snapshot(path);
			});
			expect(Object.keys(shown)).toEqual([".", "b", "d", "d/b", "d/plain"]);
			await ours(layers, (path) => expect(differences(shown, snapshot(path))).toEqual([]));
		},
	);

	test("a directory is opaque by any one mark, whatever the other marks say", async () => {
		using tree = temporaryTree();
		const opaque = (name: string, value: string) => directory({ xattrs: { [name]: value } });
		const layers = tree.layers([
			{
				file: directory({ opaque: "file" }),
				c: opaque("user.fuseoverlayfs.opaque", "y"),
				user: opaque("user.overlay.opaque", "y"),
				own: opaque(`${overlayAttributes}.overlay.opaque`, "y"),
				both: directory({ opaque: "file", xattrs: { "user.overlay.opaque": "n" } }),
				not: opaque("user.overlay.opaque", "n"),
				"gone/.wh.x": "",
				device: whiteout(),
			},
			Object.fromEntries(
				["file", "c", "user", "own", "both", "not", "gone", "device"].map((name) => [`${name}/x`, "x"]),
			),
		]);
		await ours(layers, (path) => {
			expect(readdirSync(path).sort()).toEqual(["both", "c", "file", "gone", "not", "own", "user"]);
			for (const name of readdirSync(path)) {
				expect({ name, seen: readdirSync(`${path}/${name}`) }).toEqual({
					name,
					seen: name === "not" ? ["x"] : [],
				});
			}
		});
	});
});

describe.skipIf(isDebianMissing || lacks("all ids", "devices")).each(["1", "2"])(
	"xattr_permissions=%s",
	(mode) => {
		const option = { options: [`xattr_permissions=${mode}`] };
		const directions: [string, Writer["within"], Writer["within"]][] = [
			["what Debian's fuse-overlayfs wrote is read", program({ ...debian, ...option }), program(option)],
		];
		// With 2, Debian's 1.10 knows its own attribute alone.
		const back = program({ ...debian, ...option });
		if (mode === "1")
			directions.push(["what is written is read by Debian's fuse-overlayfs", program(option), back]);
		// Debian's 1.10 shows the attributes.
		const options = { ignoreAttributes: /override_stat$/, ignoreLinks: true, ignoreTimes: true };

		test.each(directions)("%s", async (_, write, readBack) => {
			using tree = temporaryTree();
			const layers = tree.layers([{ lower: file("x", { uid: 5, gid: 6, mode: 0o640 }), "d/x": "x" }]);
			let seen: Snapshot = {};
			await write(layers, (path) => {
				writeFileSync(`${path}/file`, "content", { mode: 0o600 });
				mkdirSync(`${path}/dir`, 0o700);
				chmodSync(`${path}/dir`, 0o2755);
				for (const name of ["file", "dir", "lower", "d"]) chownSync(`${path}/${name}`, 1000, 1001);
				chmodSync(`${path}/lower`, 0o4711);
				chmodSync(`${path}/d/x`, 0o400);
				seen = snapshot(path, options);
			});
			await readBack(layers, (path) => expect(differences(seen, snapshot(path, options))).toEqual([]));
			expect(listxattr(`${layers.upper}/file`).join()).toContain("override_stat");
			// As a lower layer it says so itself.
			const lower = [layers.upper, ...layers.lower];
			await ours({ lower, mountpoint: layers.mountpoint }, (path) => {
				expect(differences(seen, snapshot(path, options))).toEqual([]);
			});
		});
	},
);
