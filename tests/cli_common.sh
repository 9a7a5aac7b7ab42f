#!/bin/bash
# What every program has in common: help, version, man page, completion, settings, refusals, and
# standard output that cannot be written. BIN: folder of the programs.
# shellcheck source=tests/support/cli.sh
. tests/support/cli.sh
export HOME=$scratch # no settings or calibration of this user

# The flags and settings that a program has, as its completion lists them.
flags_of() { "$program" --completion | sed -n 's/^    local flags="\(.*\)"$/\1/p'; }
settings_of() { "$program" --completion | sed -n 's/^    local settings="\(.*\)"$/\1/p'; }

# WORDS...: each stands in $scratch/out by itself.
names_all() {
    local word
    for word in "$@"; do
        grep -qE -- "(^|[ ,])${word//./\\.}( |=|,|$)" "$scratch/out" || {
            echo "$word is not named" >>"$scratch/err"
            return 1
        }
    done
}

test_help() {
    local flags setting bad=
    read -ra flags <<<"$(flags_of)"
    run_program --help && [ ! -s "$scratch/err" ] && [ "${#flags[@]}" -ge 10 ] &&
        names_all "${flags[@]}" && head -n 1 "$scratch/out" | grep -q "^$name - ." &&
        grep -q "^usage: $name" "$scratch/out" && grep -q '^Exit status$' "$scratch/out"
    report $? "$name --help names every flag"

    for setting in $(settings_of); do
        setting=${setting%=}
        sed -n "/^\[${setting%%.*}\]\$/,/^\[\|^\$/p" "$scratch/out" |
            grep -q "^  ${setting#*.} = " || bad="$bad $setting"
    done
    [ -z "$bad" ]
    report $? "$name --help names every setting$bad"

    run_program -h && grep -q "^usage: $name" "$scratch/out" && run_program --no-such-flag --help
    report $? "$name -h is --help, whatever else is given"
}

test_version() {
    run_program --version && [ "$(wc -l <"$scratch/out")" -eq 1 ] &&
        grep -qE "^$name [0-9]+\.[0-9]+\.[0-9]+ \((gcc|clang) [^,]+, [^ ].*[^ ]\)$" "$scratch/out"
    report $? "$name --version tells version, compiler and flags"
}

test_man() {
    local section flags missing=""
    run_program --man && cp "$scratch/out" "$scratch/page"
    report $? "$name --man"
    for section in NAME SYNOPSIS DESCRIPTION OPTIONS EXAMPLES "EXIT STATUS"; do
        grep -q "^\.SH $section$" "$scratch/page" || missing="$missing $section"
    done
    [ -z "$missing" ]
    report $? "$name's man page has its sections$missing"
    ! sed -n '/^\.SH FILES$/,/^\.SH [^F]/p' "$scratch/page" | grep -q '^\.PP$'
    report $? "$name's man page names each of its files"
    if ! command -v groff >/dev/null; then
        skip "$name's man page is clean" "groff is not installed"
        return
    fi
    groff -man -ww -Tutf8 -P-c -P-b -P-u -rLL=100n "$scratch/page" >"$scratch/out" \
        2>"$scratch/err" && [ ! -s "$scratch/err" ]
    report $? "groff has no complaints about $name's man page"
    read -ra flags <<<"$(flags_of)"
    names_all "${flags[@]}"
    report $? "$name's man page names every flag"
}

test_completion() {
    run_program --completion && cp "$scratch/out" "$scratch/completion" &&
        bash -n "$scratch/completion" 2>"$scratch/err" && [ ! -s "$scratch/err" ]
    report $? "$name --completion is a bash script"

    # In a shell of its own, as a user's shell would call it.
    # shellcheck disable=SC2016 # for that shell to expand
    bash -c '
        set -eu
        . "$1"
        complete -p "$2"
        COMP_WORDS=("$2" --pri) COMP_CWORD=1
        "_$2"
        [ "${COMPREPLY[*]}" = --print-config ]
        COMP_WORDS=("$2" --log-level wa) COMP_CWORD=2
        "_$2"
        [ "${COMPREPLY[*]}" = warn ]
        cd "$3"
        : >"a file.txt"
        COMP_WORDS=("$2" x "a f") COMP_CWORD=2
        "_$2"
        [ "${COMPREPLY[*]}" = "a file.txt" ]
    ' - "$scratch/completion" "$name" "$scratch" >"$scratch/out" 2>"$scratch/err"
    report $? "$name's completion offers flags, words and files"
    if command -v shellcheck >/dev/null; then
        shellcheck -s bash "$scratch/completion" >"$scratch/out" 2>&1
        report $? "$name's completion is clean shell"
    fi
}

test_settings() {
    local section
    run_program --print-config && cp "$scratch/out" "$scratch/first.ini" &&
        grep -q "^\[.*\]$\|^# $name has no settings$" "$scratch/first.ini" &&
        run_program --config "$scratch/first.ini" --print-config &&
        cmp -s "$scratch/out" "$scratch/first.ini"
    report $? "$name --print-config loads again through --config"
    refuses 1 "none.ini: cannot be read" "$name refuses a missing --config" \
        --config "$scratch/none.ini"
    refuses 1 "expected a file, found a folder" "$name refuses a folder as --config" \
        --config "$scratch"
    head -c 3000 "$program" >"$scratch/binary.ini"
    refuses 2 "binary.ini:.*expected" "$name refuses a binary --config" \
        --config "$scratch/binary.ini"
    section=$(sed -n 's/^\[\(.*\)\]$/\1/p' "$scratch/first.ini" | head -n 1)
    [ -n "$section" ] || return 0
    printf '[%s]\nno_such_key_anywhere = 1\n' "$section" >"$scratch/bad.ini"
    refuses 2 "bad.ini:2: \[$section\] no_such_key_anywhere: unknown" \
        "$name refuses an unknown setting" --config "$scratch/bad.ini"
}

test_refusals() {
    local rc
    refuses 2 "no-such-flag-anywhere: unknown" "$name refuses an unknown flag" \
        --no-such-flag-anywhere
    refuses 2 "did you mean --version" "$name guesses what flag was meant" --verison
    refuses 2 "set: expected a value" "$name refuses a flag without its value" --set
    refuses 2 "expected section.key=value" "$name refuses --set without a value" --set x
    refuses 2 "log-level: expected" "$name refuses an unknown log level" --print-config \
        --log-level loud
    run_program
    rc=$?
    { [ "$rc" -eq 0 ] && [ -s "$scratch/out" ]; } ||
        { [ "$rc" -eq 2 ] && is_one_sentence "expected"; }
    report $? "$name without arguments says what it expects (exit $rc)"
}

test_standard_output() {
    local question rc bad=
    for question in --help --version --man --completion --print-config; do
        timeout 60 "$program" "$question" >/dev/full 2>"$scratch/err"
        rc=$?
        [ "$rc" -eq 1 ] && is_one_sentence "standard output: cannot be written: No space left" ||
            bad="$bad $question (full, exit $rc)"
        timeout 60 "$program" "$question" >&- 2>"$scratch/err"
        rc=$?
        [ "$rc" -eq 1 ] && is_one_sentence "standard output: cannot be written" ||
            bad="$bad $question (closed, exit $rc)"
    done
    : >"$scratch/out"
    [ -z "$bad" ]
    report $? "$name says that standard output is full or closed$bad"
    timeout 60 "$program" --no-such-flag-anywhere >/dev/null 2>&-
    rc=$?
    [ "$rc" -eq 2 ]
    report $? "$name with closed standard error keeps its exit status (exit $rc)"
}

# missing PROGRAM ARGUMENTS...: "No such file" with its name, and the same exit status for all.
missing() {
    use_program "$1"
    shift
    may_log=yes refuses 1 "none.*No such file" "$program_name refuses what is not there: $*" "$@"
}

test_missing_inputs() {
    local trace=tests/data/traces/stats-sort.txt none=$scratch/none.h5 plan=$scratch/plan.h5
    local calibration=tests/data/calibration.json
    export MIMESYS_HOST_LOCK=$scratch/lock MIMESYS_SCRATCH=$scratch
    "$BIN/mimesys_generate" --trace "$trace" --first 6 --slots 4 --slot 0.25 --threads 1 \
        --calibration "$calibration" -o "$plan" >"$scratch/out" 2>"$scratch/err"
    report $? "a plan with I/O"
    missing mimesys_trace summary "$none"
    missing mimesys_compare --wanted "$none" --measured "$trace"
    missing mimesys_compare --wanted "$trace" --measured "$none"
    missing mimesys_compare --wanted "$trace" --measured "$trace" --calibration "$none"
    missing mimesys_compare --wanted "$trace" --measured "$trace" --checkpoint "$none"
    missing mimesys_plot "$none"
    missing mimesys_model show "$none"
    missing mimesys_model import "${none%.h5}.npz" --like "$none" -o "$scratch/x.h5"
    missing mimesys_model import "$trace" --corpus "$none" -o "$scratch/x.h5"
    missing mimesys_generate --trace "$none" --dry-run
    missing mimesys_generate --trace "$trace" --dry-run --calibration "$none"
    missing mimesys_generate --trace "$trace" --dry-run --calibration "$calibration" --actions "$none"
    missing mimesys_generate --trace "$trace" --dry-run --calibration "$calibration" --method idw \
        --corpus "$none"
    missing mimesys_generate --trace "$trace" --dry-run --calibration "$calibration" --checkpoint "$none"
    missing mimesys_run "$none" --dry-run
    missing mimesys_run "$plan" --dry-run --calibration "$none"
    missing mimesys_run "$plan" --dry-run --set run.actions="$none"
    missing mimesys_replay "$none" --out "$scratch/replay" --dry-run
    missing mimesys_replay --map "$none" --out "$scratch/replay" --dry-run
    missing mimesys_replay "$plan" --out "$scratch/replay" --calibration "$none"
    missing mimesys_replay "$plan" --out "$scratch/replay" --dry-run --set replay.actions="$none"
    missing mimesys_collect --out "$scratch/x.h5" --calibration "$none"
    missing mimesys_collect --out "$scratch/x.h5" --dry-run --set collect.actions="$none"
    missing mimesys_dataset "$none" -o "$scratch/x.h5" --dry-run
    missing mimesys_dataset --check "$none"
    missing mimesys_dataset convert "$none" -o "$scratch/x.csv"
    missing mimesys_train --corpus "$none" --out "$scratch/model" --dry-run
}

n_programs=0
for path in "$BIN"/mimesys_*; do
    name=$(basename "$path")
    use_program "$name"
    n_programs=$((n_programs + 1))
    test_help
    test_version
    test_man
    test_completion
    test_settings
    test_refusals
    test_standard_output
done
[ "$n_programs" -ge 5 ]
report $? "$n_programs programs"
test_missing_inputs
finish
