/** What developers do in a tree that came with a lower layer: git, a C build, Python. */

import type { BuildSite, Scale, Stage, Tree, Workload } from "./workload.ts";

/** git as it is without anybody's configuration. */
const git = [
	"env",
	"GIT_CONFIG_NOSYSTEM=1",
	"GIT_CONFIG_GLOBAL=/dev/null",
	"git",
	"-c",
	"user.name=bench",
	"-c",
	"user.email=bench@localhost",
	"-c",
	"safe.directory=*",
];

/** A repository of 4,000 files in 100 directories, packed; its branch `other` has every fourth file changed. */
const repositoryTree: Tree & { files(scale: Scale): number } = {
	name: "repository",
	layers: 1,
	files: (scale) => scale.count(100) * 40,
	async build(site) {
		const repository = site.layer(0);
		const directories = String(site.scale.count(100));
		const inside = (...args: string[]) => site.execute(...git, "-C", repository, ...args);
		const commit = async (message: string) => {
			await inside("add", "--all");
			await inside("commit", "--quiet", "--message", message);
		};
		await inside("init", "--quiet", "--initial-branch=main");
		await site.client.run(["tree", repository, directories, "40", "f", "3000"]);
		await commit("first");
		await inside("checkout", "--quiet", "-b", "other");
		await site.client.run(["tree", repository, directories, "10", "f", "2000"]);
		await commit("second");
		await inside("checkout", "--quiet", "main");
		await inside("repack", "-a", "-d", "--quiet");
		// git reads again what is as young as its index.
		await site.execute("find", repository, "-type", "f", "-exec", "touch", "--date=2020-01-01", "{}", "+");
		await inside("update-index", "-q", "--refresh");
	},
};

const inRepository = ({ merged }: Stage, ...args: string[]) => ["run", merged, ...git, ...args];

/** 30 C files, 60 headers, of which each file includes 10, and a Makefile. */
const projectTree: Tree & { units(scale: Scale): number } = {
	name: "project",
	layers: 1,
	units: (scale) => scale.count(30),
	build(site) {
		return writeProject(site, this.units(site.scale));
	},
};

async function writeProject(site: BuildSite, units: number): Promise<void> {
	const root = site.layer(0);
	const headers = 60;
	for (let header = 0; header < headers; header++) {
		await Bun.write(`${root}/include/h${header}.h`, `#pragma once\nint function_${header}(int argument);\n`);
	}
	for (let unit = 0; unit < units; unit++) {
		const includes = Array.from(
			{ length: 10 },
			(_, index) => `#include "h${(unit + index * 7) % headers}.h"\n`,
		);
		const body = `#include <stdio.h>\n#include <stdlib.h>\n${includes.join("")}int unit_${unit}(int argument)\n{\n\treturn printf("%d", argument);\n}\n`;
		await Bun.write(`${root}/src/u${unit}.c`, body);
	}
	await Bun.write(`${root}/src/main.c`, "int main(void)\n{\n\treturn 0;\n}\n");
	const makefile = [
		"sources := $(wildcard src/*.c)",
		"objects := $(sources:src/%.c=build/%.o)",
		"program: $(objects)",
		"\t$(CC) -o $@ $^",
		"build/%.o: src/%.c",
		"\t@mkdir -p build",
		"\t$(CC) -Iinclude -MMD -c -o $@ $<",
		"",
	];
	await Bun.write(`${root}/Makefile`, makefile.join("\n"));
}

/** The standard library of the python3 on the PATH, as PYTHONHOME wants it. */
const pythonTree: Tree = {
	name: "python",
	layers: 1,
	async build(site) {
		const script =
			'import sys, sysconfig; print(sys.executable); print(sysconfig.get_path("stdlib")); print(sys.version_info.minor)';
		const { stdout } = Bun.spawnSync(["python3", "-c", script], { stderr: "ignore" });
		const [executable = "", library = "", minor = ""] = stdout.toString().trim().split("\n");
		const exclude = ["site-packages", "dist-packages", "test", "idlelib", "ensurepip", "config-*"];
		const target = `${site.layer(0)}/lib/python3.${minor}`;
		await site.execute("mkdir", "--parents", target);
		const pack = `tar --create --directory="$1" ${exclude.map((name) => `--exclude='./${name}'`).join(" ")} .`;
		await site.execute("sh", "-c", `${pack} | tar --extract --directory="$2"`, "copy", library, target);
		// The program itself, not one that looks for it.
		await site.execute("cp", "--dereference", executable, "python3");
	},
};

const modules =
	"argparse asyncio concurrent.futures csv decimal email.mime.text html.parser http.server json logging.config multiprocessing pickle pydoc tarfile tempfile unittest urllib.request xml.dom.minidom zipfile".split(
		" ",
	);

export const developWorkloads: readonly Workload[] = [
	{
		name: "git_status",
		group: "daily",
		what: "git status in a repository of 4,000 files",
		tree: repositoryTree,
		cache: "cold",
		operations: (scale) => repositoryTree.files(scale),
		run: (stage) => inRepository(stage, "status", "--short"),
		needs: ["git"],
	},
	{
		name: "git_checkout",
		group: "daily",
		what: "git checkout of a branch with 1,000 of them changed",
		tree: repositoryTree,
		cache: "warm",
		operations: (scale) => repositoryTree.files(scale) / 4,
		run: (stage) => inRepository(stage, "checkout", "--quiet", "other"),
		needs: ["git"],
	},
	{
		name: "c_build",
		group: "daily",
		what: "make of 30 C files, two at a time",
		tree: projectTree,
		cache: "warm",
		operations: (scale) => projectTree.units(scale),
		run: ({ merged }) => ["run", merged, "make", "--silent", "--jobs=2"],
		needs: ["make", "cc"],
	},
	{
		name: "python_import",
		group: "daily",
		what: `python3 starts from the mount and imports ${modules.length} modules`,
		tree: pythonTree,
		cache: "cold",
		operations: () => 1,
		run: ({ merged, tree }) => [
			"run",
			merged,
			"env",
			`PYTHONHOME=${merged}`,
			`${tree}/python3`,
			"-B",
			"-c",
			`import ${modules.join(", ")}`,
		],
		needs: ["python3"],
	},
];
