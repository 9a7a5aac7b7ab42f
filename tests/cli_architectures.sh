#!/bin/bash
# scripts/architectures.sh: a comparison so short that it says nothing of the networks.
set -u
program_name=architectures
# shellcheck source=tests/support/cli.sh
. tests/support/cli.sh
export MINUTES=0.01 SAMPLES=160 SIZE=1x2 KINDS="thread_token unet" PREDICTIONS=x0 OMP_NUM_THREADS=1
folder=$scratch/compared

run() { timeout 120 scripts/architectures.sh "$(dirname "$BIN")" "$folder" >"$scratch/out" 2>"$scratch/err"; }
run && [ "$(grep -c '"bench": "architectures_simulated"' "$folder/architectures.jsonl")" -eq 2 ] &&
    grep -c '"simulated_node": "simulated-1x2"' "$folder/architectures.jsonl" | grep -qx 2
report $? "two networks, a line of JSON each that says simulated"
grep -q '^normalised L1 on simulated-1x2' "$scratch/out" && grep -q '^thread_token *x0' "$scratch/out" &&
    grep -q '^unet *x0' "$scratch/out" && grep -q '^same plans' "$scratch/out"
report $? "a table of both and of what noise alone leaves"
before=$(cat "$folder/architectures.jsonl")
run && [ "$(cat "$folder/architectures.jsonl")" = "$before" ] && ! grep -q 'training: done=' "$scratch/err"
report $? "again: what is there is used"
SAMPLES=320 run
rc=$?
[ $rc -eq 2 ] && grep -q "holds a corpus of" "$scratch/err"
report $? "a folder of another corpus is refused (exit $rc)"
! KINDS=transformer run && grep -q "expected thread_token, cell_token or unet" "$scratch/err"
report $? "an unknown network is refused"
finish
