#!/bin/bash
# The README's long commands: demo, runs, recording one's own machine, measurements.
set -u
program_name=mimesys_run
# shellcheck source=tests/support/cli.sh
. tests/support/cli.sh
# shellcheck source=tests/support/readme.sh
. tests/support/readme.sh
unset MIMESYS_CALIBRATION

readme_run long
[ -s build/demo/sort.png ] && [ -s build/demo/sort.json ] && grep -q '"nl1_mean"' build/demo/sort.json
report $? "the demo leaves its figure and its numbers"
rm -rf campaign.h5 campaign-summary.json corpus.h5 corpus.json model nearest.h5 diffusion.h5 run-nearest run-diffusion
rm -rf simulated-campaign* simulated-corpus* simulated-model training.svg sim.h5 run-sim model.npz replayed mimesys_replay-*.out
rm -rf sort.h5 run1 run2 sort.png sort.json mine.txt mine.png mine.h5 run-mine run-slurm mimesys_run-*.out
finish
