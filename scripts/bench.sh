#!/bin/bash
# Runs every benchmark; prints one JSON object a line and keeps them in BUILD/bench.jsonl.
# usage: scripts/bench.sh BUILD PROGRAM...
set -eu
cd "$(dirname "$0")/.."
build=$1
shift
out=$build/bench.jsonl
: >"$out"
for program in "$@"; do
    timeout -k 10 1800 "$program" | tee -a "$out"
done
echo "kept in $out" >&2
