#!/bin/bash
# Runs every benchmark, the parallel ones (mpi_*) at 1 and 2 ranks; prints one JSON object a line
# and keeps them in BUILD/bench.jsonl.
# usage: scripts/bench.sh BUILD PROGRAM...
set -eu
cd "$(dirname "$0")/.."
build=$1
shift
out=$build/bench.jsonl
: >"$out"
export OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-passive} # others may use the machine, too
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
for program in "$@"; do
    case ${program##*/} in
    mpi_*)
        for ranks in 1 2; do
            timeout -k 10 1800 mpirun --oversubscribe -n "$ranks" "$program" | tee -a "$out"
        done
        ;;
    *) timeout -k 10 1800 "$program" | tee -a "$out" ;;
    esac
done
echo "kept in $out" >&2
