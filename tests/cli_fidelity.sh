#!/bin/bash
# make fidelity from the outside: its table, its lines, its page of curves and its refusals. Little
# of everything: what is measured does not matter, and on a busy machine nothing counts.
program_name=fidelity
# shellcheck source=tests/support/cli.sh
. tests/support/cli.sh
build=$(dirname "$BIN")
program=$build/bench/fidelity
export QUICK=1 ALL_SLOTS=1 TRIES=1 OUT=$scratch/figures
unset PARTS STRICT
script() { timeout 120 scripts/fidelity.sh "$build" >"$scratch/out" 2>"$scratch/err"; }
# KEY: how many lines have it.
has() { grep -c "\"$1\":" "$OUT.jsonl"; }
value_of() { sed -n "s/^{\"bench\":\"fidelity: $1\",\"value\":\([^,]*\),.*/\1/p" "$OUT.jsonl"; }

# ---- what it prints and keeps
PARTS="cpu share drift sampler" script
report $? "chosen parts are measured"
[ "$(grep -o '"part":"[a-z]*"' "$OUT.jsonl" | sort -u | wc -l)" -eq 5 ] && # and overshoot
    ! grep -q '"part":"io"' "$OUT.jsonl"
report $? "these parts and the overshoot of their runs, no other"
for key in bench value unit peer ratio n spread part goal verdict n_rejected peers; do
    [ "$(has $key)" -eq "$(wc -l <"$OUT.jsonl")" ] || echo $key
done >"$scratch/missing"
[ ! -s "$scratch/missing" ]
report $? "one JSON object a line with the documented keys $(xargs <"$scratch/missing")"
[ "$(grep -c ' not measurable now$\| -$' "$scratch/out")" -eq "$(wc -l <"$OUT.jsonl")" ] &&
    grep -q '^0 met, 0 missed, [0-9]* not measurable now, [0-9]* without a goal$' "$scratch/out"
report $? "a row a line; where disturbed slots are taken nothing is judged"
# A CPU stressor never gets more than it asked for by more than a turn; and the rest is measured, too.
awk -v cpu="$(value_of 'cpu: error at 10 % of all CPUs')" -v share="$(value_of 'share: largest of all rows')" \
    -v sampler="$(value_of 'sampler: mimesys_monitor at 1 Hz')" -v drift="$(value_of 'drift: start of all .*')" \
    'BEGIN {exit !(cpu != "" && cpu <= 10 && share >= 0 && share <= 100 && sampler > 0 && sampler < 20 && drift > 0)}'
report $? "values are numbers of the right size"
[ "$(head -c 4 "$OUT.png" | tail -c 3)" = PNG ] && [ "$(wc -c <"$OUT.png")" -lt 400000 ]
report $? "the page of curves is a PNG"

# ---- without its peers
mkdir "$scratch/none"
timeout 60 env "PATH=$scratch/none" "$program" --quick --all-slots --tries 1 --lines "$OUT.jsonl" cpu \
    >"$scratch/out" 2>"$scratch/err" &&
    [ "$(grep -c '"peers":{"stress-ng":"not installed"}' "$OUT.jsonl")" -eq 2 ] &&
    grep -q 'stress-ng not installed' "$scratch/out"
report $? "a peer that is not installed is said to be so"

# ---- refusals
refuses 2 'cup: no such part; expected some of: cpu, io, share' "another part is refused" cpu cup
refuses 2 'tries' "no tries are refused" --tries 0
refuses 2 'strickt: unknown' "another flag is refused" --strickt
refuses 1 'none/no/lines: cannot be written' "lines that cannot be written are told" --lines "$scratch/none/no/lines"
PARTS=cup script
rc=$?
[ "$rc" -eq 2 ] && grep -q 'cup: no such part' "$scratch/err" && [ ! -s "$scratch/out" ]
report $? "the script ends with the program's status (exit $rc)"

# ---- the page alone
program=$build/bench/fidelity_plot
program_name=fidelity_plot
echo '{"bench": "fidelity: cpu"' >"$scratch/cut.jsonl"
refuses 5 'cut.jsonl:1: ' "a cut line is refused" "$scratch/cut.jsonl" "$scratch/cut.png"
: >"$scratch/empty.jsonl"
refuses 5 'expected the lines of fidelity' "no lines are refused" "$scratch/empty.jsonl" "$scratch/cut.png"
refuses 2 'expected LINES.jsonl PAGE.png' "two names are needed" "$scratch/empty.jsonl"
[ ! -e "$scratch/cut.png" ]
report $? "no page is left then"
finish
