/**
 * How far the kernel reads ahead. INIT can only lower what it begins with, 128 KiB; root can raise it in sysfs, so that
 * reading on takes fewer messages.
 */

import { writeText } from "../native/libc/by-path.ts";

/** As much as one READ can ask for. */
const KIBIBYTES = 1024;

/** Widens the window of the file system `device`, `MAJOR:MINOR`, where that is permitted. */
export function widenReadAhead(device: string): void {
	try {
		writeText(`/sys/class/bdi/${device}/read_ahead_kb`, String(KIBIBYTES));
	} catch {
		// Without privileges, or without sysfs, the kernel's own window is as good as any.
	}
}
