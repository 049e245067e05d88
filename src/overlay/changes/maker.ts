/** Who makes a new object: ids of the mount against those on disk, and the rights that its set-id bits would give. */

import { S_ISGID, S_ISUID } from "../../native/layout.ts";
import type { Overlay } from "../overlay.ts";

/** Who asks for a new object: it will be theirs. Ids are those of the mount. */
export interface Caller {
	uid: number;
	gid: number;
	umask: number;
}

/** Whose a new object will be: ids as on disk. */
export interface Maker {
	uid: number;
	gid: number;
	umask: number;
}

const maker: Maker = { uid: 0, gid: 0, umask: 0 };

/** Who makes something, in a record that the next call overwrites. */
export function makerOf({ identity }: Overlay, { uid, gid, umask }: Caller): Maker {
	maker.uid = identity?.uids.ofNew(uid) ?? uid;
	maker.gid = identity?.gids.ofNew(gid) ?? gid;
	maker.umask = umask;
	return maker;
}

/**
 * The mode of what a caller makes. Where others' ids stand in for theirs - the overflow ids, squashed ones - nobody is to
 * get the rights of these by a set-id bit.
 */
export function modeOfNew({ identity }: Overlay, caller: Caller, { uid, gid }: Maker, asked: number): number {
	if (identity === undefined || (asked & (S_ISUID | S_ISGID)) === 0) return asked;
	const ownUser = identity.shownUid(uid) === caller.uid ? S_ISUID : 0;
	const ownGroup = identity.shownGid(gid) === caller.gid ? S_ISGID : 0;
	return asked & (~(S_ISUID | S_ISGID) | ownUser | ownGroup);
}
