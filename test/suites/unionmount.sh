#!/bin/bash
# unionmount.sh PATH [OPTION...]: runs the tests of unionmount-testsuite in PATH one by one, and counts them.
# With the option --xdev renaming a directory with lower content shall fail, without it shall work.
# UNION is the first argument of the suite: `--ov` (the default), or `--ov=2` for more layers and remounts.
. "$(dirname "$0")/setting.sh"

cd "$1"
shift
case $PROGRAM in
kernel) export UNIONMOUNT_MNTOPTIONS="redirect_dir=off${OPTIONS:+,$OPTIONS}" ;;
*)
	mount_helper
	set -- --fuse=fuse-overlayfs "$@"
	;;
esac
mkdir "$scratch/base" "$scratch/merged"
export UNIONMOUNT_BASEDIR=$scratch/base UNIONMOUNT_MNTPOINT=$scratch/merged PYTHONDONTWRITEBYTECODE=1

case " $* " in
*" --xdev "*) other='rename-(dir|empty-dir|pop-dir|move-dir)' ;;
*) other=rename-exdev ;;
esac
passed=0 failed=0 steps=0
for test in $(basename -s .py tests/[a-z]*.py | grep -vxE "$other"); do
	if ./run "${UNION:---ov}" "$@" "$test" >"$scratch/output" 2>&1; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "failed: $test"
		tail -n 3 "$scratch/output"
		umount "$UNIONMOUNT_MNTPOINT" 2>/dev/null || true
	fi
	steps=$((steps + $(grep -c '^TEST' "$scratch/output" || true)))
done
echo "$passed passed, $failed failed; $steps steps"
