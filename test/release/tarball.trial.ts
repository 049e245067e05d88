/** The tarball for x86-64, unpacked below /usr/local of a Debian system: the program, its manual page, and what shells complete. */

import { expect, test } from "bun:test";
import { installing } from "./fresh-root.ts";
import { inSystem, useMounts } from "./release.ts";

const packages = [..."xz-utils libfuse3-3 fuse3 man-db bash-completion zsh fish".split(" ")];
const unpack = `${installing(...packages)}
tar -xJf /release/fuse-overlayfs-*-linux-x64.tar.xz -C /usr/local --strip-components=1
`;

test("unpacked below /usr/local, root and an ordinary user mount with it", () => {
	const said = inSystem("bookworm", `${unpack}fuse-overlayfs --version\n${useMounts}`);
	expect(said).toMatch(/^fuse-overlayfs: version \d/m);
	expect(said).toContain("root: lower more \nuser: lower more \n");
});

test("man finds and formats its page, and each shell its completions", () => {
	const said = inSystem(
		"bookworm",
		`${unpack}
man --warnings -P cat fuse-overlayfs >/build/page 2>/build/warnings
echo "warnings: $(cat /build/warnings)"
grep -c . /build/page
man -l /usr/local/share/man/man1/fuse-overlayfs.1 2>/dev/null | grep -m1 -A1 NAME
cd /build && mkdir alpha
bash -c '. /usr/share/bash-completion/bash_completion
	_completion_loader fuse-overlayfs
	complete -p fuse-overlayfs
	COMP_LINE="fuse-overlayfs --vers" COMP_POINT=21 COMP_WORDBREAKS=" "
	_fuse_overlayfs 2>/dev/null
	echo "bash: \${COMPREPLY[*]}"'
zsh -fc 'autoload -Uz compinit && compinit -u -D && echo "zsh: \${_comps[fuse-overlayfs]}"'
echo "fish: $(HOME=/build fish -c "complete -C 'fuse-overlayfs -o lowerdir=al'")"`,
	);
	expect(said).toContain("warnings: \n");
	expect(said).toContain("NAME\n");
	expect(said).toContain("complete -F _fuse_overlayfs fuse-overlayfs\n");
	expect(said).toContain("bash: --version\n");
	expect(said).toContain("zsh: _fuse-overlayfs\n");
	expect(said).toContain("fish: lowerdir=alpha/\n");
});
