#!/bin/bash
# mimesys_generate from the outside: plans, figures, exit statuses. BIN: folder of the programs.
program_name=mimesys_generate
# shellcheck source=tests/support/cli.sh
. tests/support/cli.sh
traces=tests/data/traces
sort=$traces/stats-sort.txt
calibration=tests/data/calibration.json
export MIMESYS_CALIBRATION=$scratch/none.json
generate() { run_program "$@"; }

refuses() { # STATUS PART NAME ARGUMENTS...: as everywhere, and no plan
    local status=$1 part=$2 name=$3 rc
    shift 3
    rm -f "$scratch/refused.h5"
    run_program "$@"
    rc=$?
    [ "$rc" -eq "$status" ] && is_one_sentence "$part" && [ ! -s "$scratch/out" ] &&
        [ ! -e "$scratch/refused.h5" ]
    report $? "$name (exit $rc)"
}

with=(--trace "$sort" --calibration "$calibration" -o "$scratch/refused.h5")

# The number after a key of the last --json output; within the object of a figure when one is named.
value() { # KEY [FIGURE]
    sed -n "/\"${2:-method}\"/,\$p" "$scratch/out" |
        sed -n "s/.*\"$1\": *\"\{0,1\}\([^,\"]*\).*/\1/p" | head -n 1
}

near() { awk -v a="$1" -v b="$2" 'BEGIN {d = a - b; exit !(d < 0.01 && d > -0.01)}'; }

# ---- plans
generate --trace "$sort" --slots 20 --first 2 --calibration "$calibration" -o "$scratch/a.h5" --json &&
    [ "$(head -c 4 "$scratch/a.h5" | tail -c 3)" = HDF ] &&
    [ "$(value slots)" = 20 ] && [ "$(value first)" = 2 ] && [ "$(value threads)" = 4 ] &&
    [ "$(value stressors)" = 20 ] && [ "$(value slot_s)" = 1.0 ] &&
    [ "$(value machine)" = 0123456789abcdef ] && [ "$(value run_s)" = 20.0 ] &&
    [ "$(value plan)" = "$scratch/a.h5" ]
report $? "a plan of 20 slots is written and described"

near "$(value wanted cpu)" "$(value asked cpu)" && near "$(value wanted io_read)" "$(value asked io_read)" &&
    near "$(value wanted io_write)" "$(value asked io_write)" && near "$(value trace cpu)" "$(value wanted cpu)"
report $? "where rows have room the plan asks for what is wanted"

generate --trace "$sort" --slots 20 --first 2 --calibration "$calibration" -o "$scratch/b.h5" &&
    cmp -s "$scratch/a.h5" "$scratch/b.h5" && grep -q "^cpu  *%" "$scratch/out" &&
    grep -q "^plan: $scratch/b.h5" "$scratch/out" && grep -q "^note: CPU use of 2 cores" "$scratch/out"
report $? "the same plan again is the same file; the table and the notes are printed"

grep -aq execution_plan "$scratch/a.h5" && grep -aq action_names "$scratch/a.h5" &&
    grep -aq '"method": "single"' "$scratch/a.h5" && grep -aq "stats-sort.txt" "$scratch/a.h5"
report $? "the file names its list and where it comes from"

MIMESYS_CALIBRATION=$calibration generate --trace "$sort" --threads 2 --slot 0.5 --dry-run --json &&
    [ "$(value plan)" = null ] && [ "$(value threads)" = 2 ] && [ "$(value slot_s)" = 0.5 ] &&
    [ "$(find "$scratch" -maxdepth 1 -name "*.h5" | wc -l)" -eq 2 ]
report $? "a dry run writes nothing; MIMESYS_CALIBRATION is found"

for trace in "$traces"/stats-*.txt; do
    generate --trace "$trace" --calibration "$calibration" -o "$scratch/each.h5" --json &&
        [ "$(value slots)" -gt 30 ] || echo "$trace"
done >"$scratch/missing"
[ ! -s "$scratch/missing" ]
report $? "every recorded trace becomes a plan"

generate --trace "$sort" --calibration "$calibration" -o "$scratch/list.h5" --actions 13b --json &&
    [ "$(value stressors)" = 13 ]
report $? "an older list"

sed 's/"io_write_max_kbs": [0-9.]*/"io_write_max_kbs": 1000.0/' "$calibration" >"$scratch/slow.json"
generate --trace "$sort" --calibration "$scratch/slow.json" --dry-run &&
    grep -q "^note: io_write is scaled by 0.00059" "$scratch/out"
report $? "writes beyond the ceiling are scaled, and a note says so"

generate --help && grep -q single "$scratch/out" && grep -q nearest "$scratch/out" && grep -q idw "$scratch/out"
report $? "the help names the methods"

# ---- methods that look into a corpus (made by rule: CPU use is the CPU weight)
corpus=$scratch/corpus.h5
"${PROGRAMS:-$BIN/../tests}/make_corpus" "$corpus" >"$scratch/out" 2>"$scratch/err"
report $? "a corpus made by rule"
looked_up=(--trace "$sort" --calibration "$calibration" --corpus "$corpus" --json)

for method in nearest idw; do
    generate "${looked_up[@]}" --method $method -o "$scratch/$method.h5" &&
        [ "$(value method)" = $method ] && [ "$(value threads)" = 4 ] && [ "$(value stressors)" = 3 ] &&
        [ "$(value slots)" = 54 ] && grep -aq "\"method\": \"$method\"" "$scratch/$method.h5" &&
        grep -aq "corpus.h5" "$scratch/$method.h5" &&
        awk -v a="$(value wanted cpu)" -v b="$(value asked cpu)" 'BEGIN {exit !(a - b < 12 && b - a < 12)}'
    report $? "method $method asks for nearly the CPU that is wanted"
    cp "$scratch/$method.h5" "$scratch/once.h5"
    generate "${looked_up[@]}" --method $method -o "$scratch/$method.h5" &&
        cmp -s "$scratch/once.h5" "$scratch/$method.h5"
    report $? "method $method again is the same file"
done
generate "${looked_up[@]}" --method nearest --dry-run && sed 's/nearest/idw/' "$scratch/out" >"$scratch/one" &&
    generate "${looked_up[@]}" --method idw --set idw.neighbours=1 --dry-run && cmp -s "$scratch/one" "$scratch/out" &&
    generate "${looked_up[@]}" --method idw --dry-run && ! cmp -s "$scratch/one" "$scratch/out"
report $? "idw of one neighbour is the nearest, of five it is not"
generate "${looked_up[@]}" --method nearest --dry-run &&
    grep -q 'outside what the corpus reached, most often io_read' "$scratch/out"
report $? "what the corpus does not reach is noted"
grep -v '^block' "$sort" >"$scratch/no-io.txt"
generate --trace "$scratch/no-io.txt" --calibration "$calibration" --corpus "$corpus" --method idw --dry-run &&
    grep -q '^note: 54 of 54 slots have no io_read: samples are compared without there' "$scratch/out"
report $? "a trace without reads is looked up by its CPU"

cp "$corpus" "$scratch/bad.h5" && flip "$scratch/bad.h5" action 7
for method in nearest idw; do
    refuses 5 "bad.h5: action is damaged in samples 0 to 199: not the digest" "method $method: a damaged corpus" \
        "${with[@]}" --method $method --corpus "$scratch/bad.h5"
done

refuses 2 "method nearest: expected --corpus" "nearest without a corpus" "${with[@]}" --method nearest
refuses 2 "method single: does not use --corpus" "single with a corpus" "${with[@]}" --corpus "$corpus"
refuses 2 "the action list is that of --corpus" "nearest with another action list" "${with[@]}" \
    --method nearest --corpus "$corpus" --actions 20
refuses 2 "idw.neighbours" "no neighbours" "${with[@]}" --method idw --corpus "$corpus" \
    --set idw.neighbours=0
refuses 4 "of 4 threads, the plan has 2: use --threads 4" "a corpus of other plans" "${with[@]}" \
    --method idw --corpus "$corpus" --threads 2
refuses 1 "none.h5" "a corpus that is not there" "${with[@]}" --method idw --corpus "$scratch/none.h5"
refuses 5 "a.h5" "a plan as the corpus" "${with[@]}" --method idw --corpus "$scratch/a.h5"
refuses 5 "stats-sort.txt" "a text as the corpus" "${with[@]}" --method idw --corpus "$sort"
refuses 2 "is an input" "the corpus as the output" --trace "$sort" --calibration "$calibration" \
    --method idw --corpus "$corpus" -o "$corpus"

# ---- refusals
refuses 4 "no calibration of this machine: run mimesys_run --calibrate" "no calibration" \
    --trace "$sort" -o "$scratch/refused.h5"
of_node=$(env -u MIMESYS_CALIBRATION XDG_CACHE_HOME="$scratch/cache" "$BIN/mimesys_run" --calibrate --dry-run \
    --set stressors.sizes=node | sed -n 's/.* store //p')
mkdir -p "$(dirname "$of_node")" && cp "$calibration" "$of_node" && (
    unset MIMESYS_CALIBRATION
    export XDG_CACHE_HOME=$scratch/cache
    generate --trace "$sort" -o "$scratch/by-node.h5"
)
report $? "the calibration of working sets by node serves where there is no other"
refuses 2 "expected --trace" "no trace" -o "$scratch/refused.h5"
refuses 2 "expected -o" "no output" --trace "$sort"
refuses 2 "did you mean single" "a misspelt method" "${with[@]}" --method singel
refuses 2 "kriging: unknown" "a method that is not there" "${with[@]}" --method kriging
refuses 2 "has 54 slots only" "first slot beyond the end" "${with[@]}" --first 54
refuses 2 "slots" "no slots" "${with[@]}" --slots 0
refuses 2 "slot" "slot of no length" "${with[@]}" --slot 0
refuses 2 "threads" "no threads" "${with[@]}" --threads 0
refuses 2 "threads" "threads not a number" "${with[@]}" --threads 2x
refuses 2 "is not in the action list" "a list without the stressors" "${with[@]}" --actions 13
refuses 1 "No such file" "an action list that is not there" "${with[@]}" --actions "$scratch/none"
refuses 2 "is no CPU stressor" "a stressor of the wrong kind" "${with[@]}" \
    --set single.cpu_stressor=BM_STRESS_NG_HddRead_1MB_NoSleep
refuses 4 "no figures of BM_STRESS_NG_HddRead_256KB" "a stressor that was not calibrated" "${with[@]}" \
    --set single.read_stressor=BM_STRESS_NG_HddRead_256KB_WeightScaled_500ms

refuses 2 "set single.cpu_stressor" "a list without the stressors, what to do" "${with[@]}" --actions 13
refuses 2 "^mimesys_generate: --slot: \|--slot: expected" "slot that is no number" "${with[@]}" --slot x
refuses 2 "out: expected a file name" "an empty output" --trace "$sort" --calibration "$calibration" -o ""
refuses 2 "name ending in .h5" "an output of another kind" --trace "$sort" --calibration "$calibration" \
    -o "$scratch/plan.txt"
cp "$sort" "$scratch/trace.h5"
cp "$calibration" "$scratch/calibration.h5"
refuses 2 "is an input" "the trace as the output" --trace "$scratch/trace.h5" \
    --calibration "$calibration" -o "$scratch/trace.h5"
refuses 2 "is an input" "the calibration as the output" --trace "$sort" \
    --calibration "$scratch/calibration.h5" -o "$scratch/calibration.h5"
cmp -s "$sort" "$scratch/trace.h5" && cmp -s "$calibration" "$scratch/calibration.h5"
report $? "the inputs are still there"

# ---- slots that lack something
generate --trace "$scratch/no-io.txt" --calibration "$calibration" --dry-run &&
    grep -q '^note: 54 of 54 slots have no io_read: the plan asks for none there' "$scratch/out"
report $? "a trace without reads is said to have none"
grep -v '^cpu ' "$sort" >"$scratch/no-cpu.txt"
refuses 5 "no-cpu.txt: the trace holds no CPU" "a trace without CPU" --trace "$scratch/no-cpu.txt" \
    --calibration "$calibration" -o "$scratch/refused.h5"
# CPU in every second record: never at both ends of a slot.
awk '/^[0-9]/ {n++} !/^cpu / || n % 2' "$sort" >"$scratch/half-cpu.txt"
refuses 5 "half-cpu.txt: the trace holds no CPU" "a trace with CPU in no slot" \
    --trace "$scratch/half-cpu.txt" --calibration "$calibration" -o "$scratch/refused.h5"
# CPU in the first 20 records only: the columns are over the same slots.
awk '/^[0-9]/ {n++} !/^cpu / || n <= 20' "$sort" >"$scratch/some-cpu.txt"
generate --trace "$scratch/some-cpu.txt" --calibration "$calibration" --dry-run --json &&
    near "$(value wanted cpu)" "$(value asked cpu)" && near "$(value trace cpu)" "$(value wanted cpu)" &&
    grep -q 'of 54 slots have no cpu: the plan asks for none there' "$scratch/out"
report $? "means of a trace with CPU in some slots"
# A pause of 30 s after record 30.
awk '/^[0-9]/ {if (++n > 30) $1 = sprintf("%.6f", $1 + 30)} {print}' "$sort" >"$scratch/gap.txt"
generate --trace "$scratch/gap.txt" --calibration "$calibration" --dry-run &&
    grep -q '^note: 1 slot is longer than 1.5 times the median of 1 s, the longest 31 s' "$scratch/out"
report $? "a gap of the recording is noted"

# ---- calibrations that no machine can have; test_calibration has every range
sed 's/"op_s": *[^,]*/"op_s": 0/' "$calibration" >"$scratch/bad.json"
refuses 5 "bad.json: .*op_s: expected" "a calibration with an operation of 0 s" --trace "$sort" \
    --calibration "$scratch/bad.json" -o "$scratch/refused.h5"

for file in none.txt:1 .:1 empty:5 binary:5; do
    name=${file%:*}
    : >"$scratch/empty"
    head -c 5000 "$scratch/a.h5" >"$scratch/binary"
    refuses "${file#*:}" "$scratch/$name" "trace is $name" --trace "$scratch/$name" \
        --calibration "$calibration" -o "$scratch/refused.h5"
    refuses "${file#*:}" "$scratch/$name" "calibration is $name" --trace "$sort" \
        --calibration "$scratch/$name" -o "$scratch/refused.h5"
done

# These succeed in everything but writing.
mkdir "$scratch/folder.h5"
for out in "$scratch/none/plan.h5" "$scratch/folder.h5"; do
    generate --trace "$sort" --calibration "$calibration" -o "$out"
    rc=$?
    [ $rc -eq 1 ] && [ "$(wc -l <"$scratch/err")" -eq 1 ] && [ ! -s "$scratch/out" ]
    report $? "output cannot be written to ${out##*/} (exit $rc)"
done

if small_disk 16k "$scratch/disk"; then
    generate --trace "$sort" --calibration "$calibration" -o "$scratch/disk/plan.h5"
    rc=$?
    [ $rc -eq 1 ] && grep -q "No space left" "$scratch/err" && [ -z "$(ls -A "$scratch/disk")" ]
    report $? "a full disk: one sentence, no file left (exit $rc)"
else
    skip "a full disk" "mounting is not permitted"
fi

# ---- killed at any moment: the plan is whole or not there, and nothing else is
mkdir "$scratch/kill"
bad=0
for i in 1 2 3 4 5 6 7 8 9 10 11 12; do
    rm -f "$scratch/kill/plan.h5"
    "$program" --trace "$traces/stats-fio.txt" --calibration "$calibration" -o "$scratch/kill/plan.h5" \
        >/dev/null 2>&1 &
    pid=$!
    sleep "0.0$((i / 4))$((i % 4 * 2))"
    kill -9 $pid 2>/dev/null
    wait $pid 2>/dev/null
    left=$(ls -A "$scratch/kill")
    [ -z "$left" ] || [ "$left" = plan.h5 ] || bad=1
    [ -z "$left" ] || [ "$(wc -c <"$scratch/kill/plan.h5")" -gt 300 ] || bad=1
done
generate --trace "$traces/stats-fio.txt" --calibration "$calibration" -o "$scratch/kill/plan.h5" &&
    [ "$(ls -A "$scratch/kill")" = plan.h5 ] && [ $bad -eq 0 ]
report $? "killed at any moment: nothing half-written is left, the next run works"

finish
