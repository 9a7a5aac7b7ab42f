#!/bin/bash
# How exactly does the executor give what is asked? A table (kept in OUT.txt), one JSON object a line
# in OUT.jsonl, and a page of curves, OUT.png. What others disturb is repeated, and does not count.
# usage: scripts/fidelity.sh BUILD
# Environment: PARTS (some of cpu io share drift repeat sampler dose; default all), TRIES (4, of what
# was disturbed), PATIENCE (1: how many times the time of a quiet machine may be spent), OUT (default
# BUILD/fidelity), STRICT=1: exit 3 when a goal is missed, QUICK=1: little of everything, to see that
# it works, ALL_SLOTS=1: disturbed slots, too, and no verdicts.
# Exit status: 0 measured, 1 failed, 2 usage, 3 a goal was missed and STRICT.
set -u
cd "$(dirname "$0")/.." || exit 1
build=$1
out=${OUT:-$build/fidelity}
rm -f "$out.png"
# shellcheck disable=SC2086 # PARTS is a list
timeout -k 10 3600 "$build/bench/fidelity" --bin "$build/bin" --lines "$out.jsonl" \
    ${TRIES:+--tries "$TRIES"} ${PATIENCE:+--patience "$PATIENCE"} ${STRICT:+--strict} \
    ${QUICK:+--quick} ${ALL_SLOTS:+--all-slots} ${PARTS:-} | tee "$out.txt"
rc=${PIPESTATUS[0]}
case $rc in
0 | 3) "$build/bench/fidelity_plot" "$out.jsonl" "$out.png" || exit ;;
*) exit "$rc" ;;
esac
echo "kept in $out.txt, $out.jsonl and $out.png" >&2
exit "$rc"
