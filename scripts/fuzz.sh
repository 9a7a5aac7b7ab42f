#!/bin/bash
# Runs libFuzzer on each target for a number of seconds, starting from its corpus; new inputs and
# crashes stay in build/fuzzer. usage: scripts/fuzz.sh SECONDS TARGET...
set -eu
cd "$(dirname "$0")/.."
seconds=$1
shift
build=build/fuzzer
make -j"$(nproc)" FUZZER=1 CC=clang BUILD=$build CFLAGS="-O1 -g" fuzz-programs
for name in "$@"; do
    mkdir -p "$build/new_$name"
    echo "fuzzing $name for $seconds s"
    "$build/fuzz/fuzz_$name" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 \
        -max_len=16384 -print_final_stats=1 -artifact_prefix="$build/" \
        "$build/new_$name" "tests/fuzz/corpus_$name" 2>&1 |
        grep -E 'ERROR|SUMMARY|stat::|DONE' || true
    # grep hides the fuzzer's status; a crash leaves its input behind.
    if compgen -G "$build/crash-*" "$build/timeout-*" "$build/oom-*" "$build/leak-*" >/dev/null; then
        echo "$name: failed; the inputs are in $build"
        exit 1
    fi
done
