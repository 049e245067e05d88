/** Package managers at work: npm in a checkout, apt in a Debian tree. Neither asks a network. */

import { debianArchive, packageToInstall } from "../../test/clients/debian-archive.ts";
import { type BuildSite, type Scale, type Stage, type Tree, Unavailable, type Workload } from "./workload.ts";

const FILES_PER_PACKAGE = 20;

/** A checkout that depends on 100 packages of 20 files, which lie in its `vendor` as npm packs them. */
const checkoutTree: Tree & { packages(scale: Scale): number } = {
	name: "checkout",
	layers: 1,
	packages: (scale) => scale.count(100),
	async build(site) {
		const names = Array.from({ length: this.packages(site.scale) }, (_, index) => `package-${index}`);
		for (const [index, name] of names.entries()) await packPackage(site, name, index);
		await writeManifests(site, names);
	},
};

const tarball = (name: string) => `vendor/${name}-1.0.0.tgz`;

/** Most files are small, a few are not, as in what is published. */
async function packPackage(site: BuildSite, name: string, index: number): Promise<void> {
	const source = `${site.directory}/source/package`;
	await Bun.write(`${source}/package.json`, JSON.stringify({ name, version: "1.0.0" }));
	for (let file = 1; file < FILES_PER_PACKAGE; file++) {
		const lines = 10 + ((index * 7 + file * 13) % 40) + (file === 1 ? 400 : 0);
		const text = `export const value = "${name} ${file}";\n`.repeat(lines);
		await Bun.write(`${source}/lib/part-${file % 3}/file-${file}.js`, text);
	}
	const target = `${site.layer(0)}/${tarball(name)}`;
	await site.execute("mkdir", "--parents", `${site.layer(0)}/vendor`);
	await site.execute("tar", "--create", "--gzip", `--file=${target}`, "--directory=source", "package");
	await site.execute("rm", "-r", "source");
}

async function writeManifests(site: BuildSite, names: readonly string[]): Promise<void> {
	const root = {
		name: "checkout",
		version: "1.0.0",
		dependencies: Object.fromEntries(names.map((name) => [name, `file:${tarball(name)}`])),
	};
	const packages: Record<string, object> = { "": root };
	for (const name of names) {
		const content = await Bun.file(`${site.layer(0)}/${tarball(name)}`).bytes();
		packages[`node_modules/${name}`] = {
			version: "1.0.0",
			resolved: `file:${tarball(name)}`,
			integrity: `sha512-${new Bun.CryptoHasher("sha512").update(content).digest("base64")}`,
		};
	}
	const lock = { name: root.name, version: root.version, lockfileVersion: 3, requires: true, packages };
	await Bun.write(`${site.layer(0)}/package.json`, JSON.stringify(root));
	await Bun.write(`${site.layer(0)}/package-lock.json`, JSON.stringify(lock));
}

/** npm without anybody's configuration, its cache in the mount. */
const npmCi = ({ merged }: Stage) => [
	"run",
	merged,
	"npm",
	"ci",
	"--offline",
	"--ignore-scripts",
	"--no-audit",
	"--no-fund",
	"--no-update-notifier",
	"--loglevel=error",
	"--logs-max=0",
	`--cache=${merged}/cache`,
	// Neither is there.
	`--userconfig=${merged}/user-npmrc`,
	`--globalconfig=${merged}/global-npmrc`,
];

/** The smallest Debian there is, with git's packages and their lists in apt's cache. */
const debianTree: Tree = {
	name: "debian",
	layers: 1,
	async build(site) {
		const extract = ["tar", "--extract", "--numeric-owner", `--directory=${site.layer(0)}`];
		await site.execute(...extract, `--file=${archive()}`);
	},
};

/** A tar archive of it; throws Unavailable. */
export function archive(): string {
	try {
		return debianArchive();
	} catch (error) {
		throw new Unavailable(
			`there is no Debian to install to: ${error instanceof Error ? error.message : error}`,
		);
	}
}

/** One of git's packages at a small scale. */
const packageOf = (scale: Scale) => (scale.factor < 0.5 ? "git-man" : packageToInstall);

/** The mounts that programs in the tree need end with the namespaces, and so do all processes when the benchmark is ended. */
const namespaces = ["--mount", "--pid", "--fork", "--kill-child"];
const inTree = `mount --rbind /dev "$0/dev" && mount -t proc proc "$0/proc" && exec chroot "$0" "$@"`;

export const packagesWorkloads: readonly Workload[] = [
	{
		name: "npm_ci",
		group: "daily",
		what: "npm ci of 100 packages with 20 files in each, from tarballs in the lower layer",
		tree: checkoutTree,
		cache: "warm",
		operations: (scale) => checkoutTree.packages(scale) * FILES_PER_PACKAGE,
		run: npmCi,
		needs: ["npm", "tar"],
	},
	{
		name: "apt_install",
		group: "daily",
		what: "apt-get install of git and what it needs, downloaded before, in a chroot of Debian",
		tree: debianTree,
		cache: "warm",
		operations: () => 1,
		run: ({ merged, scale }) => [
			"run",
			merged,
			...["unshare", ...namespaces, "sh", "-c", inTree, merged],
			...["env", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C"],
			...["apt-get", "-qq", "-y", "--no-install-recommends", "--no-download", "install", packageOf(scale)],
		],
		mounts: true,
		needs: ["unshare", "chroot", "tar"],
	},
];
