#!/bin/bash
# mimesys_plot from the outside: figures and tables of trainings, resumed and killed ones, refusals.
# BIN: folder of the programs.
program_name=mimesys_plot
# shellcheck source=tests/support/cli.sh
. tests/support/cli.sh

# The number after a key of the last --json output.
value() { sed -n "s/.*\"$1\": *\([^,]*\).*/\1/p" "$scratch/out" | head -n 1; }

lines() { # FIRST LAST SCALE: lines of these steps
    local step
    for ((step = $1; step <= $2; step++)); do
        echo "{\"step\":$step,\"loss\":$3.$step,\"norm\":1.5,\"rate\":0.001,\"examples_per_s\":100}"
    done
}

mkdir "$scratch/a" "$scratch/b"
{
    lines 1 20 1
    echo '{"step":20,"validation_loss":0.5,"validation_loss_without_average":0.6,"best_step":20}'
    echo '{"step":20,"nl1_mean":0.25,"nl1":{"cpu":0.2}}'
    lines 21 30 2
} >"$scratch/a/metrics.jsonl"
lines 1 30 3 >"$scratch/b/metrics.jsonl"

run_program "$scratch/a" "$scratch/b/metrics.jsonl" && [ "$(wc -l <"$scratch/out")" -eq 3 ] &&
    grep -q '^a  *30  *2.3  *0.5  *0.5  *0.25  *100$' "$scratch/out" &&
    grep -q '^b  *30  *3.3  *-  *-  *-  *100$' "$scratch/out"
report $? "a table of two trainings"

run_program "$scratch/a" "$scratch/b:other one" -o "$scratch/a.png" -o "$scratch/a.svg" -o "$scratch/a.pdf" &&
    [ ! -s "$scratch/out" ] && [ "$(head -c 4 "$scratch/a.png" | tail -c 3)" = PNG ] &&
    [ "$(wc -c <"$scratch/a.png")" -gt 5000 ] && grep -q '<svg ' "$scratch/a.svg" &&
    [ "$(head -c 4 "$scratch/a.pdf")" = %PDF ]
report $? "figures as PNG, SVG and PDF"

run_program "$scratch/a" -o "$scratch/dry.png" --dry-run --json && [ ! -e "$scratch/dry.png" ] &&
    [ "$(value lines)" = 32 ] && [ "$(value last_step)" = 30 ] && [ "$(value best_nl1_step)" = 20 ] &&
    [ "$(value validation_loss)" = 0.5 ] && [ "$(value is_cut)" = false ]
report $? "a dry run reads and draws nothing"

lines 11 15 4 >>"$scratch/b/metrics.jsonl"
run_program "$scratch/b" --json && [ "$(value last_step)" = 15 ] && [ "$(value loss)" = 4.15 ] &&
    [ "$(value n_replaced)" = 20 ]
report $? "of a resumed training the later lines count"

printf '{"step":16,"loss":0.0' >>"$scratch/b/metrics.jsonl"
run_program "$scratch/b" --json && [ "$(value last_step)" = 15 ] && [ "$(value is_cut)" = true ]
report $? "a last line that a kill has cut is passed over"

mkdir "$scratch/bad"
{
    lines 1 6 1
    echo '{"step":7,"loss"'
    lines 8 9 1
} >"$scratch/bad/metrics.jsonl"
refuses 5 'bad/metrics.jsonl:7: expected a JSON object' "a bad line is named by its number" "$scratch/bad"
: >"$scratch/bad/metrics.jsonl"
refuses 5 'bad/metrics.jsonl: has no figures yet' "an empty file" "$scratch/bad" -o "$scratch/x.png"
refuses 1 'No such file' "a missing folder" "$scratch/none"
refuses 5 'expected a JSON object' "a file of another kind" README.md
refuses 2 'both called a' "two trainings of one name" "$scratch/a" "$scratch/a/metrics.jsonl"
refuses 2 '.png, .svg or .pdf' "another form" "$scratch/a" -o "$scratch/x.csv"
refuses 2 'twice' "an output twice" "$scratch/a" -o "$scratch/x.png" -o "$scratch/x.png"
refuses 2 'expected a label' "an empty label" "$scratch/a:"
refuses 1 'no/such' "a figure in a missing folder" "$scratch/a" -o "$scratch/no/such/x.png"
cp "$scratch/a/metrics.jsonl" "$scratch/log.png"
refuses 2 'is an input' "no figure in place of the log" "$scratch/log.png" -o "$scratch/log.png"
[ ! -e "$scratch/x.png" ]
report $? "nothing is left of what was refused"
finish
