#!/bin/bash
# Stressors beyond the default list, from the outside: lists, calibration, sizes, peers, a run.
set -u
program_name=mimesys_run
may_log=yes
# shellcheck source=tests/support/cli.sh
. tests/support/cli.sh
export MIMESYS_CALIBRATION=$scratch/calibration.json
export MIMESYS_SCRATCH=$scratch/disk
export MIMESYS_HOST_LOCK=$scratch/host.lock
unset MIMESYS_ITERS MIMESYS_SLEEP ACTION_LIST_PATH MIMESYS_NETWORK_PEER
mkdir "$scratch/disk"
trace=tests/data/traces/stats-sort.txt
plan=$scratch/plan.h5
quick=(--set calibrate.seconds_each=0.05 --set calibrate.repeats=3)
extended=(--set run.actions=extended)

nothing_in() { [ -z "$(ls -A "$1")" ]; }
n_stressors() { grep -c '"stressor":' "$1"; }

# ---- lists
n_extended=$(grep -vc '^#' ini/actions-extended.txt)
run_program --calibrate "${quick[@]}" "${extended[@]}" --dry-run &&
    grep -q "would measure $n_extended stressors" "$scratch/out"
report $? "the extended list is the one of ini/actions-extended.txt"
run_program --calibrate "${quick[@]}" --set run.actions=ini/actions-extended.txt --dry-run &&
    grep -q "would measure $n_extended stressors" "$scratch/out"
report $? "the file is a list like any other"
refuses 1 "20, 19, 13, 13b, extended or a file" "a list that is not there" --calibrate \
    --set run.actions=longest
run_program --calibrate "${quick[@]}" --set run.actions=13 &&
    [ "$(n_stressors "$MIMESYS_CALIBRATION")" -eq 13 ]
report $? "the oldest list can be run as a whole"

# ---- calibration
run_program --calibrate "${quick[@]}" "${extended[@]}"
rc=$?
n_left_out=$(grep -c 'left out: stressor MIM_' "$scratch/err")
[ "$rc" -eq 0 ] && [ "$(n_stressors "$MIMESYS_CALIBRATION")" -eq $((n_extended - n_left_out)) ]
report $? "calibrates the extended list but for $n_left_out that this node cannot run"
grep -q 'left out: stressor MIM_NETWORK_PEER_256KB: no network peer: set stressors.network_peer' \
    "$scratch/err"
report $? "without a peer the log says what to set"
nothing_in "$scratch/disk"
report $? "and leaves nothing on the scratch disk"
grep -q '"sizes": "original"' "$MIMESYS_CALIBRATION"
report $? "the calibration says whose sizes it is of"
refuses 2 "expected HOST:PORT" "a peer that is none" --calibrate "${quick[@]}" "${extended[@]}" \
    --set stressors.network_peer=nowhere
printf '%s\n' MIM_NETWORK_PEER_256KB >"$scratch/peer.txt"
MIMESYS_NETWORK_PEER=127.0.0.1:1 refuses 1 "127.0.0.1:1: cannot connect" "a peer that does not answer" \
    --calibrate "${quick[@]}" --set run.actions="$scratch/peer.txt"

if small_disk 700M "$scratch/memory"; then
    MIMESYS_SCRATCH=$scratch/memory MIMESYS_CALIBRATION=$scratch/memory.json run_program --calibrate \
        "${quick[@]}" "${extended[@]}" --set limits.disk_free=64M &&
        grep -q 'in memory' "$scratch/err" && nothing_in "$scratch/memory"
    report $? "calibrates in memory, too, and says that there is no block I/O"
    MIMESYS_SCRATCH=$scratch/memory refuses 4 "free" "a scratch disk too small for a calibration" \
        --calibrate "${quick[@]}" "${extended[@]}" --set limits.disk_free=650M
else
    skip "calibration in memory" "needs the right to mount"
fi

# ---- a run
cp "$MIMESYS_CALIBRATION" "$scratch/extended.json"
"$BIN/mimesys_generate" --trace "$trace" --first 6 --slots 6 --slot 0.25 --method single \
    --calibration "$scratch/extended.json" --actions extended -o "$plan" \
    --set single.cpu_stressor=MIM_SWITCH_FUTEX --set single.read_stressor=BM_STRESS_NG_Readahead \
    --set single.write_stressor=BM_STRESS_NG_Hdd_1MB >"$scratch/out" 2>"$scratch/err"
report $? "a plan of switches, reads ahead and whole files"
run_program "$plan" --out "$scratch/run" && grep -q '"status": "done"' "$scratch/run/summary.json"
report $? "runs"
nothing_in "$scratch/disk"
report $? "and leaves nothing"
for delay in 0.6 1.3; do
    "$program" "$plan" --out "$scratch/killed" >"$scratch/out" 2>"$scratch/err" &
    pid=$!
    sleep "$delay"
    kill -9 $pid
    wait $pid 2>/dev/null
done
run_program "$plan" --out "$scratch/killed" && nothing_in "$scratch/disk"
report $? "after kill -9 the next start removes what was left"

# ---- sizes
node=(--set stressors.sizes=node)
MIMESYS_CALIBRATION=$scratch/node.json run_program --calibrate "${quick[@]}" "${node[@]}" &&
    grep -q '"sizes": "node"' "$scratch/node.json"
report $? "calibrates with working sets by this node's caches"
MIMESYS_CALIBRATION=$scratch/node.json run_program "$plan" --out "$scratch/run" "${quick[@]}" &&
    grep -q 'sizes node, this run.s are original' "$scratch/err"
report $? "which a run with the original's does not use"
refuses 2 "expected one of original|node" "sizes of neither kind" --calibrate \
    --set stressors.sizes=large
finish
