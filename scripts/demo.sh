#!/bin/bash
# From a recorded trace to a measured imitation of it, with the simplest method.
# usage: scripts/demo.sh BUILD
set -eu
cd "$(dirname "$0")/.."
build=$1
bin=$build/bin
out=$build/demo
trace=tests/data/traces/stats-sort.txt
mkdir -p "$out"

say() { printf '\n== %s\n' "$*"; }

say "1. Calibrate this machine (once; kept in your cache folder)"
if "$bin/mimesys_generate" --trace "$trace" --slots 60 --method single -o "$out/sort.h5" \
    --dry-run >/dev/null 2>&1; then
    echo "using the calibration measured earlier on this machine"
else
    "$bin/mimesys_run" --calibrate
fi

say "2. The trace: GNU sort on another machine ($trace)"
"$bin/mimesys_trace" summary "$trace"

say "3. A plan that shall cause the same load here, slot by slot"
"$bin/mimesys_generate" --trace "$trace" --slots 60 --method single -o "$out/sort.h5"

say "4. Run it twice: the second run tells the noise floor"
"$bin/mimesys_run" "$out/sort.h5" --out "$out/run1"
"$bin/mimesys_run" "$out/sort.h5" --out "$out/run2"

say "5. Compare what was wanted with what was measured"
"$bin/mimesys_compare" --wanted "$trace" --slots 60 \
    --measured "$out/run1/stats-sort.txt:single" --measured "$out/run2/stats-sort.txt:single" \
    -o "$out/sort.png" -o "$out/sort.json"

printf '\nThe figure is %s, the numbers are in %s.\n' "$out/sort.png" "$out/sort.json"
