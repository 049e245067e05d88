/**
 * How far the kernel reads ahead. INIT can only lower what it begins with, 128 KiB; root can raise it in sysfs, so that
 * reading on takes fewer messages.
 */

import { readFileSync, writeFileSync } from "node:fs";
import type { ByteString } from "../options.ts";

/** As much as one READ can ask for. */
const KIBIBYTES = 1024;

/** Widens the window of the FUSE mount on top at `mountpoint`, an absolute path without symlinks, where that is permitted. */
export function widenReadAhead(mountpoint: ByteString): void {
	try {
		const device = deviceOf(mountpoint);
		if (device !== undefined) writeFileSync(`/sys/class/bdi/${device}/read_ahead_kb`, String(KIBIBYTES));
	} catch {
		// Without privileges, or without sysfs, the kernel's own window is as good as any.
	}
}

/** `MAJOR:MINOR` of the mount, by proc_pid_mountinfo(5). Asking the mount itself would be asking this process. */
function deviceOf(mountpoint: ByteString): string | undefined {
	const escaped = mountpoint.replace(
		/[ \t\n\\]/g,
		(char) => `\\0${char.charCodeAt(0).toString(8).padStart(2, "0")}`,
	);
	const lines = readFileSync("/proc/self/mountinfo", "latin1").split("\n").reverse();
	for (const line of lines) {
		const [, , device, , path] = line.split(" ");
		if (path === escaped) return / - fuse/.test(line) ? device : undefined;
	}
	return undefined;
}
