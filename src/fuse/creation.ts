/** What a request that makes something says of it: for whom, and what. */

import { O_RDWR } from "../native/layout.ts";
import { EMPTY_NAME, type Offset } from "../native/memory.ts";
import type { Blueprint } from "../overlay/changes/create.ts";
import type { Caller } from "../overlay/changes/maker.ts";
import { callerGid, callerUid } from "./request.ts";

const caller: Caller = { uid: 0, gid: 0, umask: 0 };
const blueprint: Blueprint = { mode: 0, device: 0, target: EMPTY_NAME, access: O_RDWR };

/** Who asks, in a record that the next call overwrites. */
export function callerWith(umask: number): Caller {
	caller.uid = callerUid();
	caller.gid = callerGid();
	caller.umask = umask;
	return caller;
}

/** What to make, in a record that the next call overwrites. */
export function blueprintOf(mode: number, device: number, target: Offset, access = O_RDWR): Blueprint {
	blueprint.mode = mode;
	blueprint.device = device;
	blueprint.target = target;
	blueprint.access = access;
	return blueprint;
}
