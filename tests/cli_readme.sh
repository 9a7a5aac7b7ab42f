#!/bin/bash
# The README's quick commands work as they stand; every command block says which test runs it.
set -u
program_name=mimesys_run
# shellcheck source=tests/support/cli.sh
. tests/support/cli.sh
# shellcheck source=tests/support/readme.sh
. tests/support/readme.sh
unset MIMESYS_CALIBRATION

n_blocks=$(grep -c '^```sh$' README.md)
n_tagged=$(grep -cE '^<!-- tested: (quick|long|itself) -->$' README.md)
[ "$n_blocks" -gt 0 ] && [ "$n_blocks" -eq "$n_tagged" ]
report $? "every command block of the README names its test ($n_tagged of $n_blocks)"
before=$(git status --porcelain 2>/dev/null)
readme_run quick
rm -f sort.h5 learned.h5 run.ini
[ "$(git status --porcelain 2>/dev/null)" = "$before" ]
report $? "the commands leave nothing else behind"
finish
