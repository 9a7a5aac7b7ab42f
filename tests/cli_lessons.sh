#!/bin/bash
# mimesys_train from the outside: corpora that are read as they are needed, examples that come more
# often, threads that change places, what is predicted, early ends, and plans tried on the simulated
# node.
program_name=mimesys_train
may_log=yes
# shellcheck source=tests/support/cli.sh
. tests/support/cli.sh
corpus=$scratch/corpus.h5
# shellcheck source=tests/support/train.sh
. tests/support/train.sh
"${PROGRAMS:-$BIN/../tests}/make_corpus" "$corpus" >"$scratch/out" 2>"$scratch/err"
report $? "a corpus made by rule"
same() { cmp -s "$scratch/$1/checkpoint-$3.h5" "$scratch/$2/checkpoint-$3.h5"; } # FOLDER FOLDER STEP
# A model's numbers without the settings it was made with.
values() { h5dump -d "/$2" -y -w 1 -m %.9g "$1" | sed -n '/DATA {/,$p'; } # FILE DATASET
same_values() {                                                       # FOLDER FOLDER STEP
    local name
    for name in ema values moment_1 moment_2; do
        cmp -s <(values "$scratch/$1/checkpoint-$3.h5" $name) <(values "$scratch/$2/checkpoint-$3.h5" $name) || return 1
    done
}
last=000000000120

# ---- read as needed
streamed=(--set examples.in_memory=0)
run_program "${small[@]}" --steps 120 --out "$scratch/memory" --json && grep -q '"in_memory": true' "$scratch/out"
report $? "a small corpus stays in memory"
run_program "${small[@]}" "${streamed[@]}" --steps 120 --out "$scratch/file" --json &&
    grep -q '"in_memory": false' "$scratch/out" && same_values memory file $last
report $? "read as needed: the same model to the bit"
run_program "${small[@]}" "${streamed[@]}" --set examples.read_ahead=7 --steps 120 --out "$scratch/ahead" &&
    same_values memory ahead $last
report $? "and however far ahead"
run_program "${small[@]}" "${streamed[@]}" --out "$scratch/dry" --dry-run &&
    grep -q '^examples: .* read as they are needed' "$scratch/out" &&
    grep -q '^batch: 16 examples, accumulated over 4 shards of 4, 4 of them on a rank' "$scratch/out"
report $? "a dry run says how examples come and what is accumulated"
everything=("${streamed[@]}" --set examples.permute_threads=on --set examples.previous=3
    --set examples.high_io=2 --set train.row_sum_weight=0.1 --set train.snr_gamma=5)
run_program "${small[@]}" "${everything[@]}" --steps 120 --out "$scratch/one" && ! same_values memory one $last
report $? "weights, permutations and terms make another model"
run_program "${small[@]}" "${everything[@]}" --set examples.in_memory=1G --steps 120 --out "$scratch/two" &&
    same_values one two $last
report $? "which is the same from memory"
for n in 2 4; do
    ranks $n "${small[@]}" "${everything[@]}" --out "$scratch/r$n" --steps 120 &&
        near "$(number loss "$scratch/r$n/summary.json")" "$(number loss "$scratch/one/summary.json")" 1e-5 &&
        near "$(number validation_loss "$scratch/r$n/summary.json")" \
            "$(number validation_loss "$scratch/one/summary.json")" 1e-5
    report $? "$n ranks, each reading its own part, come to what one does"
done

# ---- stopped and resumed
long=("${small[@]}" "${everything[@]}" --steps 1500 --set train.checkpoint_every=750)
run_program "${long[@]}" --out "$scratch/straight"
report $? "1500 steps at once"
for signal in USR1 KILL; do
    ! stop $signal "$scratch/$signal" "$program" "${long[@]}" --set train.log_every=400 && run_program "${long[@]}" --out "$scratch/$signal" --resume auto &&
        same straight $signal 000000001500
    report $? "resumed after SIG$signal: to the bit what it is at once"
done
refuses 2 "output free" "going on with another output" "${small[@]}" --set model.output=simplex \
    --out "$scratch/no" --resume "$scratch/memory/checkpoint-$last.h5"
refuses 2 "normalisation linear" "going on with another normalisation" "${small[@]}" \
    --set model.normalisation=log --out "$scratch/no" --resume "$scratch/memory/checkpoint-$last.h5"

# ---- a file that changes meanwhile
change() { # HOW NAME RANKS PART
    cp "$corpus" "$scratch/moving.h5"
    rm -rf "$scratch/moving"
    local launch=()
    [ "$3" -gt 1 ] && launch=(timeout 120 mpirun --oversubscribe -n "$3")
    "${launch[@]}" "$program" "${tiny[@]}" --corpus "$scratch/moving.h5" "${streamed[@]}" --steps 1000000 \
        --out "$scratch/moving" >"$scratch/out" 2>"$scratch/err" &
    running=$!
    wait_for_line 60 '"loss"' "$scratch/moving/metrics.jsonl"
    $1 "$scratch/moving.h5"
    wait "$running"
    local rc=$?
    running=
    [ "$rc" -eq 5 ] && [ "$(grep -c "^mimesys_train: .*$4" "$scratch/err")" -eq 1 ] &&
        grep -q '"status": "failed"' "$scratch/moving/summary.json"
    report $? "$2, $3 rank(s) (exit $rc)"
}
cut_it() { truncate -s 9000 "$1"; }
change cut_it "a corpus is cut short while it is in use" 1 "moving.h5: was "
change cut_it "a corpus is cut short while it is in use" 3 "moving.h5: was "
change touch "a corpus is changed while it is in use" 2 "moving.h5: was changed while it was in use"

# ---- what is predicted
for what in "prediction=flow" "prediction=v --set train.snr_gamma=5" "prediction=eps" "output=simplex" \
    "prediction=flow --set model.output=simplex" "normalisation=log"; do
    rm -rf "$scratch/p"
    # shellcheck disable=SC2086 # words on purpose
    run_program "${small[@]}" --steps 120 --out "$scratch/p" --set model.$what &&
        awk -v a="$(number loss "$scratch/p/metrics.jsonl")" -v b="$(number loss "$scratch/p/metrics.jsonl" last)" \
            'BEGIN {exit !(b < 0.9 * a)}'
    report $? "model.$what: the loss falls"
done
use_program mimesys_generate
asked=(--trace tests/data/traces/stats-sort.txt --calibration tests/data/calibration.json --dry-run)
use_program mimesys_train
run_program "${small[@]}" --steps 400 --out "$scratch/flow" --set model.prediction=flow
report $? "a model that predicts flow"
use_program mimesys_generate
for solver in euler heun dpm++ ddim; do
    run_program "${asked[@]}" --checkpoint "$scratch/flow/model.h5" --set diffusion.solver=$solver \
        --set diffusion.guidance=1.5
    report $? "makes a plan by $solver, guided"
done
may_log=
refuses 2 "ddpm is not for models that predict flow" "not by ddpm" "${asked[@]}" \
    --checkpoint "$scratch/flow/model.h5" --set diffusion.solver=ddpm
refuses 2 "heun is for models that predict flow" "heun of another model" "${asked[@]}" \
    --checkpoint "$scratch/memory/model.h5" --set diffusion.solver=heun
may_log=yes
use_program mimesys_train
none=(--out "$scratch/none" --corpus "$corpus")
refuses 2 "min-SNR weights are for" "min-SNR weights of flow" "${none[@]}" --set model.prediction=flow \
    --set train.snr_gamma=5
refuses 2 "shards of one example" "a variance of single examples" "${none[@]}" --set train.batch=4 \
    --set train.variance_weight=1
refuses 2 "two or more sockets" "swapping the only socket" "${none[@]}" --set examples.swap_sockets=0.5
refuses 2 "validate.solver = heun does not go with" "a solver of flow for another" "${none[@]}" \
    --set validate.solver=heun
refuses 5 "none of the .* examples has a weight" "weights that leave nothing" "${none[@]}" \
    --set examples.min_active_cores=5
[ ! -e "$scratch/none" ]
report $? "refused before anything was made"

# ---- ends before the last step
patient=("${small[@]}" --set validate.every=10 --set train.patience=2 --set train.min_improvement=0.3
    --set train.milestone_every=10)
run_program "${patient[@]}" --steps 2000 --out "$scratch/early" --json &&
    grep -q '"ended_by": "train.patience"' "$scratch/out" && grep -q '"status": "done"' "$scratch/out"
report $? "validations that improve no more end it"
best=$(number best_step "$scratch/early/summary.json")
end=$(number step "$scratch/early/summary.json")
[ "$end" -lt 2000 ] && [ "$best" -lt "$end" ] && [ "$(number best_step "$scratch/early/metrics.jsonl" last)" = "$best" ] &&
    h5dump -d /step "$scratch/early/model.h5" | grep -q "(0): $best\$" &&
    h5dump -d /step "$scratch/early/checkpoint-$(printf %012d "$end").h5" | grep -q "(0): $end\$"
report $? "with the best model (step $best of $end)"
run_program "${patient[@]}" --steps 2000 --out "$scratch/early" --resume auto --json &&
    [ "$(number step "$scratch/out")" = "$end" ]
report $? "and nothing is left to do"
stop TERM "$scratch/late" "$program" "${patient[@]}" --steps 2000
run_program "${patient[@]}" --steps 2000 --out "$scratch/late" --resume auto &&
    cmp -s "$scratch/late/model.h5" "$scratch/early/model.h5"
report $? "stopped and resumed: the same best model"
# What is there when it is killed between the best validation and the checkpoint after it.
milestone=$(find "$scratch/early" -name "checkpoint-*" -printf "%f\n" | sort | awk -F'[-.]' -v b="$best" '/^checkpoint/ && $2 + 0 < b {print $2}' | tail -n 1)
mkdir "$scratch/killed" && cp "$scratch/early/checkpoint-$milestone.h5" "$scratch/killed" &&
    run_program "${patient[@]}" --steps 2000 --out "$scratch/killed" --resume auto &&
    cmp -s "$scratch/killed/model.h5" "$scratch/early/model.h5"
report $? "gone on from before the best validation (step $((10#$milestone))): the same best model"
milestone=$(find "$scratch/early" -name "checkpoint-*" -printf "%f\n" | sort | awk -F'[-.]' -v b="$best" '/^checkpoint/ && $2 + 0 >= b {print $2}' | head -n 1)
rm "$scratch/killed"/* && cp "$scratch/early/checkpoint-$milestone.h5" "$scratch/killed" &&
    run_program "${patient[@]}" --steps 2000 --out "$scratch/killed" --resume auto &&
    cmp -s "$scratch/killed/model.h5" "$scratch/early/model.h5"
report $? "a checkpoint holds the best model so far"
run_program "${small[@]}" --steps 20 --set validate.every=10 --out "$scratch/hasty" &&
    run_program "${patient[@]}" --steps 40 --out "$scratch/hasty" --resume auto &&
    grep -q 'does not hold the best model so far' "$scratch/err" && [ -e "$scratch/hasty/model.h5" ]
report $? "one of a training without patience does not: it is looked for anew"

# ---- gradients that are not finite: Adam without its epsilon divides 0 by 0
run_program "${small[@]}" --steps 120 --set train.epsilon=0 --set train.max_skipped=4 --out "$scratch/nan"
rc=$?
[ "$rc" -eq 3 ] && is_one_sentence "is not finite, and so it was in the 4 steps before" &&
    [ "$(number skipped "$scratch/nan/summary.json")" = 5 ] && grep -q '"status": "failed"' "$scratch/nan/summary.json"
report $? "steps without a finite gradient are left out, and too many in a row end it (exit $rc)"

# ---- a simulated node
campaign=(--set fleet.kind=simulated --set simulated.size=1x2 --set collect.n_plans=60
    --set collect.windows=4 --set collect.repeats=1)
make_simulated() { # CAMPAIGN CORPUS ARGUMENTS...
    use_program mimesys_collect
    run_program "${campaign[@]}" --out "$scratch/$1" "${@:3}" && use_program mimesys_dataset &&
        run_program "$scratch/$1" -o "$scratch/$2" --set dataset.validation=0.3
}
make_simulated c.h5 simulated.h5
report $? "a corpus of a simulated node"
use_program mimesys_train
tried=("${tiny[@]}" --corpus "$scratch/simulated.h5" --set validate.n_samples=40)
run_program "${tried[@]}" --steps 120 --out "$scratch/s1" --json && grep -q '"simulated_node": "simulated-1x2"' "$scratch/out" &&
    grep -q 'tried on node=simulated-1x2, where nothing runs' "$scratch/err" &&
    [ "$(grep -c '"nl1":{"cpu":0' "$scratch/s1/metrics.jsonl")" -eq 3 ]
report $? "plans are tried on it at every validation, and it says so"
awk -v a="$(number nl1_mean "$scratch/s1/metrics.jsonl")" -v b="$(number nl1_mean "$scratch/s1/metrics.jsonl" last)" \
    'BEGIN {exit !(a > 0 && b > 0 && b < a && b < 1)}'
report $? "they come closer"
for n in 2 4; do
    ranks $n "${tried[@]}" --steps 120 --out "$scratch/s$n" &&
        near "$(number nl1_mean "$scratch/s$n/summary.json")" "$(number nl1_mean "$scratch/s1/summary.json")" 1e-3
    report $? "$n ranks come to the same figures"
done
run_program "${tried[@]}" --steps 120 --out "$scratch/s1" --resume auto --json &&
    near "$(number nl1_mean "$scratch/out")" "$(number nl1_mean "$scratch/s1/metrics.jsonl" last)" 1e-6
report $? "and so does a look at a finished model"
run_stopped "${tried[@]}" --steps 20 --out "$scratch/told" --resume auto
[ $? -eq 75 ] && is_one_sentence "stopped before a step was made: this start saved nothing" && [ -z "$(ls -A "$scratch/told" 2>/dev/null)" ]
report $? "a stop while plans are tried before the first step is told"
run_program "${tried[@]}" --steps 20 --out "$scratch/told" --resume auto && grep -q '^done: 20 steps' "$scratch/out"
report $? "and the next start begins afresh"
run_program "${tried[@]}" --steps 20 --set validate.n_samples=0 --out "$scratch/s0" --json &&
    grep -q '"nl1_mean": null' "$scratch/out" && grep -q '"simulated_node": null' "$scratch/out"
report $? "unless none are wanted"
run_program "${small[@]}" --steps 20 --out "$scratch/real" --json && grep -q '"nl1": null' "$scratch/out"
report $? "plans of another corpus are not tried"

# ---- working sets by its caches
sizes_of() { h5dump -a stressor_sizes "$scratch/$1" | sed -n 's/.*(0): "\(.*\)"$/\1/p'; } # FILE
make_simulated n.h5 by-node.h5 --set stressors.sizes=node && [ "$(sizes_of n.h5)" = node ] &&
    [ "$(sizes_of by-node.h5)" = node ] && [ "$(sizes_of simulated.h5)" = original ]
report $? "stores and corpora tell the working sets"
use_program mimesys_collect
refuses 5 'stressors have working sets "original", expected "node"' \
    "going on with other working sets" "${campaign[@]}" --out "$scratch/n.h5" --resume auto
use_program mimesys_train
run_program "${tiny[@]}" --corpus "$scratch/by-node.h5" --set validate.n_samples=40 --steps 20 \
    --out "$scratch/n" && [ "$(sizes_of n/model.h5)" = node ]
report $? "a model carries them"
awk -v node="$(number nl1_floor_mean "$scratch/n/summary.json")" \
    -v original="$(number nl1_floor_mean "$scratch/s1/summary.json")" \
    'BEGIN {exit !(node > 0 && original > 0 && node < 2 * original)}'
report $? "and plans are tried with them: as they measured, but for noise"
finish
