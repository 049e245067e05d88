/**
 * `npm run demo`: an overlay mount explained by doing it. Builds three layers from real files, mounts them, changes
 * and removes files, and shows after each step what a user sees and what is on disk.
 */

import {
	appendFileSync,
	chmodSync,
	lstatSync,
	mkdirSync,
	mkdtempSync,
	readdirSync,
	readFileSync,
	renameSync,
	rmSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { codeOf, getxattr } from "../test/harness/native.ts";

const program = process.env.FUSE_OVERLAYFS_PROGRAM ?? join(import.meta.dir, "../src/fuse-overlayfs");
const isTerminal = Bun.enableANSIColors && process.env.CI === undefined;
const style = (code: number) => (text: string) => (isTerminal ? `\x1b[${code}m${text}\x1b[0m` : text);
const bold = style(1);
const faint = style(2);

const root = mkdtempSync(join(tmpdir(), "fuse-overlayfs-demo-"));
const at = (...names: string[]) => join(root, ...names);
const merged = at("merged");

let step = 0;
function heading(text: string): void {
	console.log(`\n${bold(`${++step}. ${text}`)}`);
}

function explain(text: string): void {
	console.log(`   ${text}`);
}

/** Runs a command of a user, shown as typed, and stops the demo when it fails. */
function command(shown: string, args: readonly string[]): void {
	console.log(`   ${bold("$")} ${shown}`);
	const { exitCode, stdout, stderr } = Bun.spawnSync([...args], { cwd: root });
	const output = `${stdout}${stderr}`.trimEnd();
	if (output !== "") console.log(output.replace(/^/gm, "   "));
	if (exitCode !== 0) throw new Error(`${args[0]} failed with exit code ${exitCode}`);
}

/** What `path` in an upper layer means, in words; undefined for an ordinary object. */
function meaning(path: string): string | undefined {
	const stats = lstatSync(path);
	if (stats.isCharacterDevice() && stats.rdev === 0) return "whiteout: hides the name below";
	if (basename(path).startsWith(".wh.") && basename(path) !== ".wh..wh..opq")
		return "whiteout: hides the name below";
	const isOpaque = ["trusted.overlay.opaque", "user.overlay.opaque"].some(
		(name) => codeOf(() => getxattr(path, name)) === undefined,
	);
	return isOpaque ? "opaque: hides all content below" : undefined;
}

/** The first line of a file that says something, as far as it fits. */
function excerpt(path: string): string {
	const line =
		readFileSync(path, "utf8")
			.split("\n")
			.find((text) => !text.startsWith("#!")) ?? "";
	return line.length > 40 ? `${line.slice(0, 39)}…` : line;
}

/** A tree, with an excerpt of every file. */
function show(directory: string, title = `${basename(directory)}/`): void {
	const rows: [string, string][] = [[title, ""]];
	const walk = (path: string, indent: string) => {
		const names = readdirSync(path).sort();
		for (const [index, name] of names.entries()) {
			const isLast = index === names.length - 1;
			const child = join(path, name);
			const stats = lstatSync(child);
			const note = meaning(child) ?? (stats.isFile() ? excerpt(child) : "");
			rows.push([`${indent}${isLast ? "└── " : "├── "}${name}${stats.isDirectory() ? "/" : ""}`, note]);
			if (stats.isDirectory()) walk(child, `${indent}${isLast ? "    " : "│   "}`);
		}
	};
	walk(directory, "");
	const width = Math.max(...rows.map(([name]) => name.length));
	for (const [name, note] of rows) console.log(`     ${name.padEnd(width)}  ${faint(note)}`.trimEnd());
}

function isMounted(): boolean {
	return readFileSync("/proc/self/mounts", "utf8").includes(` ${merged} `);
}

function cleanUp(): void {
	if (isMounted()) Bun.spawnSync(["umount", "--lazy", merged]);
	rmSync(root, { recursive: true, force: true });
}

function write(path: string, content: string): void {
	mkdirSync(dirname(at(path)), { recursive: true });
	writeFileSync(at(path), content);
}

function buildLayers(): void {
	write("base/etc/os-release", readFileSync("/etc/os-release", "utf8"));
	write("base/etc/motd", "Welcome to the base system\n");
	write("base/bin/hello", "#!/bin/sh\necho hello from the base layer\n");
	chmodSync(at("base/bin/hello"), 0o755);
	write("base/var/cache/old", "left over from the installation\n");
	write("base/var/log/install", "all went well\n");
	write("app/bin/app", "#!/bin/sh\necho the application\n");
	write("app/etc/motd", "Welcome to the application\n");
	mkdirSync(at("upper"));
	mkdirSync(at("work"));
	mkdirSync(merged);
}

function demonstrate(): void {
	console.log(`${bold("An overlay mount, step by step")}, in ${root}`);

	heading("Three layers: base and app stay as they are, upper takes the changes");
	buildLayers();
	show(at("base"), "base/   (lowest)");
	show(at("app"), "app/    (above base)");
	show(at("upper"), "upper/  (topmost, writable; empty as yet)");

	heading("Mount them as one tree");
	const options = "lowerdir=app:base,upperdir=upper,workdir=work";
	command(`fuse-overlayfs -o ${options} merged`, [program, "-o", options, "merged"]);
	explain("Directories of one name merge; of files of one name the topmost is seen (etc/motd is app's).");
	show(merged);

	heading("Change a file, make one, remove some: through the mount, as in any directory");
	command("merged/bin/hello", [join(merged, "bin/hello")]);
	appendFileSync(join(merged, "bin/hello"), "echo and from the upper layer\n");
	explain(`${bold("$")} echo 'echo and from the upper layer' >>merged/bin/hello`);
	command("merged/bin/hello", [join(merged, "bin/hello")]);
	command("mkdir merged/home && echo mine >merged/home/notes", [
		"sh",
		"-c",
		"mkdir merged/home && echo mine >merged/home/notes",
	]);
	command("rm merged/etc/motd", ["rm", "merged/etc/motd"]);
	command("rm -r merged/var/cache && mkdir merged/var/cache", [
		"sh",
		"-c",
		"rm -r merged/var/cache && mkdir merged/var/cache",
	]);
	renameSync(join(merged, "var/log/install"), join(merged, "var/log/install.1"));
	explain(`${bold("$")} mv merged/var/log/install merged/var/log/install.1`);
	explain("The merged tree now:");
	show(merged);

	heading("Unmount");
	command("fusermount3 -u merged", ["fusermount3", "-u", "merged"]);

	heading("What landed in the upper layer: the changes, and nothing but the changes");
	show(at("upper"));
	explain("bin/hello            copied up from base, then changed");
	explain("etc/motd             removed: a whiteout (a device 0:0) hides app's and base's");
	explain("home/notes           new: it lies here as it is");
	explain("var/cache            removed and made again: opaque, so that base's old content stays hidden");
	explain("var/log/install.1    renamed: the data under the new name, a whiteout at the old");

	heading("The lower layers are untouched, and a new mount shows the same tree again");
	show(at("base"));
	command(`fuse-overlayfs -o ${options} merged`, [program, "-o", options, "merged"]);
	show(merged);
	command("fusermount3 -u merged", ["fusermount3", "-u", "merged"]);
}

process.on("SIGINT", () => {
	cleanUp();
	process.exit(130);
});
try {
	demonstrate();
	console.log(`\n${bold("Done.")} ${root} is removed again.`);
} catch (error) {
	console.error(`demo: ${error instanceof Error ? error.message : error}`);
	process.exitCode = 1;
} finally {
	cleanUp();
}
