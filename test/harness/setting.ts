/**
 * As whom the tests run, with which kernel, and what they are therefore refused: the one place that says why a test is
 * skipped. `test/rootless/run.ts` makes the settings other than root's, `test/init/run.ts` the kernels that offer less.
 */

import { release } from "node:os";
import { debianIsBefore } from "./program.ts";

export type Setting =
	| "root"
	/** Root of a user namespace in which no other id exists, as `unshare -Ur` makes it. */
	| "one id"
	/** Root of a user namespace with 65536 ids, as podman makes it by newuidmap. */
	| "id ranges"
	/** An ordinary user in no namespace of their own, for whom fusermount3 mounts. */
	| "fusermount";

type OnNfs = "NFS 4.2" | "NFS 3";
/** What all layers of the tests may lie on, told by test/machines: a server, or a directory of the machine's host. */
export type LayersOn = OnNfs | "9p" | "virtiofs";

/** Told by test/rootless/run.ts; without it the tests are root's. */
export const setting = (process.env.FUSE_OVERLAYFS_TEST_SETTING ?? "root") as Setting;

/** undefined: they lie on a disk of the machine. */
export const layersOn = process.env.FUSE_OVERLAYFS_TEST_LAYERS_ON as LayersOn | undefined;

/** What of the kernel's the program does without, by test/init/run.ts: flags of INIT, and `minor=N`. */
export const declined = (process.env._FUSE_OVERLAYFS_DECLINE ?? "").split(",").filter((word) => word !== "");

/** By test/machines: what is slow here is tried in short. */
export const isInShort = process.env.FUSE_OVERLAYFS_TEST_SHORT === "1";

export type Flag = `FUSE_${string}`;
type Refusing = Setting | LayersOn | Flag;
type Refusals = Readonly<Partial<Record<Refusing, string>>>;

function inNamespaces(reason: string): Partial<Record<Setting, string>> {
	return { "one id": reason, "id ranges": reason };
}

function inNamespacesAndOutside(reason: string): Partial<Record<Setting, string>> {
	return { ...inNamespaces(reason), fusermount: reason };
}

function inAnySetting(reason: string): Partial<Record<Setting, string>> {
	return { root: reason, ...inNamespacesAndOutside(reason) };
}

function onNfs(reason: string): Record<OnNfs, string> {
	return { "NFS 4.2": reason, "NFS 3": reason };
}

/** Whether the kernel is older than that version. */
export function isBefore(major: number, minor: number): boolean {
	const [itsMajor = 0, itsMinor = 0] = release().split(".").map(Number);
	return itsMajor < major || (itsMajor === major && itsMinor < minor);
}

/** What a test may need, and why some settings do not have it. */
const refusals = {
	"other ids": {
		"one id":
			"no user but the caller exists there: files cannot be given away, nobody else can be impersonated",
		fusermount: "an ordinary user can neither give files away nor impersonate others",
	},
	"exact times": inNamespaces(
		"the kernel cannot tell there when what it writes by itself was changed, as the user it tells by does not exist",
	),
	"ids in ACLs": { "one id": "an ACL can name only ids that exist there" },
	"all ids": {
		"one id": "only one id exists there",
		"id ranges": "only 65536 ids exist there",
		fusermount: "an ordinary user can give no file away",
	},
	devices: inNamespacesAndOutside("mknod of devices other than whiteouts needs CAP_MKNOD on the machine"),
	"trusted attributes": {
		...inNamespacesAndOutside("attributes trusted.* and security.* need CAP_SYS_ADMIN on the machine"),
		...onNfs("NFS keeps no attributes trusted.* and security.*"),
		"9p": "QEMU's server keeps no attributes trusted.*",
		virtiofs: "its server may set no attributes trusted.* without being given CAP_SYS_ADMIN",
	},
	"user attributes": { "NFS 3": "NFS 3 keeps no attributes user.*" },
	"the machine's root": inNamespacesAndOutside(
		"the kernel asks for a privilege on the machine, whatever one is in a namespace",
	),
	mounting: { fusermount: "mount(2), and so kernel overlayfs and tmpfs, is refused to an ordinary user" },
	"kernel overlayfs": {
		...onNfs("kernel overlayfs takes no upper layer on NFS"),
		"9p": "kernel overlayfs takes no upper layer on 9p",
		virtiofs: "kernel overlayfs takes an upper layer on virtiofs only with attributes trusted.*",
		...(isBefore(5, 11) ? inNamespacesAndOutside("user namespaces have no overlayfs before Linux 5.11") : {}),
		fusermount: "mount(2) is refused to an ordinary user",
	},
	"ID-mapped mounts": isBefore(5, 12) ? inAnySetting("the kernel has none before Linux 5.12") : {},
	"zeroing of ranges": isBefore(5, 14)
		? inAnySetting("FUSE passes no zeroing by fallocate on before Linux 5.14")
		: {},
	"attributes on tmpfs": isBefore(6, 6)
		? inNamespacesAndOutside("tmpfs has none of users before Linux 6.6")
		: {},
	"handles of overlays": {
		...inNamespacesAndOutside("kernel overlayfs gives no file handles in a user namespace"),
		...(isBefore(6, 6) ? { root: "kernel overlayfs gives no file handles before Linux 6.6" } : {}),
	},
	"attributes of users in kernel overlayfs": isBefore(5, 11)
		? inAnySetting("kernel overlayfs has no option userxattr before Linux 5.11")
		: {},
	"whiteouts as attributes": isBefore(6, 7)
		? inAnySetting("kernel overlayfs does not read them before Linux 6.7")
		: {},
	get "users' marks in Debian's program"() {
		return debianIsBefore(1, 8, 0) ? inAnySetting("fuse-overlayfs reads user.overlay.* since 1.8") : {};
	},
	get "ends of merges in Debian's program"() {
		return debianIsBefore(1, 8, 2)
			? inAnySetting("before fuse-overlayfs 1.8.2 a directory is merged with those below a file or whiteout")
			: {};
	},
	"Debian's program": onNfs("the program in C finds no marks on NFS"),
	"ACLs in the kernel": {
		FUSE_POSIX_ACL: "without FUSE_POSIX_ACL the kernel heeds no ACL, and the mount has none",
		"NFS 4.2": "NFS 4.2 has no POSIX ACLs",
		"9p": "9p has no POSIX ACLs unless it is mounted with posixacl",
		virtiofs: "its server has no POSIX ACLs unless it is told to",
	},
	passthrough: {
		FUSE_PASSTHROUGH: "the kernel passes nothing through",
		FUSE_INIT_EXT: "without FUSE_INIT_EXT the kernel cannot be asked for passthrough",
		...(isBefore(6, 9) ? inAnySetting("the kernel passes nothing through before Linux 6.9") : {}),
	},
	"forgetting when told": isBefore(6, 18)
		? inAnySetting("before Linux 6.18 the kernel cannot be told to forget what nobody uses")
		: {},
	"lookups side by side": {
		FUSE_PARALLEL_DIROPS: "the kernel looks up one name of a directory after the other",
	},
	"requests sent again": {
		FUSE_HAS_RESEND: "the kernel sends nothing a second time",
		FUSE_INIT_EXT: "the kernel sends nothing a second time",
		...(isBefore(6, 9) ? inAnySetting("the kernel sends nothing a second time before Linux 6.9") : {}),
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
	const all: readonly Refusing[] = [setting, ...(layersOn ? [layersOn] : []), ...(declined as Flag[])];
	return all.map((by) => refusing[by]).find((why) => why !== undefined);
}

/** Whether one of these is refused, for `test.skipIf`. */
export function lacks(...needs: readonly Need[]): boolean {
	return needs.some((need) => whyRefused(need) !== undefined);
}

/** Why the first of these that is refused is; undefined: none is. */
export function whyLacking(needs: readonly Need[]): string | undefined {
	return needs.map(whyRefused).find((why) => why !== undefined);
}

/** A line for each thing that a setting, layers on NFS, or a flag that is declined, refuses. */
export function reasonsToSkip(of: Refusing): string[] {
	return Object.entries(refusals).flatMap(([need, reasons]) => {
		const reason = (reasons as Refusals)[of];
		return reason === undefined ? [] : [`without ${need}: ${reason}`];
	});
}

/** Which attributes mark whiteouts and opaque directories: users may not set trusted ones. */
export const overlayAttributes = lacks("trusted attributes") ? "user" : "trusted";
