/** The table's statements, by subject. */

import type { Subject } from "./statement.ts";
import { names } from "./subjects/names.ts";
import { unlinked } from "./subjects/unlinked.ts";

export const subjects: Readonly<Record<string, Subject>> = {
	names,
	unlinked,
};
