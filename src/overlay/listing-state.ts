/** What `Listings` knows of a directory beside the listing itself. */
import type { Reading } from "./readdir.ts";

export class ListingState {
	/** The listing is being read, in steps. */
	reading: Reading | undefined;
	/** The errno with which that has failed; 0: it has not. */
	failure = 0;
	/** Found to have more names than are read at once. */
	isLarge = false;
	/** Asked for since the listings were last looked at for some to drop. */
	isRecent = false;
	/** Lookups since the listing was last there. */
	lookups = 0;
}
