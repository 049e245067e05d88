#!/bin/bash
# pjdfstest.sh PATH [TEST...]: runs pjdfstest, built in PATH, on a mount.
. "$(dirname "$0")/setting.sh"

suite=$(realpath "$1")
shift
[ $# -gt 0 ] || set -- .
mount_layers "$scratch"
cd "$scratch/merged"
prove --recurse --quiet "${@/#/$suite/tests/}"
