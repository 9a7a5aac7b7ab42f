#!/bin/bash
# slurm/testbed from the outside: a real cluster comes up, runs jobs and leaves nothing behind.
# BIN: folder of the programs; PROGRAMS: folder of slurm_hdf5.
# shellcheck source=tests/support/cli.sh
. tests/support/cli.sh
# shellcheck source=tests/support/slurm.sh
. tests/support/slurm.sh
hdf5=$(realpath "${PROGRAMS:-build/tests}")/slurm_hdf5

# What a testbed could leave: links, namespaces, mounts, processes.
traces_left() {
    ip -o link | sed 's/^[0-9]*: //' | grep '^mimesys'
    ip netns list | grep mimesys
    grep -E 'mimesys|/run/netns' /proc/self/mounts
    ps -eo pid=,stat=,args= | awk '$2 !~ /^Z/' | grep -E 'slurm(ctld|d|stepd)|munged' | grep -v grep
}

testbed_status() { testbed status >"$scratch/out" 2>"$scratch/err"; }

# ---- what is refused, with rights or without
refused() { # STATUS PART NAME ARGUMENTS...
    local status=$1 part=$2 name=$3 rc
    shift 3
    timeout 60 slurm/testbed "$@" >"$scratch/out" 2>"$scratch/err"
    rc=$?
    [ $rc -eq "$status" ] && [ "$(wc -l <"$scratch/err")" -eq 1 ] && grep -q "^testbed: .*$part" "$scratch/err"
    report $? "$name (exit $rc)"
}
refused 2 "expected up, down or status" "no command"
refused 2 "expected up, down or status" "an unknown command" restart
refused 2 "expected 1 to 32" "too many nodes" up --nodes 33
refused 2 "expected 1 to 32" "nodes are no number" up --nodes 2x
refused 2 "unknown" "an unknown option" up --ports 3
refused 2 "outside /tmp" "a folder in /tmp" up --folder /tmp/mimesys-testbed
refused 2 "letters" "a folder with a blank" up --folder "/var/tmp/a b"
if [ "$(id -u)" -eq 0 ] && command -v setpriv >/dev/null; then
    timeout 60 setpriv --reuid=65534 --regid=65534 --clear-groups bash slurm/testbed up \
        >"$scratch/out" 2>"$scratch/err" </dev/null
    rc=$?
    [ $rc -eq 4 ] && [ "$(cat "$scratch/err")" = \
        "testbed: needs root rights, for namespaces and a network bridge" ]
    report $? "without root: one sentence (exit $rc)"
fi

traces_left >"$scratch/before" 2>/dev/null
start_testbed_or_skip 4

# ---- it is a cluster
testbed_status && [ "$(grep -c '^n[1-4] idle$' "$scratch/out")" -eq 4 ]
report $? "status prints four idle nodes"

timeout 20 sinfo --noheader --format '%D %T' >"$scratch/out" 2>"$scratch/err"
[ "$(cat "$scratch/out")" = "4 idle" ]
report $? "sinfo shows four idle nodes"

timeout 60 srun --time=1 -N4 hostname >"$scratch/out" 2>"$scratch/err"
[ "$(sort "$scratch/out" | tr '\n' ' ')" = "n1 n2 n3 n4 " ]
report $? "srun -N4 hostname gives four names"

timeout 60 srun --time=1 -N4 --mpi=pmix "$hdf5" "$shared/rows.h5" >"$scratch/out" 2>"$scratch/err"
[ "$(cat "$scratch/out")" = "good: 4 ranks on 4 hosts" ]
report $? "a parallel HDF5 file of four nodes"

timeout 60 srun --time=1 -N2 -n4 --mpi=pmix "$hdf5" "$shared/rows.h5" >"$scratch/out" 2>"$scratch/err"
[ "$(cat "$scratch/out")" = "good: 4 ranks on 2 hosts" ]
report $? "two ranks a node"

timeout 60 srun --time=1 -w n1 touch /tmp/only-here && timeout 60 srun --time=1 -w n2 test ! -e /tmp/only-here &&
    [ ! -e /tmp/only-here ] && timeout 60 srun --time=1 -w n1 test -e /tmp/only-here
report $? "every node has its own /tmp"

timeout 60 srun --time=1 -w n3 test -x "$PWD/slurm/testbed"
report $? "the project is seen from the nodes"

timeout 60 srun --time=1 -w n1 bash -c 'exit 75' >"$scratch/out" 2>"$scratch/err"
rc=$?
[ $rc -eq 75 ]
report $? "an exit status passes through srun ($rc)"

# ---- a job goes back into the queue, by hand and by itself
cat >"$shared/again.slurm" <<'JOB'
#!/bin/bash
#SBATCH --time=2 --requeue --open-mode=append
echo "start ${SLURM_RESTART_COUNT:-0} on $(hostname)"
[ "${SLURM_RESTART_COUNT:-0}" -gt 0 ] || sleep 60
JOB
job=$(timeout 20 sbatch --parsable --output="$shared/again.out" "$shared/again.slurm") &&
    wait_for_line 20 '^start 0' "$shared/again.out" && timeout 20 scontrol requeue "$job" &&
    wait_for_line 60 '^start 1' "$shared/again.out" && wait_for_job 30 "$job" COMPLETED
report $? "scontrol requeue starts a job again"

# ---- up once more, and beside another folder
testbed up >"$scratch/out" 2>"$scratch/err" && grep -qF "export SLURM_CONF=$SLURM_CONF" "$scratch/out" &&
    [ "$(job_state "$job")" = COMPLETED ]
report $? "up again changes nothing"
testbed up --nodes 2 >"$scratch/out" 2>"$scratch/err"
rc=$?
[ $rc -eq 1 ] && grep -q 'is up with 4 nodes' "$scratch/err" && testbed_status
report $? "up with another number of nodes is refused (exit $rc)"
refused 1 "works in $testbed_folder" "a second testbed" up --folder "$shared/second"
refused 1 "works in $testbed_folder" "ending another's testbed" down --folder "$shared/second"

# ---- down, with a job that will not go
timeout 20 sbatch --time=5 --output="$shared/stay.out" -N2 --wrap \
    "srun -N2 bash -c 'trap \"\" TERM INT; echo here; while :; do sleep 1; done'" >/dev/null
wait_for_line 30 here "$shared/stay.out"
report $? "a job that ignores signals runs"
testbed down >"$scratch/out" 2>"$scratch/err" && [ ! -e "$testbed_folder" ]
report $? "down removes the folder"
traces_left >"$scratch/out" 2>/dev/null
diff "$scratch/before" "$scratch/out" >"$scratch/err"
report $? "down leaves no link, namespace, mount or process"
testbed down >"$scratch/out" 2>"$scratch/err"
report $? "down once more is no error"
testbed_status
rc=$?
[ $rc -eq 1 ] && grep -q 'not up' "$scratch/out"
report $? "status says that it is not up (exit $rc)"

# ---- an up that fails, or is killed on the way, is cleaned away
mkdir "$scratch/bin"
printf '#!/bin/bash\nexit 1\n' >"$scratch/bin/slurmctld"
chmod 755 "$scratch/bin/slurmctld"
PATH=$scratch/bin:$PATH testbed up --limit 2 >"$scratch/out" 2>"$scratch/err"
rc=$?
traces_left >"$scratch/after" 2>/dev/null
[ $rc -eq 1 ] && tail -n 1 "$scratch/err" | grep -q 'did not come up' && [ ! -e "$testbed_folder" ] &&
    diff "$scratch/before" "$scratch/after" >/dev/null
report $? "an up that fails leaves nothing (exit $rc)"
bad=0
for delay in 0.03 0.06 0.1 0.15 0.2 0.3; do
    (timeout --signal=KILL "$delay" slurm/testbed up --folder "$testbed_folder" || :) >/dev/null 2>&1
    testbed down >"$scratch/out" 2>"$scratch/err" || bad=1
    traces_left >"$scratch/after" 2>/dev/null
    diff "$scratch/before" "$scratch/after" >"$scratch/out" || { bad=1; break; }
done
report $bad "an up that is killed on its way is ended by down"

finish
