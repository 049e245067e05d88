/**
 * As whom the tests run, with which kernel, and what they are therefore refused: the one place that says why a test is
 * skipped. `test/rootless/run.ts` makes the settings other than root's, `test/init/run.ts` the kernels that offer less.
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

export type Flag = `FUSE_${string}`;
type Refusals = Readonly<Partial<Record<Setting | Flag, string>>>;

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
	"ACLs in the kernel": {
		FUSE_POSIX_ACL: "without FUSE_POSIX_ACL the kernel heeds no ACL, and the mount has none",
	},
	passthrough: {
		FUSE_PASSTHROUGH: "the kernel passes nothing through",
		FUSE_INIT_EXT: "without FUSE_INIT_EXT the kernel cannot be asked for passthrough",
	},
	"the write cache": { FUSE_WRITEBACK_CACHE: "the kernel gathers no writes" },
	"writes without questions": {
		FUSE_HANDLE_KILLPRIV_V2: "before each write the kernel asks for security.capability",
		FUSE_BIG_WRITES: "a write is of a page at most",
	},
	"closed files": { fusermount: "mode bits bind an ordinary user, who checks the layers in these tests" },
} satisfies Record<string, Refusals>;

export type Need = keyof typeof refusals;

/** Why one of these is refused here, by the setting or by what is declined; undefined: it is not. */
function whyRefused(need: Need): string | undefined {
	const refusing = refusals[need] as Refusals;
	return [setting, ...(declined as Flag[])].map((by) => refusing[by]).find((why) => why !== undefined);
}

/** Whether one of these is refused, for `test.skipIf`. */
export function lacks(...needs: readonly Need[]): boolean {
	return needs.some((need) => whyRefused(need) !== undefined);
}

/** Why the first of these that is refused is; undefined: none is. */
export function whyLacking(needs: readonly Need[]): string | undefined {
	return needs.map(whyRefused).find((why) => why !== undefined);
}

/** A line for each thing that a setting, or a flag that is declined, refuses. */
export function reasonsToSkip(of: Setting | Flag): string[] {
	return Object.entries(refusals).flatMap(([need, reasons]) => {
		const reason = (reasons as Refusals)[of];
		return reason === undefined ? [] : [`without ${need}: ${reason}`];
	});
}

/** Which attributes mark whiteouts and opaque directories: users may not set trusted ones. */
export const overlayAttributes = setting === "root" ? "trusted" : "user";
