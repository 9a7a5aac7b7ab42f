#!/bin/bash
# The simulated node from the outside: generate, run, compare, collect, dataset on 2x10; the same
# campaign from 1, 2 and 4 ranks.
set -u
program_name=mimesys_generate
may_log=yes
# shellcheck source=tests/support/cli.sh
. tests/support/cli.sh
# shellcheck source=tests/support/collect.sh
. tests/support/collect.sh
trace=tests/data/traces/stats-sort.txt
plan=$scratch/plan.h5
run=$scratch/run
sim=(--set simulated.size=2x10)
touches_nothing() { [ ! -e "$MIMESYS_CALIBRATION" ] && [ ! -e "$MIMESYS_HOST_LOCK" ]; }

# ---- a plan for it
use_program mimesys_generate
run_program --trace "$trace" --slots 12 --set generate.node=simulated "${sim[@]}" -o "$plan" &&
    grep -q 'note: the plan is for a simulated node 2x10' "$scratch/out" &&
    grep -q '20 threads' "$scratch/out"
report $? "generate makes a plan of 20 threads on a machine that was never calibrated"
run_program --trace "$trace" --slots 12 --set generate.node=simulated --set simulated.size=1x2 \
    --dry-run --json && grep -q '"threads": 2' "$scratch/out"
report $? "and of 2 threads for a node of that size"
refuses 2 "simulated.size: expected sockets x cores" "a size that is none" --trace "$trace" \
    --set generate.node=simulated --set simulated.size=20 --dry-run
refuses 2 "has its own" "a calibration for it" --trace "$trace" --set generate.node=simulated \
    --calibration tests/data/calibration.json --dry-run

# ---- a run on it
use_program mimesys_run
simulated=(--set run.node=simulated "${sim[@]}")
run_program "$plan" --out "$run" "${simulated[@]}" --iters 3 --set run.idle_slot=yes &&
    [ "$(ls "$run")" = "$(printf '%s\n' result-simulated-plan.h5 stats-simulated-plan.txt \
        summary.json)" ] && grep -q '^simulated, done: 39 slots' "$scratch/out"
report $? "run leaves the files of a run, with simulated in their names"
grep -q '"node": "simulated-2x10"' "$run/summary.json" && grep -q '"n_slots": 39' "$run/summary.json"
report $? "its summary names the node and counts the slots"
grep -q '^[$]hostname simulated-2x10$' "$run/stats-simulated-plan.txt" &&
    grep -q '^[$]x_machine simulated node 2x10' "$run/stats-simulated-plan.txt" &&
    [ "$(grep -c '^[0-9]' "$run/stats-simulated-plan.txt")" -eq 40 ]
report $? "the stats text says simulated and has a record at every slot edge"
h5dump -a /schema "$run/result-simulated-plan.h5" 2>/dev/null | grep -q mimesys_run_result
report $? "the result is one of a run"
touches_nothing
report $? "nothing was calibrated or locked"
cp "$run/stats-simulated-plan.txt" "$scratch/first.txt"
run_program "$plan" --out "$run" "${simulated[@]}" --iters 3 --set run.idle_slot=yes &&
    cmp -s "$scratch/first.txt" "$run/stats-simulated-plan.txt"
report $? "the same run again is the same to the byte"
run_program "$plan" --out "$run" "${simulated[@]}" --iters 3 --set run.idle_slot=yes --seed 2 &&
    ! cmp -s "$scratch/first.txt" "$run/stats-simulated-plan.txt"
report $? "another seed gives other noise"
run_program "$plan" "${simulated[@]}" --out "$scratch/dry" --dry-run &&
    grep -q '^would simulate 12 s' "$scratch/out" && [ ! -e "$scratch/dry" ]
report $? "a dry run says so and touches nothing"
refuses 2 "needs no calibration" "calibrating it" --calibrate "${simulated[@]}"
refuses 2 "simulated.size" "a run on a size that is none" "$plan" --set run.node=simulated \
    --set simulated.size=x
if [ -e /dev/full ] && small_disk 64k "$scratch/small"; then
    run_program "$plan" --out "$scratch/small/run" "${simulated[@]}" --iters 50
    rc=$?
    [ "$rc" -eq 1 ] && is_one_sentence "stats-simulated-plan" &&
        [ -z "$(ls -A "$scratch/small/run")" ]
    report $? "a full disk ends it and leaves nothing (exit $rc)"
else
    skip "a full disk" "needs to mount"
fi

# ---- what reads it
use_program mimesys_trace
run_program summary "$scratch/first.txt" --json
for metric in avg_cpu_utilizations_core_00 avg_cpu_utilizations_core_19 io_read io_write \
    l3_cache_usage memory_bandwidth_read memory_bandwidth_write pqos_ipc pqos_llc_kb pqos_misses; do
    grep -q "\"$metric\": {" "$scratch/out" || break
done
grep -q "\"$metric\": {" "$scratch/out"
report $? "the text gives all of the original's metrics (last looked for: $metric)"
use_program mimesys_dataset
run_program "$run" -o "$scratch/runs.h5" --json && grep -q '"n_samples": 12' "$scratch/out"
report $? "dataset reads a folder of simulated runs"
use_program mimesys_run
run_program "$plan" --out "$scratch/by-node" "${simulated[@]}" --iters 3 --set run.idle_slot=yes \
    --set stressors.sizes=node
report $? "run with working sets by the node's caches"
use_program mimesys_dataset
run_program "$scratch/by-node" -o "$scratch/by-node.h5" &&
    look -a /stressor_sizes "$scratch/by-node.h5" | grep -q '"node"' &&
    look -a /stressor_sizes "$scratch/runs.h5" | grep -q '"original"'
report $? "dataset finds which they were"
refuses 5 'stressors have working sets "node", expected "original"' "and takes no two kinds" \
    "$run" "$scratch/by-node" -o "$scratch/no.h5"

# ---- campaigns
use_program mimesys_collect
campaign=("${small[@]}" --set fleet.kind=simulated "${sim[@]}" --set collect.n_plans=12
    --set collect.repeats=2)
run_program --out "$scratch/c1.h5" "${campaign[@]}" --dry-run &&
    grep -q 'would collect 12 plans, simulated' "$scratch/out" &&
    grep -q '20 threads' "$scratch/out" && [ ! -e "$scratch/c1.h5" ]
report $? "collect: a dry run knows the node"
# contents FILE: every row with all its numbers, in the order of plans and windows.
column_lines() { # FILE DATASET VALUES_A_ROW
    look -y -w 1 -m %.17g -d "$2" "$1" | sed -n '/DATA {/,/}/{s/^ *\([-0-9.e+naif]*\),*$/\1/p}' |
        grep -v '^$' | xargs -n "$3" | head -n 48
}
contents() {
    paste -d ' ' <(column_lines "$1" plan_id 1) <(column_lines "$1" window 1) \
        <(column_lines "$1" n_windows 1) <(column_lines "$1" round 1) \
        <(column_lines "$1" status 1) <(column_lines "$1" n_repeats 1) \
        <(column_lines "$1" start_s 1) <(column_lines "$1" metric 28) \
        <(column_lines "$1" spread 28) <(column_lines "$1" action 400) | sort -n -k 1,1 -k 2,2
}
for n in 1 2 4; do
    if [ "$n" -gt 1 ] && ! command -v mpirun >/dev/null; then
        skip "$n ranks" "needs mpirun"
        continue
    fi
    run_ranks "$n" --out "$scratch/c$n.h5" "${campaign[@]}" && is_whole "$scratch/c$n.h5" 12
    report $? "$n rank(s): every plan is there exactly once"
    contents "$scratch/c$n.h5" >"$scratch/contents$n"
    [ "$(wc -l <"$scratch/contents$n")" -eq 48 ] &&
        [ "$(head -n 1 "$scratch/contents$n" | wc -w)" -eq 463 ] &&
        cmp -s "$scratch/contents1" "$scratch/contents$n"
    report $? "$n rank(s): the campaign's content is that of one"
done
grep -q 'fleet=simulated node=simulated-2x10' "$scratch/err" &&
    grep -q 'stored plan=.* host=simulated-2x10' "$scratch/err"
report $? "the log says simulated"
grep -q '"fleet": "simulated"' "$scratch/c1-summary.json" &&
    grep -q '"host_class": "simulated node 2x10' "$scratch/c1-summary.json" &&
    grep -q '"n_accepted": 48' "$scratch/c1-summary.json"
report $? "the summary says simulated, and all slots are accepted"
h5dump -a /host_class "$scratch/c1.h5" 2>/dev/null | grep -q 'simulated node 2x10'
report $? "the store's host class says simulated"
touches_nothing && [ -z "$(ls -A "$MIMESYS_SCRATCH")" ]
report $? "nothing was calibrated, locked or written to scratch"
refuses 2 "has its own" "a calibration for the simulated node" --out "$scratch/no.h5" \
    "${campaign[@]}" --calibration tests/data/calibration.json
refuses 2 "simulated.size" "a campaign on a size that is none" --out "$scratch/no.h5" \
    "${campaign[@]}" --set simulated.size=2x
refuses 5 "host" "going on with a node of another kind" --out "$scratch/c1.h5" --resume auto \
    "${campaign[@]}" --set simulated.carry_over=no
refuses 2 "simulated.seed = 1" "going on with other noise" --out "$scratch/c1.h5" --resume auto \
    "${campaign[@]}" --set simulated.seed=2
run_program --out "$scratch/c1.h5" --resume auto "${campaign[@]}" --set collect.n_plans=13 &&
    grep -q '^simulated, done: 13 plans' "$scratch/out"
report $? "going on with more plans"

use_program mimesys_dataset
run_program "$scratch/c2.h5" -o "$scratch/corpus.h5" --json && grep -q '"n_samples": 48' "$scratch/out" &&
    h5dump -H "$scratch/corpus.h5" | grep -A 9 'DATASET "metric_names"' | grep -q '( 28 )'
report $? "dataset makes a corpus of it with all 28 metrics"

# ---- a method that learned from it, on it
use_program mimesys_generate
run_program --trace "$run/stats-simulated-plan.txt" --slots 12 --method nearest \
    --corpus "$scratch/corpus.h5" --set generate.node=simulated "${sim[@]}" -o "$scratch/near.h5"
report $? "generate imitates a simulated trace by what was measured on the node"
use_program mimesys_run
run_program "$scratch/near.h5" --out "$scratch/near" "${simulated[@]}"
report $? "and that plan runs there"
use_program mimesys_compare
run_program --wanted "$run/stats-simulated-plan.txt" \
    --measured "$scratch/near/stats-simulated-near.txt" --json &&
    grep -q '"memory": {' "$scratch/out" && grep -q '"cache": {' "$scratch/out"
report $? "compare tells errors of memory and cache, too"
finish
