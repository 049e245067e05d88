/** POSIX ACLs as the kernel takes them in an extended attribute. */

export const aclName = { access: "system.posix_acl_access", default: "system.posix_acl_default" } as const;

export function isAcl(name: string): boolean {
	return name === aclName.access || name === aclName.default;
}

const version = 2;
const nobody = 0xffffffff;
/** Owner, one user, owning group, mask, others: the order the kernel wants. */
const tags = [0x01, 0x02, 0x04, 0x10, 0x20];
const userTag = 0x02;

/** An ACL with an entry for the user `uid`; `permissions` of owner, that user, owning group, mask and others. */
export function accessList(permissions: readonly number[], uid: number): Buffer {
	const bytes = Buffer.alloc(4 + 8 * tags.length);
	bytes.writeUInt32LE(version, 0);
	tags.forEach((tag, index) => {
		bytes.writeUInt16LE(tag, 4 + 8 * index);
		bytes.writeUInt16LE(permissions[index] ?? 0, 6 + 8 * index);
		bytes.writeUInt32LE(tag === userTag ? uid : nobody, 8 + 8 * index);
	});
	return bytes;
}
