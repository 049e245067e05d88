/** A request in words, for messages to people: which object of the mount it is about. */

import { display } from "../display.ts";
import {
	FUSE_RENAME2,
	fuseCreateIn,
	fuseInHeader,
	fuseLinkIn,
	fuseMkdirIn,
	fuseMknodIn,
	fuseRename2In,
	fuseRenameIn,
} from "../native/layout.ts";
import { readString } from "../native/memory.ts";
import type { ByteString } from "../options.ts";
import { type NodeId, ROOT } from "../overlay/nodes/node.ts";
import { nameShown } from "../overlay/nodes/user-name.ts";
import type { Overlay } from "../overlay/overlay.ts";
import { MessageBroken, nodeOfId, opcode, REQUEST, stringAt } from "./request.ts";

/** Where in its arguments an operation on a name has it. */
const NAMES: { readonly [operation: string]: number } = {
	lookup: 0,
	unlink: 0,
	rmdir: 0,
	symlink: 0,
	mknod: fuseMknodIn.sizeof,
	mkdir: fuseMkdirIn.sizeof,
	create: fuseCreateIn.sizeof,
	link: fuseLinkIn.sizeof,
};

/** Of a deeper path the end is told. */
const DEEPEST = 64;

/** The operation of the request being handled, the number of its node, and the path as users of the mount see it. */
export function describeRequest(overlay: Overlay, operation: string): string {
	return describeNode(overlay, operation, nodeOfId(REQUEST + fuseInHeader.nodeid), nameIn(operation));
}

/** The same of a request whose message is gone. */
export function describeNode(overlay: Overlay, operation: string, node: NodeId, name?: ByteString): string {
	const path = pathOf(overlay, node);
	if (path === undefined) return `${operation} node ${node}`;
	return `${operation} node ${node} "${display(name === undefined ? path : join(path, name))}"`;
}

function nameIn(operation: string): ByteString | undefined {
	const renamed = opcode() === FUSE_RENAME2 ? fuseRename2In.sizeof : fuseRenameIn.sizeof;
	const offset = operation === "rename" ? renamed : NAMES[operation];
	if (offset === undefined) return undefined;
	try {
		return readString(stringAt(offset));
	} catch (error) {
		if (error instanceof MessageBroken) return undefined;
		throw error;
	}
}

/** undefined: it has no name any more. */
function pathOf({ nodes }: Overlay, node: NodeId): ByteString | undefined {
	let path = "" as ByteString;
	let at = node;
	for (let depth = 0; at !== ROOT; depth++) {
		if (!nodes.has(at) || !nodes.isNamed(at)) return undefined;
		if (depth === DEEPEST) return join("..." as ByteString, path);
		const name = readString(nameShown(nodes.name(at)));
		path = path === "" ? name : join(name, path);
		at = nodes.parent(at);
	}
	return join("" as ByteString, path);
}

function join(directory: ByteString, name: ByteString): ByteString {
	return `${directory === "/" ? "" : directory}/${name}` as ByteString;
}
