/** The npm package, by each npm that is promised. */

import { expect, test } from "bun:test";
import { installing } from "./fresh-root.ts";
import { npmVersions, withNpm } from "./make.ts";
import { inSystem, useMounts } from "./release.ts";

const system = installing("nodejs", "libfuse3-4", "fuse3");
const quiet = "--no-audit --no-fund --loglevel=error";

test.each(npmVersions)("npm %s installs it for all users, who mount with it", (version) => {
	const said = inSystem(
		"trixie",
		`${system}${withNpm(version)}
npm --version
npm install --global ${quiet} /release/fuse-overlayfs-*.tgz
fuse-overlayfs --version
${useMounts}
npm uninstall --global fuse-overlayfs >/dev/null
hash -r
command -v fuse-overlayfs || echo gone`,
	);
	expect(said).toMatch(new RegExp(`^${version}\\.`, "m"));
	expect(said).toMatch(/^fuse-overlayfs: version \d/m);
	expect(said).toContain("root: lower more \nuser: lower more \n");
	expect(said).toEndWith("gone\n");
});

test.each(npmVersions)(
	"npm %s: npx runs it, from a project and without one, with install scripts and without",
	(version) => {
		const said = inSystem(
			"trixie",
			`${system}${withNpm(version)}
mkdir /build/project /build/scriptless && cd /build/project
npm init --yes >/dev/null
npm install ${quiet} /release/fuse-overlayfs-*.tgz >/dev/null
npx fuse-overlayfs --version | sed -n 's/^fuse-overlayfs: version/project: &/p'
cd /build/scriptless
npm init --yes >/dev/null
npm install --ignore-scripts ${quiet} /release/fuse-overlayfs-*.tgz >/dev/null
npx fuse-overlayfs --version | sed -n 's/^fuse-overlayfs: version/without scripts: &/p'
cd /
npx --yes --package=$(echo /release/fuse-overlayfs-*.tgz) fuse-overlayfs --version | sed -n 's/^fuse-overlayfs: version/alone: &/p'`,
		);
		for (const where of ["project", "without scripts", "alone"])
			expect(said).toMatch(new RegExp(`^${where}: fuse-overlayfs: version \\d`, "m"));
	},
);
