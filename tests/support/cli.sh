# Shared by tests/cli_*.sh: a scratch folder, one report line a check, refusals with one sentence.
# Tests run with the repository root as working folder. Set `program_name`, then source it.
# shellcheck shell=bash
BIN=${BIN:-build/bin}
# shellcheck disable=SC2154 # set by the test
program=$BIN/$program_name
scratch=$(mktemp -d)
chmod 755 "$scratch"
mounted=()
n_bad=0

cleanup() {
    local i
    for ((i = ${#mounted[@]} - 1; i >= 0; i--)); do umount "${mounted[i]}"; done
    rm -rf "$scratch"
}
trap cleanup EXIT

report() { # STATUS NAME
    if [ "$1" -eq 0 ]; then
        echo "ok - $2"
    else
        echo "not ok - $2"
        sed 's/^/    /' "$scratch/out" "$scratch/err" 2>/dev/null | head -n 20
        n_bad=$((n_bad + 1))
    fi
}

skip() { echo "ok - $1 # skip: $2"; }

run_program() { timeout 120 "$program" "$@" >"$scratch/out" 2>"$scratch/err"; }

# refuses STATUS PART NAME ARGUMENTS...: this exit status and one sentence of the program with PART
# (log lines may stand before it), nothing on standard output.
refuses() {
    local status=$1 part=$2 name=$3 rc
    shift 3
    run_program "$@"
    rc=$?
    [ "$rc" -eq "$status" ] && [ "$(grep -c "^$program_name: " "$scratch/err")" -eq 1 ] &&
        tail -n 1 "$scratch/err" | grep -q "^$program_name: .*$part" && [ ! -s "$scratch/out" ]
    report $? "$name (exit $rc)"
}

# A file system of SIZE in memory at FOLDER; fails when this user may not mount.
small_disk() { # SIZE FOLDER
    mkdir -p "$2" && mount -t tmpfs -o "size=$1" tmpfs "$2" 2>/dev/null && mounted+=("$2")
}

finish() { [ "$n_bad" -eq 0 ]; }
