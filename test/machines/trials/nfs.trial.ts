/** What only a real server of NFS shows: squashed ids, locks, files removed while open, a server that restarts. */

import { beforeAll, describe, expect, test } from "bun:test";
import {
	appendFileSync,
	chmodSync,
	chownSync,
	lstatSync,
	mkdirSync,
	readdirSync,
	readFileSync,
	rmSync,
	unlinkSync,
	writeFileSync,
} from "node:fs";
import { basename } from "node:path";
import { changeable, changeMuch, expectChanged } from "../../harness/changes.ts";
import { open } from "../../harness/descriptor.ts";
import { fillLayer } from "../../harness/layers.ts";
import { layerOptions, mountOverlay } from "../../harness/mount.ts";
import { codeOf } from "../../harness/native.ts";
import { mountLayers } from "../../harness/overlay.ts";
import { program } from "../../harness/program.ts";
import { lacks, layersOn } from "../../harness/setting.ts";
import { exportDirectory, exported, mountOptions, type OnNfs, restartNfsServer } from "../guest/nfs.ts";
import { testRemovedAndLocked } from "./removed-and-locked.ts";
import { writeSynced } from "./synced.ts";

const id = 1000;
const squashed = "/tmp/squashed";
const client = "/srv";

function must(...command: readonly string[]): string {
	const { exitCode, stdout, stderr } = Bun.spawnSync([...command], { cwd: "/" });
	expect(exitCode, `${command.join(" ")}: ${stderr}`).toBe(0);
	return stdout.toString();
}

describe("a server that squashes root", () => {
	beforeAll(() => {
		mkdirSync(squashed, { recursive: true });
		chmodSync(squashed, 0o777);
		exportDirectory(squashed, "root_squash");
		must("mount", "-t", "nfs", "-o", mountOptions(layersOn as OnNfs), `127.0.0.1:${squashed}`, client);
		appendFileSync("/etc/passwd", `user:x:${id}:${id}::/:/bin/sh\n`);
	});

	/** Layers of a user on the server. */
	function layersOf(name: string) {
		const place = `${squashed}/${name}`;
		rmSync(place, { recursive: true, force: true });
		const names = ["lower", "upper", "work", "merged"];
		for (const each of names) mkdirSync(`${place}/${each}`, { recursive: true });
		fillLayer(`${place}/lower`, changeable);
		must("chown", "-R", `${id}:${id}`, place);
		const [lower, upper, work, mountpoint] = names.map((each) => `${client}/${name}/${each}`);
		return { lower: [lower!], upper: upper!, work: work!, mountpoint: mountpoint! };
	}

	test("an ordinary user, whose home it is, works as anywhere", () => {
		const layers = layersOf("user");
		const at = layers.mountpoint;
		const script = `set -e
			${program} -o ${layerOptions(layers)} ${at}
			cd ${at}
			echo changed >changed; rm gone; mv moved elsewhere; rm -r replaced; mkdir replaced; echo own >replaced/own
			rm -r removed; ln changed linked; ln -s changed symlink; chmod 600 merged/lower
			! chown 0 changed 2>/dev/null
			find . -printf '%p %U %m\\n' | sort
			cd /
			fusermount3 -u ${at}
			${program} -o ${layerOptions(layers)} ${at}
			cd ${at}; find . -printf '%p %U %m\\n' | sort; cd /
			fusermount3 -u ${at}`;
		const listed = must("setpriv", `--reuid=${id}`, `--regid=${id}`, "--clear-groups", "sh", "-c", script);
		const lines = listed.trimEnd().split("\n");
		const [first, second] = [lines.slice(0, lines.length / 2), lines.slice(lines.length / 2)];
		expect(second).toEqual(first);
		expect(first.every((line) => line.split(" ")[1] === String(id))).toBe(true);
		expect(first.map((line) => line.split(" ")[0])).toEqual(
			[
				...[".", "./changed", "./elsewhere", "./linked", "./merged", "./merged/hidden", "./merged/lower"],
				...["./replaced", "./replaced/own", "./symlink"],
			].sort(),
		);
	});

	test("root, who is nobody there, is told what the server refuses, and nothing half is left", async () => {
		const layers = layersOf("nobody");
		for (const each of ["upper", "work", "lower"]) chmodSync(`${squashed}/nobody/${each}`, 0o777);
		await using overlay = await mountOverlay({ ...layers, mountpoint: temporaryDirectory("squashed") });
		writeFileSync(overlay.at("made"), "made");
		expect(lstatSync(overlay.at("made")).uid).toBe(65534);
		// A copy would belong to nobody.
		expect(codeOf(() => writeSynced(overlay.at("changed"), "more", "a"))).toBe("EPERM");
		await overlay.remount();
		expect(readFileSync(overlay.at("changed"), "utf8")).toBe("lower");
		expect(readdirSync(`${squashed}/nobody/upper`)).toEqual(["made"]);
		await overlay.unmount();
	});

	test.skipIf(lacks("user attributes"))(
		"with xattr_permissions=2 root gives files away there, in an attribute",
		async () => {
			const layers = layersOf("attributes");
			for (const each of ["upper", "work", "lower"]) chmodSync(`${squashed}/attributes/${each}`, 0o777);
			const request = {
				...layers,
				mountpoint: temporaryDirectory("attributes"),
				options: ["xattr_permissions=2"],
			};
			await using overlay = await mountOverlay(request);
			writeFileSync(overlay.at("made"), "made");
			chownSync(overlay.at("made"), 7, 8);
			writeSynced(overlay.at("changed"), "more", "a");
			await overlay.remount();
			const { uid, gid } = lstatSync(overlay.at("made"));
			expect([uid, gid]).toEqual([7, 8]);
			expect(readFileSync(overlay.at("changed"), "utf8")).toBe("lowermore");
			expect(lstatSync(`${squashed}/attributes/upper/made`).uid).toBe(65534);
			await overlay.unmount();
		},
	);

	function temporaryDirectory(name: string): string {
		const path = `/run/${name}-${layersOn?.replace(" ", "")}`;
		mkdirSync(path, { recursive: true });
		return path;
	}
});

testRemovedAndLocked();

describe("the server", () => {
	test("restarts: what was open and what is new is answered", async () => {
		await using overlay = await mountLayers([changeable]);
		const opened = open(overlay.at("changed"), "r+");
		writeFileSync(overlay.at("before"), "before");
		restartNfsServer();
		expect(opened.text()).toBe("lower");
		opened.close();
		expect(readFileSync(overlay.at("before"), "utf8")).toBe("before");
		unlinkSync(overlay.at("before"));
		changeMuch(overlay.at.bind(overlay));
		expectChanged(overlay.at.bind(overlay));
		await overlay.unmount();
	});

	test("loses a layer's file: that is told, and all else is answered", async () => {
		await using overlay = await mountLayers([{ lost: "lost", kept: "kept" }]);
		expect(readFileSync(overlay.at("lost"), "utf8")).toBe("lost");
		const onServer = `${exported}/${basename(overlay.tree.path)}`;
		rmSync(`${onServer}/lower1/lost`);
		restartNfsServer();
		// The client may have all of it still: then the copy is whole.
		const outcome = codeOf(() => writeSynced(overlay.at("lost"), "more", "a")) ?? "none";
		if (outcome === "none") expect(readFileSync(overlay.at("lost"), "utf8")).toBe("lostmore");
		else expect(["ESTALE", "ENOENT", "EIO"]).toContain(outcome);
		expect(readFileSync(overlay.at("kept"), "utf8")).toBe("kept");
		writeFileSync(overlay.at("new"), "new");
		expect(readFileSync(overlay.at("new"), "utf8")).toBe("new");
		await overlay.unmount();
	});
});
