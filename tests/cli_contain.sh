#!/bin/bash
# mimesys_run's containment from the outside: what is said of it, groups gone at every end, leftovers
# swept, and runs of plain users.
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
plan=$scratch/plan.h5
out=$scratch/run
nobody=(setpriv --reuid 65534 --regid 65534 --clear-groups)

groups_left() { find /sys/fs/cgroup -name 'mimesys-run.*' 2>/dev/null | wc -l; }
groups_of() { find /sys/fs/cgroup -name "mimesys-run.$1" 2>/dev/null; } # PID

"$BIN/mimesys_run" --calibrate --set calibrate.seconds_each=0.05 --set calibrate.repeats=3 \
    >"$scratch/out" 2>"$scratch/err" &&
    "$BIN/mimesys_generate" --trace tests/data/traces/stats-sort.txt --first 4 --slots 4 \
        --slot 0.25 --method single -o "$plan" >"$scratch/out" 2>"$scratch/err"
report $? "a calibration and a plan"

# ---- what is said
run_program "$plan" --out "$out" && grep -q 'contain: within .*limits: ' "$scratch/err" &&
    grep -q 'machine: [0-9]* of [0-9]* CPUs' "$scratch/err"
report $? "the log tells what the run was kept within, and its CPUs"
grep -q '"applied": ".*limits: data ' "$out/summary.json" && grep -q '"missing": ' "$out/summary.json"
report $? "so does the summary"
grep -q '^.x_contain .*limits: data ' "$out/stats-plan.txt" &&
    h5dump -a /contained "$out/result-plan.h5" 2>/dev/null | grep -q 'limits: data '
report $? "so do the stats text and the result"
run_program "$plan" --out "$out" --set contain.mode=off --json &&
    grep -q '"applied": "nothing"' "$scratch/out" && grep -q 'contain.mode = off' "$scratch/out"
report $? "nothing is done when it is off, and said"
run_program "$plan" --out "$out" --set contain.mode=rlimits --json &&
    grep -q '"applied": "limits: ' "$scratch/out" && ! grep -q 'cgroup v' "$scratch/out"
report $? "limits only"
refuses 2 "contain.mode" "a mode that is none" "$plan" --out "$out" --set contain.mode=jail
refuses 2 "contain.cpu_margin" "a margin below 0" "$plan" --out "$out" --set contain.cpu_margin=-1
run_program "$plan" --dry-run && [ "$(groups_left)" -eq 0 ]
report $? "a dry run makes no groups"

# ---- groups of this machine
if [ "$(id -u)" -eq 0 ] && run_program "$plan" --out "$out" --set contain.mode=cgroup --json &&
    grep -q '"applied": "cgroup v' "$scratch/out"; then
    [ "$(groups_left)" -eq 0 ]
    report $? "no group is left after a run"
    start() { # a long run; pid in $pid
        : >"$scratch/err" # of the run before
        "$program" "$plan" --out "$scratch/long" --iters 40 >"$scratch/out" 2>"$scratch/err" &
        pid=$!
        wait_for_line 20 "contain: within cgroup" "$scratch/err"
    }
    start && [ -n "$(groups_of $pid)" ]
    report $? "a run is in groups of its own"
    kill -TERM $pid
    wait $pid
    rc=$?
    [ $rc -eq 75 ] && [ -z "$(groups_of $pid)" ]
    report $? "SIGTERM: they are gone (exit $rc)"
    start
    kill -9 $pid
    wait $pid 2>/dev/null
    [ -n "$(groups_of $pid)" ] && run_program "$plan" --out "$out" && [ -z "$(groups_of $pid)" ]
    report $? "what kill -9 left is removed by the next run"
    for value in 1.5 '"x"'; do
        run_program "$plan" --out "$out" --set contain.cpuset="$value"
        [ $? -eq 2 ]
        report $? "contain.cpuset=$value is refused"
    done
    run_program "$plan" --out "$out" --set contain.cpuset=true --set limits.cpus=1 --json &&
        grep -q 'CPUs [0-9]*[;,"]' "$scratch/out" && [ "$(groups_left)" -eq 0 ]
    report $? "a CPU set is made when asked for"
else
    skip "groups of this machine" "they cannot be made here"
fi

# ---- plain users
if [ "$(id -u)" -eq 0 ] && command -v setpriv >/dev/null; then
    mkdir -m 777 "$scratch/plain"
    chmod 755 "$scratch"
    chmod 644 "$plan" "$MIMESYS_CALIBRATION"
    export MIMESYS_HOST_LOCK=$scratch/plain/lock MIMESYS_SCRATCH=$scratch/plain
    as_nobody() { timeout 60 "${nobody[@]}" "$program" "$@" >"$scratch/out" 2>"$scratch/err"; }
    as_nobody "$plan" --out "$scratch/plain/run" &&
        grep -q '"applied": ".*limits: data ' "$scratch/plain/run/summary.json" &&
        grep -q '"missing": "no cgroup for ' "$scratch/plain/run/summary.json"
    report $? "a plain user's run is kept within limits, and the summary tells why not more"
    as_nobody "$plan" --out "$scratch/plain/run" --set contain.mode=cgroup
    rc=$?
    [ $rc -eq 4 ] && is_one_sentence "contain.mode = cgroup: no cgroup for "
    report $? "and is refused when a group is asked for (exit $rc)"
    rm -rf "$scratch/plain/run" "$scratch/plain/lock"
    [ -z "$(ls -A "$scratch/plain")" ]
    report $? "nothing is left in the scratch folder"
else
    skip "plain users" "needs root to become one"
fi
finish
