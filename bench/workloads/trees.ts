/** The lower layers that several workloads share. */

import type { BuildSite, Scale, Tree } from "./workload.ts";

/** The arguments of client.c for a tree of files below `root`. */
export function filesOf(root: string, directories: number, files: number, prefix: string): string[] {
	return [root, String(directories), String(files), prefix];
}

async function plant(
	site: BuildSite,
	layer: number,
	directories: number,
	files: number,
	prefix: string,
	size: number,
): Promise<void> {
	await site.client.run(["tree", ...filesOf(site.layer(layer), directories, files, prefix), String(size)]);
}

/** 100 directories, each merged from 3 layers with 40 files of 100 bytes in each. */
export const walkTree: Tree & { directories(scale: Scale): number; files(scale: Scale): number } = {
	name: "walk",
	layers: 3,
	directories: (scale) => scale.count(100),
	files: (scale) => scale.count(100) * 120,
	async build(site) {
		for (const [layer, prefix] of ["a", "b", "c"].entries()) {
			await plant(site, layer, this.directories(site.scale), 40, prefix, 100);
		}
	},
};

/** One directory, d0000, with 20,000 files. */
export const bigTree: Tree & { files(scale: Scale): number } = {
	name: "big",
	layers: 1,
	files: (scale) => scale.count(20_000),
	build(site) {
		return plant(site, 0, 1, this.files(site.scale), "f", 0);
	},
};

/** One directory, d0000, with a million files; merged from as many layers, each with a part of them. */
function hugeDirectory(layers: number): Tree & { files(scale: Scale): number } {
	return {
		name: `huge-directory-${layers}`,
		layers,
		files: (scale) => scale.count(1_000_000),
		async build(site) {
			for (let layer = 0; layer < layers; layer++)
				await plant(site, layer, 1, this.files(site.scale) / layers, `${layer}-`, 0);
		},
	};
}

export const hugeDirectoryTree = hugeDirectory(1);
export const mergedHugeDirectoryTree = hugeDirectory(2);

/** 40 directories with 100 files of 4 KiB in each. */
export const smallTree: Tree & { directories(scale: Scale): number } = {
	name: "small",
	layers: 1,
	directories: (scale) => scale.count(40),
	build(site) {
		return plant(site, 0, this.directories(site.scale), 100, "f", 4096);
	},
};

/** 100 directories with 100 files of 4 KiB in each. */
export const manySmallTree: Tree & { directories(scale: Scale): number } = {
	name: "many-small",
	layers: 1,
	directories: (scale) => scale.count(100),
	build(site) {
		return plant(site, 0, this.directories(site.scale), 100, "f", 4096);
	},
};

/** One file of 256 MiB, `file`. */
export const largeTree: Tree & { bytes(scale: Scale): number } = {
	name: "large",
	layers: 1,
	bytes: (scale) => scale.mebibytes(256),
	async build(site) {
		const size = this.bytes(site.scale);
		await site.client.run(["write", `${site.layer(0)}/file`, String(size), "131072"]);
	},
};

/** One file of 2 GiB, `file`, beside 200 directories with 100 files of 4 KiB in each. */
export const hugeTree: Tree & { bytes(scale: Scale): number; directories(scale: Scale): number } = {
	name: "huge",
	layers: 1,
	bytes: (scale) => scale.mebibytes(2048),
	directories: (scale) => scale.count(200),
	async build(site) {
		await site.client.run(["write", `${site.layer(0)}/file`, String(this.bytes(site.scale)), "131072"]);
		await plant(site, 0, this.directories(site.scale), 100, "f", 4096);
	},
};

/** One empty directory, d0000, so that what is made in it is made in a merged one. */
export const emptyTree: Tree = {
	name: "empty",
	layers: 1,
	build: (site) => plant(site, 0, 1, 0, "f", 0),
};

/** 4,000 files in 10 directories, each merged from all layers. */
function manyLayers(layers: number): Tree & { files(scale: Scale): number } {
	return {
		name: `layers-${layers}`,
		layers,
		// Per directory and layer.
		files: (scale) => scale.count(400 / layers),
		async build(site) {
			for (let layer = 0; layer < layers; layer++) {
				await plant(site, layer, 10, this.files(site.scale), `l${layer}-`, 100);
			}
		},
	};
}

export const twoLayers = manyLayers(2);
export const fortyLayers = manyLayers(40);

/** 1,000 directories with 1,000 empty files in each. */
export const millionTree: Tree & { directories(scale: Scale): number } = {
	name: "million",
	layers: 1,
	directories: (scale) => scale.count(1000),
	build(site) {
		return plant(site, 0, this.directories(site.scale), 1000, "f", 0);
	},
};

/** For eight clients, client0 to client7, three directories with 20 files of 4 KiB in each, and a file of 8 MiB, large0 to large7. */
export const slowTree: Tree & {
	readonly clients: number;
	readonly directories: number;
	readonly files: number;
} = {
	name: "slow",
	layers: 1,
	clients: 8,
	directories: 3,
	files: 20,
	async build(site) {
		for (let client = 0; client < this.clients; client++) {
			const part = `${site.layer(0)}/client${client}`;
			await site.execute("mkdir", part);
			await site.client.run(["tree", ...filesOf(part, this.directories, this.files, "f"), "4096"]);
			await site.client.run(["write", `${site.layer(0)}/large${client}`, String(8 << 20), "131072"]);
		}
	},
};

/** Files of /usr, 10,000 of them or what is there, as they lie there; every tenth again in a layer above. */
export const usrTree: Tree & { files(scale: Scale): number } = {
	name: "usr",
	layers: 2,
	files: (scale) => scale.count(10_000),
	async build(site) {
		const names = await filesOfUsr(this.files(site.scale));
		await copy(site, 1, names);
		await copy(
			site,
			0,
			names.filter((_, index) => index % 10 === 0),
		);
		// The same as an archive, to unpack.
		await site.execute("tar", "--create", "--file=usr.tar", "--directory=1", ".");
	},
};

/** As {@link usrTree}, in one layer, as many files as an image of a distribution has. */
export const imageTree: Tree & { files(scale: Scale): number } = {
	name: "image",
	layers: 1,
	files: (scale) => scale.count(13_000),
	async build(site) {
		await copy(site, 0, await filesOfUsr(this.files(site.scale)));
	},
};

/** Relative to /. The same choice on machines with the same packages. */
async function filesOfUsr(count: number): Promise<string[]> {
	const find = ["find", "usr/include", "usr/share", "usr/lib/python3", "-xdev"];
	const child = Bun.spawn([...find, "-type", "f", "-size", "-256k", "-print0"], {
		cwd: "/",
		stderr: "ignore",
	});
	const names = (await new Response(child.stdout).text()).split("\0").filter((name) => name !== "");
	return names.sort().slice(0, count);
}

async function copy(site: BuildSite, layer: number, names: readonly string[]): Promise<void> {
	const list = `${site.directory}/list`;
	await Bun.write(list, names.join("\0"));
	const pack = `tar --create --directory=/ --null --files-from="$1" --ignore-failed-read`;
	const unpack = `tar --extract --directory="$2"`;
	await site.execute("sh", "-c", `${pack} | ${unpack}`, "copy", list, site.layer(layer));
}
