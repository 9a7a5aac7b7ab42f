#!/bin/bash
# The scripts of make imitate and make demo: from measurements to a model to imitations by every
# method; what is there is kept, what was cut off goes on. Small: what is measured does not matter.
program_name=mimesys_collect
# shellcheck source=tests/support/cli.sh
. tests/support/cli.sh
# shellcheck source=tests/support/collect.sh
. tests/support/collect.sh
build=$(dirname "$BIN")
campaign=$scratch/cache/campaign.h5
unset METHODS TRACES OUT FORCE
export FIRST=10 SLOTS=2 REPETITIONS=2 OMP_NUM_THREADS=1
cat >"$scratch/collect.ini" <<'INI'
[collect]
n_plans = 6
windows = 4
slot_s = 0.5
repeats = 1
max_tries = 1
INI
cat >"$scratch/train.ini" <<'INI'
[model]
width = 16
blocks = 1
heads = 2
timesteps = 50
[train]
steps = 20
batch = 16
warmup = 2
INI

script() { # NAME ARGUMENTS...
    local name=$1
    shift
    timeout 200 "scripts/$name.sh" "$build" "$@" >"$scratch/out" 2>"$scratch/err"
}
learn=("$campaign" "$scratch/learned" "$scratch/collect.ini" "$scratch/train.ini")
stamps() { stat -c '%n %y %i' "$@"; }
model=$scratch/learned/model/model.h5

# ---- calibration: a stored one is used as it is
[ "$(scripts/calibrate.sh "$build" path)" = "$MIMESYS_CALIBRATION" ] &&
    "$BIN/mimesys_run" --calibrate --set calibrate.seconds_each=0.05 --set calibrate.repeats=3 >"$scratch/out" 2>&1 &&
    stamps "$MIMESYS_CALIBRATION" >"$scratch/calibrated" && script calibrate &&
    stamps "$MIMESYS_CALIBRATION" | cmp -s - "$scratch/calibrated" &&
    grep -q "^using this machine's calibration of 20..-..-.. ..:..: $MIMESYS_CALIBRATION\$" "$scratch/out"
report $? "a stored calibration is used, and that is said"

# ---- learning, while others use the machine
timeout 120 bash -c 'while :; do :; done' &
other=$!
: >"$scratch/err"
scripts/learn.sh "$build" "${learn[@]}" >"$scratch/out" 2>"$scratch/err" &
running=$!
wait_for_line 60 ' stored plan=' "$scratch/err" && kill -TERM "$(ps -o pid= --ppid "$running" | tr -d ' ')"
wait "$running"
rc=$?
running=
[ "$rc" -eq 75 ] && [ ! -e "$scratch/learned/corpus.h5" ] && ! is_whole "$campaign" 6
report $? "stopped while it measures, it says so (exit $rc) and goes no further"
cp "$scratch/err" "$scratch/first"
script learn "${learn[@]}" && is_whole "$campaign" 6 && has_reported "$campaign" "$scratch/first" "$scratch/err" &&
    grep -q '^measured on this machine, 20' "$scratch/out" && [ -s "$model" ]
report $? "started again it measures the rest, and trains"
kill "$other"
grep -q 'disturbed slots are taken, too' "$scratch/out" && grep -q '"n_samples": 24,' "$scratch/learned/corpus.json"
report $? "on a busy machine disturbed slots are better than none, and that is said"
stamps "$campaign" "$scratch/learned/corpus.h5" "$model" >"$scratch/before"
script learn "${learn[@]}" && stamps "$campaign" "$scratch/learned/corpus.h5" "$model" | cmp -s - "$scratch/before" &&
    [ "$(grep -c '^using ' "$scratch/out")" -eq 3 ] && grep -q 'measured on this machine, 20..-' "$scratch/out"
report $? "what is there is used, and that is said"
sed -i 's/^steps = .*/steps = 30/' "$scratch/train.ini"
script learn "${learn[@]}" && grep -q '"step": 30,' "$scratch/learned/model/summary.json" &&
    stamps "$campaign" "$scratch/learned/corpus.h5" | cmp -s - <(head -n 2 "$scratch/before")
report $? "other settings of the training: only that is done again"
rm -r "$scratch/learned"
script learn "${learn[@]}" && [ -s "$model" ] && stamps "$campaign" | cmp -s - <(head -n 1 "$scratch/before")
report $? "without its folder: corpus and model of the same measurements"

# ---- imitating by every method
export CORPUS=$scratch/learned/corpus.h5 CHECKPOINT=$model OUT=$scratch/imitate TRACES=sort
runs() { sed -n 's|^done: .* in .*/\(.*\)$|\1|p' "$scratch/out" | xargs; }
script imitate_all && [ "$(runs)" = "single-1 nearest-1 idw-1 diffusion-1 single-2 nearest-2 idw-2 diffusion-2" ]
report $? "plans by four methods run in turns"
stamps "$MIMESYS_CALIBRATION" | cmp -s - "$scratch/calibrated" &&
    grep -q '^using' "$OUT/calibration.txt"
report $? "the stored calibration was used"
[ "$(sed -n '/^label /,/^$/p' "$OUT/sort/all.txt" | awk 'NR > 1 {print $1, $2}' | head -n 4 | xargs)" = \
    "single 2 nearest 2 idw 2 diffusion 2" ] && [ -s "$OUT/sort/all.png" ] && [ -s "$OUT/sort/accepted.json" ] &&
    grep -q '"range":' "$OUT/sort/all.json"
report $? "one table sets them side by side"
for key in bench value unit peer ratio n spread; do
    [ "$(grep -c "\"$key\":" "$OUT.jsonl")" -eq "$(wc -l <"$OUT.jsonl")" ] || echo "$key"
done >"$scratch/missing"
[ ! -s "$scratch/missing" ] && for method in single nearest idw diffusion; do
    grep -q "^{\"bench\":\"imitate: sort: $method: all slots\",\"value\":[0-9]" "$OUT.jsonl" &&
        grep -q "^{\"bench\":\"imitate: mean over 1 trace: $method: all slots\",\"value\":[0-9]" "$OUT.jsonl" &&
        grep -q "^{\"bench\":\"imitate: sort: $method: accepted slots\",.*\"is_measurable\":false" "$OUT.jsonl" || echo "$method"
done >"$scratch/missing"
[ ! -s "$scratch/missing" ]
report $? "one JSON object a line, a trace and method, with the documented keys $(xargs <"$scratch/missing")"

# ---- cut off, and other plans
rm "$OUT/sort/idw-2/summary.json"
script imitate_all && [ "$(runs)" = "idw-2" ] && [ "$(grep -c '^kept: ' "$scratch/out")" -eq 7 ]
report $? "complete runs are kept, the one that is not is repeated"
export METHODS="single idw"
FIRST=11 script imitate_all && [ "$(runs)" = "single-1 idw-1 single-2 idw-2" ]
report $? "runs of another plan are repeated"
FIRST=11 FORCE=1 script imitate_all && [ "$(runs)" = "single-1 idw-1 single-2 idw-2" ]
report $? "FORCE=1 repeats all"
METHODS=diffusion CHECKPOINT='' script imitate_all
rc=$?
[ "$rc" -ne 0 ] && grep -q 'CHECKPOINT: is needed by method diffusion' "$scratch/err"
report $? "a method that lacks its model says so (exit $rc)"
[ -z "$(ls -A "$scratch/disk")" ]
report $? "nothing is left on the scratch disk"
finish
