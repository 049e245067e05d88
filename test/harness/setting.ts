/**
 * As whom the tests run, and what the kernel therefore refuses them: the one place that says why a test is skipped.
 * `test/rootless/run.ts` makes the settings other than root's.
 */

export type Setting =
	| "root"
	/** Root of a user namespace in which no other id exists, as `unshare -Ur` makes it. */
	| "one id"
	/** Root of a user namespace with 65536 ids, as podman makes it by newuidmap. */
	| "id ranges"
	/** An ordinary user in no namespace of their own, for whom fusermount3 mounts. */
	| "fusermount";

/** Told by test/rootless/run.ts; without it the tests are root's. */
export const setting = (process.env.FUSE_OVERLAYFS_TEST_SETTING ?? "root") as Setting;

/** What of the kernel's the program does without, by test/init/run.ts: flags of INIT, and `minor=N`. */
export const declined = (process.env._FUSE_OVERLAYFS_DECLINE ?? "").split(",").filter((word) => word !== "");

function inNamespacesAndOutside(reason: string): Partial<Record<Setting, string>> {
	return { "one id": reason, "id ranges": reason, fusermount: reason };
}

/** What a test may need, and why some settings do not have it. */
const refusals = {
	"other ids": {
		"one id":
			"no user but the caller exists there: files cannot be given away, nobody else can be impersonated",
		fusermount: "an ordinary user can neither give files away nor impersonate others",
	},
	"ids in ACLs": { "one id": "an ACL can name only ids that exist there" },
	"all ids": {
		"one id": "only one id exists there",
		"id ranges": "only 65536 ids exist there",
		fusermount: "an ordinary user can give no file away",
	},
	devices: inNamespacesAndOutside("mknod of devices other than whiteouts needs CAP_MKNOD on the machine"),
	"trusted attributes": inNamespacesAndOutside(
		"attributes trusted.* and security.* need CAP_SYS_ADMIN on the machine",
	),
	"the machine's root": inNamespacesAndOutside(
		"the kernel asks for a privilege on the machine, whatever one is in a namespace",
	),
	mounting: { fusermount: "mount(2), and so kernel overlayfs and tmpfs, is refused to an ordinary user" },
	"closed files": { fusermount: "mode bits bind an ordinary user, who checks the layers in these tests" },
} satisfies Record<string, Partial<Record<Setting, string>>>;

export type Need = keyof typeof refusals;

/** Whether this setting refuses one of these, for `test.skipIf`. */
export function lacks(...needs: readonly Need[]): boolean {
	return needs.some((need) => setting in refusals[need]);
}

/** Why this setting refuses the first of these that it refuses; undefined: it refuses none. */
export function whyLacking(needs: readonly Need[]): string | undefined {
	return needs
		.map((need) => (refusals[need] as Partial<Record<Setting, string>>)[setting])
		.find((why) => why !== undefined);
}

/** A line for each thing that a setting refuses. */
export function reasonsToSkip(of: Setting): string[] {
	return Object.entries(refusals).flatMap(([need, reasons]) => {
		const reason = (reasons as Partial<Record<Setting, string>>)[of];
		return reason === undefined ? [] : [`without ${need}: ${reason}`];
	});
}

/** Which attributes mark whiteouts and opaque directories: users may not set trusted ones. */
export const overlayAttributes = setting === "root" ? "trusted" : "user";
