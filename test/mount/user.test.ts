import { describe, expect, test } from "bun:test";
import { chownSync, lstatSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type Description, directory, file, fillLayer, symlink, temporaryTree } from "../harness/layers.ts";
import { daemonsOf, layerOptions, runProgram, until } from "../harness/mount.ts";
import { getxattr } from "../harness/native.ts";
import { program } from "../harness/program.ts";
import { lacks } from "../harness/setting.ts";
import { usableFuseDevice } from "../harness/user.ts";

/** Exists everywhere: fusermount3 asks for the name. */
const user = 65534;
const mine = { uid: user, gid: user };
const asUser = `setpriv --reuid=${user} --regid=${user} --clear-groups -- sh -e`;

/** Mounts as the user, runs `script` as the user in the mount, then `asRoot`, and unmounts as the user. */
async function inMountOfUser(
	script: string,
	asRoot = "true",
	mountpointInLower?: string,
	upper: Description = {},
) {
	const tree = temporaryTree();
	const described = tree.layers([
		{
			a: file("a", mine),
			gone: file("x", mine),
			d: directory(mine),
			"d/b": file("b", mine),
			l: symlink("a", mine),
		},
		{ closed: directory({ mode: 0o700 }), "closed/secret": "root's" },
	]);
	fillLayer(described.upper, upper);
	const mountpoint =
		mountpointInLower === undefined ? described.mountpoint : `${described.lower[0]}/${mountpointInLower}`;
	const layers = { ...described, mountpoint };
	for (const path of [...layers.lower, layers.upper, layers.work, layers.mountpoint])
		chownSync(path, user, user);
	// The lower layer's closed directory is root's; the layer itself is the user's.
	const whole = `
		mount --bind "${usableFuseDevice(tree)}" /dev/fuse
		cd /
		status=0
		${asUser} -c '"${program}" -o "${layerOptions(layers)}" "${layers.mountpoint}"; cd "${layers.mountpoint}"; ${script}' || status=$?
		${asRoot.replaceAll("MOUNT", layers.mountpoint)}
		${asUser} -c 'fusermount3 -u "${layers.mountpoint}"'
		exit $status`;
	const result = await runProgram(["-m", "sh", "-e", "-c", whole], { program: "unshare" });
	await until(() => daemonsOf(result.run).length === 0, "the daemon stays after the unmount");
	return { tree, layers, ...result };
}

describe.skipIf(lacks("the machine's root"))("a user who is not root", () => {
	test("writes through memory to another's file with set-id bits in the upper layer", async () => {
		const native = join(import.meta.dir, "../harness/native.ts");
		const store = `require("${native}").mapMemory(7, require("fs").openSync("shared", "r+")).bytes.write("C")`;
		const words = `"${process.execPath}" -e "${store.replaceAll('"', '\\"')}"`;
		const shared = file("content", { mode: 0o2775, uid: 0, gid: user });
		const script = `${words}; sync shared; cat shared`;
		const { tree, ...result } = await inMountOfUser(script, "true", undefined, { shared });
		using _ = tree;
		expect([result.stderr, result.stdout, result.exitCode]).toEqual(["", "Content", 0]);
	});

	test("cuts and touches another's file in the upper layer that is open to all", async () => {
		const shared = file("content", { mode: 0o666, uid: 0, gid: 0 });
		const script =
			"truncate -s 3 shared; cat shared; touch shared; echo new >shared; touch shared; cat shared";
		const { tree, layers, ...result } = await inMountOfUser(script, "true", undefined, { shared });
		using _ = tree;
		expect([result.stderr, result.stdout, result.exitCode]).toEqual(["", "connew\n", 0]);
		expect(readFileSync(`${layers.upper}/shared`, "utf8")).toBe("new\n");
	});

	test("changes lower files in a directory of the upper layer that is another's, and open to all", async () => {
		const open = directory({ mode: 0o777 });
		const script = "echo more >>d/b; sync d/b; cat d/b";
		const { tree, layers, ...result } = await inMountOfUser(script, "true", undefined, { d: open });
		using _ = tree;
		expect([result.stderr, result.stdout, result.exitCode]).toEqual(["", "bmore\n", 0]);
		expect(readFileSync(`${layers.upper}/d/b`, "utf8")).toBe("bmore\n");
	});

	test("mounts own layers through fusermount3, and changes them", async () => {
		const { tree, layers, ...result } = await inMountOfUser(
			"cat a; echo changed >a; rm gone; rm -r d; mkdir d; echo new >d/new; ln a link; mv l l2; ls",
		);
		using _ = tree;
		expect(result.stderr).toBe("");
		expect(result.stdout).toBe("aa\nclosed\nd\nl2\nlink\n");
		expect(result.exitCode).toBe(0);
		const inUpper = (name: string) => `${layers.upper}/${name}`;
		expect(readFileSync(inUpper("a"), "utf8")).toBe("changed\n");
		expect(lstatSync(inUpper("a")).uid).toBe(user);
		expect(lstatSync(inUpper("gone")).rdev).toBe(0);
		expect(readdirSync(inUpper("d")).filter((name) => !name.startsWith(".wh."))).toEqual(["new"]);
		// Only root may set trusted.*, so the marks are those that old readers and the kernel's userxattr know.
		expect(getxattr(inUpper("d"), "user.overlay.opaque").toString()).toBe("y");
		expect(getxattr(inUpper("d"), "user.fuseoverlayfs.opaque").toString()).toBe("y");
	});

	test("is refused what the layers refuse, for that directory alone", async () => {
		const { tree, ...result } = await inMountOfUser("cat closed/secret 2>/dev/null || echo refused; cat a");
		using _ = tree;
		expect(result).toMatchObject({ stderr: "", stdout: "refused\na", exitCode: 0 });
	});

	test("has the mount alone: others, root included, stay out without allow_other", async () => {
		const { tree, ...result } = await inMountOfUser(
			`grep " $PWD " /proc/self/mounts | cut -d " " -f 3,4`,
			"ls MOUNT 2>/dev/null || echo root is refused",
		);
		using _ = tree;
		expect(result.stdout).toMatch(
			new RegExp(
				`^fuse.fuse-overlayfs rw,nosuid,nodev,noatime,user_id=${user},group_id=${user},default_permissions\nroot is refused\n$`,
			),
		);
		expect(result.exitCode).toBe(0);
	});

	test("may mount inside a lower layer: the daemon does not wait for itself", async () => {
		const { tree, ...result } = await inMountOfUser(
			// 124 is how timeout(1) says that find did not end.
			"timeout 10 find . >/dev/null 2>&1 || test $? -ne 124; cat a",
			"true",
			"d",
		);
		using _ = tree;
		expect(result.stdout).toBe("a");
		expect(result.exitCode).toBe(0);
	});
});
