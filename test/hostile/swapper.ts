/** Swaps pairs of names until it is ended: `bun swapper.ts PATH OTHER [PATH OTHER...]`. */

import { codeOf, RENAME_EXCHANGE, renameat2 } from "../harness/native.ts";

const paths = process.argv.slice(2);
for (;;) {
	for (let at = 0; at + 1 < paths.length; at += 2) {
		// The walk may have removed or moved one of them.
		codeOf(() => renameat2(paths[at] ?? "", paths[at + 1] ?? "", RENAME_EXCHANGE));
	}
	// Lets the walk come by.
	await Bun.sleep(0);
}
