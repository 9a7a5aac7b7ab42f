#!/bin/bash
# All recorded traces: plan by each method, run it three times, compare. Prints a table and one JSON
# object a line, kept in BUILD/fidelity.jsonl. usage: scripts/fidelity.sh BUILD [TRACE...]
set -eu
cd "$(dirname "$0")/.."
build=$1
shift
bin=$build/bin
out=$build/fidelity
repetitions=${REPETITIONS:-3}
jsonl=$build/fidelity.jsonl
mkdir -p "$out"
: >"$jsonl"
[ $# -gt 0 ] || set -- tests/data/traces/stats-*.txt
"$bin/mimesys_run" --calibrate >"$out/calibration.txt"
for trace in "$@"; do
    name=$(basename "$trace" .txt)
    name=${name#stats-}
    "$bin/mimesys_generate" --trace "$trace" --method single -o "$out/$name.h5" >"$out/$name.txt"
    measured=()
    for i in $(seq "$repetitions"); do
        # A heavy trace may write more than a first-time user should allow.
        "$bin/mimesys_run" "$out/$name.h5" --out "$out/$name-$i" --set limits.disk_write=0 \
            --log-level warn >/dev/null
        measured+=(--measured "$out/$name-$i/stats-$name.txt:single")
    done
    "$bin/mimesys_compare" --wanted "$trace" "${measured[@]}" --accepted-only \
        -o "$out/$name.png" -o "$out/$name.json" | tee -a "$out/$name.txt"
    "$build/bench/fidelity_lines" "$name" "$out/$name.json" | tee -a "$jsonl"
done
