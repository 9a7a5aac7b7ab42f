#!/bin/bash
# mimesys_collect from the outside: a very small campaign; kills and stops at 1 and 2 ranks.
set -u
program_name=mimesys_collect
may_log=yes
# shellcheck source=tests/support/cli.sh
. tests/support/cli.sh
# shellcheck source=tests/support/collect.sh
. tests/support/collect.sh
store=$scratch/campaign.h5

# ---- settings and refusals
(unset MIMESYS_SCRATCH MIMESYS_ALLOW_UNSTABLE MIMESYS_CALIBRATE_TRIES; run_program --print-config) && cmp -s "$scratch/out" ini/collect.ini
report $? "ini/collect.ini holds the settings and their defaults"
run_program --config ini/collect.ini --out "$store" --dry-run && grep -q '^sbatch' "$scratch/out" &&
    [ ! -e "$store" ] && [ ! -e "$MIMESYS_CALIBRATION" ]
report $? "a dry run says what it would do and touches nothing"
refuses 2 "expected --out" "no store"
refuses 2 "expected auto" "another word for --resume" --out "$store" --resume maybe
refuses 2 "one must be above 0" "neither a number of plans nor a time" --out "$store" \
    --set collect.n_plans=0
refuses 2 "slot_s" "slots too short to be measured" --out "$store" --set collect.slot_s=0.2
refuses 1 "no-such" "a folder that is not there" --out "$scratch/no-such/campaign.h5"
refuses 1 "no-such" "a scratch folder that is not there" --out "$store" \
    --set scratch.folder="$scratch/no-such"
[ ! -e "$store" ]
report $? "refused before a store was made"

# ---- one rank
run_program --out "$store" "${small[@]}" && is_whole "$store" 3 &&
    [ "$(reported "$scratch/err" | xargs)" = "0 1 2" ]
report $? "three plans are measured and stored, each once"
grep -q '"schema": "mimesys_calibration"' "$MIMESYS_CALIBRATION"
report $? "the calibration it had to make is kept"
grep -q '"status": "done"' "$scratch/campaign-summary.json" &&
    grep -q '"n_rows": 12' "$scratch/campaign-summary.json"
report $? "the summary counts the slots"
[ -z "$(ls -A "$scratch/disk")" ]
report $? "nothing is left on the scratch disk"
refuses 2 "resume auto goes on" "a store that is there, without --resume" --out "$store" \
    "${small[@]}"
refuses 2 "windows = 4" "other plans for the same store" --out "$store" --resume auto \
    "${small[@]}" --set collect.windows=5
refuses 5 "slot" "other slots for the same store" --out "$store" --resume auto "${small[@]}" \
    --set collect.slot_s=0.75
run_program --out "$store" --resume auto "${small[@]}" --set collect.n_plans=4 --json &&
    is_whole "$store" 4 && grep -q '"n_new": 1' "$scratch/out"
report $? "more plans for the same store"
cp tests/data/calibration.json "$scratch/none.h5"
refuses 5 "none.h5" "another file for a store" --out "$scratch/none.h5" --resume auto "${small[@]}"
cmp -s tests/data/calibration.json "$scratch/none.h5"
report $? "and that is as it was"
refuses 4 "limits.time_s" "plans beyond the node's limits" --out "$scratch/long.h5" "${small[@]}" \
    --set limits.time_s=0.1
run_program --out "$scratch/timed.h5" "${small[@]}" --set collect.n_plans=0 \
    --set collect.max_minutes=0.12
rc=$?
[ "$rc" -eq 0 ] && has_reported "$scratch/timed.h5" "$scratch/err"
report $? "as many plans as there is time for (exit $rc)"
run_program --out "$scratch/capped.h5" "${small[@]}" --set collect.sweep=0 \
    --set collect.disk_write=1K --set collect.n_plans=20
rc=$?
[ "$rc" -eq 75 ] && grep -q '"ended_by": "collect.disk_write"' "$scratch/capped-summary.json"
report $? "a ceiling on bytes ends it (exit $rc)"

# ---- ends before time
for signal in TERM USR1; do
    rm -f "$scratch/stopped.h5"
    start_ranks 1 "$scratch/err" --out "$scratch/stopped.h5" "${small[@]}"
    wait_for_line 60 "stored plan=" "$scratch/err"
    sleep 0.7 # the next plan runs
    kill -"$signal" "$running"
    wait "$running"
    rc=$?
    running=
    [ "$rc" -eq 75 ] && [ "$(reported "$scratch/err" | wc -l)" -eq 2 ] &&
        has_reported "$scratch/stopped.h5" "$scratch/err"
    report $? "SIG$signal finishes the plan and ends (exit $rc)"
done
run_program --out "$scratch/stopped.h5" --resume auto "${small[@]}" &&
    is_whole "$scratch/stopped.h5" 3
report $? "and the next start does the rest"
for kind in local simulated; do
    early=(--out "$scratch/early-$kind.h5" --set fleet.kind="$kind" --resume auto "${small[@]}" --set collect.n_plans=1)
    run_stopped "${early[@]}"
    rc=$?
    [ "$rc" -eq 75 ] && is_one_sentence "this start stored nothing\|with 0 plans in the store"
    report $? "$kind: a stop before the first plan is told (exit $rc)"
    run_program "${early[@]}" && is_whole "$scratch/early-$kind.h5" 1
    report $? "$kind: and the next start begins afresh"
done

kill_and_resume() { # N ranks
    local n=$1 file=$scratch/killed-$1.h5 first=$scratch/first-$1
    start_ranks "$n" "$first" --out "$file" "${small[@]}"
    wait_for_line 60 "stored plan=" "$first"
    sleep "0.$((RANDOM % 10))"
    choose_victim "$n"
    kill_victim
    [ -n "$(reported "$first")" ] && has_reported "$file" "$first"
    report $? "$n rank(s): after kill -9 every reported plan is in the store, once"
    run_ranks "$n" --out "$file" --resume auto "${small[@]}"
    report $? "$n rank(s): the next start ends well"
    is_whole "$file" 3
    report $? "$n rank(s): and every plan is there exactly once"
    [ -z "$(ls -A "$scratch/disk")" ]
    report $? "$n rank(s): nothing is left on the scratch disk"
}
kill_and_resume 1
if command -v mpirun >/dev/null; then
    kill_and_resume 2
else
    skip "2 ranks" "needs mpirun"
fi
finish
