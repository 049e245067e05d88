/** How containerd, `mount` and /etc/fstab start the program: through libfuse's mount.fuse3, found on the PATH. */
import { afterEach, beforeEach, describe, expect, it, setDefaultTimeout } from "bun:test";
import { existsSync, readdirSync, readFileSync, symlinkSync } from "node:fs";
import { until } from "../harness/mount.ts";
import { program } from "../harness/program.ts";
import { lacks } from "../harness/setting.ts";
import { holdersOf, missingTools, mountsBelow, Scratch } from "./scratch.ts";

// Longer than any deadline within, so that clean-up always gets its turn.
setDefaultTimeout(120_000);

const missing = missingTools({ "mount.fuse3": "fuse3" });

describe.skipIf(missing !== undefined)(`mount.fuse3 ${missing ?? ""}`, () => {
	let scratch: Scratch;
	let merged: string;
	let layers: string;
	let env: Record<string, string>;

	beforeEach(async () => {
		scratch = new Scratch();
		await scratch.write({ "lower1/top": "1", "lower1/both": "1", "lower2/both": "2", "lower2/base": "2" });
		merged = scratch.mkdir("merged", "upper", "work", "bin");
		symlinkSync(program, scratch.path("bin/fuse-overlayfs"));
		env = { PATH: `${scratch.path("bin")}:${process.env.PATH}` };
		const [lower1, lower2] = [scratch.path("lower1"), scratch.path("lower2")];
		layers = `lowerdir=${lower1}:${lower2},upperdir=${scratch.path("upper")}`;
	});
	afterEach(async () => {
		await scratch[Symbol.asyncDispose]();
	});

	async function expectWritableMerge(): Promise<void> {
		expect(mountsBelow(merged).map(({ type }) => type)).toEqual(["fuse.fuse-overlayfs"]);
		expect(readdirSync(merged).sort()).toEqual(["base", "both", "top"]);
		expect(readFileSync(`${merged}/both`, "utf8")).toBe("1");
		await Bun.write(`${merged}/new`, "new");
		await Bun.$`rm ${merged}/base`;
		await scratch.unmount(merged);
		expect(mountsBelow(merged)).toEqual([]);
		expect(readFileSync(scratch.path("upper/new"), "utf8")).toBe("new");
		expect(existsSync(scratch.path("lower2/base"))).toBe(true);
	}

	it("mounts as containerd asks, with two -o and the type last", async () => {
		const argv = ["overlay", merged, "-o", layers, "-o", `workdir=${scratch.path("work")}`];
		const { code, stderr } = await scratch.run(["mount.fuse3", ...argv, "-t", "fuse-overlayfs"], { env });
		expect(stderr).toBe("");
		expect(code).toBe(0);
		await expectWritableMerge();
	});

	it("mounts layers that are named one by one", async () => {
		const [lower1, lower2] = [scratch.path("lower1"), scratch.path("lower2")];
		const each = `lowerdir+=${lower1},lowerdir+=${lower2},datadir+=${scratch.path("bin")}`;
		// Marks of the machine's namespace are not for everybody.
		const options = `${each},metacopy=on,upperdir=${scratch.path("upper")},workdir=${scratch.path("work")}`;
		await scratch.must(["mount.fuse3", "overlay", merged, "-o", options, "-t", "fuse-overlayfs"], { env });
		await expectWritableMerge();
	});

	it("mounts read-only lower layers as containerd asks for a view", async () => {
		const lower = `lowerdir=${scratch.path("lower1")}:${scratch.path("lower2")}`;
		await scratch.must(["mount.fuse3", "overlay", merged, "-o", lower, "-t", "fuse-overlayfs"], { env });
		expect(readdirSync(merged).sort()).toEqual(["base", "both", "top"]);
		expect((await scratch.run(["touch", `${merged}/new`])).stderr).toContain("Read-only file system");
		await scratch.unmount(merged);
	});

	it("mounts a line of fstab that names the program by its path", async () => {
		const options = `noauto,nodev,${layers},workdir=${scratch.path("work")}`;
		await scratch.write({ fstab: `${program}#overlay ${merged} fuse ${options} 0 0\n` });
		await scratch.must(["mount", "--fstab", scratch.path("fstab"), merged]);
		expect(mountsBelow(merged)[0]!.options).toContain("nodev");
		await expectWritableMerge();
	});

	it("mounts a line of fstab read-only", async () => {
		const options = `noauto,ro,lowerdir=${scratch.path("lower1")}:${scratch.path("lower2")}`;
		await scratch.write({ fstab: `${program}#overlay ${merged} fuse ${options} 0 0\n` });
		await scratch.must(["mount", "--fstab", scratch.path("fstab"), merged]);
		expect(mountsBelow(merged)[0]!.options).toContain("ro");
		expect(readFileSync(`${merged}/both`, "utf8")).toBe("1");
		await scratch.unmount(merged);
	});

	/**
	 * Runs a script where the program is installed in /usr/local/bin: mount(8) takes PATH out of the environment,
	 * so that its helper finds programs in the standard places only.
	 */
	function installed(script: string, ...args: string[]) {
		const bound = `mount --bind ${scratch.path("bin")} /usr/local/bin && ${script}`;
		return scratch.run(["unshare", "--mount", "sh", "-c", bound, "sh", ...args]);
	}

	it.skipIf(lacks("the machine's root"))(
		"is what `mount -t fuse.fuse-overlayfs` starts, without a PATH",
		async () => {
			const script = `mount -t fuse.fuse-overlayfs overlay "$1" -o "$2" && grep " $1 " /proc/mounts &&
			ls "$1" && cat "$1/both" && rm "$1/base" && echo new > "$1/new"; umount "$1"`;
			const options = `${layers},workdir=${scratch.path("work")}`;
			const { code, stdout } = await installed(script, merged, options);
			expect(stdout).toMatch(/ fuse\.fuse-overlayfs rw,.*\nbase\nboth\ntop\n1$/);
			expect(code).toBe(0);
			await until(() => holdersOf(scratch.dir).length === 0, "the daemon stays");
			expect(readFileSync(scratch.path("upper/new"), "utf8")).toBe("new\n");
			expect(existsSync(scratch.path("lower2/base"))).toBe(true);
		},
	);

	it.skipIf(lacks("the machine's root"))(
		"hands the program's failure and its words back to whoever called mount",
		async () => {
			const script = `mount -t fuse.fuse-overlayfs overlay "$1" -o "$2"`;
			const { code, stderr } = await installed(script, merged, `lowerdir=${scratch.path("nowhere")}`);
			expect(stderr).toMatch(/^fuse-overlayfs: .*nowhere/m);
			expect(code).not.toBe(0);
			expect(holdersOf(scratch.dir)).toEqual([]);
		},
	);
});
