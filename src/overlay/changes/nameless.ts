/**
 * What is about to lose its name and may be open: how its node stays reachable.
 *
 * - A file of the upper layer that was met by another name goes by that, if it still leads there.
 * - A file of the index has its name there for as long as it has any.
 * - An object of a lower layer is where it was: the names that led to it do so still, in its layer.
 * - Of anything else a descriptor is held. Where as many are held as should be, a file gets a name in the workdir until
 *   it is forgotten, and a directory a copy there, empty as it is, that stands for it.
 * - On NFS and 9p a file gets that name in any case: what is open by the name that goes would get another one beside it, or
 *   could be read at most (QEMU's server looks attributes up by the name).
 * - Where the mount is to outlive this process, its descriptors end with it. A file that somebody may have open is then moved to
 *   the workdir, if it can be. Of a directory it is noted what it was like, so that a successor can make that copy, unless
 *   it has extended attributes, or is changed once it is removed.
 */

import { AT_SYMLINK_FOLLOW, DT_DIR, NAME_MAX, statx } from "../../native/layout.ts";
import { makeDirectory, makeLink } from "../../native/libc/directory.ts";
import { check, Errno } from "../../native/libc/errno.ts";
import { descriptorPath, type Fd, WORKING_DIRECTORY } from "../../native/libc/file.ts";
import { statDescriptor } from "../../native/libc/metadata.ts";
import { attributeNames } from "../../native/libc/xattr.ts";
import { EMPTY_NAME, type Name, reserve, writeString } from "../../native/memory.ts";
import type { Place } from "../layers/layer.ts";
import { moveAsOwner } from "../layers/owner-access.ts";
import { writeRedirect } from "../marks/redirect.ts";
import { change } from "../nodes/journal.ts";
import { measure } from "../nodes/name.ts";
import { NO_NODE, type NodeId } from "../nodes/node.ts";
import type { OtherName } from "../nodes/upper-links.ts";
import type { Overlay } from "../overlay.ts";
import { hasDataBelow } from "./complete.ts";
import { copyAppearance } from "./copy-metadata.ts";

const PROBE = reserve(statx.sizeof);
const NAME = reserve(NAME_MAX + 1) as Name;

/** How a name is taken away. */
interface Removal {
	/** Something of the upper layer has it. */
	readonly isUpper: boolean;
	/** Takes it away. */
	run(): void;
	/** It notes in the journal what it does. */
	readonly isNoted?: boolean;
	/** The directory of the upper layer out of which the object can as well be moved; undefined: it cannot. */
	readonly from?: Fd | undefined;
}

/**
 * Takes a name away. Where `node` goes by it, that stays reachable. Throws Deferred while a job works on the node, and what
 * removing and opening may.
 */
export function withoutName(
	overlay: Overlay,
	parent: NodeId,
	name: Name,
	node: NodeId,
	removal: Removal,
): void {
	const goesByIt = () => node !== NO_NODE && overlay.nodes.find(parent, name, measure(name)) === node;
	const journal = removal.isNoted ? undefined : overlay.journal;
	const begin = () =>
		journal?.begin(change.removing, { node, parent, name }, undefined, Number(removal.isUpper));
	if (!goesByIt()) {
		begin();
		removal.run();
		return;
	}
	if (overlay.isUpper(node) && outlastsDescriptors(overlay, node)) noteData(overlay, node);
	const moves = removal.from !== undefined && canMove(overlay, node);
	if (!moves) keep(overlay, node);
	try {
		begin();
		if (!moves || !parkByMoving(overlay, node, removal.from!, name)) removal.run();
	} catch (error) {
		overlay.takeBack(node);
		throw error;
	}
	if (goesByIt()) overlay.loseName(node);
}

/** Whether the loss of its last name leaves a file to be moved away by the step that takes the name. */
function canMove(overlay: Overlay, node: NodeId): boolean {
	if (!outlastsDescriptors(overlay, node) || overlay.nodes.lookupCount(node) === 0) return false;
	overlay.settle(node);
	return !overlay.upperLinks.hasNames(node);
}

/** Whether somebody may go on with a file after this process. */
export function outlastsDescriptors(overlay: Overlay, node: NodeId): boolean {
	return overlay.options.outlives && overlay.mayBeOpen(node);
}

/**
 * Where a file's data is in a layer below: has its mark say where that is, as a successor cannot tell by the name that goes. Where
 * no mark can say that, it is lost to that one.
 */
function noteData(overlay: Overlay, node: NodeId): void {
	overlay.settle(node);
	const { metacopies, redirects } = overlay;
	try {
		if (overlay.nodes.lookupCount(node) === 0 || !hasDataBelow(overlay, node)) return;
		const own = metacopies.redirectOf(node);
		const value = redirects.valueFor(node, false, own);
		if (value === undefined || value === own) return;
		const namespace = metacopies.namespaceOf(node)!;
		const mark = ({ directory, name }: Place) => writeRedirect(directory, name, namespace, value);
		check(overlay.attemptAt(node, mark));
		metacopies.setRedirect(node, value);
	} catch (error) {
		// What cannot be read can be removed.
		if (!(error instanceof Errno)) throw error;
	}
}

/** Moves a file from its name to one in the workdir; false where it takes more than that. */
function parkByMoving(overlay: Overlay, node: NodeId, from: Fd, name: Name): boolean {
	const work = overlay.writable();
	const moved = moveAsOwner(from, name, work.fd, overlay.parked.name(node), 0);
	if (moved < 0) {
		keep(overlay, node);
		return false;
	}
	overlay.parked.add(node);
	return true;
}

/** Makes the node reachable without its name, which is about to be removed. */
function keep(overlay: Overlay, node: NodeId): void {
	overlay.settle(node);
	if (overlay.nodes.lookupCount(node) === 0 || !overlay.isUpper(node)) return;
	if (overlay.indexed?.isCopied(node)) return;
	if (overlay.nodes.kind(node) === DT_DIR) {
		const holds = overlay.directories.mayHold && noteAppearance(overlay, node);
		if (holds || !parkCopy(overlay, node)) overlay.directories.get(node);
	} else if (!overlay.layers[0]!.losesRemoved) {
		if (!goByAnother(overlay, node)) holdOrPark(overlay, node);
	} else if (goByAnother(overlay, node) || overlay.parked.has(node) || park(overlay, node)) {
		overlay.files.drop(node);
	} else {
		overlay.files.hold(node, true);
	}
}

/** As {@link keep}, for a file that has no name. */
export function holdOrPark(
	overlay: Overlay,
	node: NodeId,
	mustOutlast = outlastsDescriptors(overlay, node),
): void {
	if (!mustOutlast && overlay.files.hold(node, false)) return;
	if (!park(overlay, node)) overlay.files.hold(node, true);
}

/** Has the node go by another of its names; false where none is known. */
function goByAnother(overlay: Overlay, node: NodeId): boolean {
	const { nodes, upperLinks } = overlay;
	for (let other = upperLinks.takeName(node); other !== undefined; other = upperLinks.takeName(node)) {
		if (!leadsTo(overlay, node, other)) continue;
		overlay.journal?.begin(change.goingByAnother, { node, parent: other.parent, name: NAME });
		nodes.detach(node);
		nodes.attach(node, other.parent, NAME, measure(NAME));
		return true;
	}
	return false;
}

/** Whether a name, left in NAME, leads to the node and is not the one that it goes by. */
function leadsTo(overlay: Overlay, node: NodeId, { parent, generation, name }: OtherName): boolean {
	const { nodes } = overlay;
	if (!nodes.has(parent) || nodes.generation(parent) !== generation || !overlay.isUpper(parent)) return false;
	writeString(NAME, name);
	if (nodes.find(parent, NAME, measure(NAME)) === node) return false;
	try {
		const directory = overlay.directories.get(parent);
		if (directory.removed || overlay.layers[0]!.stat(directory.fds[0]!, NAME, PROBE) < 0) return false;
	} catch (error) {
		if (!(error instanceof Errno)) throw error;
		return false;
	}
	return overlay.upperLinks.find(PROBE) === node;
}

/** Gives a file a name in the workdir; false where it takes no further link. */
function park(overlay: Overlay, node: NodeId): boolean {
	const work = overlay.writable();
	if (makeLinkTo(overlay, node, work.fd, overlay.parked.name(node)) < 0) return false;
	overlay.parked.add(node);
	return true;
}

/** Makes a copy in the workdir that stands for a directory once that is removed; false where that fails. */
function parkCopy(overlay: Overlay, node: NodeId): boolean {
	try {
		makeCopy(overlay, node, (directory, name) => copyAppearance(overlay, node, directory, name));
		return true;
	} catch (error) {
		if (!(error instanceof Errno)) throw error;
		return false;
	}
}

/** Makes an empty directory in the workdir that stands for a removed one, as `appear` says. Throws what that may. */
export function makeCopy(overlay: Overlay, node: NodeId, appear: (directory: Fd, name: Name) => void): void {
	const work = overlay.writable();
	const name = overlay.parked.name(node);
	try {
		check(makeDirectory(work.fd, name, 0o700));
		appear(work.fd, name);
	} catch (error) {
		work.discard(name);
		throw error;
	}
	overlay.parked.add(node);
}

/** Has the state tell what a directory was like that is about to be removed; false where a copy must. */
function noteAppearance({ parked, directories }: Overlay, node: NodeId): boolean {
	const { removedDirectories } = parked;
	if (removedDirectories === undefined) return true;
	const fd = directories.get(node).fds[0]!;
	// None of what it cannot tell: attributes, owners that are kept in them among these.
	if (attributeNames(fd, EMPTY_NAME) !== "" || statDescriptor(fd, PROBE) < 0) return false;
	return removedDirectories.note(node, PROBE);
}

/** To be called before a removed directory is changed, which must not be lost with this process. Throws what that may. */
export function parkToChange(overlay: Overlay, node: NodeId): void {
	const { parked, nodes, directories } = overlay;
	const { removedDirectories } = parked;
	if (!removedDirectories?.has(node) || nodes.isNamed(node)) return;
	makeCopy(overlay, node, (directory, name) => copyAppearance(overlay, node, directory, name));
	removedDirectories.forget(node);
	directories.drop(node);
}

/** Makes a further name of a file, which may have none. Returns 0 or -errno. */
export function makeLinkTo(overlay: Overlay, node: NodeId, directory: Fd, name: Name): number {
	return overlay.attemptAt(node, (place) =>
		place.name === EMPTY_NAME
			? makeLink(WORKING_DIRECTORY, descriptorPath(place.directory), directory, name, AT_SYMLINK_FOLLOW)
			: makeLink(place.directory, place.name, directory, name, 0),
	);
}
