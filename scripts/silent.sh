#!/bin/bash
# Runs a build and fails when it printed a warning, too. usage: scripts/silent.sh COMMAND...
set -o pipefail
log=$(mktemp)
trap 'rm -f "$log"' EXIT
"$@" 2>&1 | tee "$log"
status=$?
if grep -q 'warning:' "$log"; then
    echo "the build is not silent"
    exit 1
fi
exit "$status"
