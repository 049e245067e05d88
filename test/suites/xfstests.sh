#!/bin/bash
# xfstests.sh PATH ARGUMENT...: runs `check` of xfstests, built in PATH, with these arguments: with FSTYP=fuse, or as for
# kernel overlayfs if the first is `-overlay`: then PROGRAM mounts what has the type overlay (overlay-by-program.sh).
# Layers are on two ext4 images, so that tests that fill a disk fill these.
# RESULTS is where the outputs go (default: /var/tmp/xfstests-results).
. "$(dirname "$0")/setting.sh"

cd "$1"
shift
export RESULT_BASE=${RESULTS:-/var/tmp/xfstests-results} HOST_OPTIONS=/nonexistent
mkdir -p "$RESULT_BASE"
mount -t tmpfs -o mode=1777 none /tmp
mkdir /tmp/bin /tmp/etc /tmp/test /tmp/scratch /tmp/test-layers /tmp/scratch-layers
export TEST_DIR=/tmp/test SCRATCH_MNT=/tmp/scratch PATH=/tmp/bin:$PATH

# The users that the tests want, here only.
for file in passwd group shadow; do
	cp -p /etc/$file /tmp/etc/$file
	id=61000
	for user in fsgqa fsgqa2 123456-fsgqa; do
		id=$((id + 1))
		grep -q "^$user:" /etc/$file || case $file in
		passwd) echo "$user:x:$id:$id::/tmp:/bin/bash" ;;
		group) echo "$user:x:$id:" ;;
		shadow) echo "$user:*:19000:0:99999:7:::" ;;
		esac >>/tmp/etc/$file
	done
	mount --bind /tmp/etc/$file /etc/$file
done
for name in test scratch; do
	truncate -s 12G "$scratch/$name.img"
	mkfs.ext4 -qF "$scratch/$name.img"
done

mount_helper
if [ "${1:-}" = -overlay ]; then
	shift
	TEST_DEV=$(losetup -f --show "$scratch/test.img")
	SCRATCH_DEV=$(losetup -f --show "$scratch/scratch.img")
	trap 'umount -qR /tmp/test /tmp/scratch || true; losetup -d "$TEST_DEV" "$SCRATCH_DEV"' EXIT
	export TEST_DEV SCRATCH_DEV FSTYP=ext4 TEST_FS_MOUNT_OPTS=-orw MOUNT_OPTIONS=-orw
	export OVERLAY_MOUNT_OPTIONS="-o redirect_dir=off${OPTIONS:+,$OPTIONS}"
	[ "$PROGRAM" = kernel ] || . "$here/overlay-by-program.sh"
	./check -overlay "$@"
	exit
fi

for name in test scratch; do
	mount -o loop "$scratch/$name.img" "/tmp/$name-layers"
	mkdir "/tmp/$name-layers/lower" "/tmp/$name-layers/upper" "/tmp/$name-layers/work"
done
layers() {
	echo "-olowerdir=/tmp/$1-layers/lower,upperdir=/tmp/$1-layers/upper,workdir=/tmp/$1-layers/work"
}
# xfstests tells mounts apart by their source, which is fuse-overlayfs for all of ours, and wants the type to be `fuse`.
cat >/tmp/bin/df <<'END'
#!/bin/sh
"$(command -pv df)" "$@" |
	sed -E 's,^fuse-overlayfs +fuse.fuse-overlayfs( .* /tmp/(test|scratch))$,overlay-\2 fuse\1,'
END
cat >/tmp/bin/findmnt <<'END'
#!/bin/bash
arguments=()
source=
while [ $# -gt 0 ]; do
	case "$1 ${2:-}" in
	"-S overlay-"*) source=$2 arguments+=(--mountpoint "/tmp/${2#overlay-}") && shift ;;
	*) arguments+=("$1") ;;
	esac
	shift
done
"$(command -pv findmnt)" "${arguments[@]}" | sed "s,^fuse-overlayfs,$source,; s,fuse.fuse-overlayfs,fuse,"
END
cat >/tmp/bin/umount <<'END'
#!/bin/bash
arguments=()
for argument; do
	case $argument in
	overlay-*) arguments+=("/tmp/${argument#overlay-}") ;;
	*) arguments+=("$argument") ;;
	esac
done
exec "$(command -pv umount)" "${arguments[@]}"
END
chmod +x /tmp/bin/*
export FSTYP=fuse FUSE_SUBTYP=.fuse-overlayfs TEST_DEV=overlay-test SCRATCH_DEV=overlay-scratch
TEST_FS_MOUNT_OPTS=$(layers test) MOUNT_OPTIONS=$(layers scratch)
export TEST_FS_MOUNT_OPTS MOUNT_OPTIONS
./check "$@"
