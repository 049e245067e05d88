/** Where new objects are made that are to inherit from a directory of the upper layer before they are moved into it. */

import { O_DIRECTORY, O_NOFOLLOW, O_RDONLY, S_ISGID, statx } from "../../native/layout.ts";
import { makeDirectory } from "../../native/libc/directory.ts";
import { check, succeeds } from "../../native/libc/errno.ts";
import { close, type Fd, NO_FD, openAt } from "../../native/libc/file.ts";
import { changeMode, changeOwner, statDescriptor } from "../../native/libc/metadata.ts";
import { modeOf } from "../../native/libc/stat.ts";
import { getAttributeOf, setAttributeOf } from "../../native/libc/xattr.ts";
import { type Name, reserve, store, view } from "../../native/memory.ts";
import type { ByteString } from "../../options.ts";
import { checkMade, type Workdir } from "../layers/workdir.ts";
import { NO_ID } from "../marks/id-map.ts";

const DEFAULT_ACL = store("system.posix_acl_default" as ByteString);
const ACL_SIZE = 65536;
const ACL = reserve(ACL_SIZE);
const PROBE = reserve(statx.sizeof);

/**
 * A directory in the workdir that hands down what `upper` would: its default ACL and, if setgid, its group. So the
 * kernel under us applies them to what is made in it. undefined where `upper` hands nothing down.
 */
export function openStandIn(
	work: Workdir,
	upper: Fd,
): { fd: Fd; name: Name; inheritsGroup: boolean } | undefined {
	check(statDescriptor(upper, PROBE));
	const mode = modeOf(PROBE);
	const gid = view.getUint32(PROBE + statx.stxGid, true);
	const inheritsGroup = (mode & S_ISGID) !== 0;
	const length = getAttributeOf(upper, DEFAULT_ACL, ACL, ACL_SIZE);
	const hasAcl = succeeds(length) && length > 0;
	if (!inheritsGroup && !hasAcl) return undefined;
	const name = work.temporaryName();
	checkMade(makeDirectory(work.fd, name, 0o700));
	let fd = NO_FD;
	try {
		fd = check(openAt(work.fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
		if (hasAcl) check(setAttributeOf(fd, DEFAULT_ACL, ACL, length, 0));
		if (inheritsGroup) {
			check(changeOwner(work.fd, name, NO_ID, gid));
			check(changeMode(work.fd, name, 0o700 | S_ISGID));
		}
	} catch (error) {
		if (fd !== NO_FD) close(fd);
		work.discard(name);
		throw error;
	}
	return { fd, name, inheritsGroup };
}
