/**
 * Packages of any release of Debian and for any processor, fetched by an apt with a state of its own and unpacked: no
 * script of theirs is run, so that the machine's own processor need not be the one they are for.
 */

import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Processor } from "../../packaging/executable.ts";
import { mirror } from "../harness/debootstrap.ts";

/** Debian's names of processors. */
const architectures: Readonly<Record<Processor, string>> = { x64: "amd64", arm64: "arm64" };

/** Releases whose signatures this machine's keys may be too old, or too new, for. */
const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg";

/** In a tree whose /bin and others are links into /usr, as dpkg itself does it; dpkg-deb --extract would replace them. */
const unpack = `set -e
dpkg-deb --fsys-tarfile "$1" >"$1.tar"
tar --extract --file="$1.tar" --directory="$2" --keep-directory-symlink --numeric-owner --preserve-permissions
name=$(dpkg-deb --field "$1" Package)
case $(dpkg-deb --field "$1" Multi-Arch) in same) name=$name:$(dpkg-deb --field "$1" Architecture) ;; esac
tar --list --file="$1.tar" | sed 's|^\\.||; s|/$||; s|^$|/.|' >"$2/var/lib/dpkg/info/$name.list"
{
	dpkg-deb --field "$1"
	printf 'Status: install ok installed\\n\\n'
} >>"$2/var/lib/dpkg/status"
rm "$1.tar"`;

export interface Request {
	readonly suite: string;
	readonly processor: Processor;
	/** Names, or patterns of apt. What they depend on comes along, what they recommend does not. */
	readonly packages: readonly string[];
}

/** Runs a command that must succeed; what it says is shown only when it fails. */
export function run(...command: readonly string[]): void {
	const { exitCode, stdout, stderr } = Bun.spawnSync([...command], {
		env: { ...process.env, DEBIAN_FRONTEND: "noninteractive", LC_ALL: "C.UTF-8" },
	});
	if (exitCode === 0) return;
	const said = `${stdout}${stderr}`.split("\n").slice(-15).join("\n");
	throw new Error(`${command.slice(0, 4).join(" ")} failed: exit code ${exitCode}\n${said}`);
}

/**
 * Unpacks packages, with all that they need, into the directory `tree`, whose dpkg takes them for installed; `scratch` is an
 * empty one, used and removed.
 */
export function unpackPackages({ suite, processor, packages }: Request, tree: string, scratch: string): void {
	const state = (name: string) => join(scratch, name);
	for (const directory of ["lists/partial", "archives/partial", "parts"])
		mkdirSync(state(directory), { recursive: true });
	for (const directory of ["info", "updates", "triggers"])
		mkdirSync(join(tree, "var/lib/dpkg", directory), { recursive: true });
	for (const file of [state("status"), join(tree, "var/lib/dpkg/status")]) writeFileSync(file, "");
	writeFileSync(state("sources"), `deb [signed-by=${keyring}] ${mirror()} ${suite} main\n`);
	const settings = {
		"APT::Architecture": architectures[processor],
		"APT::Architectures": architectures[processor],
		"APT::Install-Recommends": "false",
		"APT::Sandbox::User": "root",
		"Acquire::Check-Valid-Until": "false",
		"Acquire::Languages": "none",
		"Dir::Cache": scratch,
		"Dir::Cache::archives": state("archives"),
		"Dir::State": scratch,
		"Dir::State::lists": state("lists"),
		"Dir::State::status": state("status"),
		"Dir::Etc::sourcelist": state("sources"),
		"Dir::Etc::sourceparts": state("parts"),
		"Dir::Etc::preferencesparts": state("parts"),
	};
	const options = Object.entries(settings).map(([name, value]) => `-o${name}=${value}`);
	run("apt-get", ...options, "update");
	run("apt-get", ...options, "--yes", "--download-only", "install", ...packages);
	const archives = readdirSync(state("archives")).filter((name) => name.endsWith(".deb"));
	for (const archive of archives) run("sh", "-c", unpack, "sh", join(state("archives"), archive), tree);
	rmSync(scratch, { recursive: true });
}
