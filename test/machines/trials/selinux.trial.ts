/** SELinux, with the smallest policy there is: all is permitted, but to give one label. */

import { beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { temporaryTree } from "../../harness/layers.ts";
import { codeOf, getxattr, setxattr } from "../../harness/native.ts";
import { mountLayers } from "../../harness/overlay.ts";

const policy = `
(handleunknown allow)
(mls true)
(class process (transition dyntransition))
(class file (relabelto))
(class dir (relabelto))
(classorder (process file dir))
(sensitivity s0)
(sensitivityorder (s0))
(category c0)
(category c1)
(categoryorder (c0 c1))
(sensitivitycategory s0 (range c0 c1))
(level low (s0))
(level high (s0 (range c0 c1)))
(levelrange all (low high))
(user u)
(role r)
(role object_r)
(type any_t)
(type layer_t)
(type fuse_t)
(type refused_t)
(roletype r any_t)
(roletype object_r any_t)
(roletype object_r layer_t)
(roletype object_r fuse_t)
(roletype object_r refused_t)
(userrole u r)
(userrole u object_r)
(userlevel u low)
(userrange u all)
(sid kernel)
(sid security)
(sid unlabeled)
(sid fs)
(sid file)
(sidorder (kernel security unlabeled fs file))
(context process (u r any_t (low low)))
(context object (u object_r any_t (low low)))
(sidcontext kernel process)
(sidcontext security object)
(sidcontext unlabeled object)
(sidcontext fs object)
(sidcontext file object)
(fsuse xattr ext4 object)
(genfscon fuse / (u object_r fuse_t (low low)))
(genfscon proc / object)
(genfscon sysfs / object)
(genfscon selinuxfs / object)
(allow any_t any_t (process (transition)))
(allow any_t any_t (file (relabelto)))
(allow any_t any_t (dir (relabelto)))
(allow any_t layer_t (file (relabelto)))
(allow any_t layer_t (dir (relabelto)))
`;
const control = "/sys/fs/selinux";
const attribute = "security.selinux";
const layer = "u:object_r:layer_t:s0";
/** podman gives each container a pair of categories; the comma would part options. */
const ofContainer = `${layer}:c0,c1`;

beforeAll(() => {
	using tree = temporaryTree();
	writeFileSync(tree.join("policy.cil"), policy);
	const binary = tree.join("policy");
	const compile = ["secilc", "-c", "31", "-o", binary, "-f", "/dev/null", tree.join("policy.cil")];
	const { exitCode, stderr } = Bun.spawnSync(compile);
	expect(exitCode, stderr.toString()).toBe(0);
	mkdirSync(control, { recursive: true });
	Bun.spawnSync(["mount", "-t", "selinuxfs", "none", control]);
	writeFileSync(`${control}/load`, readFileSync(binary));
});

function labelOf(path: string): string {
	return getxattr(path, attribute).toString("latin1").replace(/\0$/, "");
}

describe.each([
	["permissive", "0"],
	["enforcing", "1"],
])("%s", (_, enforce) => {
	beforeAll(() => writeFileSync(`${control}/enforce`, enforce));

	test.each([layer, ofContainer])("context=%s: all that is seen has it", async (context) => {
		await using overlay = await mountLayers([{ lower: "lower", "d/changed": "lower" }], {
			options: [`context="${context}"`],
		});
		expect(overlay.mount.stderr).toBe("");
		writeFileSync(overlay.at("made"), "made");
		writeFileSync(overlay.at("d/changed"), "changed");
		for (const name of ["", "lower", "made", "d", "d/changed"])
			expect([name, labelOf(overlay.at(name))]).toEqual([name, context]);
		// On disk they are what the policy makes them.
		expect(labelOf(overlay.inUpper("made"))).toBe("u:object_r:any_t:s0");
		await overlay.unmount();
	});

	test("without it all has the label that the policy gives FUSE, and none can be set", async () => {
		await using overlay = await mountLayers([{ lower: "lower" }]);
		writeFileSync(overlay.at("made"), "made");
		for (const name of ["lower", "made"]) expect(labelOf(overlay.at(name))).toBe("u:object_r:fuse_t:s0");
		expect(codeOf(() => setxattr(overlay.at("made"), attribute, layer))).toBe("ENOTSUP");
		await overlay.unmount();
	});

	test("what is copied up keeps the label that it has on disk", async () => {
		await using overlay = await mountLayers([{ file: "lower" }], { options: ["passthrough=off"] });
		setxattr(overlay.inLower("file"), attribute, layer);
		chmodSync(overlay.at("file"), 0o600);
		expect(labelOf(overlay.inUpper("file"))).toBe(layer);
		await overlay.unmount();
	});

	test("a context that the policy does not know: mounted without, with a warning", async () => {
		await using overlay = await mountLayers([{ lower: "lower" }], {
			options: ['context="no:such:context:s0"'],
		});
		expect(overlay.mount.log).toContain("mounted without context=");
		expect(labelOf(overlay.at("lower"))).toBe("u:object_r:fuse_t:s0");
		await overlay.unmount();
	});
});

test("a label that the policy does not let the daemon give: the copy has that of new files", async () => {
	await using overlay = await mountLayers([{ file: "lower", "directory/inside": "lower" }]);
	writeFileSync(`${control}/enforce`, "0");
	for (const name of ["file", "directory"])
		setxattr(overlay.inLower(name), attribute, "u:object_r:refused_t:s0");
	writeFileSync(`${control}/enforce`, "1");
	writeFileSync(overlay.at("file"), "more", { flag: "a" });
	writeFileSync(overlay.at("directory/new"), "new");
	expect(readFileSync(overlay.at("file"), "utf8")).toBe("lowermore");
	for (const name of ["file", "directory"])
		expect(labelOf(overlay.inUpper(name))).toBe("u:object_r:any_t:s0");
	await overlay.unmount();
});
