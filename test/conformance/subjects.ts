/** The table's statements, by subject. */

import type { Subject } from "./statement.ts";
import { acl } from "./subjects/acl.ts";
import { callers } from "./subjects/callers.ts";
import { concurrency } from "./subjects/concurrency.ts";
import { creating } from "./subjects/creating.ts";
import { data } from "./subjects/data.ts";
import { identity } from "./subjects/identity.ts";
import { linking } from "./subjects/linking.ts";
import { listing } from "./subjects/listing.ts";
import { locks } from "./subjects/locks.ts";
import { names } from "./subjects/names.ts";
import { offsets } from "./subjects/offsets.ts";
import { removal } from "./subjects/removal.ts";
import { renaming } from "./subjects/renaming.ts";
import { setId } from "./subjects/set-id.ts";
import { specialFiles } from "./subjects/special-files.ts";
import { sticky } from "./subjects/sticky.ts";
import { times } from "./subjects/times.ts";
import { unlinked } from "./subjects/unlinked.ts";
import { xattrs } from "./subjects/xattrs.ts";

export const subjects: Readonly<Record<string, Subject>> = {
	names,
	creating,
	callers,
	sticky,
	"set-id": setId,
	acl,
	times,
	listing,
	removal,
	renaming,
	linking,
	xattrs,
	"special-files": specialFiles,
	data,
	offsets,
	locks,
	identity,
	concurrency,
	unlinked,
};
