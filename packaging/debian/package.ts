/**
 * The Debian package. It takes the place of Debian's fuse-overlayfs: both have one path, which storage.conf, AppArmor rules and
 * `apt install podman` name, and Debian's is no alternative of it. `apt install fuse-overlayfs` goes back.
 */
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { bashPlace, fishPlace, zshPlace } from "../completions/files.ts";
import type { Processor } from "../executable.ts";
import { licenceText } from "../inventory/licences.ts";
import { manifest } from "../inventory/parts.ts";
import { run } from "../release/run.ts";
import {
	commonFiles,
	documentation,
	type Files,
	installedSize,
	layOut,
	manualPage,
	read,
	type Source,
} from "../release/tree.ts";

export const packageName = "fuse-overlayfs-bun";
/** The C program whose command line and layers this one takes, for those who depend on a version of it. */
const replacedVersion = "1.13";
export const architectures: Readonly<Record<Processor, string>> = { x64: "amd64", arm64: "arm64" };

/** Puts the files together in `directory`, and the package into `archive`. */
export function packDebian(
	processor: Processor,
	binary: string,
	directory: string,
	archive: string,
	made: number,
): void {
	rmSync(directory, { recursive: true, force: true });
	const files = debianFiles(binary, made);
	layOut(directory, files);
	mkdirSync(join(directory, "DEBIAN"));
	writeFileSync(join(directory, "DEBIAN/control"), control(processor, installedSize(directory, files)));
	writeFileSync(join(directory, "DEBIAN/md5sums"), md5sums(directory, files));
	run(["chmod", "-R", "u+rwX,go+rX,go-w", directory]);
	run(["dpkg-deb", "--root-owner-group", "-Zxz", "-z6", "--threads-max=2", "--build", directory, archive], {
		env: { SOURCE_DATE_EPOCH: String(made) },
	});
}

function debianFiles(binary: string, made: number): Files {
	const ownDocumentation = `usr/share/doc/${packageName}`;
	const places = new Map([
		[zshPlace, "usr/share/zsh/vendor-completions/_fuse-overlayfs"],
		[fishPlace, `usr/${fishPlace}`],
		[bashPlace, `usr/${bashPlace}`],
	]);
	const files = new Map<string, Source>();
	files.set("usr/bin/fuse-overlayfs", { path: binary });
	for (const [place, source] of commonFiles()) {
		if (place === manualPage) files.set(`usr/${place}.gz`, { text: compress(read("docs/fuse-overlayfs.1")) });
		else if (place.endsWith("/CHANGELOG.md")) continue;
		else if (place.endsWith("/LICENCES"))
			files.set(`${ownDocumentation}/copyright`, { text: licenceText(commonLicences) });
		else if (place.startsWith(documentation))
			files.set(place.replace(documentation, ownDocumentation), source);
		else files.set(places.get(place) ?? `usr/${place}`, source);
	}
	files.set(`${ownDocumentation}/changelog.gz`, { text: compress(changelog(made)) });
	files.set(`${ownDocumentation}/NEWS.gz`, { text: compress(read("CHANGELOG.md")) });
	files.set(`usr/share/lintian/overrides/${packageName}`, { text: overrides });
	return files;
}

/** gzip without name and time. */
function compress(text: string): Buffer {
	return gzipSync(text, { level: 9 });
}

function control(processor: Processor, size: number): string {
	return `Package: ${packageName}
Version: ${manifest.version}
Architecture: ${architectures[processor]}
Maintainer: ${maintainer()}
Installed-Size: ${size}
Depends: libc6 (>= 2.31), libfuse3-3 (>= 3.10) | libfuse3-4
Recommends: fuse3
Enhances: podman, buildah
Provides: fuse-overlayfs (= ${replacedVersion})
Conflicts: fuse-overlayfs
Replaces: fuse-overlayfs
Section: utils
Priority: optional
Description: overlay file system in user space, for Bun
 Merges directory trees into one mount: a writable layer over read-only ones.
 It does through FUSE what kernel overlayfs does, for those who may not mount
 that or need owners mapped, such as rootless podman and buildah.
 .
 It takes the command line of fuse-overlayfs in C, whose place it takes, and
 reads and writes the same layers. Bun, which runs it, is inside.
`;
}

/** Who releases: DEBFULLNAME and DEBEMAIL, as for other Debian tools, else who made the commit. */
function maintainer(): string {
	const { DEBFULLNAME, DEBEMAIL } = process.env;
	if (DEBFULLNAME && DEBEMAIL) return `${DEBFULLNAME} <${DEBEMAIL}>`;
	return run(["git", "log", "-1", "--format=%cn <%ce>"]).trim();
}

function md5sums(directory: string, files: Files): string {
	return run(["md5sum", ...[...files.keys()].sort()], { cwd: directory });
}

function changelog(made: number): string {
	const date = new Date(made * 1000).toUTCString().replace("GMT", "+0000");
	return `${packageName} (${manifest.version}) unstable; urgency=medium

  * Release ${manifest.version}; what is new stands in NEWS.gz.

 -- ${maintainer()}  ${date}
`;
}

/** Licences of which every Debian system has the text, which packages do not repeat. */
const commonLicences: ReadonlyMap<string, string> = new Map(
	[
		["Apache-2.0", "Apache-2.0"],
		["GPL-2.0-or-later", "GPL-2"],
		["LGPL-2.0-or-later", "LGPL-2"],
		["LGPL-2.1-or-later", "LGPL-2.1"],
	].map(([name, file]) => [name!, `/usr/share/common-licenses/${file}`]),
);

/** What of Debian's rules a program that brings its run time along cannot keep. */
const overrides = `# Bun is linked to its libraries; none of them is taken from Debian's packages.
${packageName}: embedded-library
# Bun comes stripped of its debug information; its dynamic symbols are what add-ons link to.
${packageName}: unstripped-binary-or-object
`;
