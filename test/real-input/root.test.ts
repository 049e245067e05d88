/** Daily work on a mount whose lower layer is the root file system of the machine that runs this test. */
import { afterAll, beforeAll, describe, expect, it, setDefaultTimeout } from "bun:test";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { missingTools } from "../clients/scratch.ts";
import { cacheFolder } from "../harness/cache.ts";
import { RootMount } from "./root-mount.ts";

// Longer than any deadline within, so that clean-up always gets its turn.
setDefaultTimeout(300_000);

const missing = missingTools({ "mkfs.ext4": "e2fsprogs", gcc: "gcc", git: "git" });
/** Everything the work makes of its own lies here, as seen in the chroot. */
const project = "/srv/project";
/** How much of /usr/share the digest covers at most, in KiB. */
const digestLimit = 256 * 1024;
/** Small packages without dependencies; the first that the machine lacks is installed and removed. */
const candidates = ["hello", "sl", "rolldice", "pv"];

/** Where the work may leave something: its own folder, and where apt, dpkg and npm keep their records. */
const made = [
	project.slice(1),
	"root/.npm",
	"usr/share/info/dir",
	"var/cache/apt",
	"var/cache/debconf",
	"var/cache/man",
	"var/lib/apt",
	"var/lib/dpkg",
	"var/log/alternatives.log",
	"var/log/apt",
	"var/log/dpkg.log",
];

describe.skipIf(missing !== undefined)(`the root file system as lower layer ${missing ?? ""}`, () => {
	let root: RootMount;

	beforeAll(async () => {
		root = await RootMount.create();
		root.scratch.mkdir(`disk/upper${project}`);
	});
	afterAll(async () => {
		await root?.[Symbol.asyncDispose]();
	});

	/** Digest of an archive that holds names, kinds, owners, modes, times to the nanosecond, links, xattrs and data. */
	async function digest(folder: string, names: string[]): Promise<string> {
		const pax = "--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime";
		const script = `tar --sort=name --format=posix --xattrs '${pax}' -cf - -C "$@" | sha256sum`;
		return root.scratch.must(["bash", "-o", "pipefail", "-c", script, "bash", folder, ...names]);
	}

	/** Folders of /usr/share, in the order of their names, as long as their size is within the limit. */
	async function sample(): Promise<string[]> {
		const text = await root.scratch.must(["sh", "-c", "du --one-file-system -sk /usr/share/*"]);
		let sum = 0;
		return text.split("\n").flatMap((line) => {
			const [size, path] = line.split("\t");
			if (path === undefined || sum + Number(size) > digestLimit) return [];
			sum += Number(size);
			return [path.slice(1)];
		});
	}

	it("archives /usr/share to the same digest as without the mount, and leaves no trace of it", async () => {
		const names = await sample();
		expect(names.length).toBeGreaterThan(10);
		// Somebody may install things meanwhile: only what held still can be compared.
		for (let before = "", tries = 0; ; tries++) {
			before = await digest("/", names);
			const through = await digest(root.merged, names);
			if (before !== (await digest("/", names)) && tries < 3) continue;
			expect(through).toBe(before);
			break;
		}
		expect(await root.upperNames()).toEqual(["d srv", "d srv/project"]);
	});

	/** The name and .deb file of a package that this machine does not have. */
	async function debianPackage(): Promise<[string, string]> {
		const folder = cacheFolder("packages");
		for (const name of candidates) {
			// biome-ignore lint/suspicious/noTemplateCurlyInString: the format is dpkg-query's
			const status = await root.scratch.run(["dpkg-query", "-W", "-f", "${db:Status-Status}", name]);
			if (status.stdout === "installed" || status.stdout === "config-files") continue;
			const found = () => readdirSync(folder).find((file) => file.startsWith(`${name}_`));
			if (found() === undefined) await root.scratch.must(["apt-get", "download", name], { cwd: folder });
			return [name, join(folder, found()!)];
		}
		throw new Error(`all of these are installed already: ${candidates.join(" ")}`);
	}

	it.skipIf(Bun.which("apt-get") === null)("installs and removes a Debian package", async () => {
		const [name, file] = await debianPackage();
		await root.scratch.must(["cp", file, join(root.merged, project, `${name}.deb`)]);
		const said = await root.chroot(`
			apt-get install -y ${project}/${name}.deb
			dpkg-query -W -f 'status: \${Status}\n' ${name}
			dpkg --verify ${name} && dpkg -L ${name} > ${project}/installed
			while read -r path; do test -e "$path" || echo "missing: $path"; done < ${project}/installed
			apt-get purge -y ${name}
			test ! -e /usr/share/doc/${name}
			dpkg --audit`);
		expect(said).toContain("status: install ok installed");
		expect(said).not.toContain("missing:");
		expect(existsSync(`/usr/share/doc/${name}`)).toBe(false);
	});

	it("compiles a C program and runs it", async () => {
		const source = `#include <stdio.h>
#include <math.h>
int main(int argc, char **argv) {
	FILE *self = fopen(argv[0], "rb");
	return printf("%d %.3f\\n", fgetc(self) == 0x7f, sqrt(argc + 1.0)) < 0;
}
`;
		await Bun.write(join(root.merged, project, "program.c"), source);
		const said = await root.chroot(
			`cd ${project}; gcc -O2 -g -o program program.c -lm; strip program; ./program`,
		);
		expect(said).toBe("1 1.414\n");
	});

	it("clones a git repository, changes it and commits", async () => {
		const said = await root.chroot(`
			export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a
			git init -q --bare -b main ${project}/origin.git
			git init -q -b main ${project}/first && cd ${project}/first
			cp -r /usr/include/linux . && git add . && git commit -qm first
			git push -q ../origin.git main
			git clone -q ../origin.git ../clone && cd ../clone
			echo change >> linux/fuse.h && git mv linux/stat.h moved.h && git rm -qr linux/can
			git commit -qam second && git push -q && git gc -q
			git fsck --full --strict && git status --porcelain
			cd ../first && git pull -q ../origin.git main && diff -r --exclude=.git . ../clone && git log --format=%s`);
		expect(said).toBe("second\nfirst\n");
	});

	it.skipIf(Bun.which("npm") === null)("installs npm packages from a lockfile", async () => {
		const said = await root.chroot(`
			export npm_config_offline=true npm_config_audit=false npm_config_fund=false npm_config_update_notifier=false
			mkdir -p ${project}/dependency/lib ${project}/application && cd ${project}/dependency
			for i in $(seq 200); do mkdir -p lib/$((i % 20)); echo "module.exports = $i" > lib/$((i % 20))/$i.js; done
			printf '#!/usr/bin/env node\nconsole.log(require("./lib/19/199.js"))\n' > command.js
			echo '{"name":"dependency","version":"1.0.0","bin":{"command":"command.js"}}' > package.json
			npm pack --silent && cd ../application
			echo '{"name":"application","dependencies":{"dependency":"file:../dependency/dependency-1.0.0.tgz"}}' > package.json
			npm install --silent --package-lock-only && test ! -e node_modules
			npm ci --silent && npm ci --silent
			npm ls && node_modules/.bin/command && find node_modules -name '*.js' | wc -l`);
		expect(said).toContain("dependency@1.0.0");
		expect(said).toEndWith("\n199\n201\n");
	});

	it("leaves in the upper layer only what that work made", async () => {
		await root.unmount();
		const strangers = (await root.upperNames()).filter((line) => {
			const [kind, path] = [line.slice(0, 1), line.slice(2)];
			if (made.some((place) => path === place || path.startsWith(`${place}/`))) return false;
			// A folder on the way to a change, or one that was entered and left again.
			return kind !== "d" || !existsSync(`/${path}`);
		});
		expect(strangers).toEqual([]);
	});

	it("shows the work again after another mount, and all else as it is without", async () => {
		await root.mount();
		const said = await root.chroot(`
			cd ${project} && ./program && cd clone && git fsck --full --strict && git status --porcelain
			git log --format=%s && cd ../application && node_modules/.bin/command`);
		expect(said).toBe("1 1.414\nsecond\nfirst\n199\n");

		// /etc and the folders where the package's files were.
		const places = ["etc", "usr/bin", "usr/share/doc", "usr/share/info", "usr/share/locale", "usr/share/man"];
		const list = async (folder: string) => {
			const argv = [
				"find",
				...places.filter((place) => existsSync(`/${place}`)),
				"-printf",
				"%y %m %U:%G %p %l\\n",
			];
			const lines = (await root.scratch.must(argv, { cwd: folder })).split("\n");
			return lines.sort();
		};
		expect(await list(root.merged)).toEqual(await list("/"));
	});
});

describe.skipIf(missing !== undefined)(`a mount that lies in its own lower layer ${missing ?? ""}`, () => {
	it("can be walked where it shows itself", async () => {
		await using root = await RootMount.create();
		const here = join(root.merged, root.scratch.dir);
		const listed = await root.scratch.must(["find", here, "-maxdepth", "2"], { timeout: 20_000 });
		const names = listed.split("\n").map((path) => path.slice(here.length + 1));
		for (const name of ["disk", "disk.img", "merged"]) expect(names).toContain(name);
		await root.unmount();
	});
});
