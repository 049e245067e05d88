/** What to do about errors that do not lie in what was asked for, in words. */

import { display } from "./display.ts";
import type { ByteString } from "./options.ts";

/** For a directory of the mount that cannot be opened; `error` is the name of an errno. undefined: it depends. */
export function remedyFor(error: string, path: ByteString): string | undefined {
	switch (error) {
		case "ENOTCONN": {
			const command = process.geteuid?.() === 0 ? "umount" : "fusermount3 -u";
			return `an earlier mount there has lost its daemon: run \`${command} ${display(path)}\``;
		}
		case "EMFILE":
		case "ENFILE":
			return "allow more open files (ulimit -n)";
		default:
			return undefined;
	}
}
