/**
 * Installs what the demo and the tests need and this machine lacks: npm packages (Bun among them) and
 * Debian packages. Plain Node without dependencies, because it runs before anything is installed.
 *
 * Usage: node provision.mjs demo|test. Prints a line for each thing it does, nothing when nothing is missing.
 */

import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, statSync, symlinkSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const projectDirectory = join(dirname(fileURLToPath(import.meta.url)), "../..");
const nodeModules = join(projectDirectory, "node_modules");

/**
 * Debian packages per purpose, each with a command or library that proves its presence on other
 * distributions. Alternatives, the preferred one first, are for releases that renamed a package.
 */
const demoPackages = [
	{ names: ["libfuse3-3", "libfuse3-4"], proof: /^libfuse3\.so\.[34]$/ },
	{ names: ["fuse3"], proof: "fusermount3" },
];
const testPackages = [
	...demoPackages,
	{ names: ["libfuse3-dev"], proof: "/usr/include/fuse3/fuse_lowlevel.h" },
	{ names: ["linux-libc-dev"], proof: "/usr/include/linux/fuse.h" },
	{ names: ["gcc"], proof: "gcc" },
	{ names: ["libc6-dev"], proof: "/usr/include/stdio.h" },
	{ names: ["make"], proof: "make" },
	{ names: ["gcc-aarch64-linux-gnu"], proof: "aarch64-linux-gnu-gcc" },
	{ names: ["libc6-dev-arm64-cross"], proof: "/usr/aarch64-linux-gnu/include/stdio.h" },
	{ names: ["attr"], proof: "setfattr" },
	{ names: ["acl"], proof: "setfacl" },
	{ names: ["fuse-overlayfs"], proof: "/usr/bin/fuse-overlayfs" },
	{ names: ["strace"], proof: "strace" },
	{ names: ["procps"], proof: "pgrep" },
	{ names: ["e2fsprogs"], proof: "mkfs.ext4" },
	{ names: ["xfsprogs"], proof: "mkfs.xfs" },
	{ names: ["btrfs-progs"], proof: "mkfs.btrfs" },
	{ names: ["erofs-utils"], proof: "mkfs.erofs" },
	{ names: ["git"], proof: "git" },
	{ names: ["sqlite3"], proof: "sqlite3" },
	{ names: ["busybox-static"], proof: "busybox" },
	{ names: ["uidmap"], proof: "newuidmap" },
	{ names: ["podman"], proof: "podman" },
	{ names: ["buildah"], proof: "buildah" },
	{ names: ["crun", "runc"], proof: "crun" },
	{ names: ["debootstrap"], proof: "debootstrap" },
	{ names: ["go-md2man"], proof: "go-md2man" },
	{ names: ["sshfs"], proof: "sshfs" },
	{ names: ["openssh-sftp-server"], proof: "/usr/lib/openssh/sftp-server" },
	{ names: ["zsh"], proof: "zsh" },
	{ names: ["fish"], proof: "fish" },
];
const purposes = { demo: demoPackages, test: testPackages };

const systemPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

function say(line) {
	process.stdout.write(`install: ${line}\n`);
}

/** Ends the program: what is wrong, and what a person must do about it. */
function fail(problem, remedy) {
	process.stderr.write(`install: ${problem}\ninstall: ${remedy}\n`);
	process.exit(1);
}

/** Runs a command quietly; its output is shown only when it fails. */
function run(command, args, options = {}) {
	const result = spawnSync(command, args, {
		encoding: "utf8",
		stdio: ["ignore", "pipe", "pipe"],
		...options,
	});
	const output = `${result.stdout ?? ""}${result.stderr ?? ""}${result.error ? `${result.error.message}\n` : ""}`;
	return { succeeded: result.status === 0, output, stdout: result.stdout ?? "" };
}

/** What npm wrote down of the last installation agrees with the lockfile, for this platform's packages. */
function nodeModulesMatchLockfile() {
	let wanted;
	let installed;
	try {
		wanted = JSON.parse(readFileSync(join(projectDirectory, "package-lock.json"), "utf8")).packages;
		installed = JSON.parse(readFileSync(join(nodeModules, ".package-lock.json"), "utf8")).packages;
	} catch {
		return false;
	}
	const same = (path) =>
		installed[path]?.version === wanted[path]?.version &&
		(!wanted[path]?.integrity || installed[path]?.integrity === wanted[path].integrity) &&
		existsSync(join(projectDirectory, path));
	return (
		Object.keys(installed).every(same) &&
		Object.entries(wanted).every(([path, entry]) => path === "" || entry.optional || same(path))
	);
}

/** Until Bun's install script has run, the file is a few lines of shell that complain. */
function bunIsBinary() {
	try {
		return statSync(join(nodeModules, ".bin/bun")).size > 1_000_000;
	} catch {
		return false;
	}
}

function installNodeModules() {
	if (!nodeModulesMatchLockfile()) {
		say("npm packages, Bun among them (npm ci)");
		const npm = process.env.npm_execpath?.endsWith(".js")
			? [process.execPath, process.env.npm_execpath]
			: ["npm"];
		const { succeeded, output } = run(
			npm[0],
			[...npm.slice(1), "ci", "--no-audit", "--no-fund", "--loglevel=error"],
			{ cwd: projectDirectory },
		);
		if (!succeeded) {
			process.stderr.write(output);
			fail("npm ci failed, see above", `run by hand: cd ${projectDirectory} && npm ci`);
		}
	}
	if (bunIsBinary()) return;
	// npm was told to run no install scripts (ignore-scripts).
	say("Bun's binary (its install script had not run)");
	const script = join(nodeModules, "bun/install.js");
	const { output } = run(process.execPath, [script], { cwd: dirname(script) });
	if (!bunIsBinary()) {
		process.stderr.write(output);
		fail("Bun's install script failed, see above", `run by hand: node ${script}`);
	}
}

/** The packages of which no alternative is installed; undefined where there is no dpkg. */
function missingDebianPackages(packages) {
	const names = packages.flatMap((entry) => entry.names);
	// biome-ignore lint/suspicious/noTemplateCurlyInString: the placeholders are dpkg-query's
	const result = spawnSync("dpkg-query", ["-W", "-f", "${db:Status-Abbrev} ${Package}\n", ...names], {
		encoding: "utf8",
	});
	if (result.error) return undefined;
	const installed = new Set(
		result.stdout
			.split("\n")
			.filter((line) => line.startsWith("ii "))
			.map((line) => line.slice(3).trim()),
	);
	return packages.filter((entry) => !entry.names.some((name) => installed.has(name)));
}

/** A command on the PATH, a file, or a library: good enough to see what another distribution lacks. */
function isPresent({ proof }) {
	const isIn = (directory, wanted) => {
		try {
			return readdirSync(directory).some((name) => wanted.test(name));
		} catch {
			return false;
		}
	};
	if (proof instanceof RegExp) {
		const machine = process.arch === "arm64" ? "aarch64-linux-gnu" : "x86_64-linux-gnu";
		return ["/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", `/usr/lib/${machine}`].some(
			(directory) => isIn(directory, proof),
		);
	}
	if (proof.startsWith("/")) return existsSync(proof);
	return `${process.env.PATH}:${systemPath}`
		.split(":")
		.some((directory) => existsSync(join(directory || ".", proof)));
}

/** Of each package's alternatives the first that this release has. */
function availableNames(packages) {
	const { stdout } = run("apt-cache", ["policy", ...packages.flatMap((entry) => entry.names)]);
	const available = new Set(
		[...stdout.matchAll(/^(\S+):\n.*\n\s+Candidate: (?!\(none\))/gm)].map((match) => match[1]),
	);
	return packages.map(({ names }) => names.find((name) => available.has(name)) ?? names[0]);
}

function installDebianPackages(packages) {
	const missing = missingDebianPackages(packages);
	if (missing === undefined) {
		const absent = packages.filter((entry) => !isPresent(entry)).map((entry) => entry.names[0]);
		if (absent.length === 0) return;
		fail(
			"this is not Debian or Ubuntu: cannot install packages here",
			`install what corresponds to Debian's ${absent.join(" ")}`,
		);
	}
	if (missing.length === 0) return;
	const byHand = () =>
		`run by hand as root: apt-get update && apt-get install ${availableNames(missing).join(" ")}`;
	if (process.getuid() !== 0) fail("not root: cannot install Debian packages", byHand());
	if (!existsSync("/usr/bin/apt-get")) fail("apt-get is missing", byHand());

	const environment = {
		...process.env,
		DEBIAN_FRONTEND: "noninteractive",
		PATH: `${process.env.PATH}:${systemPath}`,
	};
	const update = () => {
		say("Debian's package lists (apt-get update)");
		return run("apt-get", ["-qq", "update"], { env: environment });
	};
	const install = () => {
		const names = availableNames(missing);
		say(`Debian packages ${names.join(" ")} (apt-get install)`);
		const options = ["-o", "DPkg::Lock::Timeout=120", "-o", "Dpkg::Use-Pty=0"];
		return run("apt-get", ["-qq", "-y", "--no-install-recommends", ...options, "install", ...names], {
			env: environment,
		});
	};
	const hasLists = run("apt-cache", ["show", "fuse3"]).succeeded;
	let result = hasLists ? install() : update();
	// Old lists name versions that the mirror no longer has.
	if (hasLists && !result.succeeded) update();
	if (!hasLists || !result.succeeded) result = install();
	if (!result.succeeded) {
		process.stderr.write(result.output);
		fail("apt-get failed, see above", byHand());
	}
}

function provideFuseDevice() {
	const isDevice = () => existsSync("/dev/fuse") && statSync("/dev/fuse").isCharacterDevice();
	if (isDevice()) return;
	if (process.getuid() === 0) {
		say("the kernel's FUSE module (modprobe fuse)");
		run("modprobe", ["fuse"], { env: { ...process.env, PATH: `${process.env.PATH}:${systemPath}` } });
		if (isDevice()) return;
	}
	fail(
		"/dev/fuse is missing",
		"load the module as root (modprobe fuse); in a container, start it with --device /dev/fuse --cap-add SYS_ADMIN",
	);
}

/** fusermount3 keeps count of users' mounts in it. Minimal installations and containers may lack it. */
function provideMountTable() {
	if (existsSync("/etc/mtab")) return;
	const byHand = "run by hand as root: ln -s /proc/self/mounts /etc/mtab";
	if (process.getuid() !== 0) fail("/etc/mtab is missing", byHand);
	say("/etc/mtab, for fusermount3");
	try {
		symlinkSync("/proc/self/mounts", "/etc/mtab");
	} catch (error) {
		fail(error.message, byHand);
	}
}

const packages = purposes[process.argv[2]];
if (packages === undefined) {
	fail(
		`unknown purpose ${process.argv[2] ?? "(none)"}`,
		`usage: node provision.mjs ${Object.keys(purposes).join("|")}`,
	);
}
installDebianPackages(packages);
installNodeModules();
provideFuseDevice();
if (process.argv[2] !== "demo" || process.getuid() !== 0) provideMountTable();
