#!/bin/bash
# A call that fails on one rank of 1 to 4 (MIMESYS_FAULT): mimesys_dataset, mimesys_train and
# mimesys_collect end on all ranks, soon, with its sentence; what was stored before is there, and a
# start without faults does the rest. BIN: folder of the programs, PROGRAMS: of make_runs and
# make_corpus.
program_name=mimesys_dataset
may_log=yes
# shellcheck source=tests/support/cli.sh
. tests/support/cli.sh
# shellcheck source=tests/support/collect.sh
. tests/support/collect.sh
export OMP_NUM_THREADS=1
made=${PROGRAMS:-$BIN/../tests}

# with_faults N VICTIM FAULT ARGUMENTS...: the program at N ranks; rank VICTIM, or all of them, with
# failing calls.
with_faults() {
    local n=$1 victim=$2 fault=$3 rank command=() ranks=()
    shift 3
    for ((rank = 0; rank < n; rank++)); do
        command=("$program" "$@")
        if [ "$victim" = all ] || [ "$victim" -eq "$rank" ]; then
            command=(env MIMESYS_FAULT="$fault" "${command[@]}")
        fi
        ranks+=(: -n 1 "${command[@]}")
    done
    if [ "$n" -eq 1 ]; then
        timeout -k 5 60 "${command[@]}" >"$scratch/out" 2>"$scratch/err"
    else
        timeout -k 5 60 mpirun --oversubscribe "${ranks[@]:1}" >"$scratch/out" 2>"$scratch/err"
    fi
}

# The fault's own status on all ranks, and its sentence once.
ends_with_its_sentence() { # STATUS
    [ "$1" -eq 1 ] && [ "$(grep -c "^$program_name: " "$scratch/err")" -eq 1 ] &&
        grep -q "^$program_name: .*injected fault" "$scratch/err"
}

# Which rank fails in the K-th try at N ranks: all of them, then one after the other.
victim_of() { # K N
    if [ "$1" -eq 0 ]; then echo all; else echo $((($1 - 1) % $2)); fi
}

# ---- chains of failures at N ranks, each in a folder of its own

fail_dataset() { # N
    local n=$1 k victim rc few=$scratch/few.h5 many=$scratch/many.h5
    local folder=$scratch/dataset-$1
    use_program mimesys_dataset
    mkdir "$folder" && cp "$few" "$folder/corpus.h5"
    for k in 0 1 2 3 4; do
        victim=$(victim_of $k "$n")
        with_faults "$n" "$victim" 6:$k "$runs" -o "$folder/corpus.h5"
        rc=$?
        ends_with_its_sentence "$rc" &&
            { cmp -s "$folder/corpus.h5" "$few" || cmp -s "$folder/corpus.h5" "$many"; } &&
            [ -z "$(find "$folder" -name '*.part*' -o -name '*.tmp*')" ]
        report $? "dataset, $n rank(s), fault $k on $victim: one sentence, the corpus is whole (exit $rc)"
    done
    run_ranks "$n" "$runs" -o "$folder/corpus.h5" && cmp -s "$folder/corpus.h5" "$many"
    report $? "dataset, $n rank(s): without faults it is made"
}

next_step() { # FOLDER: where a resumed training would go on; empty when that cannot be told
    timeout 20 "$program" "${lessons[@]}" --out "$1" --resume auto --dry-run --json 2>"$scratch/dry" |
        sed -n 's/.*"step": *\([0-9]*\).*/\1/p'
}

fail_train() { # N
    local n=$1 k victim rc before after folder=$scratch/train-$1
    use_program mimesys_train
    for k in 0 1 2 3 4; do
        victim=$(victim_of $k "$n")
        before=$(next_step "$folder")
        with_faults "$n" "$victim" 12:$((5 * n + k)) "${lessons[@]}" --out "$folder" --resume auto
        rc=$?
        after=$(next_step "$folder")
        ends_with_its_sentence "$rc" && [ -n "$before" ] && [ -n "$after" ] &&
            [ "$after" -ge "$before" ] && [ ! -e "$folder/model.h5" ]
        report $? "train, $n rank(s), fault $k on $victim: one sentence, from step $before to ${after:-none} (exit $rc)"
    done
    run_ranks "$n" "${lessons[@]}" --out "$folder" --resume auto &&
        h5diff -d 1e-6 "$folder/model.h5" "$scratch/straight/model.h5" /ema /ema
    report $? "train, $n rank(s): without faults it comes to the model of one undisturbed rank"
}

fail_collect() { # N, with a host of its own: what is measured does not matter
    local n=$1 k victim rc
    local logs=$scratch/logs-$1 store=$scratch/collect-$1.h5
    scratch=$logs
    mkdir "$logs"
    export MIMESYS_HOST_LOCK=$logs/host.lock
    use_program mimesys_collect
    for k in 0 1; do
        # the last rank may get one plan only: its trial run or that one fails
        victim=all every=6
        if [ $k -eq 1 ]; then victim=$((n - 1)) every=$((n > 1 ? 2 : 4)); fi
        with_faults "$n" "$victim" "$every:$n" --out "$store" --resume auto "${small[@]}" \
            --set collect.n_plans="$((n + 1))"
        rc=$?
        cp "$logs/err" "$logs/err-$k"
        ends_with_its_sentence "$rc" &&
            { [ ! -e "$store" ] || { has_reported "$store" "$logs"/err-* &&
                timeout 20 "$BIN/mimesys_dataset" --check "$store" >"$logs/check" 2>&1; }; }
        report $? "collect, $n rank(s), fault $k on $victim: one sentence, reported plans are stored (exit $rc)"
    done
    run_ranks "$n" --out "$store" --resume auto "${small[@]}" --set collect.n_plans="$((n + 1))" &&
        is_whole "$store" "$((n + 1))"
    report $? "collect, $n rank(s): without faults every plan is stored, once"
}

if ! command -v mpirun >/dev/null; then
    skip "faults at many ranks" "needs mpirun"
    exit 0
fi

# ---- what they start from
runs=$scratch/runs lessons=(--corpus "$scratch/lessons.h5" --steps 80 --set model.width=16
    --set model.blocks=1 --set model.heads=2 --set model.timesteps=50 --set train.batch=16
    --set train.shards=4 --set train.warmup=10 --set train.ema=0.9 --set train.ema_start=10
    --set train.log_every=3 --set train.validate_every=20 --set train.checkpoint_every=2)
"$made/make_runs" "$scratch/two" 2 && "$made/make_runs" "$runs" 12 &&
    "$made/make_corpus" "$scratch/lessons.h5" && run_program "$scratch/two" -o "$scratch/few.h5" &&
    run_program "$runs" -o "$scratch/many.h5"
report $? "runs and corpora made by rule"
use_program mimesys_train
run_program "${lessons[@]}" --out "$scratch/straight"
report $? "a model of one undisturbed rank"
use_program mimesys_collect
run_ranks 1 --out "$scratch/first.h5" "${small[@]}" --set collect.n_plans=1
report $? "a calibration to work with"

# ---- the measuring ones wait most of the time: all at once, and the others beside them
for n in 1 2 3 4; do
    fail_collect "$n" >"$scratch/collect-$n.txt" 2>&1 &
done
for n in 1 2 3 4; do
    fail_dataset "$n"
    fail_train "$n"
done
wait
cat "$scratch"/collect-*.txt
n_bad=$((n_bad + $(cat "$scratch"/collect-*.txt | grep -c '^not ok')))
[ "$(cat "$scratch"/collect-*.txt | grep -c '^ok')" -eq 12 ]
report $? "all chains of mimesys_collect came to their end"
[ -z "$(ls -A "$scratch/disk")" ]
report $? "nothing is left on the scratch disk"
finish
