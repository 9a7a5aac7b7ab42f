#!/bin/bash
# mimesys_run's ways to run a plan: the original's dispatch and variables, a common start, windows
# that were disturbed, the closed loop, what the log tells of slots.
set -u
program_name=mimesys_run
may_log=yes # what it did before it was refused
# shellcheck source=tests/support/cli.sh
. tests/support/cli.sh
export MIMESYS_CALIBRATION=$scratch/calibration.json
export MIMESYS_SCRATCH=$scratch/disk
export MIMESYS_HOST_LOCK=$scratch/host.lock
unset MIMESYS_ITERS MIMESYS_SLEEP MIMESYS_SLOT_US MIMESYS_INTERNAL_PROFILING ACTION_LIST_PATH \
    ACTION_PROFILING_CACHE_DIR PROFILED_STATS_DIR
mkdir "$scratch/disk"
plan=$scratch/plan.h5
run_program --calibrate --set calibrate.seconds_each=0.05 --set calibrate.repeats=3
report $? "a calibration"
"$BIN/mimesys_generate" --trace tests/data/traces/stats-sort.txt --first 6 --slots 3 \
    --method single -o "$plan" >"$scratch/out" 2>"$scratch/err"
report $? "a plan to run"
figure() { sed -n "s/^ *\"$1\": \\(.*[^,]\\),\\{0,1\\}$/\\1/p" "$scratch/$2/summary.json"; } # KEY RUN
folder_of() { printf '%s\n' "$scratch/$1"; }

# ---- the original's dispatch
short=(--slot 0.3 --set run.warm_up_s=0.2)
run_program "$plan" --compat --dry-run && grep -q "the original's dispatch" "$scratch/out"
report $? "a dry run of the original's dispatch"
run_program "$plan" --compat --seed 5 "${short[@]}" --out "$scratch/c5" --log-level debug &&
    [ "$(figure n_slots c5)" = 4 ] && [ "$(figure seed c5)" = 5 ] &&
    [ "$(grep -c '^[0-9]' "$scratch/c5/stats-plan.txt")" -eq 5 ]
report $? "the original's dispatch adds its idle slot"
grep -q 'executor: slot=3 window=idle dispatch_us=' "$scratch/err" &&
    [ "$(grep -c ' executor: slot=.* collect_us=.* duration_us=.* late_us=.* over_us=' "$scratch/err")" -eq 4 ]
report $? "a line a slot tells dispatch, lateness and overrun"
made=$scratch/made/plan_000000.h5 # 8 rows of 3 stressors
"${PROGRAMS:-$BIN/../tests}/make_runs" "$scratch/made" 1
orders() { sed -n 's/.* compat: \(window=.*\)/\1/p' "$scratch/err"; }
entries() { sed 's/.*order=//' | tr ' ' '\n' | sort; }
shuffle() { # SEED ARGUMENTS...
    run_program "$made" --compat --seed "$1" --slot 0.1 --set run.warm_up_s=0 \
        --out "$scratch/shuffled" --log-level debug "${@:2}"
}
shuffle 5
first=$(orders)
shuffle 5
[ "$(orders)" = "$first" ] && [ "$(orders | wc -l)" -eq 8 ]
report $? "the same seed shuffles alike"
shuffle 6
[ "$(orders)" != "$first" ] && [ "$(orders | entries)" = "$(printf '%s\n' "$first" | entries)" ]
report $? "another seed shuffles the same entries otherwise"
h5dump -a /config "$scratch/c5/result-plan.h5" | grep -q 'idle_slot = true' &&
    h5dump -d /stressor_wall -d /window -d /is_accepted "$scratch/c5/result-plan.h5" >/dev/null
report $? "its result tells what was set and what stressors took"
run_program "$plan" --compat "${short[@]}" --set run.idle_slot=false --out "$scratch/c" &&
    [ "$(figure n_slots c)" = 3 ]
report $? "its defaults can be overridden"
refuses 2 "nothing runs" "the original's dispatch on a simulated node" "$plan" --compat \
    --set run.node=simulated
refuses 2 "closed_loop" "the original has no closed loop" "$plan" --compat \
    --set run.closed_loop=true

# ---- its cost file
mkdir "$scratch/costs"
run_program "$plan" --compat "${short[@]}" --out "$scratch/c" --set run.cost_folder="$scratch/costs" &&
    [ "$(sort "$scratch/costs/profiling_cache.txt" | uniq -c | tr -s ' ')" = "$(
        printf '%s\n' ' 1 25000' ' 14 5000' ' 3 50000' ' 2 500000'
    )" ]
report $? "the built-in costs are written where the folder is"
printf '# mine\n\n1000\n1000\n1000\n' >"$scratch/costs/profiling_cache.txt"
ACTION_PROFILING_CACHE_DIR=$scratch/costs shuffle 5 && [ "$(orders)" != "$first" ] &&
    [ "$(tail -n 1 "$scratch/costs/profiling_cache.txt")" = 1000 ]
report $? "a cost file is used, and kept"
echo many >"$scratch/costs/profiling_cache.txt"
refuses 5 "profiling_cache.txt:1" "a broken cost file" "$plan" --compat \
    --set run.cost_folder="$scratch/costs"
echo 5000 >"$scratch/costs/profiling_cache.txt"
run_program "$plan" --compat --dry-run --set run.cost_folder="$scratch/costs" &&
    grep -q 'costs of 1 of 20 stressors' "$scratch/err"
report $? "a cost file that is too short is told"

# ---- its variables
MIMESYS_SLOT_US=200000 MIMESYS_ITERS=2 MIMESYS_SLEEP=1 PROFILED_STATS_DIR=$(folder_of env) \
    run_program "$plan" && [ "$(figure n_slots env)" = 8 ] && [ "$(figure slot_s env)" = 0.2 ]
report $? "slot, passes, idle slot and folder from the environment"
MIMESYS_SLOT_US=200000 MIMESYS_ITERS=2 MIMESYS_SLEEP=1 PROFILED_STATS_DIR=$(folder_of none) \
    run_program "$plan" --slot 0.1 --iters 1 --set run.idle_slot=false --out "$scratch/flags" &&
    [ "$(figure n_slots flags)" = 3 ] && [ "$(figure slot_s flags)" = 0.1 ] &&
    [ ! -e "$scratch/none" ]
report $? "flags and settings come before the environment"
# this plan has no slot length of its own
MIMESYS_SLOT_US=-1 run_program "$made" --dry-run && grep -q 'slots of 1 s' "$scratch/out" &&
    MIMESYS_SLOT_US=-1 run_program "$made" --compat --dry-run &&
    grep -q 'slots of 2 s' "$scratch/out"
report $? "a slot of 0 or less is ignored; then it is 1 s, with --compat 2 s"
MIMESYS_ITERS=two refuses 2 "MIMESYS_ITERS" "a variable that is no number" "$plan" --dry-run
run_program "$plan" --slot 0.1 --out "$scratch/quiet" &&
    MIMESYS_INTERNAL_PROFILING=0 run_program "$plan" --slot 0.1 --out "$scratch/quiet" &&
    [ "$(figure stats quiet)" = null ] && [ "$(figure n_accepted quiet)" = null ] &&
    [ "$(ls "$scratch/quiet")" = "$(printf '%s\n' result-plan.h5 summary.json)" ]
report $? "without profiling there is no stats text, an old one neither"
printf '# a list\n%s\n' BM_LIBC_Memcpy_Fleet_L1 >"$scratch/one.txt"
ACTION_LIST_PATH=$scratch/one.txt run_program --calibrate --dry-run &&
    grep -q 'measure 1 stressors' "$scratch/out"
report $? "the action list from the environment"

# ---- a common start
start=$scratch/start
"$program" "$plan" --slot 0.1 --out "$scratch/started" --set run.start_file="$start" \
    >"$scratch/out" 2>"$scratch/err" &
pid=$!
wait_for_line 20 '^1$' "$start" && [ ! -e "$scratch/started/summary.json" ]
report $? "ready is told, and waits"
echo 2 >"$start"
wait $pid && [ "$(figure n_slots started)" = 3 ]
report $? "it starts when the other side has answered"
refuses 1 "expected 2 from the other program" "no answer" "$plan" --slot 0.1 \
    --out "$scratch/started" --set run.start_file="$start" --set run.start_wait_s=0.2
[ "$(cat "$start")" = 0 ]
report $? "then the file does not say ready"
"$program" "$plan" --slot 0.1 --out "$scratch/started" --set run.start_file="$start" \
    >"$scratch/out" 2>"$scratch/err" &
pid=$!
wait_for_line 20 '^1$' "$start"
kill -TERM $pid
wait $pid
rc=$?
[ "$rc" -eq 75 ] && is_one_sentence "waiting for 2"
report $? "SIGTERM ends the waiting (exit $rc)"
refuses 1 "start file" "a start file that cannot be" "$plan" --out "$scratch/started" \
    --set run.start_file=/proc/nowhere/start

# ---- a CPU set that shrinks
group=/sys/fs/cgroup/cpuset/mimesys-test-$$
if [ "$(nproc)" -ge 2 ] && mkdir "$group" 2>/dev/null; then
    cat /sys/fs/cgroup/cpuset/cpuset.mems >"$group/cpuset.mems"
    cat /sys/fs/cgroup/cpuset/cpuset.cpus >"$group/cpuset.cpus"
    sh -c 'echo $$ >"$1/tasks"; shift; exec "$@"' sh "$group" "$program" "$plan" --slot 0.5 \
        --iters 3 --out "$scratch/shrunk" --log-level debug >"$scratch/out" 2>"$scratch/err" &
    pid=$!
    wait_for_line 20 'slot=1' "$scratch/err"
    sed 's/[-,].*//' /sys/fs/cgroup/cpuset/cpuset.cpus >"$group/cpuset.cpus"
    wait $pid && grep -q 'row 1: CPU [0-9]* was taken from this process' "$scratch/err" &&
        figure cpu_note shrunk | grep -q 'row 1 lost CPU' && [ "$(figure n_slots shrunk)" = 9 ]
    report $? "a run goes on when its CPU set shrinks, and tells"
    rmdir "$group"
else
    skip "a run goes on when its CPU set shrinks, and tells" "needs the right to make CPU sets"
fi

# ---- disturbed windows
sh -c 'while :; do :; done' &
running=$!
run_program "$plan" --slot 0.2 --out "$scratch/disturbed" --set run.repeat_disturbed=2 &&
    [ "$(figure n_runs disturbed)" = 3 ] && [ "$(figure n_accepted disturbed)" = 0 ] &&
    [ "$(sed -n '/windows_lacking/,/]/p' "$scratch/disturbed/summary.json" | tr -dc 0-9,)" = 0,1,2 ]
report $? "a plan beside other load is repeated, and the summary tells what is lacking"
[ "$(ls "$scratch/disturbed/again-2")" = "$(
    printf '%s\n' plan.h5 result-plan.h5 stats-plan.txt summary.json
)" ] && "$BIN/mimesys_compare" --wanted tests/data/traces/stats-sort.txt --first 6 --slots 3 \
    --measured "$scratch/disturbed/stats-plan.txt:a" \
    --measured "$scratch/disturbed/again-1/stats-plan.txt:a" >/dev/null 2>&1
report $? "repetitions lie beside it in the same layout"
"$BIN/mimesys_dataset" "$scratch/disturbed/again-1" \
    --set dataset.with_disturbed=true -o "$scratch/corpus.h5" >"$scratch/out" 2>"$scratch/err" &&
    grep -q '3 samples' "$scratch/out"
report $? "and can be made a corpus"
run_program "$plan" --slot 0.2 --out "$scratch/loop" --set run.closed_loop=true &&
    h5dump -d /others_share "$scratch/loop/result-plan.h5" | grep -q '(2,[01]): 0\.[0-9]'
report $? "the closed loop sees the load"
kill -9 "$running"
wait "$running" 2>/dev/null
running=
run_program "$plan" --slot 0.1 --out "$scratch/disturbed" && [ ! -e "$scratch/disturbed/again-1" ]
report $? "a new run removes repetitions of an old one"
refuses 2 "run.repeat_disturbed = 0" "repetitions of a common start" "$plan" \
    --set run.repeat_disturbed=1 --set run.start_file="$start"
refuses 2 "run.sample" "repetitions without records" "$plan" --set run.repeat_disturbed=1 \
    --set run.sample=false
refuses 4 "limits.time_s" "repetitions longer than allowed" "$plan" --slot 0.2 \
    --set run.repeat_disturbed=9 --set limits.time_s=5
finish
