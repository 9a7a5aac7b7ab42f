# Shared by tests of mimesys_collect, after tests/support/cli.sh: a campaign so small that it can be
# run often, and what its store holds. What is measured does not matter, so disturbed slots are
# taken as they are (max_tries=1).
# shellcheck shell=bash disable=SC2154,SC2034
export MIMESYS_CALIBRATION=$scratch/calibration.json
export MIMESYS_SCRATCH=$scratch/disk
export MIMESYS_HOST_LOCK=$scratch/host.lock
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
unset ACTION_LIST_PATH MIMESYS_FAULT
mkdir "$scratch/disk"
small=(--set collect.n_plans=3 --set collect.windows=4 --set collect.slot_s=0.5
    --set collect.repeats=1 --set collect.max_tries=1
    --set calibrate.seconds_each=0.05 --set calibrate.repeats=3)

# ranks N ARGUMENTS...: becomes the program at N ranks (without a launcher when N is 1).
ranks() {
    local n=$1
    shift
    if [ "$n" -eq 1 ]; then exec "$program" "$@"; fi
    exec mpirun --oversubscribe -n "$n" "$program" "$@"
}

# start_ranks N LOG ARGUMENTS...: in the background, its id in `running`.
start_ranks() {
    local n=$1 log=$2
    shift 2
    : >"$log"
    (ranks "$n" "$@") >"$scratch/out" 2>"$log" &
    running=$!
}

# run_ranks N ARGUMENTS...
run_ranks() {
    local n=$1
    shift
    start_ranks "$n" "$scratch/err" "$@"
    wait "$running"
    local rc=$?
    running=
    return "$rc"
}

# A killed program's child may hold the store's lock for a moment yet; looking needs none.
look() { HDF5_USE_FILE_LOCKING=FALSE h5dump "$@"; }

# rows FILE: "plan window" of every committed row.
rows() {
    local n
    n=$(look -y -d committed "$1" | sed -n '/DATA {/{n;s/[^0-9]//gp;q}')
    paste -d ' ' <(column_of "$1" plan_id) <(column_of "$1" window) | head -n "${n:-0}"
}
column_of() {
    look -y -w 1 -d "$2" "$1" | sed -n '/DATA {/,/}/{s/^ *\([0-9][0-9]*\),*$/\1/p;/}/q}'
}
is_whole() { # FILE N: plans 0 .. N-1 of 4 windows, each exactly once
    [ "$(rows "$1" | sort -n -k 1,1 -k 2,2)" = "$(
        for ((p = 0; p < $2; p++)); do printf "$p %d\n" 0 1 2 3; done
    )" ]
}
reported() { sed -n 's/.* stored plan=\([0-9]*\) .*/\1/p' "$@" | sort -n; }
# has_reported FILE LOG...: every reported plan is there, all its windows, no row twice, all as they
# were written.
has_reported() {
    local p all
    "$BIN/mimesys_dataset" --check "$1" >/dev/null || return 1
    all=$(rows "$1" | sort)
    shift
    for p in $(reported "$@"); do
        [ "$(grep -c "^$p " <<<"$all")" -eq 4 ] || return 1
    done
    [ -z "$(uniq -d <<<"$all")" ]
}
# choose_victim N: one process of `running`, which has N ranks: a rank by chance, or the launcher.
choose_victim() {
    local all
    mapfile -t all < <(echo "$running"; ps -o pid= --ppid "$running" | tr -d ' ')
    # without a launcher the children are the plan being measured: not what is meant here
    if [ "$1" -eq 1 ]; then all=("$running"); fi
    victim=${all[RANDOM % ${#all[@]}]}
}
# is_launcher_alone: all ranks are gone, and the launcher is still there.
is_launcher_alone() {
    local own ranks
    own=$(ps -o stat= -p "$running")
    ranks=$(ps -o stat= --ppid "$running")
    [ "$running" != "$victim" ] && [[ $own == [!Z]* ]] && ! grep -q '^[^Z]' <<<"$ranks"
}
# Open MPI's launcher may wait for itself for ever at its own end, where a rank died while it was
# connecting (PMIx_server_finalize). No rank of ours is there to end it, so it is ended here.
kill_victim() {
    local i
    kill -9 "$victim" 2>/dev/null
    for ((i = 0; i < 60; i++)); do
        is_launcher_alone || break
        sleep 0.5
    done
    if [ "$i" -eq 60 ]; then
        echo "# a launcher without ranks did not end by itself"
        kill -9 "$running" 2>/dev/null
    fi
    wait "$running" 2>/dev/null
    running=
}
