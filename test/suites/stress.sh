#!/bin/bash
# stress.sh PATH [SEED...]: runs fsx and fsstress, built in PATH/ltp, on mounts. What fsstress leaves behind must be the
# same after a remount, and must be removable. For each seed of fsstress (default: three).
. "$(dirname "$0")/setting.sh"

tools=$(realpath "$1")/ltp
shift
[ $# -gt 0 ] || set -- 1 2 3
failures=0
failed() {
	failures=$((failures + 1))
	echo "failed: $*"
}

# Every file below the working directory with kind, mode, owners, links, size, times, link target, content, attributes.
snapshot() {
	# The times first: they must not depend on what looking at content does.
	find . -printf '%p %y %m %U %G %n %T@ %l' \( -type d -printf '\n' -o -printf ' %s\n' \) | sort
	find . -type f -print0 | sort -z | xargs -0r sha256sum
	find . ! -type l -print0 | sort -z | xargs -0r getfattr --absolute-names --dump --match=- 2>/dev/null
}

lower_content() {
	mkdir -p "$1/lower/tree"
	"$tools/fsstress" -r -s "$2" -n 400 -p 2 -d "$1/lower/tree" >/dev/null
	head -c 262144 /dev/urandom >"$1/lower/file"
}

try_fsx() {
	local name="fsx $*" directory="$scratch/fsx"
	lower_content "$directory" 1
	mount_layers "$directory"
	# One file that is new, and one of the lower layer, of which fsx keeps the length (-L).
	"$tools/fsx" -S 1 -q -N "${STEPS:-5000}" "$@" "$directory/merged/new" >"$scratch/output" 2>&1 ||
		failed "$name, new file: $(tail -n 3 "$scratch/output")"
	"$tools/fsx" -S 2 -q -L -N "${STEPS:-5000}" "$@" "$directory/merged/file" >"$scratch/output" 2>&1 ||
		failed "$name, lower file: $(tail -n 3 "$scratch/output")"
	(cd "$directory/merged" && sha256sum new file) >"$scratch/before"
	umount "$directory/merged"
	(cd "$directory/upper" && sha256sum new file) >"$scratch/after"
	cmp -s "$scratch/before" "$scratch/after" || failed "$name: content after unmounting"
	rm -rf "$directory"
	echo "done: $name"
}

try_fsstress() {
	local seed=$1 directory="$scratch/fsstress"
	shift
	lower_content "$directory" "$seed"
	mount_layers "$directory"
	"$tools/fsstress" -s "$seed" -n "${STEPS:-2000}" -p 4 "$@" -d "$directory/merged/tree" >"$scratch/output" 2>&1 ||
		failed "fsstress $seed $*: $(tail -n 3 "$scratch/output")"
	(cd "$directory/merged" && snapshot) >"$scratch/before"
	umount "$directory/merged"
	mount_layers "$directory"
	(cd "$directory/merged" && snapshot) >"$scratch/after"
	cmp -s "$scratch/before" "$scratch/after" ||
		failed "fsstress $seed $*: after a remount: $(diff "$scratch/before" "$scratch/after" | cut -c -300 | head -n 8)"
	rm -r "$directory/merged/tree" || failed "fsstress $seed $*: what is left cannot be removed"
	umount "$directory/merged"
	echo "done: fsstress $seed $*: $(wc -l <"$scratch/after") lines compared"
	rm -rf "$directory"
}

try_fsx
try_fsx -W -R
try_fsx -y
try_fsx -A
try_fsx -Z -r 4096 -w 4096 -t 4096 -R -W
try_fsx -l 3000000 -o 200000
for seed; do
	try_fsstress "$seed"
	try_fsstress "$seed" -z -f creat=10 -f link=10 -f mkdir=10 -f rename=30 -f rmdir=10 -f stat=30 -f unlink=30 -f truncate=20
done
echo "$failures failed"
[ "$failures" = 0 ]
