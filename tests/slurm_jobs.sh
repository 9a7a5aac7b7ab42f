#!/bin/bash
# The job templates on a real cluster: jobs/run.slurm runs a plan, stops when told, and goes on;
# jobs/train.slurm is told by Slurm before its time limit; jobs/dataset.slurm makes a corpus.
# BIN: folder of the programs, PROGRAMS: of make_runs and make_corpus.
program_name=mimesys_generate
# shellcheck source=tests/support/cli.sh
. tests/support/cli.sh
# shellcheck source=tests/support/slurm.sh
. tests/support/slurm.sh

made=$(realpath "${PROGRAMS:-build/tests}")
export OMP_NUM_THREADS=1

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

# ---- a corpus by two processes
"$made/make_runs" "$shared/runs" 9 && mimesys_dataset runs -o alone.h5 >"$scratch/out" 2>"$scratch/err"
report $? "runs made by rule"
job=$(timeout 20 sbatch --parsable --time=5 --nodes=2 --ntasks=2 --output=dataset.out \
    "$OLDPWD/jobs/dataset.slurm" runs -o two.h5) &&
    wait_for_job 60 "$job" COMPLETED && cmp alone.h5 two.h5
rc=$?
cat dataset.out >"$scratch/out" 2>/dev/null
[ $rc -eq 0 ]
report $? "jobs/dataset.slurm makes the corpus of one process"

# ---- training that does not end within its time limit: Slurm sends USR1 20 to 50 s before that, the
# job is queued again and, with fewer steps left, comes to its end
train_ini() { # STEPS
    printf '%s\n' '[model]' 'width = 16' 'blocks = 1' 'heads = 2' '[train]' "steps = $1" 'batch = 16' \
        'shards = 4' 'log_every = 1000' >train.tmp && mv train.tmp train.ini
}
train_ini 1000000000
"$made/make_corpus" lessons.h5 &&
    job=$(timeout 20 sbatch --parsable --time=1 --signal=USR1@20 --nodes=2 --ntasks=2 --output=train.out \
        "$OLDPWD/jobs/train.slurm" --corpus lessons.h5 --out model --config train.ini) &&
    wait_for_line 90 'stopped after step' train.out
rc=$?
step=$(sed -n 's/.*stopped after step \([0-9]*\) .*/\1/p' train.out)
cat train.out >"$scratch/out" 2>/dev/null
train_ini "$((${step:-0} + 100))"
[ $rc -eq 0 ] && [ "$step" -gt 0 ] && grep -q '"status": *"stopped"' model/summary.json &&
    [ -e "model/checkpoint-$(printf %012d "$step").h5" ]
report $? "jobs/train.slurm: before the time limit a checkpoint is written"
[ $rc -eq 0 ] && wait_for_job 90 "$job" COMPLETED && grep -q '"status": *"done"' model/summary.json &&
    grep -q "\"resumed_from_step\": $step" model/summary.json && [ -s model/model.h5 ] &&
    timeout 10 scontrol show job "$job" | grep -q 'Restarts=1'
rc=$?
cat train.out >"$scratch/out" 2>/dev/null
[ $rc -eq 0 ]
report $? "the job is queued again, goes on from there and ends"

cd "$OLDPWD" || exit 1
end_testbed
report $? "the testbed goes down"
finish
