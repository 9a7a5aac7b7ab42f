#!/bin/bash
# Learns how to load this machine, then imitates recorded runs by every method and compares.
# usage: scripts/demo.sh BUILD         one part of one trace
#        scripts/demo.sh BUILD full    all traces but the three kept for evaluation
set -eu
cd "$(dirname "$0")/.."
build=$1
name=demo${2:+-$2}
out=$build/$name
trace=tests/data/traces/stats-sort.txt
mkdir -p "$out"

say() { printf '\n== %s\n' "$*"; }

say "1. Calibrate this machine (once; kept in your cache folder)"
scripts/calibrate.sh "$build"
calibration=$(scripts/calibrate.sh "$build" path)
key=$(basename "$calibration" .json)

say "2. Learn: measure random load (once; kept beside the calibration), train a model of it"
scripts/learn.sh "$build" "$(dirname "$calibration")/$name-${key#calibration-}/campaign.h5" "$out" \
    "ini/$name-collect.ini" "ini/$name-train.ini"
export CORPUS=$out/corpus.h5 CHECKPOINT=$out/model/model.h5 REPETITIONS=2

if [ "$name" = demo ]; then
    say "3. The trace: GNU sort on another machine ($trace)"
    "$build/bin/mimesys_trace" summary "$trace"
    say "4. Imitate its busiest 24 seconds: a plan by each method, each run twice, in turns"
    FIRST=4 SLOTS=24 FORCE=1 scripts/imitate.sh "$build" "$out/sort" "$trace"
    cp "$out/sort/all.png" "$out/sort.png"
    cp "$out/sort/all.json" "$out/sort.json"
    printf '\nThe figure is %s, the numbers are in %s.\n' "$out/sort.png" "$out/sort.json"
else
    say "3. Imitate recorded runs: a plan by each method, each run twice, in turns"
    TRACES="compress ffmpeg fio make-gcc postgres sort sysbench" OUT=$out/traces \
        scripts/imitate_all.sh "$build"
    printf '\nFigures and numbers are in %s.\n' "$out/traces"
fi
printf 'All in %d min %d s.\n' $((SECONDS / 60)) $((SECONDS % 60))
