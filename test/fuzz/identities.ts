/** Who does the steps, and who else there is, in each setting of the tests. */

import { setting } from "../harness/setting.ts";

export interface Identity {
	readonly name: string;
	readonly uid: number;
	readonly gid: number;
	readonly groups: readonly number[];
}

const two = (one: Omit<Identity, "name">, name: string): Identity[] => [
	{ ...one, name },
	{ ...one, name: `${name}, another process` },
];
const root = two({ uid: 0, gid: 0, groups: [0] }, "root");
const users: readonly Identity[] = [
	{ name: "user 1000", uid: 1000, gid: 1000, groups: [50] },
	{ name: "user 1001", uid: 1001, gid: 50, groups: [1001] },
];

/** Mounts in the setting "fusermount": `daemon`, whom every system knows. */
export const mounter = { uid: 1, gid: 1, groups: [1] } as const;

const all = { uids: [0, 0, 1000, 1001], gids: [0, 0, 50, 1000] };
const given = { givenTo: [0, 1000, 1001], givenToGroups: [0, 50, 1000, 1001] };
const settings = {
	root: { identities: [...root, ...users], ids: { ...all, ...given } },
	"id ranges": { identities: [...root, ...users], ids: { ...all, ...given } },
	"one id": { identities: root, ids: { uids: [0], gids: [0], ...given } },
	fusermount: {
		identities: two(mounter, "the user"),
		ids: { uids: [1], gids: [1], givenTo: [1, 1000], givenToGroups: [1, 50] },
	},
};

/** Two processes of who mounts, and others where there are any. */
export const identities: readonly Identity[] = settings[setting].identities;
/** Owners in layers, and those that files are given to, not all of which exist or may be. */
export const ids = settings[setting].ids;

/** Kernel overlayfs is mounted in the same user namespace. Else it is root's. */
export const isKernelUsers = setting === "one id" || setting === "id ranges";
