/** What there is to know of a node beside what it is: bits of its flags. */

/** The file is in `UpperLinks`: other names may lead to it. */
export const LINKED = 1;
/** A directory of which no layer but its topmost has content, now and for as long as it has its name. */
export const PURE = 2;
/** A job works on it: requests that need it wait. */
export const BUSY = 4;
/** Somebody may be writing to the real file without being heard of: its attributes must not be cached. */
export const WRITTEN = 8;
/** The kernel was given the file's content once. */
export const GIVEN = 16;
/** Made by this mount, and since then without capabilities, origin and, if a directory, marks. */
export const PLAIN = 32;
/** The name is the former one, and not in the index. */
export const RETIRED = 64;
/** Made without a name, and may be given one. */
export const LINKABLE = 128;
