#!/bin/bash
# mimesys_trace from the outside: tables, JSON, files, exit statuses. BIN: folder of the programs.
program_name=mimesys_trace
# shellcheck source=tests/support/cli.sh
. tests/support/cli.sh
sort=tests/data/traces/stats-sort.txt
trace() { run_program "$@"; }

# The first value of a key in the JSON that was printed.
value() { grep -o "\"$1\": *[^,}]*" "$scratch/out" | head -n 1 | sed 's/.*: *//; s/ *$//'; }

# ---- summary
trace summary "$sort" && grep -q '^56 records, 54 slots of 1.000 s' "$scratch/out" &&
    grep -q '^io_read  *KB/s  *[0-9.]*  *0.00  *131887.73  *0$' "$scratch/out" &&
    [ ! -s "$scratch/err" ]
report $? "summary prints a table"

trace summary "$sort" --json && [ "$(value records)" = 56 ] && [ "$(value slots)" = 54 ] &&
    [ "$(value is_truncated)" = false ] && [ "$(value accepted)" = null ]
report $? "summary --json has records and slots"

for key in unit mean min max n_absent; do
    grep -A 7 '"io_write": {' "$scratch/out" | grep -q "\"$key\":" || echo "$key"
done >"$scratch/missing"
[ ! -s "$scratch/missing" ] && grep -A 7 '"io_write": {' "$scratch/out" | grep -q '"max": 1695924.7'
report $? "each metric has unit, mean, min, max and n_absent"

trace summary "$sort" --json --first 50 --slots 10 && [ "$(value slots)" = 4 ] &&
    [ "$(value records)" = 56 ]
report $? "--first and --slots cut, at most to the end"

trace summary "$sort" --disks zram0 --json &&
    grep -A 7 '"io_read": {' "$scratch/out" | grep -q '"max": 0.0'
report $? "--disks chooses"

trace summary tests/data/dialects/hpcperfstats-2.4-uncore.txt --json --peak-bandwidth 57.5 &&
    grep -A 7 '"memory_bandwidth_read": {' "$scratch/out" | grep -q '"max": 0.8904347'
report $? "--peak-bandwidth changes percentages of the peak"

trace summary tests/data/dialects/tacc_stats-2.3.5.txt --json &&
    [ "$(value dialect)" = '"tacc_stats 2.3.5"' ] &&
    trace summary tests/data/dialects/hpcperfstats-3.0.txt --json &&
    [ "$(value dialect)" = '"hpcperfstats 3.0"' ]
report $? "the other dialects are read"

head -c 30000 "$sort" >"$scratch/cut.txt"
trace summary "$scratch/cut.txt" --json && [ "$(value is_truncated)" = true ] &&
    grep -q 'the last line is cut' "$scratch/err"
report $? "a cut file is used and said to be cut"

sed 's/$/\r/' "$sort" >"$scratch/crlf.txt"
trace summary "$scratch/crlf.txt" && tail -n +5 "$scratch/out" >"$scratch/crlf.out" &&
    trace summary "$sort" && tail -n +5 "$scratch/out" | cmp -s - "$scratch/crlf.out"
report $? "line ends of two bytes make no difference"

awk '/^[0-9]/ {if (++n > 30) $1 = sprintf("%.6f", $1 + 30)} {print}' "$sort" >"$scratch/gap.txt"
trace summary "$scratch/gap.txt" && grep -q '^note: 1 slot is longer than 1.5 times' "$scratch/out" &&
    trace summary "$scratch/gap.txt" --json && grep -q 'the recording has gaps' "$scratch/out"
report $? "a gap of the recording is noted"

awk '/^[0-9]/ {$1 = sprintf("%.6f", 1000 + ++n * 0.0002)} {print}' "$sort" >"$scratch/short.txt"
trace summary "$scratch/short.txt" --first 3 --slots 1 && grep -q ' 1 slot of 0.00020 s, ' "$scratch/out"
report $? "short slots keep their digits, one slot is one slot"

# ---- files
trace convert "$sort" -o "$scratch/sort.csv" && [ "$(wc -l <"$scratch/sort.csv")" -eq 55 ] &&
    head -n 1 "$scratch/sort.csv" | grep -q '^start_s,length_s,avg_cpu_utilizations_core_00 \[%\],'
report $? "convert writes CSV"

# The sum of KB/s times seconds is what the trace read in all: 1918.9 MiB.
awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) if ($i ~ /^io_read /) c = i; next }
    { kb += $c * $2 } END { exit !(sprintf("%.1f", kb / 1024) == "1918.9") }' "$scratch/sort.csv"
report $? "the CSV's reads add up to the trace's"

trace convert "$sort" -o "$scratch/sort.h5" &&
    [ "$(head -c 4 "$scratch/sort.h5" | tail -c 3)" = HDF ]
report $? "convert writes HDF5"

if command -v h5dump >/dev/null; then
    h5dump -H "$scratch/sort.h5" >"$scratch/dump" 2>&1 && grep -q 'DATASET "values"' "$scratch/dump" &&
        grep -q '( 54, 11 )' "$scratch/dump" && grep -q 'ATTRIBUTE "schema"' "$scratch/dump"
    report $? "h5dump reads it"
else
    skip "h5dump reads it" "no h5dump here"
fi

trace plot "$sort" -o "$scratch/sort.png" &&
    [ "$(head -c 4 "$scratch/sort.png" | tail -c 3)" = PNG ] &&
    [ "$(wc -c <"$scratch/sort.png")" -gt 5000 ]
report $? "plot writes PNG"

trace convert "$sort" -o "$scratch/never.csv" --dry-run && [ ! -e "$scratch/never.csv" ]
report $? "--dry-run writes nothing"

# ---- refusals
refuses 2 'expected' "no arguments"
refuses 2 'did you mean summary\|unknown\|expected' "an unknown command" sumary "$sort"
refuses 2 'did you mean --slots' "an unknown flag" summary "$sort" --slot 3
refuses 2 '\-\-slots' "slots that are no number" summary "$sort" --slots 1x
refuses 2 'has 54 slots only' "a first slot behind the end" summary "$sort" --first 54
refuses 2 "no block device 'sdz'" "a disk that is not there" summary "$sort" --disks sdz
refuses 2 'OUT.h5 or OUT.csv' "convert without a file to write" convert "$sort"
refuses 2 'out: expected a file name' "an empty output" convert "$sort" -o ""
cp "$sort" "$scratch/input.csv"
refuses 2 'is an input' "the input as the output" convert "$scratch/input.csv" -o "$scratch/input.csv"
ln -s input.csv "$scratch/link.csv"
refuses 2 'is an input' "a link to the input as the output" convert "$scratch/input.csv" -o "$scratch/link.csv"
cmp -s "$sort" "$scratch/input.csv"
report $? "the input is still there"
sed '0,/^1795[0-9.]*/s//nan/' "$sort" >"$scratch/nan-time.txt"
refuses 5 'a time stamp that is no number' "a time that is no number" summary "$scratch/nan-time.txt"
refuses 2 'OUT.png' "plot into another form" plot "$sort" -o "$scratch/x.csv"
refuses 1 'none.txt' "a file that is not there" summary "$scratch/none.txt"
refuses 1 'folder' "a folder" summary "$scratch"
: >"$scratch/empty.txt"
refuses 5 'empty' "an empty file" summary "$scratch/empty.txt"
head -c 20000 "$scratch/sort.h5" >"$scratch/binary.txt"
refuses 5 'line 1: ' "a binary file" summary "$scratch/binary.txt"
sed 's/^cpu 1 [0-9]*/cpu 1 nan/' "$sort" >"$scratch/nan.txt"
refuses 5 "line 20: expected an unsigned number, found 'nan'" "text in place of a number" summary "$scratch/nan.txt"
sed 's/^cpu 1 [0-9]*/cpu 1 99999999999999999999/' "$sort" >"$scratch/huge.txt"
refuses 5 'does not fit 64 bits' "a huge number" summary "$scratch/huge.txt"
sed -n '/^1795/,$p' "$sort" >"$scratch/fragment.txt"
refuses 5 'a record without a header' "a fragment" summary "$scratch/fragment.txt"
head -n 30 "$sort" >"$scratch/one.txt"
refuses 5 'at least 2 records, found 1' "a single record" summary "$scratch/one.txt"
refuses 1 'nowhere' "an output in no folder" convert "$sort" -o "$scratch/nowhere/x.csv"
if [ -e /dev/full ] && [ "$(id -u)" -ne 0 ]; then
    mkdir "$scratch/locked" && chmod a-w "$scratch/locked"
    refuses 1 'locked' "an output in a locked folder" convert "$sort" -o "$scratch/locked/x.h5"
fi
timeout 60 "$program" summary "$sort" >/dev/full 2>"$scratch/err"
[ $? -eq 1 ] && grep -q 'cannot be written' "$scratch/err"
report $? "standard output that is full"

left=$(find "$scratch" -name '*.tmp.*' | wc -l)
[ "$left" -eq 0 ]
report $? "no temporary files are left"

finish
