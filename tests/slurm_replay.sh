#!/bin/bash
# mimesys_replay on a real cluster: four nodes start together, by clocks that are apart, too; results
# with and without a common file system; a node that dies; jobs/replay.slurm.
# BIN: folder of the programs.
program_name=mimesys_replay
# shellcheck source=tests/support/cli.sh
. tests/support/cli.sh
# shellcheck source=tests/support/slurm.sh
. tests/support/slurm.sh

start_testbed_or_skip 4
program=$(realpath "$program")
plan=$shared/plan.h5 other=$shared/other.h5
grep -v '^block' tests/data/traces/stats-sort.txt >"$scratch/cpu.txt"
make_plan() { # FILE ARGUMENTS...
    local file=$1
    shift
    mimesys_generate --trace "$scratch/cpu.txt" --calibration tests/data/calibration.json \
        --method single -o "$file" "$@" >"$scratch/out" 2>"$scratch/err"
}
make_plan "$plan" --slots 4 --slot 0.5 --threads 1 && make_plan "$other" --slots 6 --slot 0.5 --threads 2
report $? "two plans"

on_nodes=(srun --time=3 -N4 --ntasks-per-node=1 --mpi=pmix --cpu-bind=none --wait=10)
figure() { sed -n "s/^ *\"$2\": \(.*[^,]\),*$/\1/p" "$1/summary.json"; } # FOLDER KEY: one a line
as_us() { awk -v s="$1" 'BEGIN { printf "%.1f us", 1e6 * s }'; }
rows() { h5dump -y -w 1 -d slot_node "$1/result.h5" | sed -n '/DATA {/,/}/{s/^ *\([0-9][0-9]*\),*$/\1/p;/}/q}'; }

# ---- one plan for all
out=$shared/same
timeout 120 "${on_nodes[@]}" "$program" "$plan" --out "$out" >"$scratch/out" 2>"$scratch/err"
rc=$?
[ $rc -eq 0 ] && [ "$(figure "$out" host | xargs)" = "n1 n2 n3 n4" ] && [ "$(rows "$out" | wc -l)" -eq 16 ]
report $? "srun -N4: every node runs the plan (exit $rc)"
for n in n1 n2 n3 n4; do grep -l "^[$]hostname $n\$" "$out/stats-$n.txt"; done >"$scratch/out"
[ "$(wc -l <"$scratch/out")" -eq 4 ]
report $? "the stats text of every node"
awk -v skew="$(figure "$out" skew_s)" -v most="$(figure "$out" skew_most_s)" \
    'BEGIN { exit !(skew > 0 && most >= skew && most < 0.5) }'
report $? "skew $(as_us "$(figure "$out" skew_s)"), at most $(as_us "$(figure "$out" skew_most_s)"), all threads within $(as_us "$(figure "$out" spread_s)")"
mimesys_compare --wanted "$scratch/cpu.txt" --slots 4 --calibration tests/data/calibration.json \
    --measured "$out/stats-n1.txt:n1" --measured "$out/stats-n4.txt:n4" >"$scratch/out" 2>"$scratch/err"
report $? "mimesys_compare reads them"

# ---- a plan a node, by a map; no folder that all see: every node has a /tmp of its own
printf 'n2 %s\nn1 %s\nn3 %s\nn4 %s\n' "$other" "$plan" "$plan" "$other" >"$shared/map"
timeout 120 "${on_nodes[@]}" "$program" --map "$shared/map" --out /tmp/apart >"$scratch/out" 2>"$scratch/err"
rc=$?
[ $rc -eq 0 ] && timeout 60 srun --time=1 -w n1 cp -r /tmp/apart "$shared" &&
    timeout 60 srun --time=1 -w n2 test ! -e /tmp/apart
report $? "results come to the node of rank 0 (exit $rc)"
[ "$(rows "$shared/apart" | uniq -c | awk '{ print $2 ":" $1 }' | xargs)" = "0:4 1:6 2:4 3:6" ] &&
    [ "$(cat "$shared"/apart/stats-n*.txt | grep -c '^[0-9]')" -eq 24 ]
report $? "and are whole"

# ---- clocks that are apart: 1000 s a rank
if unshare --time --monotonic 3 true 2>/dev/null; then
    # shellcheck disable=SC2016 # for the node's shell to expand
    timeout 120 "${on_nodes[@]}" bash -c 'exec unshare --time --monotonic $((1000 * SLURM_PROCID)) "$@"' - \
        "$program" "$plan" --out "$shared/clocks" >"$scratch/out" 2>"$scratch/err"
    rc=$?
    [ $rc -eq 0 ] && [ "$(figure "$shared/clocks" clock_offset_s | awk '{ printf "%.3f ", $1 }')" = \
        "0.000 1000.000 2000.000 3000.000 " ]
    report $? "offsets of clocks are found (exit $rc)"
    sed -n 's/^x_slot - 0 \([0-9]*\) .*/\1/p' "$shared/clocks/"stats-n?.txt | xargs | awk '
        { for (i = 2; i <= 4; i++) { d = $i - $1 - (i - 1) * 1e9; if (d > 1000 || d < -1000) bad = 1 } }
        END { exit bad || NF != 4 }'
    report $? "slot 0 begins at one instant, skew $(as_us "$(figure "$shared/clocks" skew_s)")"
else
    skip "clocks that are apart" "needs namespaces of time"
fi

# ---- two ranks a node; a node that dies
timeout 120 srun --time=1 -N2 -n4 --mpi=pmix "$program" "$plan" --out "$shared/two" >"$scratch/out" 2>"$scratch/err"
rc=$?
[ $rc -eq 2 ] && grep -q '^mimesys_replay: .*two ranks are on host n1' "$scratch/err" && [ ! -e "$shared/two" ]
report $? "two ranks a node are refused (exit $rc)"
rank_pid() { # RANK: the process of the replay that runs now
    local process
    for process in $(pgrep -x mimesys_replay); do
        if tr '\0' '\n' <"/proc/$process/environ" | grep -qx "SLURM_PROCID=$1"; then echo "$process"; fi
    done
}
timeout 120 "${on_nodes[@]}" "$program" "$plan" --iters 60 --out "$shared/dead" >"$scratch/out" 2>"$scratch/err" &
running=$!
wait_for_line 60 'agreed on their start' "$scratch/err"
sleep 1
begin=$SECONDS
kill -9 "$(rank_pid 2)"
wait "$running"
rc=$?
running=
[ $rc -ne 0 ] && [ $rc -ne 124 ] && [ ! -e "$shared/dead/result.h5" ]
report $? "a rank that dies ends the step, after $((SECONDS - begin)) s (exit $rc)"

# ---- the job template, and the command that a dry run prints
cd "$shared" || exit 1 # where the job's output goes
job=$(timeout 20 sbatch --parsable --time=5 --nodes=4 --output=job.out "$OLDPWD/jobs/replay.slurm" "$plan" \
    --out job --iters 8) && wait_for_line 60 'agreed on their start' job.out && sleep 1 &&
    timeout 20 scancel --signal=USR1 "$job" && wait_for_line 60 'stopped by a signal' job.out &&
    grep -q '"status": *"stopped"' job/summary.json
rc=$?
cat job.out >"$scratch/out" 2>/dev/null
[ $rc -eq 0 ] && [ "$(figure job n_slots | sort -u | wc -l)" -eq 1 ]
report $? "jobs/replay.slurm: USR1 stops all nodes after slot $(figure job n_slots | head -n 1), results are saved"
[ $rc -eq 0 ] && wait_for_job 120 "$job" COMPLETED && grep -q '"status": *"done"' job/summary.json &&
    timeout 10 scontrol show job "$job" | grep -q 'Restarts=1'
rc=$?
cat job.out >"$scratch/out" 2>/dev/null
[ $rc -eq 0 ]
report $? "the job is queued again and ends"
timeout 60 "$program" "$plan" "$other" --out dry --dry-run >"$scratch/out" 2>"$scratch/err" &&
    line=$(grep '^sbatch ' "$scratch/out") && timeout 120 bash -c "${line/sbatch /sbatch --wait --output=dry.out }" \
    >"$scratch/out" 2>"$scratch/err" && [ "$(figure dry n_nodes)" = 2 ]
rc=$?
cat dry.out >>"$scratch/out" 2>/dev/null
[ $rc -eq 0 ]
report $? "the command that a dry run prints does what it says"

cd "$OLDPWD" || exit 1
end_testbed
report $? "the testbed goes down"
finish
