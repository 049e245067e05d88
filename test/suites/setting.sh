# Sourced by the scripts beside it. Starts the script again in mount, process and host name spaces of its own, so that
# nothing outlives it: every mount and process a suite leaves behind goes with them. Then offers what suites need.
#
#   PROGRAM    what is mounted: a path (default: dist/fuse-overlayfs), `kernel` for kernel overlayfs with
#              redirect_dir=off, or `none` for the plain directory
#   OPTIONS    further mount options, as passthrough=off
#   DIRECTORY  where layers are made (default: /var/tmp)

set -eu
here=$(cd "$(dirname "$0")" && pwd)
export PROGRAM="${PROGRAM:-$here/../../dist/fuse-overlayfs}" OPTIONS="${OPTIONS:-}"

if [ -z "${SUITE_SCRATCH:-}" ]; then
	[ "$(id -u)" = 0 ] || { echo "the suites must be run as root" >&2; exit 1; }
	case $PROGRAM in
	kernel | none) ;;
	*) PROGRAM=$(realpath -e "$PROGRAM") || { echo "build it first: npm run build" >&2; exit 1; } ;;
	esac
	SUITE_SCRATCH=$(mktemp -d "${DIRECTORY:-/var/tmp}/suite.XXXXXX")
	chmod 755 "$SUITE_SCRATCH"
	export SUITE_SCRATCH
	trap 'rm -rf "$SUITE_SCRATCH"' EXIT
	unshare --mount --pid --uts --fork --kill-child --mount-proc --propagation private bash "$0" "$@"
	exit
fi
scratch=$SUITE_SCRATCH

# Mounts $1/lower and $1/upper at $1/merged.
mount_layers() {
	mkdir -p "$1/lower" "$1/upper" "$1/work" "$1/merged"
	local layers="lowerdir=$1/lower,upperdir=$1/upper,workdir=$1/work"
	case $PROGRAM in
	none) mount --bind "$1/upper" "$1/merged" ;;
	kernel) mount -t overlay overlay -o "$layers,redirect_dir=off${OPTIONS:+,$OPTIONS}" "$1/merged" ;;
	*) "$PROGRAM" -o "$layers${OPTIONS:+,$OPTIONS}" "$1/merged" ;;
	esac
}

# Has `mount -t fuse.fuse-overlayfs` start PROGRAM, whatever is installed: mount(8) looks for it in fixed directories.
# The helper is called with: source, mountpoint, -o, options, -t, type.
mount_helper() {
	cat >"$scratch/mount.fuse" <<END
#!/bin/sh
exec "$PROGRAM" -o "\$4${OPTIONS:+,$OPTIONS}" "\$2" 2>>"$scratch/messages"
END
	chmod +x "$scratch/mount.fuse"
	mount --bind "$scratch/mount.fuse" "$(readlink -f "$(command -v mount.fuse)")"
}
