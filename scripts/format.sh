#!/bin/sh
# clang-format over the C files of the project.
# usage: scripts/format.sh format | check-format
set -eu
cd "$(dirname "$0")/.."
if ! command -v clang-format >/dev/null; then
    echo "clang-format is not installed"
    [ "$1" = check-format ] || exit 4
    echo "0 passed, 0 failed, 1 skipped"
    exit 0
fi
# Tracked files only, so that half-written ones do not matter; all of them without git.
list()
{
    git ls-files '*.c' '*.h' 2>/dev/null || find src mpi tests -name '*.[ch]'
}
if [ "$1" = format ]; then
    list | xargs clang-format -i
else
    list | xargs clang-format --dry-run -Werror
fi
