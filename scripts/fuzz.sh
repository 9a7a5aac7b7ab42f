#!/bin/bash
# Runs libFuzzer on all targets side by side for a number of seconds, starting from their corpora;
# new inputs and crashes stay in build/fuzzer. usage: scripts/fuzz.sh SECONDS TARGET...
set -eu
cd "$(dirname "$0")/.."
seconds=$1
shift
build=build/fuzzer
make -j"$(nproc)" FUZZER=1 CC=clang BUILD=$build CFLAGS="-O1 -g" fuzz-programs
fuzz_one() {
    mkdir -p "$build/new_$1"
    "$build/fuzz/fuzz_$1" -max_total_time="$seconds" -timeout=30 -rss_limit_mb=2048 \
        -max_len=16384 -print_final_stats=1 -artifact_prefix="$build/$1-" \
        "$build/new_$1" "tests/fuzz/corpus_$1" >"$build/$1.log" 2>&1
}

pids=()
for name in "$@"; do
    echo "fuzzing $name for $seconds s"
    fuzz_one "$name" &
    pids+=($!)
done
failed=0
for i in "${!pids[@]}"; do
    name=${*:i+1:1}
    if wait "${pids[i]}"; then
        echo "$name: clean, $(grep -c '^#' "$build/$name.log") progress lines," \
            "$(grep stat::number_of_executed_units "$build/$name.log")"
    else
        grep -E 'ERROR|SUMMARY' "$build/$name.log" || tail -n 20 "$build/$name.log"
        echo "$name: failed; see $build/$name.log and the inputs $build/$name-*"
        failed=1
    fi
done
exit "$failed"
