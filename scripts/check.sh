#!/bin/bash
# make check and make check-full: every suite, one line each, and the sum at the end.
# usage: scripts/check.sh [full]
set -u
cd "$(dirname "$0")/.." || exit 1
full=${1:-}
jobs=$(nproc)
passed=0 failed=0 skipped=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# step NAME LIMIT_S COMMAND...: a suite that closes with "N passed, N failed, N skipped" counts by
# its line, anything else as one check by its exit status.
step()
{
    local name=$1 limit=$2 begin=$SECONDS rc counts
    shift 2
    echo "== $name"
    timeout -k 30 "$limit" "$@" >"$log" 2>&1 </dev/null
    rc=$?
    counts=$(grep -E '^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$' "$log" | tail -n 1)
    if [ -n "$counts" ]; then
        # shellcheck disable=SC2086 # split on purpose
        set -- $counts
        passed=$((passed + $1)) failed=$((failed + $3)) skipped=$((skipped + $5))
        if [ "$rc" -ne 0 ] && [ "$3" -eq 0 ]; then failed=$((failed + 1)); fi
        grep -E '^(FAIL|ok  |    )' "$log"
    elif [ "$rc" -eq 0 ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        tail -n 40 "$log"
    fi
    [ "$rc" -eq 124 ] && echo "   cut off after $limit s"
    echo "   $([ "$rc" -eq 0 ] && echo passed || echo "FAILED (exit $rc)") in $((SECONDS - begin)) s"
}

# tests_but PREFIX PATTERN: names of tests/PREFIX_* without those that PATTERN matches whole.
tests_but() { find tests -maxdepth 1 -name "$1_*" | sed "s|tests/$1_||; s|\..*||" | grep -vxE "$2" | sort | xargs; }

step "packages" 1800 make --no-print-directory deps
step "build with gcc, no warnings" 900 scripts/silent.sh make -j"$jobs" all tests
step "build with clang, no warnings" 900 \
    scripts/silent.sh make -j"$jobs" BUILD=build/clang CC=clang CFLAGS=-O0 all tests
step "format" 120 make --no-print-directory check-format
# Tests mostly wait; the build that is needed later fills the gaps.
sanitized=(make --no-print-directory ASAN=1 BUILD=build/asan CFLAGS="-O1 -g")
nice -n 19 timeout 1500 "${sanitized[@]}" programs tests >/dev/null 2>&1 </dev/null &
building=$!
trap 'rm -f "$log"; kill $building 2>/dev/null' EXIT
step "unit tests" 900 make --no-print-directory check-unit
step "reference loops under valgrind" 900 make --no-print-directory check-valgrind
step "tests at 1 to 4 ranks" 900 make --no-print-directory check-mpi
step "program tests" 1500 make --no-print-directory check-cli CLI="$(tests_but cli architectures)"
step "learning on a Slurm cluster on this machine" 300 make --no-print-directory check-slurm SLURM=learn
wait "$building"
step "build with sanitizers" 900 "${sanitized[@]}" -j"$jobs" programs tests
# Without those that compute or wait for long, which check-full runs too.
slow='network|dit|extended|contain_live|fleet|executor_compat|executor_watch|sampler_perf|h5_many'
step "unit tests with sanitizers" 1200 \
    "${sanitized[@]}" check-unit TESTS="$(tests_but test "$slow")"
step "tests at 2 ranks with sanitizers" 900 env MPI_RANKS=2 \
    "${sanitized[@]}" check-mpi MPI_TESTS="agree campaign start_agreement joint rows_h5 gather_file hosts"
step "program tests with sanitizers" 1500 \
    "${sanitized[@]}" check-cli CLI="trace generate compare"
step "fuzz corpora with sanitizers" 600 \
    "${sanitized[@]}" check-corpus
if [ "$full" = full ]; then
    step "slow unit tests with sanitizers" 900 "${sanitized[@]}" \
        check-unit TESTS="${slow//|/ }"
    step "the comparison of networks" 300 make --no-print-directory check-cli CLI=architectures
    step "races (thread sanitizer)" 1200 make -j"$jobs" TSAN=1 BUILD=build/tsan CFLAGS="-O1 -g" \
        check-unit TESTS="executor executor_compat executor_watch start_file scratch kernels_system feedback disturbance rows background_file"
    step "the extended list, all of it on two threads" 900 env MIMESYS_TEST_FULL=1 \
        make --no-print-directory check-unit TESTS=extended
    step "kills at random moments" 3000 env TEST_TIMEOUT_S=2700 BIN="$PWD/build/bin" tests/run cli tests/long_kill.sh \
        tests/long_collect.sh
    step "the testbed and jobs on that cluster" 900 make --no-print-directory check-slurm SLURM="jobs replay testbed"
    step "README, every command" 3600 env TEST_TIMEOUT_S=2700 BIN="$PWD/build/bin" tests/run cli tests/long_readme.sh
    step "fuzzing" 3600 make --no-print-directory fuzz
fi
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
