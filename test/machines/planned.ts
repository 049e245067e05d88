/** What is tried in a machine, in this order, as far as time allows: first what kernels and libfuse differ in. */

/** Of the mount tests. */
const subjects = [
	..."xattr rename whiteout copy-up create file-io attributes readdir".split(" "),
	..."passthrough new-files user remove link symlink special-files unlinked space".split(" "),
	..."id-mapping options lookup offsets live-layers command-line layers closed-modes".split(" "),
	..."override-stat formats names confinement read-only marks redirect metacopy".split(" "),
];

export const planned: readonly string[] = [
	"docs/demo.ts",
	"test/mount/xattr.test.ts",
	"test/mount/rename.test.ts",
	"test/conformance/conformance.test.ts",
	...subjects.slice(2).map((subject) => `test/mount/${subject}.test.ts`),
];
