#!/bin/bash
# mimesys_train from the outside, on a corpus made by rule: stops, resuming, ranks, refusals.
program_name=mimesys_train
may_log=yes
# shellcheck source=tests/support/cli.sh
. tests/support/cli.sh
corpus=$scratch/corpus.h5
"${PROGRAMS:-$BIN/../tests}/make_corpus" "$corpus" >"$scratch/out" 2>"$scratch/err"
report $? "a corpus made by rule"
# shellcheck source=tests/support/train.sh
. tests/support/train.sh

run_program --print-config && cmp -s "$scratch/out" ini/pretrain.ini
report $? "ini/pretrain.ini holds the settings and their defaults"
run_program --config ini/pretrain.ini --corpus "$corpus" --out "$scratch/dry" --dry-run &&
    grep -q '^model: [1-9]' "$scratch/out" && grep -q '^sbatch --ntasks=1 ' "$scratch/out" &&
    [ ! -e "$scratch/dry" ]
report $? "a dry run says what it would take and touches nothing"

# ---- other networks
run_program --config ini/parity.ini --corpus "$corpus" --out "$scratch/dry" --dry-run --json &&
    [ "$(number parameters "$scratch/out")" -gt 10000000 ] && [ ! -e "$scratch/dry" ]
report $? "ini/parity.ini: a dry run of the published recipe"
tiny=(--corpus "$corpus" --set train.batch=16 --set train.shards=4 --set model.width=16 --set model.heads=2
    --set model.blocks=1 --set model.encoder_width=16 --set model.context_width=16 --set train.log_every=10
    --set train.rate=2e-3 --set train.ema=0.9 --set train.ema_start=10)
run_program --config ini/parity.ini "${tiny[@]}" --out "$scratch/cells" --steps 60 --json &&
    awk -v a="$(number loss "$scratch/cells/metrics.jsonl")" -v b="$(number loss "$scratch/cells/metrics.jsonl" last)" \
        'BEGIN {exit !(b < 0.95 * a)}'
report $? "the published recipe, scaled down: the loss falls"
cp "$scratch/cells/summary.json" "$scratch/cells60.json"
run_program --config ini/parity.ini "${tiny[@]}" --out "$scratch/cells" --steps 80 --resume auto --json &&
    [ "$(number resumed_from_step "$scratch/out")" = 60 ]
report $? "it goes on from its checkpoint"
may_log=
refuses 2 "it was made with model.encoder = metrics_only, the settings say concat" "with another encoder" \
    --config ini/parity.ini "${tiny[@]}" --set model.encoder=concat --out "$scratch/cells" --steps 90 --resume auto
refuses 2 "rows \"8-14\": row: expected 0 to 2" "rows that the corpus has not" --config ini/parity.ini "${tiny[@]}" \
    --set model.thread_condition=bias --set model.quiet_rows=8-14 --out "$scratch/none" --dry-run
may_log=yes
run_program "${tiny[@]}" --set model.kind=unet --set model.multipliers=1,2 --set model.head_width=4 \
    --set model.encoder=transformer_tokens --set model.encoder_blocks=1 --out "$scratch/unet" --steps 60 --json &&
    awk -v a="$(number loss "$scratch/unet/metrics.jsonl")" -v b="$(number loss "$scratch/unet/metrics.jsonl" last)" \
        'BEGIN {exit !(b < 0.5 * a)}'
report $? "a U-Net: the loss falls"
use_program mimesys_generate
for kind in cells unet; do
    run_program --config ini/parity-generate.ini --trace tests/data/traces/stats-sort.txt \
        --calibration tests/data/calibration.json --checkpoint "$scratch/$kind/model.h5" -o "$scratch/$kind.h5" --json &&
        grep -q '"method": "diffusion"' "$scratch/out"
    report $? "a plan from its model ($kind)"
done
use_program mimesys_train

# ---- one run
run_program "${small[@]}" --out "$scratch/a" --steps 120 --json &&
    [ "$(number step "$scratch/out")" = 120 ] && grep -q '"status": "done"' "$scratch/out" &&
    grep -q '"resumed_from_step": null' "$scratch/out" && grep -q '"step": 120' "$scratch/a/summary.json"
report $? "120 steps, and the summary"
[ "$(cd "$scratch/a" && echo ./*)" = \
    "./checkpoint-000000000100.h5 ./checkpoint-000000000120.h5 ./metrics.jsonl ./model.h5 ./summary.json" ]
report $? "the last two checkpoints, the figures, the model and the summary are there"
[ "$(grep -c '"loss"' "$scratch/a/metrics.jsonl")" -eq 12 ] &&
    [ "$(grep -c '"validation_loss"' "$scratch/a/metrics.jsonl")" -eq 3 ] &&
    awk -v a="$(number loss "$scratch/a/metrics.jsonl")" -v b="$(number loss "$scratch/a/metrics.jsonl" last)" \
        'BEGIN {exit !(b < 0.5 * a)}'
report $? "the loss falls"
refuses 2 "checkpoint of step 120: go on with --resume auto" "the same folder again" \
    "${small[@]}" --out "$scratch/a" --steps 120
run_program "${small[@]}" --out "$scratch/a" --steps 120 --resume auto &&
    grep -q '^done: 120 steps' "$scratch/out" &&
    near "$(number validation_loss "$scratch/a/summary.json")" \
        "$(number validation_loss "$scratch/a/metrics.jsonl" last)" 1e-6
report $? "a finished training has nothing left to do"
run_program "${small[@]}" --out "$scratch/b" --steps 120 &&
    cmp -s "$scratch/a/checkpoint-000000000120.h5" "$scratch/b/checkpoint-000000000120.h5" &&
    cmp -s "$scratch/a/model.h5" "$scratch/b/model.h5"
report $? "the same training again gives the same files"

# ---- stopped and resumed: the same bytes as without
long=("${small[@]}" --steps 2000 --set train.checkpoint_every=1000)
run_program "${long[@]}" --out "$scratch/straight"
report $? "2000 steps at once"
for signal in TERM USR1; do
    stop $signal "$scratch/$signal" "$program" "${long[@]}"
    [ $? -eq 75 ] && is_one_sentence "go on with --resume auto" &&
        grep -q '"status": "stopped"' "$scratch/$signal/summary.json" && [ ! -e "$scratch/$signal/model.h5" ]
    report $? "SIG$signal: a checkpoint and exit 75"
    run_program "${long[@]}" --out "$scratch/$signal" --resume auto &&
        cmp -s "$scratch/straight/checkpoint-000000002000.h5" "$scratch/$signal/checkpoint-000000002000.h5" &&
        cmp -s "$scratch/straight/model.h5" "$scratch/$signal/model.h5"
    report $? "resumed after SIG$signal: to the bit what it is at once"
done
stop KILL "$scratch/KILL" "$program" "${long[@]}" --set train.checkpoint_every=10 --set train.log_every=30
run_program "${long[@]}" --set train.checkpoint_every=10 --set train.log_every=30 --out "$scratch/KILL" --resume auto
near "$(number loss "$scratch/KILL/summary.json")" "$(number loss "$scratch/KILL/metrics.jsonl" last)" 1e-6 &&
    [ "$(grep '"loss"' "$scratch/KILL/metrics.jsonl" | sed 's/.*"step": *\([0-9]*\).*/\1/' | sort | uniq -d | wc -l)" -eq 0 ]
report $? "killed and resumed: no step stands twice in the figures"
near "$(number validation_loss "$scratch/KILL/summary.json")" \
    "$(number validation_loss "$scratch/straight/summary.json")" 1e-6
report $? "killed and resumed: the same model"
often=("${small[@]}" --steps 600 --set train.checkpoint_every=2)
run_program "${often[@]}" --out "$scratch/often" && kill_training "$scratch/kills" 8 400 "$program" "${often[@]}" &&
    run_program "${often[@]}" --out "$scratch/kills" --resume auto && same_training "$scratch/often" "$scratch/kills"
report $? "killed at random moments of writing checkpoints and resumed: to the bit what it is at once"
ranks 2 "${often[@]}" --out "$scratch/often2"
for n in 1 2 3; do
    kill_ranks 2 "$scratch/kills2" "${often[@]}" --resume auto
done
ranks 2 "${often[@]}" --out "$scratch/kills2" --resume auto && [ "$(number resumed_from_step "$scratch/kills2/summary.json")" -gt 0 ] &&
    same_training "$scratch/often2" "$scratch/kills2"
report $? "and so at 2 ranks"
run_stopped "${small[@]}" --out "$scratch/early" --steps 120
[ $? -eq 75 ] && is_one_sentence "stopped after step 1 of 120: go on with --resume auto" &&
    run_program "${small[@]}" --out "$scratch/early" --steps 120 --resume auto &&
    cmp -s "$scratch/early/model.h5" "$scratch/b/model.h5"
report $? "told to stop before it began: a step is made and kept, and gone on from"
run_program "${long[@]}" --out "$scratch/limit" --set train.time_limit_s=0.05
[ $? -eq 75 ]
report $? "a time limit: exit 75"

# ---- damaged checkpoints
run_program "${small[@]}" --out "$scratch/c" --steps 60 && rm "$scratch/c/model.h5" &&
    head -c 3000 "$scratch/c/checkpoint-000000000060.h5" >"$scratch/half" &&
    mv "$scratch/half" "$scratch/c/checkpoint-000000000060.h5" &&
    run_program "${small[@]}" --out "$scratch/c" --steps 60 --resume auto &&
    grep -q "trying the one before" "$scratch/err" && [ "$(number resumed_from_step "$scratch/c/summary.json")" = 40 ]
report $? "behind a damaged checkpoint the one before serves"

# ---- damaged corpora
may_log=
cp "$corpus" "$scratch/bad.h5" && flip "$scratch/bad.h5" action 7
use_program mimesys_dataset
run_program --check "$scratch/bad.h5"
sentence=$(sed 's/^mimesys_dataset: //' "$scratch/err")
use_program mimesys_train
refuses 5 "bad.h5: action is damaged in samples 0 to 199: not the digest" "a damaged corpus" --corpus "$scratch/bad.h5" \
    "${small[@]:2}" --out "$scratch/none" --steps 5
[ ! -e "$scratch/none" ] && [ "$(cat "$scratch/err")" = "mimesys_train: $sentence" ]
report $? "told as --check tells it, before anything was made"
ranks 2 --corpus "$scratch/bad.h5" "${small[@]:2}" --out "$scratch/none" --steps 5
[ $? -eq 5 ] && [ "$(grep -c "^mimesys_train: $sentence" "$scratch/err")" -eq 1 ] && [ ! -e "$scratch/none" ]
report $? "and so on 2 ranks"
cp "$corpus" "$scratch/bad.h5" && flip "$scratch/bad.h5" is_validation 0
refuses 5 "bad.h5: sample 0: " "a sample on the other side, read as needed" --corpus "$scratch/bad.h5" "${small[@]:2}" \
    --set examples.in_memory=0 --out "$scratch/none" --steps 5
[ ! -e "$scratch/none" ] && [ "$(grep -o 'bad\.h5' "$scratch/err" | wc -l)" -eq 1 ]
report $? "the sentence names the file once"
may_log=yes

# ---- checkpoints in the background
run_program "${small[@]}" --out "$scratch/stones" --steps 120 --set train.milestone_every=30 &&
    [ "$(cd "$scratch/stones" && echo checkpoint-*)" = "$(printf 'checkpoint-%012d.h5 ' 30 60 90 100 120 | sed 's/ $//')" ]
report $? "milestones stay beside the last two"
for n in 1 2; do
    ranks "$n" "${small[@]}" --out "$scratch/full$n" --steps 40
    mkdir "$scratch/full$n/checkpoint-000000000060.h5" # what no file can replace
    ranks "$n" "${small[@]}" --out "$scratch/full$n" --steps 120 --resume "$scratch/full$n/checkpoint-000000000040.h5"
    [ $? -eq 1 ] && [ "$(grep -c '^mimesys_train: .*checkpoint-000000000060.h5' "$scratch/err")" -eq 1 ] &&
        grep -q '"status": "failed"' "$scratch/full$n/summary.json" &&
        grep -q '"checkpoint": null' "$scratch/full$n/summary.json" && [ -s "$scratch/full$n/checkpoint-000000000020.h5" ]
    report $? "$n rank(s): a checkpoint that cannot be written ends all of them with a sentence"
    rmdir "$scratch/full$n/checkpoint-000000000060.h5"
    ranks "$n" "${small[@]}" --out "$scratch/full$n" --steps 120 --resume auto &&
        [ "$(number resumed_from_step "$scratch/full$n/summary.json")" = 40 ]
    report $? "$n rank(s): those before it are there"
done
size=$(stat -c %s "$scratch/a/checkpoint-000000000120.h5")
if small_disk $((size * 5 / 2)) "$scratch/disk"; then
    run_program "${small[@]}" --out "$scratch/disk/model" --steps 400
    [ $? -eq 1 ] && is_one_sentence "No space left on device" &&
        "$program" "${small[@]}" --out "$scratch/disk/model" --steps 400 --resume auto --dry-run --json \
            >"$scratch/out" 2>"$scratch/err" && [ "$(number step "$scratch/out")" -gt 0 ]
    report $? "a full disk: a sentence, and the checkpoints before are whole"
else
    skip "a full disk" "needs the right to mount"
fi

run_program "${small[@]}" --out "$scratch/overrun" --steps 60 && run_program "${small[@]}" --out "$scratch/overrun" \
    --set train.epsilon=0 --set train.beta_2=0 --set train.checkpoint_every=1 --set validate.every=500 --steps 120 --resume auto
[ $? -eq 3 ] && is_one_sentence "is not finite" && run_program "${small[@]}" --out "$scratch/overrun" --steps 80 --resume auto &&
    [ "$(number resumed_from_step "$scratch/overrun/summary.json")" -ge 60 ]
report $? "parameters that are not finite push no checkpoint out"
run_program "${small[@]}" --out "$scratch/overrun" --steps 40 --resume auto &&
    grep -q "is of step 80, beyond train.steps = 40" "$scratch/err" && grep -q "^done: 80 steps, validation loss" "$scratch/out"
report $? "fewer steps than were taken: told"

# ---- ranks
flat=("${small[@]}" --set train.rate_decay=constant)
run_program "${flat[@]}" --out "$scratch/flat" --steps 120
for n in 1 2 4; do
    ranks $n "${flat[@]}" --out "$scratch/grown" --steps $((n == 4 ? 120 : 40 * n)) --resume auto || break
done
[ "$(number resumed_from_step "$scratch/grown/summary.json")" = 80 ] &&
    h5diff -d 1e-5 "$scratch/grown/model.h5" "$scratch/flat/model.h5" /ema /ema >"$scratch/out"
report $? "begun at one rank, gone on at two, then at four: what one comes to"
for n in 2 3 4; do
    ranks $n "${small[@]}" --out "$scratch/r$n" --steps 120 &&
        near "$(number loss "$scratch/r$n/summary.json")" "$(number loss "$scratch/b/summary.json")" 1e-5 &&
        near "$(number validation_loss "$scratch/r$n/summary.json")" \
            "$(number validation_loss "$scratch/b/summary.json")" 1e-5
    report $? "$n ranks come to what one does"
done
ranks 2 "${small[@]}" --set train.shard_optimizer=true --out "$scratch/r2parts" --steps 120 &&
    grep -q "cut into 2 parts: .* a rank instead of " "$scratch/err" &&
    h5diff "$scratch/r2/model.h5" "$scratch/r2parts/model.h5" /ema /ema &&
    h5diff "$scratch/r2/checkpoint-000000000120.h5" "$scratch/r2parts/checkpoint-000000000120.h5" /moment_2 /moment_2
report $? "2 ranks that each update a part come to the same, to the bit"
ranks 3 --config ini/parity.ini "${tiny[@]}" --out "$scratch/r3cells" --steps 60 &&
    near "$(number loss "$scratch/r3cells/summary.json")" "$(number loss "$scratch/cells60.json")" 1e-5
report $? "the published recipe, scaled down: 3 ranks come to what one does, dropout included"
ranks 2 "${small[@]}" --out "$scratch/a" --steps 140 --resume auto &&
    [ "$(number resumed_from_step "$scratch/a/summary.json")" = 120 ]
report $? "a checkpoint of one rank goes on at two"
rm -rf "$scratch/r2"
ranks 2 --out "$scratch/r2" --corpus "$scratch/none.h5"
[ $? -eq 1 ] && [ "$(grep -c '^mimesys_train: .*none.h5' "$scratch/err")" -eq 1 ] && [ ! -e "$scratch/r2" ]
report $? "two ranks tell once what is wrong"

# ---- the model is of use
trace=tests/data/traces/stats-sort.txt
made=(--trace "$trace" --calibration tests/data/calibration.json)
use_program mimesys_generate
run_program "${made[@]}" --checkpoint "$scratch/straight/model.h5" -o "$scratch/plan.h5" --json &&
    grep -q '"method": "diffusion"' "$scratch/out" && [ "$(number threads "$scratch/out")" = 4 ] &&
    grep -aq '"method": "diffusion"' "$scratch/plan.h5" && grep -q 'beyond the training range' "$scratch/out"
report $? "a plan from the model; what it has not seen is noted"
run_program "${made[@]}" --checkpoint "$scratch/straight/model.h5" -o "$scratch/again.h5" &&
    cmp -s "$scratch/plan.h5" "$scratch/again.h5" &&
    awk '/^cpu/ {d = $4 - $5; exit !(d < 10 && d > -10)}' "$scratch/out"
report $? "the same plan again; it asks for the CPU that is wanted"
for solver in ddim ddpm; do
    run_program "${made[@]}" --checkpoint "$scratch/straight/model.h5" --dry-run --set diffusion.solver=$solver \
        --set diffusion.candidates=3 --set diffusion.guidance=1.5 &&
        awk '/^cpu/ {d = $4 - $5; exit !(d < 15 && d > -15)}' "$scratch/out"
    report $? "solver $solver, three candidates, guidance"
done
run_program "${made[@]}" --checkpoint "$scratch/straight/checkpoint-000000002000.h5" --dry-run
report $? "a checkpoint serves as a model"
may_log=
refuses 2 "expected --checkpoint" "diffusion without a model" "${made[@]}" --method diffusion --dry-run
refuses 2 "does not use --checkpoint" "single with a model" "${made[@]}" --method single --dry-run \
    --checkpoint "$scratch/straight/model.h5"
refuses 4 "use --threads 4" "other threads" "${made[@]}" --threads 2 --dry-run \
    --checkpoint "$scratch/straight/model.h5"
refuses 2 "1 to 50 steps" "more steps than there are" "${made[@]}" --dry-run \
    --checkpoint "$scratch/straight/model.h5" --set diffusion.steps=51
refuses 5 "plan.h5" "a plan as the model" "${made[@]}" --dry-run --checkpoint "$scratch/plan.h5"
refuses 2 "is an input" "the model as the output" "${made[@]}" --checkpoint "$scratch/b/model.h5" \
    -o "$scratch/b/model.h5"
use_program mimesys_train

# ---- refusals
none=(--out "$scratch/none" --corpus "$corpus")
mkdir "$scratch/taken"
flock "$scratch/taken" sleep 30 &
running=$!
refuses 1 "another training is writing there" "a folder that another training has" \
    --out "$scratch/taken" "${tiny[@]}"
kill "$running" && wait "$running" 2>/dev/null
running=
refuses 1 "metrics.jsonl: cannot be written" "a folder without the right to write, before a step is made" \
    --out /proc/self "${small[@]}" --steps 1000000 --set train.log_every=1000000
refuses 2 "expected --corpus" "no corpus" --out "$scratch/none"
refuses 2 "expected --out" "no folder" --corpus "$corpus"
refuses 5 "plan.h5" "a plan as the corpus" --out "$scratch/none" --corpus "$scratch/plan.h5"
refuses 2 "train.batch = 10 is no multiple of train.shards = 4" "a batch that cannot be cut" "${none[@]}" \
    --set train.batch=10
refuses 2 "no multiple of 3 heads" "heads that do not fit" "${none[@]}" --set model.heads=3
refuses 1 "no-such.h5" "a checkpoint that is not there" "${none[@]}" --resume "$scratch/no-such.h5"
refuses 5 "model.h5" "a finished model to go on from" "${none[@]}" --resume "$scratch/b/model.h5"
refuses 2 "model.width = 16, the settings say 128" "a checkpoint of another size" "${none[@]}" \
    --resume "$scratch/b/checkpoint-000000000120.h5"
refuses 2 "train.seed = 1, the settings say 2" "a checkpoint of another seed" "${small[@]}" \
    --set train.seed=2 --out "$scratch/none" --resume "$scratch/b/checkpoint-000000000120.h5"
refuses 2 "expected auto, none or a file" "an empty --resume" "${none[@]}" --resume ""
refuses 2 "train.precision: a U-Net's products run in f32 only" "a U-Net in bf16" "${none[@]}" \
    --set model.kind=unet --set train.precision=bf16 --dry-run
[ ! -e "$scratch/none" ]
report $? "refused before anything was made"
refuses 2 "holds the checkpoint of step 140, later than" "an older checkpoint into the same folder" \
    "${small[@]}" --out "$scratch/a" --steps 140 --resume "$scratch/a/checkpoint-000000000120.h5"
mkdir "$scratch/model_only" && cp "$scratch/b/model.h5" "$scratch/model_only"
for how in none auto; do
    refuses 2 "no checkpoint is left to go on from" "a folder with a finished model only (--resume $how)" \
        "${small[@]}" --out "$scratch/model_only" --steps 2 --resume $how
done
cmp -s "$scratch/b/model.h5" "$scratch/model_only/model.h5"
report $? "which is kept"
finish
