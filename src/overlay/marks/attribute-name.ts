/**
 * The names of extended attributes in the layers against those users see.
 *
 * Overlays keep marks of their own in some. Users do not see these; another overlay above this one, with its layers
 * here, sets some as well, and they are kept with their last word doubled, as kernel overlayfs does:
 * `trusted.overlay.opaque` as `trusted.overlay.overlay.opaque`. In layers with `user.containers.override_stat` the
 * `security` namespace is kept apart, as `user.containers.override_security.NAME`, and so is that prefix itself.
 * Source: Linux fs/overlayfs/xattrs.c.
 */

const MARKS = [
	"trusted.overlay.",
	"user.overlay.",
	"trusted.fuseoverlayfs.",
	"user.fuseoverlayfs.",
	"security.fuseoverlayfs.",
];
const SECURITY = "security.";
/** xfs lists an ACL a second time, to root, by the name it keeps it under: a copy elsewhere would stay as it was. */
const XFS_ACL = "trusted.SGI_ACL_";
const OVERRIDE = "user.containers.override_";
/** What may follow OVERRIDE; C fuse-overlayfs keeps marks of users so, too. */
const OVERRIDDEN = [SECURITY, OVERRIDE, ...MARKS];

/** Where users' attribute `name` is kept. `isolated`: in a layer with `user.containers.override_stat`. */
export function attributeOnDisk(name: string, isolated: boolean): string {
	if (isolated && (name.startsWith(SECURITY) || name.startsWith(OVERRIDE))) return OVERRIDE + name;
	const mark = markOf(name);
	return mark === undefined ? name : mark + lastWord(mark) + name.slice(mark.length);
}

/** What users call the attribute `stored` of a layer; undefined: it is none of theirs. */
export function attributeShown(stored: string, isolated: boolean): string | undefined {
	if (isolated && stored.startsWith(OVERRIDE)) {
		const name = stored.slice(OVERRIDE.length);
		return OVERRIDDEN.some((prefix) => name.startsWith(prefix)) ? name : undefined;
	}
	if ((isolated && stored.startsWith(SECURITY)) || stored.startsWith(XFS_ACL)) return undefined;
	const mark = markOf(stored);
	if (mark === undefined) return stored;
	const doubled = mark + lastWord(mark);
	return stored.startsWith(doubled) ? mark + stored.slice(doubled.length) : undefined;
}

function markOf(name: string): string | undefined {
	return MARKS.find((prefix) => name.startsWith(prefix));
}

/** `overlay.` of `trusted.overlay.` */
function lastWord(mark: string): string {
	return mark.slice(mark.indexOf(".") + 1);
}
