# Sourced by xfstests.sh: has PROGRAM do what is asked of kernel overlayfs. `mount -t overlay` starts it, and what tells of mounts
# tells of these as the suite expects it of overlays: their type, and as source the one that was given.

# Mount point and source of each mount.
export OVERLAYS=$scratch/overlays REAL_MOUNT REAL_UMOUNT REAL_DF REAL_FINDMNT
REAL_MOUNT=$(type -P mount) REAL_UMOUNT=$(type -P umount) REAL_DF=$(type -P df) REAL_FINDMNT=$(type -P findmnt)
: >"$OVERLAYS"

cat >/tmp/bin/mount <<'END'
#!/bin/bash
type= options= places=() arguments=("$@")
while [ $# -gt 0 ]; do
	case $1 in
	-t) type=$2 && shift ;;
	-t*) type=${1#-t} ;;
	-o) options+=${options:+,}$2 && shift ;;
	-o*) options+=${options:+,}${1#-o} ;;
	-*) ;;
	*) places+=("$1") ;;
	esac
	shift
done
if [ "$type" != overlay ] || [ ${#places[@]} -eq 0 ]; then
	"$REAL_MOUNT" "${arguments[@]}"
	status=$?
	[ ${#places[@]} -gt 0 ] || while read -r at source; do echo "$source on $at type overlay (rw)"; done <"$OVERLAYS"
	exit $status
fi
case ,$options, in
*,remount,*) exec "$REAL_MOUNT" -o "$options" "${places[-1]}" ;;
esac
at=$(realpath "${places[-1]}")
"$PROGRAM" -o "$options" "$at" || exit 32
echo "$at ${places[0]}" >>"$OVERLAYS"
END

cat >/tmp/bin/umount <<'END'
#!/bin/bash
# A daemon ends a moment after its mount, and holds the file system of its layers until then.
for try in $(seq 50); do
	said=$("$REAL_UMOUNT" "$@" 2>&1) && break
	status=$?
	case $said in
	*busy*) sleep 0.1 ;;
	*) break ;;
	esac
	false
done
status=$?
[ -z "$said" ] || echo "$said" >&2
while read -r at source; do
	mountpoint -q "$at" && echo "$at $source"
done <"$OVERLAYS" >"$OVERLAYS.left"
mv "$OVERLAYS.left" "$OVERLAYS"
exit $status
END

# Rows of mounts of PROGRAM, which begin with their source and end with their mount point.
cat >/tmp/bin/df <<'END'
#!/bin/bash
"$REAL_DF" "$@" | while IFS= read -r row; do
	source=$(awk -v at="${row##* }" '$1 == at { print $2 }' "$OVERLAYS" | tail -n 1)
	[ -z "$source" ] || row=$(sed -E "s,^fuse-overlayfs +fuse.fuse-overlayfs,$source overlay," <<<"$row")
	printf '%s\n' "$row"
done
END

cat >/tmp/bin/findmnt <<'END'
#!/bin/bash
source= arguments=()
while [ $# -gt 0 ]; do
	at=
	case $1 in
	-S)
		at=$(awk -v source="$2" '$2 == source { print $1 }' "$OVERLAYS" | tail -n 1)
		[ -z "$at" ] && arguments+=("$1") || { source=$2 && arguments+=(--mountpoint "$at") && shift 2 && continue; }
		;;
	-t) [ "$2" != overlay ] || { arguments+=(-t fuse.fuse-overlayfs) && shift 2 && continue; } && arguments+=("$1") ;;
	*) arguments+=("$1") ;;
	esac
	shift
done
"$REAL_FINDMNT" "${arguments[@]}" | sed "s,^fuse-overlayfs,${source:-fuse-overlayfs},; s,fuse.fuse-overlayfs,overlay,"
exit "${PIPESTATUS[0]}"
END
chmod +x /tmp/bin/*

# Which options count cannot be read from /proc/mounts: those that are known were heeded, if the mount was made.
for file in common/overlay common/rc; do
	cp "$file" "$scratch/${file#*/}"
	cat >>"$scratch/${file#*/}" <<'END'
_check_overlay_feature()
{
	case $1 in
	redirect_dir | metacopy | index) touch "$3/foo" || _notrun "feature '$1': nothing can be changed" ;;
	*) _notrun "this program lacks the feature '$1'" ;;
	esac
}
END
	mount --bind "$scratch/${file#*/}" "$file"
done
