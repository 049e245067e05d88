import { isNoted, note } from "../../native/libc/replay.ts";
import type { Directory } from "./directory.ts";
import type { Listing } from "./listing.ts";
import { Listings } from "./listings.ts";

/**
 * Listings that serve one walk, or one look at whether a directory is empty. They are kept in step with nothing, and no
 * lookup is answered by them.
 */
export class LiveListings extends Listings {
	private readonly snapshots = new Map<Directory, Listing>();
	/** Those read in steps for somebody who has not seen them yet. */
	private readonly awaited = new WeakSet<Directory>();

	override list(directory: Directory): Listing {
		// Who is given up later on and run again is not to begin anew.
		if (this.awaited.delete(directory)) note(directory);
		else if (!directory.isBeingRead && !isNoted(directory)) this.drop(directory);
		return super.list(directory);
	}

	override walk(directory: Directory, offset: number): Listing {
		const listing = offset > 0 ? this.snapshots.get(directory) : undefined;
		if (listing === undefined) return super.walk(directory, offset);
		this.noteWalk(directory);
		return listing;
	}

	override ifWorthwhile(): undefined {}

	override ifReadable(): undefined {}

	protected override get(directory: Directory): Listing | undefined {
		return this.snapshots.get(directory);
	}

	protected override put(directory: Directory, listing: Listing | undefined): void {
		if (listing === undefined) this.snapshots.delete(directory);
		else this.snapshots.set(directory, listing);
	}

	protected override noteAwaited(directory: Directory): void {
		super.noteAwaited(directory);
		this.awaited.add(directory);
	}
}
