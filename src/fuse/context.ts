/** What an operation is given to do its work with. */

import type { Log } from "../log.ts";
import type { FuseRequest } from "../native/libfuse/library.ts";
import type { NodeId } from "../overlay/nodes/node.ts";
import type { Overlay } from "../overlay/overlay.ts";
import type { Agreement } from "./handshake.ts";
import type { Notifications } from "./notify.ts";
import type { Passthrough } from "./passthrough.ts";
import type { Replies } from "./reply.ts";

export interface DispatchOptions {
	/** Seconds the kernel may keep names and attributes. */
	readonly timeout: number;
	/** Sync requests reach the disk. */
	readonly fsync: boolean;
	/** Passthrough of large lower files, too: who has one open does not see its copy. */
	readonly partsReaders: boolean;
}

/** What an operation needs to do its work. */
export interface Context {
	readonly overlay: Overlay;
	readonly replies: Replies;
	readonly options: DispatchOptions;
	/** What was settled with the kernel. */
	readonly agreed: Agreement;
	/** Used where `agreed.passthrough`. */
	readonly passthrough: Passthrough;
	readonly notifications: Notifications;
	/** Goes on with a request on `node` that was taken out of `replies`, guarded as it was before. */
	readonly resume: (name: string, node: NodeId, request: FuseRequest, rest: () => void) => void;
	readonly log: Log;
}
