#!/bin/bash
# mimesys_compare from the outside: results, files, exit statuses. BIN: folder of the programs.
program_name=mimesys_compare
# shellcheck source=tests/support/cli.sh
. tests/support/cli.sh
traces=tests/data/traces
sort=$traces/stats-sort.txt
fio=$traces/stats-fio.txt
# No calibration of this machine may change the figures.
export MIMESYS_CALIBRATION=$scratch/none.json
compare() { run_program "$@"; }

# All values of a key in a JSON file, one a line.
values() { grep -o "\"$1\": *[^,}]*" "$2" | sed 's/.*: *//; s/ *$//'; }

# ---- results
compare --wanted "$sort" --measured "$sort:itself" -o "$scratch/self.json" -o "$scratch/self.png" &&
    [ "$(values nl1_mean "$scratch/self.json" | sort -u)" = 0.0 ] &&
    [ "$(values dtw "$scratch/self.json" | sort -u)" = 0.0 ] &&
    grep -q '^itself  *1  *0\.0000  *0\.0000  *0\.0000  *0\.0000' "$scratch/out"
report $? "a trace compared with itself gives exactly 0"

[ "$(head -c 4 "$scratch/self.png" | tail -c 3)" = PNG ] && [ "$(wc -c <"$scratch/self.png")" -gt 5000 ]
report $? "a PNG is written"

compare --wanted "$sort" --measured "$fio:other" --json && cp "$scratch/out" "$scratch/other.json" &&
    [ "$(wc -l <"$scratch/other.json")" -ge 1 ] &&
    [ -n "$(values nl1_mean "$scratch/other.json")" ] &&
    values nl1_mean "$scratch/other.json" | awk '$1 <= 0 || $1 == "null" {bad = 1} END {exit bad}'
report $? "another trace gives a difference above 0"

for key in wanted accepted_only notes left_out files labels label families nl1 mse dtw n_slots \
    nl1_mean cpu io_read io_write memory cache n_accepted is_measurable n_runs spread floor floor_mean; do
    grep -q "\"$key\":" "$scratch/other.json" || echo "$key"
done >"$scratch/missing"
[ ! -s "$scratch/missing" ]
report $? "--json has the documented keys $(tr '\n' ' ' <"$scratch/missing")"

[ "$(values memory "$scratch/other.json" | sort -u)" = null ]
report $? "a family without metrics is null"

compare --wanted "$sort" --slots 20 --measured "$sort:a" --measured "$fio:a" --measured "$sort:b" \
    -o "$scratch/runs.json" &&
    [ "$(values n_runs "$scratch/runs.json" | tr '\n' ' ')" = "2 1 " ] &&
    values n_slots "$scratch/runs.json" | awk '$1 > 20 {bad = 1} END {exit bad}' &&
    [ "$(sed -n '/^label /,/^$/p' "$scratch/out" | awk '{print $1, $2}' | head -n 4 | tr '\n' ',')" = \
        "label runs,a 2,b 1,b: no," ]
report $? "repeated labels give a floor, --slots cuts, a row a label"

compare --wanted "$sort" --first 10 --slots 5 --measured "$sort" -o "$scratch/first.json" &&
    grep -q '"label": "stats-sort.txt"' "$scratch/first.json" &&
    values nl1_mean "$scratch/first.json" | awk '$1 == 0 {bad = 1} END {exit bad}'
report $? "--first moves the wanted slots, the label is the file's name"

compare --wanted "$sort" --measured "$fio" --verbose && grep -q avg_cpu_utilizations_core_00 "$scratch/out" &&
    [ "$(grep -c 'no calibration\|no ceiling' "$scratch/out")" -eq 1 ]
report $? "--verbose shows metrics, a missing calibration is a note"

compare --wanted "$sort" --measured "$sort" --accepted-only
report $? "--accepted-only ends well whatever the trace tells"

cp "$sort" "$scratch/with:colon.txt"
compare --wanted "$sort" --measured "$scratch/with:colon.txt" --json && grep -q '"with:colon.txt"' "$scratch/out" &&
    compare --wanted "$sort" --measured "$scratch/with:colon.txt:x" --json && grep -q '"label": *"x"' "$scratch/out"
report $? "a file name may hold a colon"

compare --wanted "$sort" --measured "$sort" -o "$scratch/dry.png" --dry-run && [ ! -e "$scratch/dry.png" ]
report $? "--dry-run writes nothing"

# A calibration of a small node: 4 cores, reads of 10 MB/s; the trace asks for more.
cat >"$scratch/node.json" <<'JSON'
{"schema": "mimesys_calibration", "schema_version": 1, "machine_key": "0123456789abcdef",
 "cpu_model": "test", "kernel": "6", "scratch_folder": "/var/tmp", "io_mode": "direct",
 "n_cpus": 4, "n_sockets": 1, "measured_real_s": 1.0, "io_read_max_kbs": 10240.0,
 "io_write_max_kbs": 1e9, "stressors": []}
JSON
compare --wanted "$sort" --measured "$sort" --calibration "$scratch/node.json" -o "$scratch/node-out.json" &&
    grep -q '"range": 10240.0' "$scratch/node-out.json" && grep -q 'io_read is scaled' "$scratch/out" &&
    grep -q 'resampled to 4' "$scratch/out" && ! grep -q 'no ceiling' "$scratch/out"
report $? "--calibration gives ranges and scales what is beyond the node"

export MIMESYS_CALIBRATION=$scratch/node.json
compare --wanted "$sort" --measured "$sort" -o "$scratch/not-here.json" &&
    [ "$(values nl1_mean "$scratch/not-here.json" | sort -u)" = 0.0 ] &&
    grep -q 'does not say that it was measured on this machine' "$scratch/out"
report $? "a stored calibration is not used for files measured elsewhere"

# shellcheck disable=SC2016
sed '2i$x_machine test, 2 CPUs used, key 0123456789abcdef' "$sort" >"$scratch/here.txt"
compare --wanted "$sort" --measured "$scratch/here.txt" --json && grep -q '"range": *10240' "$scratch/out"
report $? "a stored calibration is used for files measured on its machine"
export MIMESYS_CALIBRATION=$scratch/none.json

# ---- ranges of a model: 4 threads, CPU and reads vary in its corpus, writes are always 0
"${PROGRAMS:-$BIN/../tests}/make_corpus" "$scratch/corpus.h5" &&
    "${PROGRAMS:-$BIN/../tests}/make_model" "$scratch/corpus.h5" "$scratch/model.h5"
report $? "a model for its ranges"
model=$scratch/model.h5
# (the exit status is not asked for: with sanitizers it is about what MPI leaks)
reads=$("$BIN/mimesys_dataset" convert "$scratch/corpus.h5" -o "$scratch/corpus.csv" >/dev/null 2>&1
    awk -F, 'NR == 1 {for (i = NF; i > 0; i--) if ($i ~ /io_read/) k = i; next}
        {v = $k + 0; if (NR == 2 || v < low) low = v; if (v > high) high = v} END {print high - low}' "$scratch/corpus.csv")
compare --wanted "$sort" --measured "$fio:other" --checkpoint "$model" -o "$scratch/ranges.json" &&
    sed -n '/"io_read": {/,/}/s/.*"range": *\([0-9.]*\).*/\1/p' "$scratch/ranges.json" |
    awk -v r="$reads" '{n++; bad = bad || r <= 0 || ($1 / r - 1) ^ 2 > 1e-6} END {exit bad || n != 1}' &&
    ! grep -q '"range": 100.0' "$scratch/ranges.json" && grep -q 'io_write: constant in the training corpus' "$scratch/out" &&
    grep -q 'no calibration: nothing is scaled' "$scratch/out" && ! grep -q 'does not know' "$scratch/out"
report $? "--checkpoint gives the ranges of the model's corpus (reads $reads KB/s)"

# A plan of one row that ran on CPU 1 of a node of two: what mimesys_generate --threads 1 calls
# wanted is compared with that CPU.
sed -e 's/^!cpu /!x_thr cpu cpu_us,E paced_cpu_us,E\n&/' -e 's/^cpu 1 /x_thr 0 1 0 0\n&/' "$sort" >"$scratch/one-row.txt"
cpu1=$("$BIN/mimesys_trace" summary "$sort" --json | sed -n '/avg_cpu_utilizations_core_01/,/}/s/.*"mean": *\([0-9.]*\).*/\1/p')
MIMESYS_CALIBRATION=tests/data/calibration.json "$BIN/mimesys_generate" --trace "$sort" --threads 1 --dry-run \
    --json >"$scratch/plan.json"
wanted=$(sed -n '/"cpu": {/,/}/s/.*"wanted": *\([0-9.]*\).*/\1/p' "$scratch/plan.json")
for calibration in none calibrated; do
    with=()
    [ $calibration = none ] || with=(--calibration tests/data/calibration.json)
    compare --wanted "$sort" --measured "$scratch/one-row.txt" "${with[@]}" -o "$scratch/row.json" &&
        [ "$(grep -c '"avg_cpu_utilizations_core_' "$scratch/row.json")" -eq 1 ] &&
        grep -q 'resampled to 1 ' "$scratch/out" && grep -q '1 of 2 CPUs had no row' "$scratch/out" &&
        awk -v a="$(values measured_mean "$scratch/row.json" | head -n 1)" -v b="$cpu1" \
            -v c="$(values wanted_mean "$scratch/row.json" | head -n 1)" -v d="$wanted" \
            'BEGIN {exit !(b > 0 && (a - b) ^ 2 < 0.01 && d > 0 && (c - d) ^ 2 < 0.01)}'
    report $? "one row on a node of two CPUs, $calibration: its CPU beside what the plan was for"
done

# ---- refusals
: >"$scratch/empty.txt"
printf 'hello\n' >"$scratch/other.txt"
head -c 4096 /dev/urandom >"$scratch/noise.txt"
head -n 30 "$sort" >"$scratch/header.txt"
printf '{"schema": "something else"}\n' >"$scratch/bad.json"
mkdir "$scratch/folder" "$scratch/closed"

refuses 2 wanted "no arguments"
refuses 2 measured "no measured file" --wanted "$sort"
refuses 2 'did you mean' "unknown flag" --wanted "$sort" --mesured "$sort"
refuses 2 'png or .json' "unknown kind of output" --wanted "$sort" --measured "$sort" -o "$scratch/a.jpg"
refuses 2 'twice' "the same output twice" --wanted "$sort" --measured "$sort" -o "$scratch/a.png" -o "$scratch/a.png"
refuses 2 slots "a number of slots that is none" --wanted "$sort" --measured "$sort" --slots 5x
refuses 2 slots "no slots" --wanted "$sort" --measured "$sort" --slots 0
refuses 2 first "--first behind the end" --wanted "$sort" --measured "$sort" --first 5000
refuses 2 label "empty label" --wanted "$sort" --measured "$sort:"
refuses 2 'out: expected a file name' "an empty output" --wanted "$sort" --measured "$sort" -o ""
refuses 2 'without control characters' "a label that steers the terminal" --wanted "$sort" --measured "$sort:$(printf 'a\033[2Jb')"
cp "$sort" "$scratch/wanted.json"
cp "$fio" "$scratch/measured.json"
cp tests/data/calibration.json "$scratch/node-in.json"
cp "$model" "$scratch/model-in.json"
for input in wanted measured node-in model-in; do
    refuses 2 'is an input' "$input as the output" --wanted "$scratch/wanted.json" --measured "$scratch/measured.json" \
        --calibration "$scratch/node-in.json" --checkpoint "$scratch/model-in.json" -o "$scratch/$input.json"
done
cmp -s "$sort" "$scratch/wanted.json" && cmp -s "$fio" "$scratch/measured.json" && grep -q io_mode "$scratch/node-in.json"
report $? "the inputs are still there"
grep -E -v '^(cpu|block) ' "$fio" >"$scratch/nothing.txt"
refuses 5 'nothing.txt: has no metric in common with' "nothing to compare" --wanted "$sort" --measured "$scratch/nothing.txt"
refuses 2 taken "label wanted" --wanted "$sort" --measured "$sort:wanted"
refuses 1 no-such "wanted file missing" --wanted "$scratch/no-such.txt" --measured "$sort"
refuses 1 no-such "measured file missing" --wanted "$sort" --measured "$scratch/no-such.txt:a"
refuses 1 folder "a folder" --wanted "$scratch/folder" --measured "$sort"
refuses 5 empty.txt "empty file" --wanted "$scratch/empty.txt" --measured "$sort"
refuses 5 other.txt "not a stats text" --wanted "$sort" --measured "$scratch/other.txt"
refuses 5 noise.txt "random bytes" --wanted "$sort" --measured "$scratch/noise.txt"
refuses 5 header.txt "a header without enough records" --wanted "$sort" --measured "$scratch/header.txt"
refuses 5 bad.json "a calibration of another schema" --wanted "$sort" --measured "$sort" --calibration "$scratch/bad.json"
refuses 1 no.json "a calibration that is not there" --wanted "$sort" --measured "$sort" --calibration "$scratch/no.json"
refuses 5 corpus.h5 "a corpus for a model" --wanted "$sort" --measured "$sort" --checkpoint "$scratch/corpus.h5"
refuses 1 no.h5 "a model that is not there" --wanted "$sort" --measured "$sort" --checkpoint "$scratch/no.h5"
refuses 1 'no/such' "PNG into a missing folder" --wanted "$sort" --measured "$sort" -o "$scratch/no/such/a.png"
refuses 1 'no/such' "JSON into a missing folder" --wanted "$sort" --measured "$sort" -o "$scratch/no/such/a.json"

if [ -w /dev/full ]; then
    timeout 60 "$program" --wanted "$sort" --measured "$sort" >/dev/full 2>"$scratch/err"
    rc=$?
    [ "$rc" -eq 1 ] && [ "$(wc -l <"$scratch/err")" -eq 1 ]
    report $? "standard output on a full device (exit $rc)"
fi

[ -z "$(find "$scratch" -name '*.tmp*')" ]
report $? "nothing is left behind"

finish
