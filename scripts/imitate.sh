#!/bin/bash
# Imitates a trace by several methods: a plan each, runs in turns, comparisons. Runs of the same
# plan that are complete are kept, so that a second start goes on where the first was cut off.
# usage: scripts/imitate.sh BUILD FOLDER TRACE [FLAG OF mimesys_run...]
# Environment: METHODS (default single, with CORPUS also nearest and idw, with CHECKPOINT also
# diffusion), CORPUS, CHECKPOINT (its ranges are used, too), REPETITIONS (3), FIRST and SLOTS of the
# trace (all), FORCE=1 to run everything again. Leaves in FOLDER: METHOD.h5 and METHOD.txt,
# METHOD-N/, and of all slots and of the accepted ones all.png, all.json, all.txt, accepted.png,
# accepted.json, accepted.txt.
set -eu
cd "$(dirname "$0")/.."
bin=$1/bin
folder=$2
trace=$3
shift 3
methods=${METHODS:-single${CORPUS:+ nearest idw}${CHECKPOINT:+ diffusion}}
repetitions=${REPETITIONS:-3}
window=(${FIRST:+--first "$FIRST"} ${SLOTS:+--slots "$SLOTS"})
mkdir -p "$folder"

# A method's plan; when it is not what it was, neither are its runs.
plan() { # METHOD
    local from=()
    case $1 in
        nearest | idw) from=(--corpus "${CORPUS:?is needed by method $1}") ;;
        diffusion) from=(--checkpoint "${CHECKPOINT:?is needed by method $1}") ;;
    esac
    "$bin/mimesys_generate" --trace "$trace" "${window[@]}" --method "$1" "${from[@]}" \
        -o "$folder/new.h5" >"$folder/$1.txt"
    if [ -z "${FORCE:-}" ] && cmp -s "$folder/new.h5" "$folder/$1.h5"; then
        rm "$folder/new.h5"
    else
        rm -rf "$folder/$1"-[0-9]*
        mv "$folder/new.h5" "$folder/$1.h5"
    fi
}

# summary.json comes last: a run that has none, or did not end well, is not complete.
run() { # METHOD N FLAG...
    local out=$folder/$1-$2 rc=0
    local plan=$folder/$1.h5
    shift 2
    if grep -qs '"status": "done"' "$out/summary.json"; then
        echo "kept: $out"
        return
    fi
    "$bin/mimesys_run" "$plan" --out "$out" --log-level warn "$@" || rc=$?
    if [ "$rc" -ne 0 ]; then
        rm -f "$out/summary.json"
        exit "$rc"
    fi
}

compare() { # NAME FLAG...
    local name=$1 method i measured=()
    shift
    for method in $methods; do
        for i in $(seq "$repetitions"); do
            measured+=(--measured "$folder/$method-$i/stats-$method.txt:$method")
        done
    done
    "$bin/mimesys_compare" --wanted "$trace" "${window[@]}" "${measured[@]}" \
        ${CHECKPOINT:+--checkpoint "$CHECKPOINT"} "$@" \
        -o "$folder/$name.png" -o "$folder/$name.json" >"$folder/$name.txt"
}

for method in $methods; do plan "$method"; done
# In turns, so that a disturbance meets all methods alike.
for i in $(seq "$repetitions"); do
    for method in $methods; do run "$method" "$i" "$@"; done
done
compare accepted --accepted-only
compare all
cat "$folder/all.txt"
