import { describe, expect, test } from "bun:test";
import { chmodSync, chownSync } from "node:fs";
import { type Layers, type TemporaryTree, temporaryTree } from "../harness/layers.ts";
import { daemonsOf, layerOptions, type RunOptions, runProgram, until } from "../harness/mount.ts";
import { findMount } from "../harness/mount-table.ts";
import { mount } from "../harness/native.ts";
import { mountLayers } from "../harness/overlay.ts";
import { program } from "../harness/program.ts";
import { lacks } from "../harness/setting.ts";
import { snapshot } from "../harness/snapshot.ts";
import { usableFuseDevice } from "../harness/user.ts";

interface Attempt extends RunOptions {
	readonly args: readonly string[];
	/** What the message must name. */
	readonly names: string | RegExp;
}

/** Exists everywhere: fusermount3 asks for the name. */
const user = 65534;

/** Runs the program and expects it to refuse with one line, having done nothing. */
async function expectRefusal(prepare: (layers: Layers, tree: TemporaryTree) => Attempt): Promise<void> {
	using tree = temporaryTree();
	const layers = tree.layers([{ a: "lower", "d/b": "b" }], { u: "upper" });
	const { args, names, ...options } = prepare(layers, tree);
	const before = snapshot(tree.path);
	const { exitCode, stdout, stderr, run } = await runProgram(args, options);
	expect(stderr).toMatch(/^fuse-overlayfs: .+\n$/);
	expect(stderr).toMatch(names);
	expect({ exitCode, stdout, daemons: daemonsOf(run) }).toEqual({ exitCode: 1, stdout: "", daemons: [] });
	expect(findMount(layers.mountpoint)?.type ?? "none").not.toMatch(/^fuse/);
	expect(snapshot(tree.path)).toEqual(before);
}

/** The layers with some of them replaced by other paths; null leaves the option out. */
function withLayers(
	layers: Layers,
	changes: { lower?: string[]; upper?: string | null; work?: string | null },
): string[] {
	const { lower, upper, work } = { ...layers, ...changes };
	return [
		"-o",
		layerOptions({ lower, upper: upper ?? undefined, work: work ?? undefined }),
		layers.mountpoint,
	];
}

describe("bad input is refused with one line that names it", () => {
	test("no arguments, no mountpoint, no lowerdir", async () => {
		await expectRefusal(() => ({ args: [], names: /mountpoint|lowerdir|--help/ }));
		await expectRefusal((layers) => ({ args: ["-o", layerOptions(layers)], names: "mountpoint" }));
		await expectRefusal(({ mountpoint }) => ({ args: [mountpoint], names: "lowerdir" }));
		await expectRefusal(({ mountpoint }) => ({ args: ["-o", "lowerdir=", mountpoint], names: "lowerdir" }));
	});

	test("a lower layer that is missing, or no directory", async () => {
		await expectRefusal((layers, tree) => ({
			args: withLayers(layers, { lower: [...layers.lower, tree.join("missing")] }),
			names: tree.join("missing"),
		}));
		await expectRefusal((layers, tree) => ({
			args: withLayers(layers, { lower: [`${layers.lower[0]}/a`] }),
			names: tree.join("lower1/a"),
		}));
	});

	test.skipIf(lacks("other ids"))("a lower layer that the caller may not read", async () => {
		await expectRefusal((layers, tree) => {
			for (const path of [layers.upper, layers.work, layers.mountpoint]) chownSync(path, user, user);
			chmodSync(layers.lower[0] ?? "", 0o700);
			return { args: withLayers(layers, {}), names: tree.join("lower1"), user };
		});
	});

	test("upper without work, work without upper", async () => {
		await expectRefusal((layers) => ({ args: withLayers(layers, { work: null }), names: "workdir" }));
		await expectRefusal((layers) => ({ args: withLayers(layers, { upper: null }), names: "upperdir" }));
	});

	test("an upper or work that is missing, or no directory", async () => {
		for (const option of ["upper", "work"] as const) {
			await expectRefusal((layers, tree) => ({
				args: withLayers(layers, { [option]: tree.join("missing") }),
				names: tree.join("missing"),
			}));
			await expectRefusal((layers) => ({
				args: withLayers(layers, { [option]: `${layers.upper}/u` }),
				names: `${layers.upper}/u`,
			}));
		}
	});

	test.skipIf(lacks("mounting"))("work on another file system than upper", async () => {
		await expectRefusal((layers, tree) => {
			const elsewhere = tree.layer("elsewhere");
			mount("tmpfs", elsewhere, "tmpfs", 0, "size=1m");
			return { args: withLayers(layers, { work: elsewhere }), names: /workdir|elsewhere/ };
		});
	});

	test("a lower layer that is the upper one, or lies in the workdir", async () => {
		await expectRefusal((layers) => ({
			args: withLayers(layers, { lower: [...layers.lower, `${layers.upper}/.`] }),
			names: /is the upperdir/,
		}));
		for (const place of ["", "/work"]) {
			await expectRefusal((layers, tree) => ({
				args: withLayers(layers, { lower: [tree.layer(`work${place}`)] }),
				names: /in the workdir .* is emptied/,
			}));
		}
	});

	test.skipIf(lacks("mounting"))("a directory or mountpoint whose daemon is gone", async () => {
		await using dead = await mountLayers([{ a: "a" }]);
		for (const pid of dead.mount.daemons) process.kill(pid, "SIGKILL");
		await until(() => dead.mount.daemons.length === 0, "the daemon survives SIGKILL");
		const names = `lost its daemon: run \`umount ${dead.path}\``;
		await expectRefusal((layers) => ({ args: ["-o", layerOptions(layers), dead.path], names }));
		await expectRefusal((layers) => ({ args: withLayers(layers, { lower: [dead.path] }), names }));
		await expectRefusal((layers) => ({ args: withLayers(layers, { upper: dead.path }), names }));
		await dead.mount.forget();
	});

	test("a mountpoint that is missing, or a file", async () => {
		await expectRefusal((layers, tree) => ({
			args: ["-o", layerOptions(layers), tree.join("missing")],
			names: tree.join("missing"),
		}));
		await expectRefusal((layers) => ({
			args: ["-o", layerOptions(layers), `${layers.lower[0]}/a`],
			names: `${layers.lower[0]}/a`,
		}));
	});

	test.each([
		"uidmapping=0:1000",
		"uidmapping=a:b:c",
		"gidmapping=0:0:-1",
		"gidmapping=0:0:1:5",
		"timeout=junk",
		"timeout=-1",
		"squash_to_uid=nobody",
		"squash_to_gid=",
		"xattr_permissions=7",
		"xino=maybe",
		"redirect_dir=perhaps",
		"metacopy=perhaps",
	])("option %s", async (option) => {
		await expectRefusal((layers) => ({
			args: ["-o", `${layerOptions(layers)},${option}`, layers.mountpoint],
			names: option.split("=")[0] ?? option,
		}));
	});
});

describe("a machine that cannot mount is told in one line", () => {
	/** Runs the program behind a shell command in a mount namespace of its own. */
	function inNamespace(layers: Layers, preparation: string, prefix = ""): Pick<Attempt, "program" | "args"> {
		const script = `${preparation} && exec ${prefix} "$0" "$@"`;
		return { program: "unshare", args: ["-m", "sh", "-c", script, program, ...withLayers(layers, {})] };
	}
	const asUser = `setpriv --reuid=${user} --regid=${user} --clear-groups --`;
	function own(layers: Layers): void {
		for (const path of [...layers.lower, layers.upper, layers.work, layers.mountpoint])
			chownSync(path, user, user);
	}

	test.skipIf(lacks("mounting"))("without /dev/fuse", async () => {
		await expectRefusal((layers, tree) => {
			const bare = tree.layer("dev", { null: "", zero: "", urandom: "" });
			const others = `for name in null zero urandom; do mount --bind /dev/$name "${bare}/$name"; done`;
			return { ...inNamespace(layers, `${others} && mount --rbind "${bare}" /dev`), names: "/dev/fuse" };
		});
	});

	test.skipIf(lacks("mounting"))("without permission to mount", async () => {
		await expectRefusal((layers) => ({
			program: "setpriv",
			args: ["--bounding-set=-sys_admin", "--inh-caps=-sys_admin", "--", program, ...withLayers(layers, {})],
			names: /permi|CAP_SYS_ADMIN/i,
		}));
	});

	test.skipIf(lacks("the machine's root"))("without fusermount3 for a user who is not root", async () => {
		await expectRefusal((layers, tree) => {
			own(layers);
			const empty = tree.layer("replacement", { "not-executable": "" });
			const device = usableFuseDevice(tree);
			const hide = `for helper in /bin/fusermount3 /usr/bin/fusermount3; do mount --bind "${empty}/not-executable" $helper; done`;
			return {
				...inNamespace(layers, `mount --bind "${device}" /dev/fuse && ${hide}`, asUser),
				names: "fusermount3",
			};
		});
	});
});
