#!/bin/bash
# containers.sh PATH [TEST...]: runs the shell tests of containers/fuse-overlayfs in PATH, one by one (default: those
# that download nothing).
. "$(dirname "$0")/setting.sh"

tests=$(realpath "$1")/tests
shift
[ $# -gt 0 ] || set -- $(cd "$tests" && ls test-*.sh)
mkdir "$scratch/bin"
printf '#!/bin/sh\nexec "%s" ${OPTIONS:+-o "$OPTIONS"} "$@"\n' "$PROGRAM" >"$scratch/bin/fuse-overlayfs"
chmod +x "$scratch/bin/fuse-overlayfs"
export PATH=$scratch/bin:$PATH TMPDIR=$scratch

failures=0
for test; do
	mkdir "$scratch/work"
	if (cd "$scratch/work" && bash "$tests/$test") >"$scratch/output" 2>&1; then
		echo "passed: $test"
	else
		failures=$((failures + 1))
		echo "failed: $test"
		tail -n 12 "$scratch/output"
	fi
	umount -l "$scratch"/work/* 2>/dev/null || true
	rm -rf "$scratch/work"
done
echo "$failures failed"
[ "$failures" = 0 ]
