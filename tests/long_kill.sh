#!/bin/bash
# kill -9 of every program at random moments, many times: what stands in a file is whole, the next run
# works, and no stray file is left. (mimesys_monitor has its own in cli_monitor.sh.)
set -u
program_name=mimesys_run
# shellcheck source=tests/support/cli.sh
. tests/support/cli.sh
export MIMESYS_CALIBRATION=$scratch/calibration.json
export MIMESYS_SCRATCH=$scratch/disk
mkdir "$scratch/disk" "$scratch/here"
trace=tests/data/traces/stats-sort.txt
times=${KILLS:-50}
RANDOM=${SEED:-1}

# kill_many NAME TIMES MAX_MS COMMAND...: starts the command and kills it after a random delay.
kill_many() {
    local times=$1 max_ms=$2 i pid n_killed=0
    shift 2
    for ((i = 0; i < times; i++)); do
        "$@" >"$scratch/out" 2>"$scratch/err" &
        pid=$!
        sleep "$(printf '0.%03d' $((RANDOM % max_ms)))"
        kill -9 "$pid" 2>/dev/null && n_killed=$((n_killed + 1))
        wait "$pid" 2>/dev/null
    done
    echo "# killed $n_killed of $times"
}

"$BIN/mimesys_run" --calibrate --set calibrate.seconds_each=0.1 >"$scratch/out" 2>"$scratch/err"
report $? "a calibration to work with"
cp "$MIMESYS_CALIBRATION" "$scratch/first.json"

kill_many "$times" 60 "$BIN/mimesys_generate" --trace "$trace" --method single \
    -o "$scratch/here/plan.h5"
"$BIN/mimesys_generate" --trace "$trace" --slots 8 --slot 0.25 --first 6 --method single \
    -o "$scratch/here/plan.h5" >"$scratch/out" 2>"$scratch/err" &&
    [ "$(ls -A "$scratch/here")" = plan.h5 ]
report $? "mimesys_generate: one whole plan, no stray file"
plan=$scratch/here/plan.h5

kill_many "$times" 999 "$BIN/mimesys_run" "$plan" --out "$scratch/here/run"
[ -z "$(ls -A "$scratch/disk")" ] &&
    "$BIN/mimesys_run" "$plan" --out "$scratch/here/run" >"$scratch/out" 2>"$scratch/err" &&
    [ "$(find "$scratch/here/run" -type f | wc -l)" -eq 3 ]
report $? "mimesys_run: scratch disk empty, next run whole, three files"
stats=$scratch/here/run/stats-plan.txt

# A stored result outlives later runs that are killed before their end.
cp "$stats" "$scratch/before.txt"
kill_many 20 999 "$BIN/mimesys_run" "$plan" --out "$scratch/here/run"
"$BIN/mimesys_trace" summary "$stats" >"$scratch/out" 2>"$scratch/err" &&
    [ "$(grep -c '^[0-9]' "$stats")" -eq "$(grep -c '^[0-9]' "$scratch/before.txt")" ]
report $? "mimesys_run: a finished stats text is not harmed by killed runs after it"

kill_many 10 999 "$BIN/mimesys_run" --calibrate --set calibrate.seconds_each=0.1
cmp -s "$MIMESYS_CALIBRATION" "$scratch/first.json" && [ -z "$(ls -A "$scratch/disk")" ] &&
    [ "$(find "$scratch" -maxdepth 1 -name 'calibration.json*' | wc -l)" -eq 1 ]
report $? "calibration: the stored one stays until a new one is whole"

kill_many "$times" 40 "$BIN/mimesys_trace" convert "$trace" -o "$scratch/here/sort.h5"
kill_many "$times" 40 "$BIN/mimesys_trace" convert "$trace" -o "$scratch/here/sort.csv"
kill_many "$times" 90 "$BIN/mimesys_trace" plot "$trace" -o "$scratch/here/sort.png"
kill_many "$times" 90 "$BIN/mimesys_compare" --wanted "$trace" --measured "$trace:same" \
    -o "$scratch/here/same.png" -o "$scratch/here/same.json"
"$BIN/mimesys_trace" convert "$trace" -o "$scratch/here/sort.h5" >"$scratch/out" 2>"$scratch/err" &&
    "$BIN/mimesys_trace" convert "$trace" -o "$scratch/here/sort.csv" >"$scratch/out" &&
    "$BIN/mimesys_trace" plot "$trace" -o "$scratch/here/sort.png" >"$scratch/out" &&
    "$BIN/mimesys_compare" --wanted "$trace" --measured "$trace:same" \
        -o "$scratch/here/same.png" -o "$scratch/here/same.json" >"$scratch/out" &&
    [ "$(find "$scratch/here" -maxdepth 1 -type f | wc -l)" -eq 6 ] &&
    h5dump -H "$scratch/here/sort.h5" >/dev/null
report $? "mimesys_trace and mimesys_compare: whole files, no stray ones"
# Checkpoints every second step, so that most kills fall into the writing of one.
corpus=$scratch/corpus.h5
"${PROGRAMS:-$BIN/../tests}/make_corpus" "$corpus" >"$scratch/out" 2>"$scratch/err"
report $? "a corpus made by rule"
# shellcheck source=tests/support/train.sh
. tests/support/train.sh
train=("$BIN/mimesys_train" "${small[@]}" --steps 1000 --set train.checkpoint_every=2 --set train.milestone_every=500)
"${train[@]}" --out "$scratch/straight" >"$scratch/out" 2>"$scratch/err" &&
    kill_training "$scratch/kills" "$times" 999 "${train[@]}" &&
    "${train[@]}" --out "$scratch/kills" --resume auto >"$scratch/out" 2>"$scratch/err" &&
    same_training "$scratch/straight" "$scratch/kills"
report $? "mimesys_train: to the bit what it is at once, no stray file"
finish
