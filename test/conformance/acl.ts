/** POSIX ACLs as the attributes `system.posix_acl_access` and `system.posix_acl_default` hold them. */

import { type BytePath, getxattr, setxattr } from "../harness/native.ts";

const tags: Readonly<Record<string, number>> = {
	user: 1,
	"user:": 2,
	group: 4,
	"group:": 8,
	mask: 16,
	other: 32,
};
const version = 2;
const noId = 0xffffffff;

/** From `user::rwx,user:1000:r--,group::r-x,mask::rwx,other::---`, in the order the kernel asks for. */
export function encodeAcl(text: string): Buffer {
	const entries = text.split(",").map((entry) => {
		const [kind = "", id = "", rights = ""] = entry.split(":");
		const bytes = Buffer.alloc(8);
		bytes.writeUInt16LE(tags[id === "" ? kind : `${kind}:`] ?? 0, 0);
		const bits =
			(rights.includes("r") ? 4 : 0) + (rights.includes("w") ? 2 : 0) + (rights.includes("x") ? 1 : 0);
		bytes.writeUInt16LE(bits, 2);
		bytes.writeUInt32LE(id === "" ? noId : Number(id), 4);
		return bytes;
	});
	const header = Buffer.alloc(4);
	header.writeUInt32LE(version, 0);
	return Buffer.concat([header, ...entries]);
}

function decodeAcl(bytes: Buffer): string {
	const entries: string[] = [];
	for (let at = 4; at < bytes.length; at += 8) {
		const tag = bytes.readUInt16LE(at);
		const kind = Object.entries(tags).find(([, value]) => value === tag)?.[0] ?? "?";
		const bits = bytes.readUInt16LE(at + 2);
		const rights = `${bits & 4 ? "r" : "-"}${bits & 2 ? "w" : "-"}${bits & 1 ? "x" : "-"}`;
		entries.push(
			kind.endsWith(":") ? `${kind}${bytes.readUInt32LE(at + 4)}:${rights}` : `${kind}::${rights}`,
		);
	}
	return entries.join(",");
}

export type AclKind = "access" | "default";
export const aclName = (kind: AclKind) => `system.posix_acl_${kind}`;

export function setAcl(path: BytePath, text: string, kind: AclKind = "access"): void {
	setxattr(path, aclName(kind), encodeAcl(text));
}

export function aclOf(path: BytePath, kind: AclKind = "access"): string {
	return decodeAcl(getxattr(path, aclName(kind)));
}
