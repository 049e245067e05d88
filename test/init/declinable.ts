/** What the program can be told to do without, as on an older kernel. */

import { flagNames, requiredFlagNames } from "../../src/fuse/handshake.ts";

const optionalFlags = flagNames.filter((name) => !requiredFlagNames.includes(name));

/** All that a mount can do without, one at a time. */
export const declinable: readonly string[] = [...optionalFlags, "minor=31"];
