#!/bin/bash
# Recorded traces, imitated by each method: tables, and at the end one JSON object a line, kept in
# OUT.jsonl, of all slots and of the accepted ones. A second start goes on where the first was cut
# off. usage: scripts/imitate_all.sh BUILD [TRACE...]
# Environment: TRACES (files, or names such as sort; default all recorded ones), OUT (folder,
# default BUILD/imitate) and what scripts/imitate.sh takes.
set -eu
cd "$(dirname "$0")/.."
build=$1
shift
out=${OUT:-$build/imitate}
# shellcheck disable=SC2086 # TRACES is a list
[ $# -gt 0 ] || set -- ${TRACES:-tests/data/traces/stats-*.txt}
mkdir -p "$out"
scripts/calibrate.sh "$build" >"$out/calibration.txt"
all=() accepted=()
for trace in "$@"; do
    [ -e "$trace" ] || trace=tests/data/traces/stats-$trace.txt
    name=$(basename "$trace" .txt)
    name=${name#stats-}
    printf '\n== %s\n' "$name"
    # A heavy trace may write more than a first-time user should allow.
    scripts/imitate.sh "$build" "$out/$name" "$trace" --set limits.disk_write=0
    all+=("$out/$name/all.json") accepted+=("$out/$name/accepted.json")
done
printf '\n== means\n'
"$build/bench/imitate_lines" --table "${all[@]}"
{
    "$build/bench/imitate_lines" "${all[@]}"
    "$build/bench/imitate_lines" "${accepted[@]}"
} | tee "$out.jsonl"
