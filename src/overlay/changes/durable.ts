/** Who waits until a copy is durable: the thread that answers requests, or another. */

import type { Fd } from "../../native/libc/file.ts";
import type { Task } from "../jobs/job.ts";
import type { Durability } from "../layers/durability.ts";
import type { Overlay } from "../overlay.ts";

/** Whether to wait for the disk in this thread. */
export function waitsHere({ jobs, diskPace }: Overlay, durability: Durability): boolean {
	if (durability === "none") return true;
	return !(durability !== "written" && jobs.hasOthers && jobs.shareSyncs) && diskPace.isQuick();
}

/** The task of having another thread wait. */
export function makingDurable(fd: Fd, durability: Durability): Task {
	if (durability === "whole") return { kind: "sync", fd };
	return durability === "synced" ? { kind: "dataSync", fd } : { kind: "writeBack", fd };
}
