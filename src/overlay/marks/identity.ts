/**
 * Whom a file belongs to in the mount, against what its inode says: id mappings, squashing, and owner and mode
 * kept in an extended attribute. A mount that uses none of these has no Identity and pays nothing.
 */

import { display } from "../../display.ts";
import {
	AT_EMPTY_PATH,
	DT_DIR,
	EINVAL,
	ENODATA,
	EOPNOTSUPP,
	EPERM,
	S_IFBLK,
	S_IFCHR,
	S_IFIFO,
	S_IFLNK,
	S_IFMT,
	S_IFREG,
	S_IFSOCK,
	statx,
} from "../../native/layout.ts";
import { check, describeErrno, isFault, succeeds } from "../../native/libc/errno.ts";
import type { Fd } from "../../native/libc/file.ts";
import { changeOwner, statDescriptor } from "../../native/libc/metadata.ts";
import { modeOf } from "../../native/libc/stat.ts";
import { getAttribute, setAttribute } from "../../native/libc/xattr.ts";
import {
	EMPTY_NAME,
	type Name,
	type Offset,
	readBytes,
	readString,
	reserve,
	shorts,
	store,
	words,
	writeString,
} from "../../native/memory.ts";
import type { ByteString, MountOptions } from "../../options.ts";
import { areIdMapped } from "../layers/id-mapped-mount.ts";
import type { Layer } from "../layers/layer.ts";
import { LayerUnusable } from "../layers/open-layers.ts";
import { asOwner } from "../layers/owner-access.ts";
import { mapAcl } from "./acl.ts";
import { IdMap } from "./id-map.ts";
import { formatOverrideStat, type OverrideStat, parseOverrideStat } from "./override-stat.ts";

const PRIVILEGED = store("security.fuseoverlayfs.override_stat" as ByteString);
const CONTAINERS = store("user.containers.override_stat" as ByteString);
const LEGACY = store("user.fuseoverlayfs.override_stat" as ByteString);
const VALUE_SIZE = 128;
const VALUE = reserve(VALUE_SIZE);
const STAT = reserve(statx.sizeof);
const LARGEST_COMPLAINTS = 100;

export type IdentityOptions = Pick<
	MountOptions,
	"uidMapping" | "gidMapping" | "squashToRoot" | "squashToUid" | "squashToGid" | "xattrPermissions"
>;

export class Identity {
	readonly uids: IdMap;
	readonly gids: IdMap;
	/** The attribute new objects of the upper layer get; undefined: the inode itself. */
	readonly attribute: Name | undefined;
	/** Some objects are shown as another kind than their inode's. */
	readonly hidesKinds: boolean;
	/** Shown whatever a file's own are; chown succeeds without changing these. */
	readonly uid: number | undefined;
	readonly gid: number | undefined;
	/** For each layer the attribute that overrides the inode; undefined: none does. */
	private readonly attributes: (Name | undefined)[];
	/** For each layer whether the kernel shows its inodes with the mount's ids already. */
	private readonly premapped: boolean[];
	private readonly warn: (message: string) => void;
	private complaints = 0;

	/** undefined where the mount shows what the inodes say. */
	static of(
		options: IdentityOptions,
		layers: readonly Layer[],
		hasUpper: boolean,
		overflow: { uid: number; gid: number },
		warn: (message: string) => void,
	): Identity | undefined {
		const identity = new Identity(options, layers, hasUpper, overflow, warn);
		const plain =
			options.uidMapping.length === 0 &&
			options.gidMapping.length === 0 &&
			identity.uid === undefined &&
			identity.gid === undefined &&
			identity.attributes.every((attribute) => attribute === undefined);
		return plain ? undefined : identity;
	}

	private constructor(
		options: IdentityOptions,
		layers: readonly Layer[],
		hasUpper: boolean,
		overflow: { uid: number; gid: number },
		warn: (message: string) => void,
	) {
		this.uids = new IdMap(options.uidMapping, overflow.uid);
		this.gids = new IdMap(options.gidMapping, overflow.gid);
		this.uid = options.squashToUid ?? (options.squashToRoot ? 0 : undefined);
		this.gid = options.squashToGid ?? (options.squashToRoot ? 0 : undefined);
		const chosen = [undefined, PRIVILEGED, CONTAINERS][options.xattrPermissions];
		this.attribute = hasUpper ? chosen : undefined;
		this.attributes = layers.map((layer) =>
			hasUpper && layer.index === 0 ? chosen : overridingAttribute(layer),
		);
		this.premapped =
			options.uidMapping.length + options.gidMapping.length > 0 ? findPremapped(layers, hasUpper) : [];
		this.hidesKinds = this.attributes.some((attribute) => attribute !== undefined);
		this.warn = warn;
	}

	/** The layer's objects have attributes that say whose they are. */
	overrides(layer: number): boolean {
		return this.attributes[layer] !== undefined;
	}

	/** The layer keeps the `security` namespace apart, see attribute-name.ts. */
	isolates(layer: number): boolean {
		return this.attributes[layer] === CONTAINERS;
	}

	/** Turns the owner and mode of a `struct statx`, read from a name of layer `layer`, into those shown. */
	show(layer: number, directory: Fd, name: Offset, stat: Offset): void {
		this.applyOverride(layer, directory, name, stat);
		words[(stat + statx.stxUid) >>> 2] = this.shownUid(words[(stat + statx.stxUid) >>> 2]!);
		words[(stat + statx.stxGid) >>> 2] = this.shownGid(words[(stat + statx.stxGid) >>> 2]!);
	}

	/** The user in the mount for one on disk. */
	shownUid(onDisk: number): number {
		return this.uid ?? this.uids.shown(onDisk);
	}

	/** The group in the mount for one on disk. */
	shownGid(onDisk: number): number {
		return this.gid ?? this.gids.shown(onDisk);
	}

	/** As {@link show}, but with the ids as they are on disk, or would be in the upper layer. */
	applyOverride(layer: number, directory: Fd, name: Offset, stat: Offset): void {
		if (this.premapped[layer]) {
			words[(stat + statx.stxUid) >>> 2] = this.uids.ofNew(words[(stat + statx.stxUid) >>> 2]!);
			words[(stat + statx.stxGid) >>> 2] = this.gids.ofNew(words[(stat + statx.stxGid) >>> 2]!);
		}
		const attribute = this.attributes[layer];
		if (attribute === undefined) return;
		const override = this.read(directory, name, attribute);
		if (override !== undefined) apply(override, stat);
	}

	/** As {@link applyOverride} does with owners, with the ids of an ACL of layer `layer`. */
	applyToAcl(layer: number, acl: Offset, length: number): void {
		if (!this.premapped[layer]) return;
		mapAcl(
			acl,
			length,
			(id) => this.uids.ofNew(id),
			(id) => this.gids.ofNew(id),
		);
	}

	/** Gives a new object of the upper layer the owner, mode and device of a `struct statx`. */
	writeNew(directory: Fd, name: Offset, stat: Offset): void {
		check(this.write(directory, name, overrideOf(stat)));
	}

	/**
	 * Has the upper layer's root say that owners and modes are in attributes, as of the topmost lower root that says so,
	 * else as of its own inode. Without it they would mean nothing once the layer is a lower one. Throws LayerUnusable.
	 */
	markRoot(layers: readonly Layer[]): void {
		const [upper, ...lowers] = layers;
		if (this.attribute === undefined || upper === undefined) return;
		if (succeeds(getAttribute(upper.root, EMPTY_NAME, this.attribute, VALUE, 0))) return;
		const has = (layer: Layer) => overridingAttribute(layer) !== undefined;
		const marked = has(upper) ? upper : (lowers.find(has) ?? upper);
		check(statDescriptor(marked.root, STAT));
		this.applyOverride(marked.index, marked.root, EMPTY_NAME, STAT);
		const result = this.write(upper.root, EMPTY_NAME, overrideOf(STAT));
		if (result === 0) return;
		const name = readString(this.attribute);
		throw new LayerUnusable(
			`cannot set ${name} in upperdir ${display(upper.path)}: ${describeErrno(-result)}: leave out xattr_permissions`,
		);
	}

	/** The override of an object of the upper layer as it stands on disk; undefined where it has none. */
	readOwn(directory: Fd, name: Offset): OverrideStat | undefined {
		return this.attribute === undefined ? undefined : this.read(directory, name, this.attribute);
	}

	/** Stores an override, in ids as on disk; returns 0 or -errno. */
	write(directory: Fd, name: Offset, override: OverrideStat): number {
		const value = formatOverrideStat(override);
		writeString(VALUE, value as ByteString);
		const attribute = this.attribute ?? EMPTY_NAME;
		const result = asOwner(
			() => setAttribute(directory, name, attribute, VALUE, value.length, 0),
			[directory, name],
		);
		if (result !== -EPERM || (override.mode & S_IFMT) !== S_IFLNK) return result;
		// A symlink can have no `user` attribute: its inode says whose it is, where this process may have it do so.
		const flags = name === EMPTY_NAME ? AT_EMPTY_PATH : 0;
		const changed = changeOwner(directory, name, override.uid, override.gid, flags);
		return changed === -EPERM || changed === -EINVAL ? 0 : changed;
	}

	private read(directory: Fd, name: Offset, attribute: Name): OverrideStat | undefined {
		let length = getAttribute(directory, name, attribute, VALUE, VALUE_SIZE);
		if (length === -ENODATA && attribute === CONTAINERS) {
			length = getAttribute(directory, name, LEGACY, VALUE, VALUE_SIZE);
		}
		if (length === -ENODATA || length === -EOPNOTSUPP) return undefined;
		const value = succeeds(length) ? readBytes(VALUE, length) : "";
		const override = parseOverrideStat(value);
		if (override === undefined) this.complain(value);
		return override;
	}

	/** Whoever looks at such a file again and again must not fill the disk with messages. */
	private complain(value: string): void {
		if (this.complaints === LARGEST_COMPLAINTS) return;
		const isLast = ++this.complaints === LARGEST_COMPLAINTS;
		const last = isLast ? "; further ones are not reported" : "";
		this.warn(`ignored a broken override_stat attribute: ${JSON.stringify(value)}${last}`);
	}
}

/** The lower layers on ID-mapped mounts. Where the upper layer is on one, too, the ids there count as those on disk. */
function findPremapped(layers: readonly Layer[], hasUpper: boolean): boolean[] {
	const mapped = areIdMapped(layers.map(({ path }) => path));
	return hasUpper && mapped[0] ? [] : mapped;
}

/**
 * A lower layer says by its root that it was written with overrides. Throws LayerUnusable where it cannot be asked: by their inodes
 * its files may be open to others than they are to be.
 */
function overridingAttribute({ root, path }: Layer): Name | undefined {
	return [PRIVILEGED, CONTAINERS, LEGACY].find((attribute) => {
		const length = getAttribute(root, EMPTY_NAME, attribute, VALUE, VALUE_SIZE);
		if (length >= 0 || !isFault(-length)) return length >= 0;
		throw new LayerUnusable(
			`cannot read ${readString(attribute)} of ${display(path)}: ${describeErrno(-length)}`,
		);
	});
}

/** What the daemon needs on the inode of an object whose mode is in an attribute; `kind` is a `DT_*`. */
export function ownAccess(kind: number): number {
	return kind === DT_DIR ? 0o700 : 0o600;
}

/** What a `struct statx` says, as an override. */
export function overrideOf(stat: Offset): OverrideStat {
	return {
		uid: words[(stat + statx.stxUid) >>> 2]!,
		gid: words[(stat + statx.stxGid) >>> 2]!,
		mode: modeOf(stat),
		major: words[(stat + statx.stxRdevMajor) >>> 2]!,
		minor: words[(stat + statx.stxRdevMinor) >>> 2]!,
	};
}

/** What a regular file can be shown as. */
const STANDS_FOR = [S_IFBLK, S_IFCHR, S_IFIFO, S_IFSOCK];

/**
 * Any other kind than these is the inode's own: nothing could be done with a symlink that has no target, or a directory
 * that is none, as an attribute leaves them that was put on a wrong file.
 */
function apply(override: OverrideStat, stat: Offset): void {
	const own = modeOf(stat) & S_IFMT;
	const kind = override.mode & S_IFMT;
	const shown = own === S_IFREG && STANDS_FOR.includes(kind) ? kind : own;
	shorts[(stat + statx.stxMode) >>> 1] = shown | (override.mode & ~S_IFMT);
	words[(stat + statx.stxUid) >>> 2] = override.uid;
	words[(stat + statx.stxGid) >>> 2] = override.gid;
	if (kind === shown && (kind === S_IFBLK || kind === S_IFCHR)) {
		words[(stat + statx.stxRdevMajor) >>> 2] = override.major;
		words[(stat + statx.stxRdevMinor) >>> 2] = override.minor;
	}
}
