# Shared by tests/slurm_*.sh: a testbed of their own and a folder that all its nodes see. Source it
# after tests/support/cli.sh; the caller ends it with end_testbed, and it is ended on exit, too.
# shellcheck shell=bash
# shellcheck disable=SC2154 # scratch is of cli.sh
PATH=$(cd "$BIN" && pwd):$PATH
export PATH
testbed_script=$PWD/slurm/testbed
testbed_folder=
shared=
testbed() { timeout 120 "$testbed_script" "$@" --folder "$testbed_folder"; }

end_testbed() {
    [ -z "$testbed_folder" ] || testbed down
}
trap 'end_testbed; rm -rf "$shared"; cleanup' EXIT

# A testbed of N nodes; where none can be, one skipped check and the end of the test.
start_testbed_or_skip() { # N
    local rc
    testbed_folder=$(mktemp -d /var/tmp/mimesys-test-XXXXXX)/testbed
    shared=${testbed_folder%/*}
    testbed up --nodes "$1" >"$scratch/out" 2>"$scratch/err"
    rc=$?
    if [ $rc -eq 4 ] || grep -q 'is up works in' "$scratch/err"; then
        rm -rf "$shared"
        testbed_folder=
        skip "a Slurm testbed" "$(cat "$scratch/err")"
        exit 0
    fi
    report $rc "a testbed of $1 nodes comes up"
    [ $rc -eq 0 ] || exit 1
    export SLURM_CONF=$testbed_folder/slurm.conf
}

job_state() { timeout 10 scontrol show job "$1" | sed -n 's/.*JobState=\([A-Z_]*\).*/\1/p'; } # JOB

# The job ends with STATE within LIMIT seconds.
wait_for_job() { # LIMIT_S JOB STATE
    local until=$((SECONDS + $1)) state=
    while [ "$SECONDS" -lt "$until" ]; do
        state=$(job_state "$2")
        case $state in
        PENDING | CONFIGURING | RUNNING | COMPLETING | SUSPENDED | REQUEUED) sleep 0.2 ;;
        *) break ;;
        esac
    done
    [ "$state" = "$3" ] || { echo "job $2: $state" >"$scratch/err"; return 1; }
}
