#!/bin/bash
# mimesys_replay from the outside: one and several ranks, bad input, stops, kills, wrong clocks.
set -u
program_name=mimesys_replay
may_log=yes # what it did before it was refused
# shellcheck source=tests/support/cli.sh
. tests/support/cli.sh
# shellcheck source=tests/support/collect.sh
. tests/support/collect.sh
unset MIMESYS_ITERS MIMESYS_SLEEP
host=$(hostname)
out=$scratch/replay
a=$scratch/a.h5 b=$scratch/b.h5 # 4 slots of one thread, 6 slots of two
together=(--set replay.share_host=true)

grep -v '^block' tests/data/traces/stats-sort.txt >"$scratch/cpu.txt"
make_plan() { # FILE ARGUMENTS...
    local file=$1
    shift
    "$BIN/mimesys_generate" --trace "$scratch/cpu.txt" --calibration tests/data/calibration.json \
        --method single -o "$file" "$@" >"$scratch/out" 2>"$scratch/err"
}
make_plan "$a" --slots 4 --slot 0.25 --threads 1 &&
    make_plan "$b" --first 4 --slots 6 --slot 0.25 --threads 2 &&
    make_plan "$scratch/slow.h5" --slots 4 --slot 0.5 --threads 1
report $? "plans of 4 and 6 slots"

figure() { sed -n "s/^ *\"$2\": \(.*[^,]\),*$/\1/p" "$1/summary.json"; } # FOLDER KEY: one a line
records() { grep -c '^[0-9]' "$1"; }
# NAME FOLDER [START COUNT]: values of a dataset of the result, one a line
values() {
    local name=$1 file=$2/result.h5
    shift 2
    h5dump -y -w 1 -d "$name" ${1:+-s "$1" -c "$2"} "$file" |
        sed -n '/DATA {/,/}/{s/^ *\([-+0-9a-z][-+0-9.a-z]*\),*$/\1/p;/}/q}'
}

# ---- settings and refusals
(unset MIMESYS_SCRATCH MIMESYS_ALLOW_UNSTABLE MIMESYS_CALIBRATE_TRIES; run_program --print-config) && cmp -s "$scratch/out" ini/replay.ini
report $? "ini/replay.ini holds the settings and their defaults"
OMPI_MCA_pml=none run_program "$a" "$b" --out "$out" --dry-run --iters 3 --set limits.nice=3 &&
    [ ! -e "$out" ] && grep -q "^would run 4 s on 2 nodes" "$scratch/out" && grep -qF \
    "srun --mpi=pmix --cpu-bind=none --wait=60 mimesys_replay $a $b --out $out --iters 3 --set limits.nice=3\"" \
    "$scratch/out" && grep -q '^sbatch --nodes=2 ' "$scratch/out"
report $? "a dry run says what it would do, needs no MPI and touches nothing"
printf '# nodes\n%s %s\nn2 %s\nn3 %s\n' "$host" "$a" "$b" "$a" >"$scratch/map"
run_program --map "$scratch/map" --out "$out" --dry-run && grep -q '^sbatch --nodes=3 ' "$scratch/out"
report $? "a dry run of a map looks at all its plans"
for how in "" --dry-run; do
    # shellcheck disable=SC2086 # empty or one word
    {
        refuses 2 "expected.* plan" "no plan ($how)" --out "$out" $how
        refuses 2 "expected --out" "no folder ($how)" "$a" $how
        refuses 1 "none.h5" "a plan that is not there ($how)" "$scratch/none.h5" --out "$out" $how
        refuses 5 "cpu.txt" "a plan that is none ($how)" "$scratch/cpu.txt" --out "$out" $how
        refuses 2 "expected no plan beside it" "a map and a plan ($how)" "$a" --map "$scratch/map" \
            --out "$out" $how
        refuses 1 "no-map" "a map that is not there ($how)" --map "$scratch/no-map" --out "$out" $how
        refuses 4 "limits.memory" "a plan beyond the memory ceiling ($how)" "$a" --out "$out" $how \
            --set limits.memory=10K
        refuses 4 "limits.time_s" "a plan beyond the time ceiling ($how)" "$a" --out "$out" $how \
            --set limits.time_s=0.5
    }
done
echo "$host" >"$scratch/bad-map"
refuses 2 "bad-map:1: expected a rank or host" "a bad map" --map "$scratch/bad-map" --out "$out"
echo "n77 $a" >"$scratch/bad-map"
refuses 2 "no plan for rank 0 on host $host" "a map without this host" --map "$scratch/bad-map" \
    --out "$out"
printf '# nodes\n\n%s %s/none.h5\n' "$host" "$scratch" >"$scratch/bad-map"
for how in "" --dry-run; do
    # shellcheck disable=SC2086 # empty or one word
    refuses 1 "bad-map:3: .*none.h5: No such file" "a map with a plan that is not there ($how)" \
        --map "$scratch/bad-map" --out "$out" $how
done
printf '0 %s\n1 %s\n' "$a" "$scratch/slow.h5" >"$scratch/bad-map"
refuses 2 "bad-map:2: .*slow.h5: has slots of 0.5 s" "a map with plans of other slots, dry" \
    --map "$scratch/bad-map" --out "$out" --dry-run
refuses 2 "one for each of 1 ranks, found 2" "more plans than ranks" "$a" "$b" --out "$out"
refuses 2 "found 3" "more plans than nodes, dry" "$a" "$b" "$a" --out "$out" --dry-run \
    --set replay.nodes=2
refuses 2 "expected 5 nodes, found 1" "fewer ranks than asked for" "$a" --out "$out" \
    --set replay.nodes=5
refuses 2 "has slots of 0.5 s" "plans of other slots, dry" "$a" "$scratch/slow.h5" --out "$out" --dry-run
[ ! -e "$out" ]
report $? "refused before the folder was made"
refuses 1 "cannot be\|Not a directory\|cannot make" "a folder that cannot be made" "$a" --out /proc/none/replay

# ---- one rank
run_program "$a" --out "$out" && [ "$(ls "$out")" = "$(
    printf '%s\n' result.h5 "stats-$host.txt" summary.json
)" ]
report $? "one rank: the result, the stats text and the summary"
[ "$(records "$out/stats-$host.txt")" -eq 5 ] && [ "$(figure "$out" status)" = '"done"' ] &&
    [ "$(figure "$out" n_nodes)" = 1 ] && [ "$(figure "$out" skew_s)" = 0.0 ]
report $? "a record at every slot edge, no skew"
h5dump -a /schema "$out/result.h5" | grep -q '"mimesys_replay_result"' &&
    h5dump -a /schema_version "$out/result.h5" | grep -q '(0): 1$' &&
    h5dump -a /config "$out/result.h5" | grep -q 'share_host' &&
    h5dump -a /share/units "$out/result.h5" | grep -q '"1"' &&
    h5dump -a /share/dims "$out/result.h5" | grep -q '"row thread stressor"'
report $? "the result says what it holds"
run_program "$a" --out "$out" --json --slot 0.1 && grep -q '"slot_s": 0.1,' "$scratch/out"
report $? "again into the same folder, as JSON"
flock -o "$MIMESYS_HOST_LOCK" sleep 60 &
running=$!
sleep 0.3
refuses 4 "has this host" "a host that is taken" "$a" --out "$out" --set replay.wait_s=0
timeout -s USR1 2 "$program" "$a" --out "$out" >"$scratch/out" 2>"$scratch/err"
kill -9 "$running"
wait "$running" 2>/dev/null
running=
is_one_sentence "stopped while waiting for the host lock"
report $? "a stop while it waits for the host"
rm -rf "$out"
run_stopped "$a" --out "$out"
rc=$?
[ "$rc" -eq 75 ] && is_one_sentence "before the first slot; nothing was measured" && [ -z "$(ls -A "$out")" ]
report $? "a stop before the first slot is told (exit $rc)"
run_program "$a" --out "$out" && [ "$(figure "$out" status)" = '"done"' ]
report $? "and the next start is a whole one"

if ! command -v mpirun >/dev/null; then
    skip "several ranks" "needs mpirun"
    finish
    exit
fi

# ---- two ranks with different plans
run_ranks 2 "$a" --out "$out"
rc=$?
[ $rc -eq 2 ] && grep -q "^$program_name: .*two ranks are on host $host" "$scratch/err"
report $? "two ranks on one host are refused, with its name (exit $rc)"
rm -rf "$out"
run_ranks 2 "$a" "$b" --out "$out" "${together[@]}"
report $? "two ranks, a plan each"
[ "$(values slot_node "$out" | xargs)" = "0 0 0 0 1 1 1 1 1 1" ] &&
    [ "$(values slot "$out" | xargs)" = "0 1 2 3 0 1 2 3 4 5" ]
report $? "every slot of both nodes has its row"
plan_values() { h5dump -y -w 1 -d execution_plan "$1" | sed -n '/DATA {/,/}/{s/^ *\([-+0-9a-z][-+0-9.a-z]*\),*$/\1/p;/}/q}'; }
[ "$(values planned_share "$out" 4,0,0 6,2,20)" = "$(plan_values "$b")" ] &&
    [ "$(values planned_share "$out" 0,0,0 4,1,20)" = "$(plan_values "$a")" ] &&
    [ "$(plan_values "$b" | grep -vc '^0$')" -gt 0 ]
report $? "what was planned is what the plans say"
[ "$(values share "$out" 0,1,0 4,1,20 | sort -u)" = nan ] &&
    [ "$(values metric "$out" 0,0 1,3 | wc -l)" -eq 3 ]
report $? "a thread that one node has not is absent"
[ "$(records "$out/stats-$host-0.txt")" -eq 5 ] && [ "$(records "$out/stats-$host-1.txt")" -eq 7 ]
report $? "the stats text of each"
# CPU time of the process beyond its stressors' while slots run: waiting in MPI would take all of it
for n in 0 1; do
    awk '$1 == "x_slot" { if (!n++) { own = $6; begin = $4 } last = $6; end = $4 }
        $1 == "x_thr" { if (n == 1) given[$2] = $4; sum[$2] = $4 - given[$2] }
        END { for (t in sum) all += sum[t]; exit !(end > begin && last - own - all < 0.2 * (end - begin)) }' \
        "$out/stats-$host-$n.txt" || bad=1
done
[ -z "${bad:-}" ]
report $? "no rank spins while the plan runs"
"$BIN/mimesys_compare" --wanted "$scratch/cpu.txt" --first 4 --slots 6 --calibration \
    tests/data/calibration.json --measured "$out/stats-$host-1.txt:b" --json >"$scratch/out" 2>"$scratch/err" &&
    grep -q '"n_slots": 6' "$scratch/out" && grep -q '"nl1_mean": [0-9]' "$scratch/out"
report $? "mimesys_compare reads it"
awk -v skew="$(figure "$out" skew_s)" -v most="$(figure "$out" skew_most_s)" -v spread="$(figure "$out" spread_s)" \
    'BEGIN { exit !(skew >= 0 && most >= skew && spread >= skew && spread < 0.25) }'
report $? "skew, its bound and the spread are told ($(figure "$out" skew_s) s)"
run_ranks 2 "$a" "$scratch/slow.h5" --out "$out" "${together[@]}"
rc=$?
[ $rc -eq 2 ] && grep -q "^$program_name: .*slow.h5: has slots of 0.5 s, the plan of rank 0 of 0.25 s" "$scratch/err"
report $? "slots of two lengths are refused (exit $rc)"

# ---- four ranks, a map
printf '2 %s\n%s %s\n' "$b" "$host" "$a" >"$scratch/map"
rm -rf "$out"
run_ranks 4 --map "$scratch/map" --out "$out" "${together[@]}" &&
    [ "$(figure "$out" n_nodes)" = 4 ] && [ "$(figure "$out" plan | xargs)" = "$a $a $b $a" ]
report $? "four ranks by a map: a line for a rank goes before one for its host"
[ "$(figure "$out" n_slots | xargs)" = "4 4 4 6 4" ]
report $? "and the slots of all"

# ---- I/O: one rank of a host calibrates for all, scratch files come and go
"$BIN/mimesys_generate" --trace tests/data/traces/stats-sort.txt --first 6 --slots 4 --slot 0.25 --method single \
    --calibration tests/data/calibration.json --threads 1 -o "$scratch/io.h5" >"$scratch/out" 2>"$scratch/err" &&
    rm -rf "$out" "$MIMESYS_CALIBRATION" &&
    run_ranks 2 "$scratch/io.h5" --out "$out" "${together[@]}" --set calibrate.seconds_each=0.05 \
        --set calibrate.repeats=3 && [ "$(grep -c 'measuring all stressors' "$scratch/err")" -eq 1 ] &&
    [ -s "$MIMESYS_CALIBRATION" ] && [ "$(figure "$out" ops_ratio | grep -c '^[0-9]')" -eq 2 ]
report $? "a plan with I/O on two ranks, calibrated once"

# ---- one that fails
sed 's/BM_LIBC_Memcpy_Fleet_L1/BM_LIBC_Memcpy_Fleet_X1/; s/BM_SIMD_Serial/BM_SIMX_Serial/' "$b" >"$scratch/unknown.h5"
for who in 0 1 2; do
    plans=("$a" "$a" "$a")
    plans[who]=$scratch/unknown.h5
    rm -rf "$out"
    run_ranks 3 "${plans[@]}" --out "$out" "${together[@]}"
    rc=$?
    [ $rc -eq 4 ] && grep -c "^$program_name: " "$scratch/err" | grep -qx 1 &&
        grep -q "^$program_name: $host: stressor BM_.*no kernel" "$scratch/err" && [ -z "$(ls -A "$out")" ]
    report $? "an unknown stressor in the plan of rank $who: nobody starts (exit $rc)"
done
run_ranks 2 "$a" "$scratch/none.h5" --out "$out" "${together[@]}"
rc=$?
[ $rc -eq 1 ] && grep -q "^$program_name: $host: .*none.h5" "$scratch/err"
report $? "a plan that one rank has not (exit $rc)"

# ---- stops and kills; the last rank is told, or killed
last_rank() { pgrep -P "$running" | tail -n 1; }
rm -rf "$out"
start_ranks 3 "$scratch/err" "$b" --iters 40 --out "$out" "${together[@]}"
wait_for_line 60 "agreed on their start" "$scratch/err"
sleep 0.8
kill -USR1 "$(last_rank)"
wait "$running"
rc=$?
running=
[ $rc -eq 75 ] && [ "$(figure "$out" status)" = '"stopped"' ] &&
    grep -q "^$program_name: stopped by a signal after .* slots; results are in" "$scratch/err"
report $? "a signal to one rank stops all, with their results (exit $rc)"
n=$(figure "$out" n_slots | head -n 1)
[ "${n:-0}" -ge 1 ] && [ "$n" -lt 240 ] && [ "$(records "$out/stats-$host-0.txt")" -ge $((n + 1)) ] &&
    [ "$(values slot "$out" | wc -l)" -ge $((3 * n)) ]
report $? "results of the $n slots that all did"
rm -rf "$out"
start_ranks 2 "$scratch/err" "$a" --slot 100 --out "$out" "${together[@]}"
wait_for_line 60 "agreed on their start" "$scratch/err"
sleep 0.5
kill -USR1 "$(last_rank)"
wait "$running"
rc=$?
running=
[ $rc -eq 75 ] && [ "$(figure "$out" skew_s)" = null ] && [ -z "$(values slot "$out")" ] &&
    [ "$(records "$out/stats-$host-1.txt")" -eq 1 ]
report $? "a stop in the first slot, a long one: nothing was measured, and the files say so (exit $rc)"
rm -rf "$out"
start_ranks 3 "$scratch/err" "$b" --iters 40 --out "$out" "${together[@]}"
wait_for_line 60 "agreed on their start" "$scratch/err"
sleep 0.$((RANDOM % 10))
begin=$SECONDS
kill -9 "$(last_rank)"
wait "$running"
rc=$?
running=
[ $rc -ne 0 ] && [ $((SECONDS - begin)) -lt 60 ] && [ -z "$(ls -A "$out")" ]
report $? "a rank that is killed ends all, soon, and leaves no result (exit $rc)"
run_ranks 2 "$a" --out "$out" "${together[@]}"
report $? "and the next one runs"
[ -z "$(ls -A "$scratch/disk")" ]
report $? "nothing is left on the scratch disk"

# ---- clocks that are seconds apart, by namespaces of time
if ! unshare --time --monotonic 3 true 2>/dev/null; then
    skip "clocks that are apart" "needs root and namespaces of time"
    finish
    exit
fi
rm -rf "$out"
apart=("$program" "$b" --out "$out" "${together[@]}")
timeout 120 mpirun --oversubscribe -n 1 "${apart[@]}" : -n 1 unshare --time --monotonic 3 "${apart[@]}" : \
    -n 1 unshare --time --monotonic -20 "${apart[@]}" >"$scratch/out" 2>"$scratch/err"
report $? "three ranks whose clocks are apart"
figure "$out" clock_uncertainty_s | tail -n 3 >"$scratch/bounds"
figure "$out" clock_offset_s | paste - "$scratch/bounds" | awk '
    BEGIN { split("0 3 -20", wanted) }
    { error = $1 - wanted[NR]; if (error < 0) error = -error; if (error > $2 + 1e-5) bad = 1 }
    END { exit bad || NR != 3 }'
report $? "their offsets are found within what is told"
# begin of slot 0 in the stats texts: the same instant, by three clocks
sed -n 's/^x_slot - 0 \([0-9]*\) .*/\1/p' "$out/stats-$host-"[012].txt | xargs | awk '
    { second = $2 - $1 - 3e6; third = $3 - $1 + 2e7
      exit !(second < 1000 && second > -1000 && third < 1000 && third > -1000) }'
report $? "and slot 0 begins at one instant"
finish
