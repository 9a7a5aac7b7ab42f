#!/bin/bash
# A call that fails on one rank of 1 to 4 (MIMESYS_FAULT): mimesys_dataset, mimesys_train,
# mimesys_collect and mimesys_replay end on all ranks, soon, with its sentence; what was stored before
# is there, and a start without faults does the rest. BIN: folder of the programs, PROGRAMS: of make_runs and
# make_corpus.
program_name=mimesys_dataset
may_log=yes
# shellcheck source=tests/support/cli.sh
. tests/support/cli.sh
# shellcheck source=tests/support/collect.sh
. tests/support/collect.sh
export OMP_NUM_THREADS=1
made=${PROGRAMS:-$BIN/../tests}
base=$scratch

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

# The fault's own status on all ranks, and its sentence once; kept in "met" when others had to end.
ends_with_its_sentence() { # STATUS N
    [ "$1" -eq 1 ] && [ "$(grep -c "^$program_name: " "$scratch/err")" -eq 1 ] &&
        grep "^$program_name: .*injected fault" "$scratch/err" >"$scratch/sentence" || return 1
    [ "$2" -eq 1 ] || cat "$scratch/sentence" >>"$scratch/met"
}

# ---- chains of failures at N ranks: of one rank after the other, then of all. Which call fails
# follows from the seed and the rank; the seeds are chosen so that every kind of call has its turn
# while other ranks wait.

# chain FUNCTION N SEED...: in a folder of its own, as several run side by side.
chain() {
    local scratch=$base/$1-$2
    mkdir "$scratch"
    "$@" >"$scratch.txt" 2>&1
}

fail_dataset() { # N SEED...
    local n=$1 k=0 victim every rc seed few=$base/few.h5 many=$base/many.h5
    local corpus=$scratch/corpus.h5
    use_program mimesys_dataset
    cp "$few" "$corpus"
    shift
    for seed in "$@"; do
        every=$((24 / n + (k == 0 ? 6 : 2))) # as many calls as the rank makes
        victim=$((k++))
        if [ "$victim" -eq "$n" ]; then victim=all; fi
        with_faults "$n" "$victim" "$every:$seed" "$runs" -o "$corpus"
        rc=$?
        ends_with_its_sentence "$rc" "$n" &&
            { cmp -s "$corpus" "$few" || cmp -s "$corpus" "$many"; } &&
            [ -z "$(find "$scratch" -name '*.part*' -o -name '*.tmp*')" ]
        report $? "dataset, $n rank(s), a fault on $victim: one sentence, the corpus is whole (exit $rc)"
    done
    run_ranks "$n" "$runs" -o "$corpus" && cmp -s "$corpus" "$many"
    report $? "dataset, $n rank(s): without faults it is made"
}

next_step() { # FOLDER: where a resumed training would go on; empty when that cannot be told
    timeout 20 "$program" "${lessons[@]}" --out "$1" --resume auto --dry-run --json 2>"$scratch/dry" |
        sed -n 's/.*"step": *\([0-9]*\).*/\1/p'
}

fail_train() { # N SEED...
    local n=$1 k=0 victim rc seed before after folder=$scratch/model
    use_program mimesys_train
    shift
    after=$(next_step "$folder")
    for seed in "$@"; do
        victim=$((k++))
        if [ "$victim" -eq "$n" ]; then victim=all; fi
        before=$after
        with_faults "$n" "$victim" "12:$seed" "${lessons[@]}" --out "$folder" --resume auto
        rc=$?
        after=$(next_step "$folder")
        ends_with_its_sentence "$rc" "$n" && [ -n "$before" ] && [ -n "$after" ] &&
            [ "$after" -ge "$before" ] && [ ! -e "$folder/model.h5" ]
        report $? "train, $n rank(s), a fault on $victim: one sentence, from step $before to ${after:-none} (exit $rc)"
    done
    run_ranks "$n" "${lessons[@]}" --out "$folder" --resume auto &&
        h5diff -d 1e-6 "$folder/model.h5" "$base/straight/model.h5" /ema /ema
    report $? "train, $n rank(s): without faults it comes to the model of one undisturbed rank"
}

# With a host of its own: what is measured does not matter. The last rank may get one plan only: its
# trial run or that one fails.
fail_collect() { # N SEED SEED
    local n=$1 victim=0 every=8 rc seed store=$scratch/campaign.h5
    export MIMESYS_HOST_LOCK=$scratch/host.lock
    use_program mimesys_collect
    shift
    for seed in "$@"; do
        with_faults "$n" "$victim" "$every:$seed" --out "$store" --resume auto "${small[@]}" \
            --set collect.n_plans="$n"
        rc=$?
        cp "$scratch/err" "$scratch/err-$victim-$seed"
        ends_with_its_sentence "$rc" "$n" &&
            { [ ! -e "$store" ] || { has_reported "$store" "$scratch"/err-* &&
                timeout 20 "$BIN/mimesys_dataset" --check "$store" >"$scratch/check" 2>&1; }; }
        report $? "collect, $n rank(s), a fault on $victim: one sentence, reported plans are stored (exit $rc)"
        victim=$((n - 1))
        if [ "$n" -gt 1 ]; then every=2; fi
    done
    run_ranks "$n" --out "$store" --resume auto "${small[@]}" --set collect.n_plans="$n" &&
        is_whole "$store" "$n"
    report $? "collect, $n rank(s): without faults every plan is stored, once"
}

# Of 6 calls of a rank, 9 + N of rank 0; none is made while the plan runs.
fail_replay() { # N SEED...
    local n=$1 k=0 victim every rc seed out=$scratch/replay
    local arguments=("$base/plan.h5" --slot 0.1 --out "$out" --set replay.share_host=true)
    export MIMESYS_HOST_LOCK=$scratch/host.lock
    use_program mimesys_replay
    shift
    for seed in "$@"; do
        every=$((k == 0 ? 9 + n : 6))
        victim=$((k++))
        if [ "$victim" -eq "$n" ]; then victim=all; fi
        with_faults "$n" "$victim" "$every:$seed" "${arguments[@]}"
        rc=$?
        ends_with_its_sentence "$rc" "$n" && [ ! -e "$out/summary.json" ] &&
            { [ ! -e "$out/result.h5" ] || h5dump -H "$out/result.h5" >"$scratch/check" 2>&1; } &&
            [ -z "$(find "$scratch" -name '*.part*' -o -name '*.tmp*')" ]
        report $? "replay, $n rank(s), a fault on $victim: one sentence, no half result (exit $rc)"
    done
    run_ranks "$n" "${arguments[@]}" && grep -q '"status": "done"' "$out/summary.json" &&
        [ "$(find "$out" -name 'stats-*' | wc -l)" -eq "$n" ]
    report $? "replay, $n rank(s): without faults all is there"
}

have_met() { # PROGRAM PART...: a fault of each kind ended many ranks
    local name=$1 part
    shift
    for part in "$@"; do
        cat "$base"/fail_"$name"-[234]/met | grep -q "^mimesys_$name: .*$part"
        report $? "$name: faults of many ranks met \"$part\""
    done
}

if ! command -v mpirun >/dev/null; then
    skip "faults at many ranks" "needs mpirun"
    exit 0
fi

# ---- what they start from
runs=$scratch/runs lessons=(--corpus "$scratch/lessons.h5" --steps 40 --set model.width=16
    --set model.blocks=1 --set model.heads=2 --set model.timesteps=50 --set train.batch=16
    --set train.shards=4 --set train.warmup=10 --set train.ema=0.9 --set train.ema_start=10
    --set train.log_every=1 --set validate.every=10 --set train.checkpoint_every=2)
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
grep -v '^block' tests/data/traces/stats-sort.txt >"$scratch/cpu.txt"
use_program mimesys_generate
run_program --trace "$scratch/cpu.txt" --slots 4 --threads 1 --calibration tests/data/calibration.json \
    -o "$scratch/plan.h5"
report $? "a plan to replay"

# ---- the measuring ones wait most of the time: all at once, and the others beside them
chain fail_collect 1 0 5 &
chain fail_collect 2 4 2 &
chain fail_collect 3 9 0 &
chain fail_collect 4 1 1 &
{
    chain fail_dataset 1 1 28
    chain fail_dataset 2 0 10 1
    chain fail_dataset 3 1 4 0 5
    chain fail_dataset 4 2 2 0 1 9
} &
{
    chain fail_replay 1 8 0
    chain fail_replay 2 5 2 3
    chain fail_replay 3 10 8 1 0
    chain fail_replay 4 3 3 13 8 9
} &
chain fail_train 1 0 16
chain fail_train 2 1 4 8
chain fail_train 3 0 3 3 10
chain fail_train 4 2 7 4 1 5
wait
cat "$base"/fail_*.txt
n_bad=$((n_bad + $(cat "$base"/fail_*.txt | grep -c '^not ok')))
[ "$(cat "$base"/fail_*.txt | grep -c '^ok')" -eq 66 ]
report $? "all chains came to their end"
have_met dataset stats- plan_ corpus.h5.part corpus.h5: corpus.json
have_met train lessons.h5 "training step" metrics.jsonl checkpoint-
have_met replay plan.h5 "stats text in memory" "thread of the work" result.h5.part result.h5: stats- \
    summary.json
have_met collect "process of a task" campaign.h5
[ -z "$(ls -A "$scratch/disk")" ]
report $? "nothing is left on the scratch disk"
finish
