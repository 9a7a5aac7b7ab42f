#!/bin/bash
# Learning on a real cluster: four nodes make a corpus and train a model as one process outside does.
# BIN: folder of the programs, PROGRAMS: of make_runs and make_corpus.
program_name=mimesys_dataset
# shellcheck source=tests/support/cli.sh
. tests/support/cli.sh
# shellcheck source=tests/support/slurm.sh
. tests/support/slurm.sh
made=$(realpath "${PROGRAMS:-build/tests}")
export OMP_NUM_THREADS=1

start_testbed_or_skip 4
on_nodes() { # ARGUMENTS...: one rank on each node
    timeout 120 srun --time=2 -N4 --ntasks-per-node=1 --mpi=pmix "$program" "$@" >"$scratch/out" \
        2>"$scratch/err"
}

# ---- a corpus
"$made/make_runs" "$shared/runs" 23 && "$made/make_runs" "$shared/campaign.h5" 30
report $? "plans with their measurements, and a campaign, made by rule"
for source in runs campaign.h5; do
    run_program "$shared/$source" -o "$shared/alone.h5" && on_nodes "$shared/$source" -o "$shared/four.h5" &&
        cmp "$shared/alone.h5" "$shared/four.h5" && grep -q '"ranks": 4' "$shared/four.json"
    report $? "srun -N4 mimesys_dataset $source: the bytes of one process"
done
head -c 300 "$shared/runs/stats-plan_000013.txt" >"$scratch/half" &&
    mv "$scratch/half" "$shared/runs/stats-plan_000013.txt"
on_nodes "$shared/runs" -o "$shared/bad.h5"
rc=$?
[ $rc -eq 5 ] && [ "$(grep -c '^mimesys_dataset: .*stats-plan_000013.txt' "$scratch/err")" -eq 1 ] &&
    [ -z "$(find "$shared" -name 'bad.h5*')" ]
report $? "a file that one node cannot read ends all, with its name (exit $rc)"

# ---- a model
use_program mimesys_train
"$made/make_corpus" "$shared/lessons.h5"
report $? "a corpus for training"
lessons=(--corpus "$shared/lessons.h5" --steps 120 --set model.width=16 --set model.blocks=1
    --set model.heads=2 --set model.timesteps=50 --set train.batch=16 --set train.shards=4
    --set train.warmup=10 --set train.ema=0.9 --set train.ema_start=10 --set train.checkpoint_every=60)
run_program "${lessons[@]}" --out "$shared/alone" && on_nodes "${lessons[@]}" --out "$shared/four" &&
    grep -q '"ranks": 4' "$shared/four/summary.json" && grep -q '"step": 120' "$shared/four/summary.json"
report $? "srun -N4 mimesys_train"
h5diff -d 1e-6 "$shared/alone/model.h5" "$shared/four/model.h5" /ema /ema >"$scratch/out" 2>"$scratch/err"
report $? "its model is that of one process, up to the rounding of sums"

end_testbed
report $? "the testbed goes down"
finish
