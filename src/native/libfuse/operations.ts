/** `struct fuse_lowlevel_ops` filled with callbacks into this program. */
import { JSCallback } from "bun:ffi";
import { fuseLowlevelOps } from "../layout.ts";
import { type Offset, reserve, view } from "../memory.ts";
import type { FuseRequest } from "./library.ts";

/** The operations libfuse knows, by the names of the struct's fields. */
export type Operation = Exclude<keyof typeof fuseLowlevelOps, "sizeof">;

/**
 * What an operation calls. It gets the request only: all else stands in the message, in the kernel's own layout, which
 * is the same for every libfuse, while the arguments libfuse makes of it are not, and leave some things out.
 */
export type Handler = (request: FuseRequest) => void;

/** For the three operations that are not requests. */
const ARGUMENTS: { readonly [operation: string]: readonly "ptr"[] } = {
	init: ["ptr", "ptr"],
	destroy: ["ptr"],
};

/** A table that stays valid for the life of the process. Handlers must not throw. */
export function operationsTable(handlers: ReadonlyMap<Operation, Handler>): Offset {
	const table = reserve(fuseLowlevelOps.sizeof);
	for (const [operation, handler] of handlers) {
		// Further arguments, which C passes in registers, are simply not looked at.
		const callback = new JSCallback(handler, { args: ARGUMENTS[operation] ?? ["ptr"], returns: "void" });
		view.setBigUint64(table + fuseLowlevelOps[operation], BigInt(callback.ptr ?? 0), true);
		kept.push(callback);
	}
	return table;
}

/** A callback that is collected takes its code with it. */
const kept: JSCallback[] = [];
