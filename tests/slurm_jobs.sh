#!/bin/bash
# The job templates on a real cluster: jobs/run.slurm runs a plan, stops when told, and goes on.
# BIN: folder of the programs.
program_name=mimesys_generate
# shellcheck source=tests/support/cli.sh
. tests/support/cli.sh
# shellcheck source=tests/support/slurm.sh
. tests/support/slurm.sh

for template in jobs/*.slurm; do
    bash -n "$template" && grep -q '^#SBATCH.*--open-mode=append' "$template" &&
        grep -q '^#SBATCH.*--signal=USR1@' "$template" && grep -q '^#SBATCH.*--requeue' "$template" &&
        ! grep -Eq -- '--(account|partition|qos|mail-user)' "$template"
    report $? "$template is a script that is stopped early, queued again and names no site"
done

# The program makes its folder when it listens to signals already.
wait_for_folder() { # LIMIT_S FOLDER
    local until=$((SECONDS + $1))
    until [ -d "$2" ]; do
        [ "$SECONDS" -lt "$until" ] || return 1
        sleep 0.2
    done
}

start_testbed_or_skip 2

# CPU only: 4 slots of 0.25 s.
grep -v '^block' tests/data/traces/stats-sort.txt >"$scratch/cpu.txt"
run_program --trace "$scratch/cpu.txt" --slots 4 --slot 0.25 --threads 1 \
    --calibration tests/data/calibration.json -o "$shared/tiny.h5"
report $? "a tiny plan"

cd "$shared" || exit 1 # where the job's output goes
export MIMESYS_CALIBRATION=$shared/calibration.json
job=$(timeout 20 sbatch --parsable --time=5 "$OLDPWD/jobs/run.slurm" tiny.h5 --out run1) &&
    wait_for_job 60 "$job" COMPLETED
rc=$?
cat "$shared"/mimesys_run-*.out >"$scratch/out" 2>/dev/null
[ $rc -eq 0 ] && grep -q '"status": *"done"' run1/summary.json && grep -q '"n_slots": *4' run1/summary.json &&
    [ -s run1/stats-tiny.txt ] && [ -s run1/result-tiny.h5 ]
report $? "jobs/run.slurm runs a plan"

grep -Eq '^[$]hostname n[12]$' run1/stats-tiny.txt
report $? "it ran on a node of the cluster"

# Told to stop while it runs 8 s: results are saved, the job waits and then runs anew to its end.
job=$(timeout 20 sbatch --parsable --time=5 --output=stop.out "$OLDPWD/jobs/run.slurm" tiny.h5 --iters 8 \
    --out run2) && wait_for_folder 30 run2 && sleep 1 &&
    timeout 20 scancel --signal=USR1 "$job" && wait_for_line 30 'stopped by a signal' stop.out &&
    grep -q '"status": *"stopped"' run2/summary.json
rc=$?
cat stop.out >"$scratch/out" 2>/dev/null
[ $rc -eq 0 ]
report $? "USR1 stops it with its results saved"
[ $rc -eq 0 ] && wait_for_job 90 "$job" COMPLETED && grep -q '"status": *"done"' run2/summary.json &&
    timeout 10 scontrol show job "$job" | grep -q 'Restarts=1'
report $? "the job is queued again and ends"

# What must fail, fails: no endless queue.
job=$(timeout 20 sbatch --parsable --time=5 --output=bad.out "$OLDPWD/jobs/run.slurm" none.h5) &&
    wait_for_job 60 "$job" FAILED && grep -q 'mimesys_run: none.h5' bad.out &&
    timeout 10 scontrol show job "$job" | grep -q 'ExitCode=1:0' &&
    timeout 10 scontrol show job "$job" | grep -q 'Restarts=0'
rc=$?
cat bad.out >"$scratch/out" 2>/dev/null
[ $rc -eq 0 ]
report $? "a plan that is not there fails the job at once"

cd "$OLDPWD" || exit 1
end_testbed
report $? "the testbed goes down"
finish
