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

# All at once, as soon as they have figures.
kill_ranks() { # N FOLDER ARGUMENTS...
    local n=$1 folder=$2
    shift 2
    rm -f "$folder/metrics.jsonl"
    timeout 120 mpirun --oversubscribe -n "$n" "$program" "$@" --out "$folder" >"$scratch/out" 2>"$scratch/err" &
    running=$!
    for _ in $(seq 400); do
        [ -s "$folder/metrics.jsonl" ] && break
        sleep 0.02
    done
    pkill -9 -f -- "--out $folder"
    wait "$running" 2>/dev/null
    running=
}

# Killed after random delays up to MAX_MS, each start going on from where the one before came to; fails when none
# had to be killed.
kill_training() { # FOLDER TIMES MAX_MS COMMAND...
    local folder=$1 times=$2 max_ms=$3 i n_killed=0
    shift 3
    for ((i = 0; i < times; i++)); do
        "$@" --out "$folder" --resume auto >"$scratch/out" 2>"$scratch/err" &
        running=$!
        sleep "$(printf '0.%03d' $((RANDOM % max_ms)))"
        kill -9 "$running" 2>/dev/null && n_killed=$((n_killed + 1))
        wait "$running" 2>/dev/null
        running=
    done
    echo "# killed $n_killed of $times, at step $(find "$folder" -name 'checkpoint-*.h5' 2>/dev/null | sed 's/.*checkpoint-0*//; s/.h5$//' |
        sort -n | tail -n 1)"
    [ "$n_killed" -gt 0 ]
}

# The same files, to the bit where the time of day is not in them, and no stray one.
same_training() { # FOLDER FOLDER
    local file
    [ "$(ls -A "$1")" = "$(ls -A "$2")" ] || return 1
    for file in "$1"/*.h5; do
        cmp "$file" "$2/$(basename "$file")" || return 1
    done
}
