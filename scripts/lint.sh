#!/bin/bash
# Static analysis with whatever is installed: cppcheck (else clang-tidy) and shellcheck.
# usage: scripts/lint.sh
set -u
cd "$(dirname "$0")/.." || exit 1
passed=0 failed=0 skipped=0

check()
{
    local name=$1
    shift
    if "$@"; then
        passed=$((passed + 1))
    else
        echo "lint: $name has complaints"
        failed=$((failed + 1))
    fi
}

lint_c()
{
    if command -v cppcheck >/dev/null; then
        check cppcheck cppcheck --quiet --std=c11 --enable=warning,performance,portability \
            --inline-suppr --suppress=missingInclude --suppress=unmatchedSuppression \
            --error-exitcode=1 -j "$(nproc)" -Isrc -I. src mpi
    elif command -v clang-tidy >/dev/null; then
        # shellcheck disable=SC2046 # words on purpose
        check clang-tidy clang-tidy --quiet --warnings-as-errors='*' \
            --checks='-*,clang-analyzer-*,bugprone-infinite-loop,bugprone-sizeof-expression' \
            $(find src mpi -name '*.c') -- -std=c11 -D_POSIX_C_SOURCE=200809L -Isrc -I. \
            $(pkg-config --cflags hdf5-openmpi ompi-c jansson hwloc cairo)
    else
        echo "lint: neither cppcheck nor clang-tidy is installed"
        skipped=$((skipped + 1))
    fi
}

lint_shell()
{
    if command -v shellcheck >/dev/null; then
        mapfile -t scripts < <(find .ci scripts tests slurm jobs -name '*.sh' -o \
            -path .ci/run -o -path tests/run -o -path slurm/testbed -o -path slurm/node -o \
            -name '*.slurm')
        check shellcheck shellcheck -x "${scripts[@]}"
    else
        echo "lint: shellcheck is not installed"
        skipped=$((skipped + 1))
    fi
}

lint_c
lint_shell
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
