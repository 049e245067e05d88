/**
 * How Apptainer uses the program (internal/pkg/image/driver): in the foreground, ready when the mount table says
 * so, unmounted by others, and killed when it has not left half a second later.
 */
import { describe, expect, it, setDefaultTimeout } from "bun:test";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { until } from "../harness/mount.ts";
import { program } from "../harness/program.ts";
import { mountsBelow, Scratch } from "./scratch.ts";

// Longer than any deadline within, so that clean-up always gets its turn.
setDefaultTimeout(120_000);

async function layers(scratch: Scratch): Promise<string> {
	await scratch.write({ "image/usr/bin/tool": "image", "image/etc/passwd": "root" });
	scratch.mkdir("merged", "upper", "work");
	return `lowerdir=${scratch.path("image")},upperdir=${scratch.path("upper")},workdir=${scratch.path("work")}`;
}

describe("apptainer", () => {
	it.each([
		["umount", []],
		["umount", ["--lazy"]],
		["fusermount3", ["-u"]],
	])("gets its mount, and the daemon leaves by itself after %s %p", async (tool, flags) => {
		await using scratch = new Scratch();
		const merged = scratch.path("merged");
		const options = await layers(scratch);
		const daemon = Bun.spawn([program, "-f", "-o", options, merged], { stdout: "pipe", stderr: "pipe" });
		try {
			const ready = () => mountsBelow(merged).length > 0 || daemon.exitCode !== null;
			await until(ready, "the mount table never shows the mount");
			// It tries the mount out at once: the table may show it before the daemon serves.
			await scratch.must(["sh", "-c", 'touch "$1" && rm "$1"', "sh", `${merged}/usr/bin/.tmp1`]);
			expect(readFileSync(`${merged}/usr/bin/tool`, "utf8")).toBe("image");
			await Bun.write(`${merged}/usr/bin/tool`, "changed");

			await scratch.must([tool, ...flags, merged]);
			await Promise.race([daemon.exited, Bun.sleep(500)]);
		} finally {
			daemon.kill("SIGKILL");
			await daemon.exited;
		}
		expect(await new Response(daemon.stderr).text()).toBe("");
		expect(await new Response(daemon.stdout).text()).toBe("");
		expect(daemon.signalCode).toBeNull();
		expect(daemon.exitCode).toBe(0);
		expect(readFileSync(scratch.path("upper/usr/bin/tool"), "utf8")).toBe("changed");
		expect(readdirSync(scratch.path("upper/usr/bin"))).toEqual(["tool"]);
	});

	it("reads why there is no mount on stderr", async () => {
		await using scratch = new Scratch();
		const { code, stderr } = await scratch.run([program, "-f", "-o", "lowerdir=nowhere", scratch.mkdir("m")]);
		expect(stderr).toMatch(/^fuse-overlayfs: .*nowhere.*\n$/);
		expect(code).toBe(1);
	});

	it("works for a user who is root only in a namespace of their own", async () => {
		await using scratch = new Scratch();
		const options = await layers(scratch);
		const script = `
			"$1" -f -o "$2" "$3" & daemon=$!
			until grep -q " $3 " /proc/self/mountinfo; do kill -0 $daemon || exit 3; sleep 0.05; done
			echo mine > "$3/usr/bin/tool" && rm "$3/etc/passwd" && ls "$3/etc" && cat "$3/usr/bin/tool"
			umount "$3" && wait $daemon; echo "exit code $?"`;
		const inside = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"];
		const { stdout, stderr } = await scratch.run([...inside, program, options, scratch.path("merged")]);
		expect(stderr).toBe("");
		expect(stdout).toBe("mine\nexit code 0\n");
		expect(readFileSync(scratch.path("upper/usr/bin/tool"), "utf8")).toBe("mine\n");
		expect(existsSync(scratch.path("image/etc/passwd"))).toBe(true);
	});
});
