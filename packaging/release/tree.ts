/** What is installed below a prefix, and how it comes to lie in a directory. */
import { chmodSync, copyFileSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { completionFiles } from "../completions/files.ts";
import { licenceText } from "../inventory/licences.ts";

export const project = join(import.meta.dir, "../..");
const documents = [
	"README.md",
	"CHANGELOG.md",
	"SECURITY.md",
	...["conformance", "moving", "on-disk-format", "performance", "reliability", "troubleshooting"].map(
		(page) => `docs/${page}.md`,
	),
];
export const manualPage = "share/man/man1/fuse-overlayfs.1";
export const documentation = "share/doc/fuse-overlayfs";

/** A file by its place below the prefix: its text, or the path of what is copied. */
export type Source = { readonly text: string | Buffer } | { readonly path: string };
export type Files = ReadonlyMap<string, Source>;

/** All that is installed but the binary. */
export function commonFiles(): Files {
	return new Map<string, Source>([
		[manualPage, { path: join(project, "docs/fuse-overlayfs.1") }],
		...[...completionFiles()].map(([place, text]) => [place, { text }] as const),
		...documents.map((page) => [`${documentation}/${page}`, { path: join(project, page) }] as const),
		[`${documentation}/LICENCES`, { text: licenceText() }],
	]);
}

/** Writes the files below the directory, the programs in bin executable, whatever the umask. */
export function layOut(directory: string, files: Files): void {
	for (const [place, source] of files) {
		const target = join(directory, place);
		mkdirSync(dirname(target), { recursive: true });
		if ("path" in source) copyFileSync(source.path, target);
		else writeFileSync(target, source.text);
		chmodSync(target, /(?:^|\/)bin\//.test(place) ? 0o755 : 0o644);
	}
}

/** What the files take up, in KiB, each by itself, as Debian counts it. */
export function installedSize(directory: string, files: Files): number {
	return [...files.keys()].reduce(
		(sum, place) => sum + Math.ceil(statSync(join(directory, place)).size / 1024),
		0,
	);
}

export function read(path: string): string {
	return readFileSync(join(project, path), "utf8");
}
