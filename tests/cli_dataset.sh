#!/bin/bash
# mimesys_dataset from the outside, alone and under mpirun. BIN: folder of the programs, PROGRAMS:
# folder of make_runs.
program_name=mimesys_dataset
# shellcheck source=tests/support/cli.sh
. tests/support/cli.sh
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
make_runs=${PROGRAMS:-$BIN/../tests}/make_runs
runs=$scratch/runs corpus=$scratch/corpus.h5
# More runs than ranks, and fewer.
"$make_runs" "$runs" 23 && "$make_runs" "$scratch/two" 2 && "$make_runs" "$scratch/other" 3 "another kind"
report $? "make runs by rule"

dataset() { run_program "$@"; }
# on RANKS ARGUMENTS...: the same under mpirun, without what mpirun itself adds to an error.
on() {
    local n=$1 rc
    shift
    timeout 120 mpirun --oversubscribe -n "$n" "$program" "$@" >"$scratch/out" 2>"$scratch/all"
    rc=$?
    grep -E '^(mimesys_dataset:|[0-9]{4}-)' "$scratch/all" >"$scratch/err"
    return $rc
}
value() { grep -o "\"$1\": *[^,}]*" "$scratch/out" | head -n 1 | sed 's/.*: *//; s/ *$//'; }

# ---- building
dataset "$runs" -o "$corpus" --json && [ "$(value n_sources)" = 23 ] &&
    [ "$(value n_samples)" = 92 ] && [ "$(value n_slots)" = 184 ] &&
    [ "$(value n_disturbed)" = 0 ] && [ "$(value bytes_in)" -gt 10000 ] &&
    [ "$(value status)" = '"done"' ] && [ -s "$scratch/corpus.json" ]
report $? "a folder of runs becomes a corpus"

for n in 1 2 3 4; do
    on "$n" "$runs" "$scratch/two" -o "$scratch/on$n.h5" && [ "$(wc -l <"$scratch/out")" -eq 1 ] &&
        cmp -s "$scratch/on1.h5" "$scratch/on$n.h5"
    report $? "the corpus of $n ranks is that of one"
done

dataset "$scratch/two" -o "$scratch/two.h5" && on 4 "$scratch/two" -o "$scratch/two4.h5" &&
    cmp -s "$scratch/two.h5" "$scratch/two4.h5"
report $? "ranks without a run take part"

h5dump -H "$corpus" >"$scratch/out" 2>"$scratch/err" &&
    grep -q 'DATASET "previous_action"' "$scratch/out" && grep -q 'DATASET "range_min"' "$scratch/out" &&
    h5dump -d action "$corpus" | grep -q 'share of the slot'
report $? "h5dump reads it, units are there"

dataset "$runs" -o "$scratch/half.h5" --json --set dataset.validation=0.5 &&
    [ "$(value n_validation)" -gt 20 ] && [ "$(value n_validation)" -lt 72 ] &&
    [ "$(($(value n_validation) % 4))" -eq 0 ]
report $? "whole plans are for validation"

dataset "$runs" -o "$scratch/none.h5" --set dataset.min_repeats=3
[ $? -eq 5 ] && [ ! -e "$scratch/none.h5" ] && grep -q 'at least one sample' "$scratch/err"
report $? "no sample, no corpus"

dataset "$runs" -o "$scratch/none.h5" --dry-run && grep -q 'would read 23 runs' "$scratch/out" &&
    [ ! -e "$scratch/none.h5" ]
report $? "--dry-run writes nothing"

"$make_runs" "$scratch/campaign.h5" 30 && dataset --check "$scratch/campaign.h5" &&
    grep -q 'sound: 30 plans, 73 rows' "$scratch/out" &&
    dataset "$scratch/campaign.h5" -o "$scratch/from1.h5" --json && [ "$(value n_sources)" = 73 ] &&
    [ "$(($(value n_samples) + $(value n_disturbed)))" -eq 73 ] && [ "$(value n_disturbed)" -gt 5 ]
report $? "a campaign becomes a corpus"

on 3 "$scratch/campaign.h5" -o "$scratch/from3.h5" && cmp -s "$scratch/from1.h5" "$scratch/from3.h5" &&
    dataset --check "$scratch/from3.h5"
report $? "3 ranks cut a campaign between plans"

# ---- disturbed, all of it
mkdir "$scratch/stolen" && cp "$scratch"/two/*.h5 "$scratch/stolen" && for text in "$scratch"/two/stats-*.txt; do
    awk '/^[0-9]/ {n++} /^x_cpu/ {$3 = 20 * n} {print}' "$text" >"$scratch/stolen/$(basename "$text")"
done
refuses 5 'others disturbed 14 of 16 measured slots; dataset.with_disturbed=true takes them' "disturbed slots only" \
    "$scratch/stolen" -o "$scratch/x.h5"
dataset "$scratch/stolen" -o "$scratch/x.h5" --set dataset.with_disturbed=true && rm "$scratch/x.h5"
report $? "disturbed slots by choice"

# ---- slots that take a little longer, or shorter
for length in 0.96 1.04 1.08; do
    mkdir "$scratch/by$length" && cp "$scratch"/two/*.h5 "$scratch/by$length" && for text in "$scratch"/two/stats-*.txt; do
        awk -v l=$length '/^[0-9]/ {$1 = sprintf("%.6f", 1e9 + l * ($1 - 1e9))} {print}' "$text" \
            >"$scratch/by$length/$(basename "$text")"
    done
done
dataset "$runs" "$scratch/by0.96" "$scratch/by1.04" -o "$scratch/by1.h5" && [ -s "$scratch/by1.h5" ] &&
    on 3 "$runs" "$scratch/by0.96" "$scratch/by1.04" -o "$scratch/by3.h5" && cmp -s "$scratch/by1.h5" "$scratch/by3.h5"
report $? "slots that differ by 4 % from the first are taken, on 1 and on 3 ranks"
for n in 1 2 3; do
    on $n "$scratch/two" "$scratch/by1.04" "$scratch/by1.08" -o "$scratch/x.h5"
    [ $? -eq 5 ] && grep -q 'by1.08/stats-plan_000000.txt: has slots of 1.08 s, expected 1 s' "$scratch/err" &&
        [ ! -e "$scratch/x.h5" ]
    report $? "slots that differ by 8 % are not, on $n ranks"
done

# ---- looking
dataset --check "$corpus" && grep -q 'sound: 92 samples of' "$scratch/out"
report $? "--check verifies a corpus"

# damaged NAME FILE DATASET BYTE SENTENCE: one rank and three tell it of a copy.
damaged() {
    cp "$2" "$scratch/damaged.h5" && flip "$scratch/damaged.h5" "$3" "$4"
    refuses 5 "damaged.h5: $5" "$1" --check "$scratch/damaged.h5"
    on 3 --check "$scratch/damaged.h5"
    [ $? -eq 5 ] && [ "$(grep -c '^mimesys_dataset:' "$scratch/err")" -eq 1 ] &&
        grep -q "damaged.h5: $5" "$scratch/err"
    report $? "$1, on 3 ranks"
}
damaged "a changed byte in a corpus" "$corpus" spread 9 'spread is damaged in samples 0 to 91'
damaged "a changed byte in a corpus' names" "$corpus" metric_names 3 'metric_names is damaged'
damaged "a changed byte in a campaign" "$scratch/campaign.h5" start_s 33 'start_s is damaged in rows 4 to 4'
refuses 5 'damaged.h5: start_s is damaged in rows 4 to 4' "no corpus of damaged rows" \
    "$scratch/damaged.h5" -o "$scratch/x.h5"

dataset --check models/epyc-2cpu/corpus.h5 && grep -q '; no digests (schema 1)$' "$scratch/out"
report $? "a corpus of the first schema is sound without digests"

dataset convert "$corpus" -o "$scratch/corpus.csv" && [ "$(wc -l <"$scratch/corpus.csv")" -eq 93 ] &&
    head -n 1 "$scratch/corpus.csv" | grep -q '"io_read \[KB/s\]"'
report $? "convert writes a line a sample"

on 3 --check "$corpus" && [ "$(wc -l <"$scratch/out")" -eq 1 ]
report $? "one rank answers for all"

on 3 --version && [ "$(wc -l <"$scratch/out")" -eq 1 ]
report $? "--version is told once"

# ---- refusals
refuses 2 'expected: mimesys_dataset' "nothing to do"
refuses 2 'ends with .h5' "an output of another kind" "$runs" -o "$scratch/x.txt"
refuses 2 'did you mean dataset.seed' "a misspelt setting" "$runs" -o "$corpus" --set dataset.sed=1
refuses 1 'nowhere: No such file' "a source that is not there" "$scratch/nowhere" -o "$scratch/x.h5"
refuses 2 'runs/. is among the sources twice, first as .*/runs$' "a folder given twice" "$runs" "$runs/." -o "$scratch/x.h5"
refuses 2 'campaign.h5 is among the sources twice' "a campaign given twice" "$scratch/campaign.h5" "$runs" \
    "$scratch/campaign.h5" -o "$scratch/x.h5"
cp "$scratch/campaign.h5" "$scratch/copy.h5"
refuses 2 'copy.h5 begins with the same measurement as .*campaign.h5: one is a copy' "a copy of a campaign" \
    "$scratch/campaign.h5" "$scratch/copy.h5" -o "$scratch/x.h5" --dry-run
mkdir "$scratch/links" && ln -s "$runs"/*plan_000003* "$scratch/links"
refuses 2 'links/stats-plan_000003.txt is among the sources twice' "a run given twice" "$runs" "$scratch/links" \
    -o "$scratch/x.h5" --dry-run
refuses 5 'another kind of host' "other hosts" "$runs" "$scratch/other" -o "$scratch/x.h5"
dataset "$runs" "$scratch/other" -o "$scratch/mixed.h5" --set dataset.mixed_hosts=true &&
    h5dump -a host_class "$scratch/mixed.h5" | grep -q '"mixed"'
report $? "other hosts are taken when asked for"
refuses 5 'expected a campaign store (mimesys_campaign)' "a corpus as a source" "$corpus" -o "$scratch/x.h5"
refuses 5 'expected a training corpus (mimesys_corpus)' "a plan to check" --check "$runs/plan_000000.h5"
refuses 2 'check stands alone' "a check with an output" --check "$corpus" -o "$scratch/x.h5"

mkdir "$scratch/bad" && cp "$runs"/plan_00000[0-3].h5 "$runs"/stats-plan_00000[0-3].txt "$scratch/bad" &&
    head -c 300 "$runs/stats-plan_000002.txt" >"$scratch/bad/stats-plan_000002.txt"
for n in 1 2 3 4; do
    on "$n" "$scratch/bad" -o "$scratch/x.h5"
    rc=$?
    [ "$rc" -eq 5 ] && [ "$(grep -c '^mimesys_dataset:' "$scratch/err")" -eq 1 ] &&
        grep -q 'stats-plan_000002.txt' "$scratch/err" && [ ! -e "$scratch/x.h5" ] &&
        [ -z "$(find "$scratch" -name 'x.h5*')" ]
    report $? "a bad file ends $n ranks with its name (exit $rc)"
done

mkdir "$scratch/torn" && cp "$runs"/plan_00000[0-3].h5 "$runs"/stats-plan_00000[0-3].txt "$scratch/torn" &&
    head -c 900 "$runs/plan_000002.h5" >"$scratch/torn/plan_000002.h5"
refuses 5 'plan_000002.h5: not a readable HDF5 file' "a damaged plan between good ones" "$scratch/torn" -o "$scratch/x.h5"

timeout 60 mpirun --oversubscribe -n 1 "$program" "$runs" -o "$scratch/x.h5" : \
    -n 1 "$program" "$runs" -o "$scratch/x.h5" --set dataset.seed=7 >"$scratch/out" 2>"$scratch/err"
[ $? -eq 2 ] && grep -q 'rank 1 has other arguments or settings' "$scratch/err"
report $? "ranks that are told different things stop"

# so little room that HDF5 cannot even close the file
if small_disk 1500k "$scratch/tiny"; then
    dd if=/dev/zero of="$scratch/tiny/fill" bs=1k count=1490 2>/dev/null
    refuses 1 'could not store' "a full disk" "$runs" -o "$scratch/tiny/x.h5"
    [ "$(ls "$scratch/tiny")" = fill ]
    report $? "and nothing is left there"
else
    skip "a full disk" "needs the right to mount"
fi

MIMESYS_FAULT=often refuses 2 'expected every:seed' "a malformed fault" "$runs" -o "$scratch/x.h5"

finish
