#!/bin/bash
# kill -9 of mimesys_collect at 1, 2 and 4 ranks, KILLS times in all, in turn at any moment from its
# start, at any moment after it opened its store, and in the moment when it writes its second plan:
# every plan that was reported is in the store exactly once, and the next start goes on.
set -u
program_name=mimesys_collect
may_log=yes
# shellcheck source=tests/support/cli.sh
. tests/support/cli.sh
# shellcheck source=tests/support/collect.sh
. tests/support/collect.sh
RANDOM=${SEED:-1}
kills=${KILLS:-51}
read -ra counts <<<"${RANKS:-1 2 4}"
each=$((kills / ${#counts[@]}))

run_ranks 1 --out "$scratch/first.h5" "${small[@]}" --set collect.n_plans=1
report $? "a calibration to work with"

# wait_for_write FILE: until something is written to it, up to 60 s.
wait_for_write() {
    local until=$((SECONDS + 60))
    touch "$scratch/marker"
    until [ "$1" -nt "$scratch/marker" ]; do
        [ "$SECONDS" -lt "$until" ] || return 1
        sleep 0.001
    done
}

# kill_in_turn K N FILE LOG: fails when the store was not opened, or not written, where that was
# waited for: the kill before has left it unusable.
kill_in_turn() {
    local k=$1 n=$2 file=$3 log=$4 rc=0
    case $((k % 3)) in
    0) sleep "$((RANDOM % 7)).$((RANDOM % 10))" ;;
    1)
        wait_for_line 60 ": plans=" "$log" || rc=1
        sleep "$((RANDOM % 8)).$((RANDOM % 10))"
        ;;
    2) wait_for_line 60 "stored plan=" "$log" || rc=1 ;;
    esac
    choose_victim "$n" # before the write: that takes less time than looking for one
    if ((k % 3 == 2)); then wait_for_write "$file" || rc=1; fi
    kill_victim
    return "$rc"
}

for n in "${counts[@]}"; do
    file=$scratch/killed-$n.h5 n_lost=0 n_stuck=0
    for ((k = 0; k < each; k++)); do
        log=$scratch/log-$n-$k
        start_ranks "$n" "$log" --out "$file" --resume auto "${small[@]}" \
            --set collect.n_plans=100000
        kill_in_turn "$k" "$n" "$file" "$log" || { n_stuck=$((n_stuck + 1)) && tail -n 3 "$log"; }
        sleep 1 # ranks whose launcher was killed end by themselves
        [ ! -e "$file" ] || has_reported "$file" "$scratch/log-$n"-* || n_lost=$((n_lost + 1))
    done
    reported "$scratch/log-$n"-* >"$scratch/reported"
    echo "# $n rank(s): $each kills, $(wc -l <"$scratch/reported") plans reported"
    [ "$n_lost" -eq 0 ] && [ "$(wc -l <"$scratch/reported")" -ge $((each / 3)) ] &&
        [ -z "$(uniq -d "$scratch/reported")" ]
    report $? "$n rank(s): after each of $each kills every reported plan is there once"
    [ "$n_stuck" -eq 0 ]
    report $? "$n rank(s): each start behind a kill goes on ($n_stuck did not)"
    # what was begun at other ranks may have left holes before the highest plan: they are filled
    last=$(rows "$file" | sort -n | tail -n 1 | cut -d ' ' -f 1)
    run_ranks "$n" --out "$file" --resume auto "${small[@]}" --set collect.n_plans=$((last + 2)) &&
        is_whole "$file" $((last + 2))
    report $? "$n rank(s): the last start fills the holes"
    [ -z "$(ls -A "$scratch/disk")" ]
    report $? "$n rank(s): nothing is left on the scratch disk"
done
finish
