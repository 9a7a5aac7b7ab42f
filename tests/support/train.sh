# Shared by tests of mimesys_train, after tests/support/cli.sh: numbers of JSON files, ranks, stops.
# shellcheck shell=bash disable=SC2154
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMP_NUM_THREADS=1
# A network so small that it can be trained often; needs $corpus.
tiny=(--set model.width=16 --set model.blocks=1 --set model.heads=2
    --set model.timesteps=50 --set train.batch=16 --set train.shards=4 --set train.warmup=10
    --set train.ema=0.9 --set train.ema_start=10 --set train.log_every=10
    --set validate.every=50 --set train.checkpoint_every=20)
# shellcheck disable=SC2034 # for who sources this
small=(--corpus "$corpus" "${tiny[@]}")

# The number after a key of a JSON file's first line that has it, or of its last with "last".
number() { # KEY FILE [last]
    local lines=head
    [ "${3:-}" = last ] && lines="tail"
    sed -n "s/.*\"$1\": *\([0-9.e+-]*\).*/\1/p" "$2" | $lines -n 1
}

# Numbers that differ by at most this share.
near() { awk -v a="$1" -v b="$2" -v s="$3" 'BEGIN {d = a - b; m = a < 0 ? -a : a; exit !(d <= s * m && -d <= s * m)}'; }

stop() { # SIGNAL FOLDER COMMAND...: as soon as the first figures are there
    local signal=$1 folder=$2
    shift 2
    "$@" --out "$folder" >"$scratch/out" 2>"$scratch/err" &
    running=$!
    for _ in $(seq 400); do
        [ -s "$folder/metrics.jsonl" ] && break
        sleep 0.02
    done
    kill -"$signal" "$running"
    wait "$running"
    local rc=$?
    running=
    return "$rc"
}

ranks() { # N ARGUMENTS...
    local n=$1
    shift
    timeout 120 mpirun --oversubscribe -n "$n" "$program" "$@" >"$scratch/out" 2>"$scratch/err"
}
