/**
 * Layers on ID-mapped mounts (mount_setattr(2), Linux 5.12): there the kernel itself shows other ids than the inodes
 * have. podman 4.3 to 4.5, as root, makes such mounts of the lower layers and gives the same mapping as `uidmapping`,
 * too, which is meant for the upper layer then: applied twice, every lower file would belong to nobody.
 */

import { O_DIRECTORY, O_PATH } from "../../native/layout.ts";
import { readText } from "../../native/libc/by-path.ts";
import { close, openAt, WORKING_DIRECTORY } from "../../native/libc/file.ts";
import { lengthOf, release, store } from "../../native/memory.ts";
import type { ByteString } from "../../options.ts";

/** For each directory, whether it is on an ID-mapped mount; none is where /proc does not tell. */
export function areIdMapped(paths: readonly ByteString[]): boolean[] {
	const mounts = idMappedMounts();
	return paths.map((path) => mounts.size > 0 && mounts.has(mountOf(path)));
}

/** By number, see proc_pid_mountinfo(5). */
function idMappedMounts(): Set<string> {
	const lines = readOrNothing("/proc/self/mountinfo").split("\n");
	const fields = lines.map((line) => line.split(" "));
	const mapped = fields.filter(([, , , , , options = ""]) => options.split(",").includes("idmapped"));
	return new Set(mapped.map(([number = ""]) => number));
}

function mountOf(path: ByteString): string {
	const name = store(path);
	const fd = openAt(WORKING_DIRECTORY, name, O_PATH | O_DIRECTORY);
	release(name, lengthOf(name) + 1);
	if (fd < 0) return "";
	const info = readOrNothing(`/proc/self/fdinfo/${fd}`);
	close(fd);
	return /^mnt_id:\s*(\d+)$/m.exec(info)?.[1] ?? "";
}

function readOrNothing(path: string): string {
	try {
		return readText(path);
	} catch {
		return "";
	}
}
