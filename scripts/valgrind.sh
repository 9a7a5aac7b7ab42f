#!/bin/bash
# The stressors' reference loops and their small tests under valgrind. Not everything: valgrind 3.19
# knows no AVX-512, and a whole run would take an hour.
# usage: scripts/valgrind.sh BUILD
# Exit status: 0 no errors, or no valgrind here; 1 errors.
set -u
cd "$(dirname "$0")/.." || exit 1
build=${1:-build}
if ! command -v valgrind >/dev/null; then
    echo "    skipped: no valgrind here"
    echo "0 passed, 0 failed, 1 skipped"
    exit 0
fi
n_good=0 n_bad=0
check() # PROGRAM PATTERN: the tests of the program whose names match
{
    local log rc
    log=$(mktemp)
    timeout -k 10 900 valgrind --quiet --error-exitcode=9 --leak-check=full \
        --errors-for-leak-kinds=definite "$build/tests/$1" "$2" >"$log" 2>&1
    rc=$?
    if [ "$rc" -eq 0 ] && grep -q '^\[ *OK *\]' "$log"; then
        echo "ok   $1 $2 ($(grep -c '^\[ *OK *\]' "$log") tests)"
        n_good=$((n_good + 1))
    else
        echo "FAIL $1 $2 (exit $rc)"
        tail -n 40 "$log" | sed 's/^/    /'
        n_bad=$((n_bad + 1))
    fi
    rm -f "$log"
}
check test_kernels '*reference*'
check test_kernels '*known_answers*'
check test_kernels '*damage*'
check test_kernels '*refused*'
check test_kernels_io '*guard*'
check test_kernels_io '*ceiling*'
check test_kernels_io '*sizes*'
check test_kernels_system '*damage*'
check test_kernels_system '*peer*'
echo "$n_good passed, $n_bad failed, 0 skipped"
[ "$n_bad" -eq 0 ]
