#!/bin/bash
# mimesys_run from the outside: calibration, results, ceilings, bad plans, full disks, kills.
set -u
program_name=mimesys_run
may_log=yes # what it did before it was refused
# shellcheck source=tests/support/cli.sh
. tests/support/cli.sh
export MIMESYS_CALIBRATION=$scratch/calibration.json
export MIMESYS_SCRATCH=$scratch/disk
export MIMESYS_HOST_LOCK=$scratch/host.lock
unset MIMESYS_ITERS MIMESYS_SLEEP ACTION_LIST_PATH
mkdir "$scratch/disk"
trace=tests/data/traces/stats-sort.txt
plan=$scratch/plan.h5
out=$scratch/run
quick=(--set calibrate.seconds_each=0.05 --set calibrate.repeats=3)

nothing_in() { [ -z "$(ls -A "$1")" ]; }

# ---- calibration
run_program --calibrate "${quick[@]}" &&
    grep -q '"schema": "mimesys_calibration"' "$MIMESYS_CALIBRATION" &&
    [ "$(grep -c '"stressor":' "$MIMESYS_CALIBRATION")" -eq 20 ]
report $? "calibrates the 20 stressors of the default list"
nothing_in "$scratch/disk"
report $? "calibration leaves nothing on the scratch disk"
run_program --calibrate "${quick[@]}" --json && grep -q '"io_write_max_kbs": [0-9]' "$scratch/out"
report $? "calibrates again over the old file, as JSON"
refuses 2 "expected no plan" "a plan with --calibrate" --calibrate "$plan"
refuses 1 "cannot be" "calibration into a folder that cannot be made" \
    --calibrate "${quick[@]}" --calibration /proc/nowhere/calibration.json
run_program --calibrate --dry-run --calibration "$scratch/none/c.json" && [ ! -e "$scratch/none" ]
report $? "a dry calibration touches nothing"
cp "$trace" "$scratch/trace.txt"
refuses 5 "not replaced" "calibration over a file that is none" --calibrate "${quick[@]}" \
    --calibration "$scratch/trace.txt"
cmp -s "$trace" "$scratch/trace.txt"
report $? "and the file is as it was"
mkfifo "$scratch/fifo"
refuses 1 "nobody reads" "calibration into a pipe without a reader" --calibrate "${quick[@]}" \
    --calibration "$scratch/fifo"
refuses 4 "limits.memory" "calibration beyond the memory ceiling" --calibrate \
    --set limits.memory=1M
refuses 4 "limits.time_s" "calibration beyond the time ceiling" --calibrate --set limits.time_s=0.1

# ---- a plan of six short slots with CPU, reads and writes
"$BIN/mimesys_generate" --trace "$trace" --first 6 --slots 6 --slot 0.25 --method single -o "$plan" \
    >"$scratch/out" 2>"$scratch/err"
report $? "a plan to run"
run_program "$plan" --out "$out" --dry-run && grep -q 'sbatch' "$scratch/out" && [ ! -e "$out" ]
report $? "a dry run says what it would do and touches nothing"
run_program "$plan" --out "$out" && [ "$(ls "$out")" = "$(
    printf '%s\n' result-plan.h5 stats-plan.txt summary.json
)" ]
report $? "a run leaves the stats text, the result and the summary"
grep -q '"status": "done"' "$out/summary.json" && grep -q '"n_slots": 6' "$out/summary.json"
report $? "the summary counts the slots"
[ "$(grep -c '^[0-9]' "$out/stats-plan.txt")" -eq 7 ]
report $? "the stats text has a record at every slot edge"
h5dump -a /schema "$out/result-plan.h5" 2>/dev/null | grep -q mimesys_run_result
report $? "h5dump opens the result"
nothing_in "$scratch/disk"
report $? "a run leaves nothing on the scratch disk"
run_program "$plan" --out "$out" --iters 2 --set run.idle_slot=true --json &&
    grep -q '"n_slots": 14' "$scratch/out"
report $? "passes and idle slots, over the results of before"
MIMESYS_CALIBRATION=$scratch/absent.json run_program "$plan" --out "$out" "${quick[@]}" &&
    grep -q 'measuring [0-9]* I/O stressors' "$scratch/err" && [ ! -e "$scratch/absent.json" ]
report $? "without a calibration the run measures what it needs"
cp "$plan" "$scratch/my plan.h5"
run_program "$scratch/my plan.h5" --out "$scratch/spaced" &&
    grep -q '^%begin my_plan$' "$scratch/spaced/stats-my plan.txt"
report $? "a plan's name may hold a space"
refuses 2 "one word" "a job id of two words" "$plan" --out "$scratch/none" --job "a b"
refuses 2 "empty" "an empty output folder's name" "$plan" --out ""
[ ! -e "$scratch/none" ]
report $? "refused before anything was made"
"$program" "$plan" --out "$scratch/shared" --iters 3 >/dev/null 2>&1 &
pid=$!
sleep 1
refuses 1 "another run" "two runs with one output folder" "$plan" --out "$scratch/shared"
wait $pid
report $? "and the first one ends well"
# ---- one load on a host at a time
wait_for_holder() { # up to 10 s
    local i
    for ((i = 0; i < 500; i++)); do
        [ -s "$MIMESYS_HOST_LOCK" ] && ! flock --nonblock "$MIMESYS_HOST_LOCK" true && return 0
        sleep 0.02
    done
    return 1
}
rm "$MIMESYS_HOST_LOCK"
"$program" "$plan" --out "$scratch/first" --iters 3 >/dev/null 2>&1 &
pid=$!
wait_for_holder
refuses 4 "run.wait_s = 0 s: mimesys_run (process $pid) has this host" "a run beside a run" \
    "$plan" --out "$scratch/second" --set run.wait_s=0
refuses 4 "mimesys_run (process $pid)" "a calibration beside a run" --calibrate "${quick[@]}" \
    --set run.wait_s=0.1
run_program "$plan" --out "$scratch/second" &&
    grep -q "host: waiting: mimesys_run (process $pid) has this host" "$scratch/err" &&
    ! kill -0 $pid 2>/dev/null && grep -q '"n_slots": 6' "$scratch/second/summary.json"
report $? "a run waits for the one before, and says so"
wait $pid && grep -q '"status": "done"' "$scratch/first/summary.json"
report $? "which ended well"
printf someone >"$MIMESYS_HOST_LOCK"
flock --no-fork "$MIMESYS_HOST_LOCK" sleep 60 &
pid=$!
wait_for_holder
refuses 4 "someone has this host" "a host that somebody else has" "$plan" --out "$scratch/second" \
    --set run.wait_s=0
run_program "$plan" --out "$scratch/second" --dry-run
report $? "a dry run waits for nobody"
"$program" "$plan" --out "$scratch/second" >"$scratch/out" 2>"$scratch/err" &
waiting=$!
wait_for_line 10 "host: waiting" "$scratch/err"
kill -TERM $waiting
wait $waiting
rc=$?
[ "$rc" -eq 75 ] && is_one_sentence "stopped while waiting"
report $? "SIGTERM ends the waiting (exit $rc)"
kill $pid
wait $pid 2>/dev/null
mkdir -p "$scratch/blocked/summary.json"
refuses 1 "folder" "a folder where the summary should be" "$plan" --out "$scratch/blocked"
(ulimit -f 1; run_program "$plan" --out "$scratch/limited")
rc=$?
[ "$rc" -eq 4 ] && grep -q '^mimesys_run: .*ulimit -f' "$scratch/err"
report $? "a limit on file sizes is one sentence (exit $rc)"

# ---- settings
(unset MIMESYS_SCRATCH MIMESYS_ALLOW_UNSTABLE MIMESYS_CALIBRATE_TRIES; run_program --print-config) && cmp -s "$scratch/out" ini/run.ini
report $? "ini/run.ini holds the settings and their defaults"

# ---- ceilings
refuses 4 "limits.time_s" "longer than allowed" "$plan" --out "$out" --set limits.time_s=0.5
refuses 4 "limits.memory" "more memory than allowed" "$plan" --out "$out" --set limits.memory=1K
refuses 4 "limits.disk_write" "more scratch than allowed" "$plan" --out "$out" \
    --set limits.disk_write=1M
refuses 4 "free" "less free space than wanted" "$plan" --out "$out" --set limits.disk_free=9999T
run_program "$plan" --out "$scratch/capped" --set limits.disk_write=400M
rc=$?
[ "$rc" -eq 4 ] && grep -q '"note": "' "$scratch/capped/summary.json" &&
    grep -q '"n_slots": 6' "$scratch/capped/summary.json"
report $? "writes end at the ceiling, the run goes on and says so (exit $rc)"

# ---- wrong input
refuses 2 "expected: mimesys_run" "no plan"
refuses 1 "absent.h5" "a plan that is not there" "$scratch/absent.h5"
: >"$scratch/empty.h5"
refuses 5 "empty.h5" "an empty plan" "$scratch/empty.h5"
head -c 700 "$plan" >"$scratch/cut.h5"
refuses 5 "cut.h5" "a truncated plan" "$scratch/cut.h5"
head -c 5000 /dev/urandom >"$scratch/noise.h5"
refuses 5 "noise.h5" "noise for a plan" "$scratch/noise.h5"
refuses 5 "stats-sort.txt" "a trace for a plan" "$trace"
refuses 1 "folder" "a folder for a plan" "$scratch"
refuses 5 "expected a plan" "another HDF5 file for a plan" "$out/result-plan.h5"
echo '{"schema": 1' >"$scratch/broken.json"
refuses 5 "broken.json:[12]: not JSON" "a broken calibration" "$plan" --out "$out" \
    --calibration "$scratch/broken.json"
refuses 5 "broken.json" "a dry run with a broken calibration" "$plan" --dry-run \
    --calibration "$scratch/broken.json"
refuses 1 "no-such" "a dry run without a scratch folder" "$plan" --dry-run \
    --set scratch.folder="$scratch/no-such"
refuses 2 "did you mean run.slot_s" "an unknown setting" "$plan" --set run.slots=1
refuses 2 "0.01" "a slot too short" "$plan" --slot 0.001
refuses 2 "--iters: expected a whole number" "a number that is none" "$plan" --iters 12abc

# ---- outputs that cannot be
refuses 1 "cannot be" "an output folder that cannot be made" "$plan" --out /proc/nowhere
refuses 1 "a file of that name" "a file where the output folder should be" "$plan" --out "$plan"
refuses 1 "no-such" "a scratch folder that is not there" "$plan" --out "$out" \
    --set scratch.folder="$scratch/no-such"
if small_disk 4K "$scratch/full"; then
    refuses 1 "No space left" "a full output disk" "$plan" --out "$scratch/full/run"
    left=$(find "$scratch/full" -type f)
    [ -z "$left" ] || { [ "$left" = "$scratch/full/run/stats-plan.txt" ] &&
        [ "$(grep -c '^[0-9]' "$left")" -ge 1 ] && [ -z "$(tail -c 1 "$left" | tr -d '\n')" ]; }
    report $? "what stays on the full disk is whole"
    small_disk 16M "$scratch/small"
    refuses 4 "free" "a full scratch disk" "$plan" --out "$out" \
        --set scratch.folder="$scratch/small" --set limits.disk_free=32M
    refuses 4 "refused" "a scratch disk too small for the files" "$plan" --out "$out" \
        --set scratch.folder="$scratch/small" --set limits.disk_free=0
    mkdir "$scratch/sealed" && small_disk 1M "$scratch/sealed" &&
        mount -o remount,ro "$scratch/sealed"
    refuses 1 "Read-only" "a read-only scratch disk" "$plan" --out "$out" \
        --set scratch.folder="$scratch/sealed"
else
    skip "full and read-only disks" "needs the right to mount"
fi

# ---- ends before time
"$program" "$plan" --out "$scratch/stopped" --iters 40 >"$scratch/out" 2>"$scratch/err" &
pid=$!
sleep 2.5
kill -TERM $pid
wait $pid
rc=$?
[ "$rc" -eq 75 ] && grep -q '"status": "stopped"' "$scratch/stopped/summary.json" &&
    [ "$(grep -c '^[0-9]' "$scratch/stopped/stats-plan.txt")" -ge 3 ]
report $? "SIGTERM stores what was measured (exit $rc)"
for delay in 0.05 0.4 1.1; do
    "$program" "$plan" --out "$scratch/killed" >"$scratch/out" 2>"$scratch/err" &
    pid=$!
    sleep "$delay"
    kill -9 $pid
    wait $pid 2>/dev/null
done
nothing_in "$scratch/disk" && run_program "$plan" --out "$scratch/killed" &&
    [ "$(find "$scratch/killed" -type f | wc -l)" -eq 3 ]
report $? "after kill -9 nothing is left on the scratch disk and the next run works"

# ---- without rights
if [ "$(id -u)" -eq 0 ] && command -v setpriv >/dev/null; then
    mkdir -m 777 "$scratch/plain"
    chmod 755 "$scratch"
    chmod 644 "$plan" "$MIMESYS_CALIBRATION"
    MIMESYS_HOST_LOCK=$scratch/plain/lock MIMESYS_SCRATCH=$scratch/plain timeout 60 setpriv --reuid 65534 --regid 65534 --clear-groups \
        "$program" "$plan" --out "$scratch/plain/run" >"$scratch/out" 2>"$scratch/err"
    report $? "a plain user can run a plan"
else
    skip "a plain user can run a plan" "needs root to become one"
fi
finish
