# Shared by tests/cli_*.sh: a scratch folder, one report line a check, refusals with one sentence.
# Tests run with the repository root as working folder. Set `program_name`, then source it; the last
# line of a test is `finish`.
# shellcheck shell=bash
set -u
BIN=${BIN:-build/bin}
# Test machines are busy: calibrations need not be good ones, and must come to an end.
export MIMESYS_ALLOW_UNSTABLE=true MIMESYS_CALIBRATE_TRIES=1
scratch=$(mktemp -d)
chmod 755 "$scratch" # some checks go on as another user
mounted=()
running= # a process to kill at the end
n_bad=0

use_program() { # NAME: what run_program and refuses run
    program_name=$1
    program=$BIN/$1
}
use_program "${program_name:-}"

cleanup() {
    local i
    if [ -n "$running" ]; then kill -9 "$running" 2>/dev/null; fi
    for ((i = ${#mounted[@]} - 1; i >= 0; i--)); do umount "${mounted[i]}"; done
    chmod -R u+w "$scratch"
    rm -rf "$scratch"
}
trap cleanup EXIT

report() { # STATUS NAME: one check; after a failure with what the program said last
    if [ "$1" -eq 0 ]; then
        echo "ok - $2"
    else
        echo "not ok - $2"
        sed 's/^/    /' "$scratch/out" "$scratch/err" 2>/dev/null | head -n 20
        n_bad=$((n_bad + 1))
    fi
}

skip() { echo "ok - $1 # skip: $2"; } # NAME REASON

run_program() { timeout 120 "$program" "$@" >"$scratch/out" 2>"$scratch/err"; }

# The same, told to stop before it begins: the signal waits until it is taken.
run_stopped() {
    # shellcheck disable=SC2016 # for that shell to expand
    timeout 120 env --block-signal=TERM bash -c 'kill -TERM $$; exec "$@"' - "$program" "$@" \
        >"$scratch/out" 2>"$scratch/err"
}

# is_one_sentence PART: what went wrong stands in one line with PART, and alone; log lines may stand
# before it in a test that sets may_log=yes.
is_one_sentence() {
    [ "$(wc -l <"$scratch/err")" -eq 1 ] ||
        { [ "${may_log:-}" = yes ] && [ "$(grep -c "^$program_name: " "$scratch/err")" -eq 1 ]; } ||
        return 1
    tail -n 1 "$scratch/err" | grep -q "^$program_name: .*$1"
}

# refuses STATUS PART NAME ARGUMENTS...: this exit status and one sentence with PART, nothing on
# standard output.
refuses() {
    local status=$1 part=$2 name=$3 rc
    shift 3
    run_program "$@"
    rc=$?
    [ "$rc" -eq "$status" ] && is_one_sentence "$part" && [ ! -s "$scratch/out" ]
    report $? "$name (exit $rc)"
}

# Changes a bit of that byte of the values of an HDF5 file's dataset; the same again changes it back.
flip() { # FILE DATASET BYTE
    local at
    at=$(($(h5dump -p -H -d "$2" "$1" | sed -n 's/.*OFFSET //p') + $3))
    printf '%b' "\\x$(printf %02x $(($(od -An -tu1 -j "$at" -N 1 "$1") ^ 1)))" |
        dd of="$1" bs=1 seek="$at" conv=notrunc status=none
}

# A file system of SIZE in memory at FOLDER; fails when this user may not mount.
small_disk() { # SIZE FOLDER
    mkdir -p "$2" && mount -t tmpfs -o "size=$1" tmpfs "$2" 2>/dev/null && mounted+=("$2")
}

# The file has a line with PATTERN within LIMIT seconds.
wait_for_line() { # LIMIT_S PATTERN FILE
    local until=$((SECONDS + $1))
    until grep -q -- "$2" "$3" 2>/dev/null; do
        [ "$SECONDS" -lt "$until" ] || return 1
        sleep 0.1
    done
}

finish() { [ "$n_bad" -eq 0 ]; }
