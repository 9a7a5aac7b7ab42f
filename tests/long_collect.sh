#!/bin/bash
# kill -9 of mimesys_collect at random moments at 1, 2 and 4 ranks, KILLS times in all: every plan
# that was reported is in the store exactly once, and the next start goes on.
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

for n in "${counts[@]}"; do
    file=$scratch/killed-$n.h5 n_bad_kills=0
    for ((k = 0; k < each; k++)); do
        start_ranks "$n" "$scratch/log-$n-$k" --out "$file" --resume auto "${small[@]}" \
            --set collect.n_plans=100000
        sleep "$((2 + RANDOM % 9)).$((RANDOM % 10))"
        kill_one "$n"
        sleep 1 # ranks whose launcher was killed end by themselves
        [ ! -e "$file" ] || has_reported "$file" "$scratch/log-$n"-* ||
            n_bad_kills=$((n_bad_kills + 1))
    done
    reported "$scratch/log-$n"-* >"$scratch/reported"
    echo "# $n rank(s): $each kills, $(wc -l <"$scratch/reported") plans reported"
    [ "$n_bad_kills" -eq 0 ] && [ -s "$scratch/reported" ] && [ -z "$(uniq -d "$scratch/reported")" ]
    report $? "$n rank(s): after each of $each kills every reported plan is there once"
    # what was begun at other ranks may have left holes before the highest plan: they are filled
    last=$(rows "$file" | sort -n | tail -n 1 | cut -d ' ' -f 1)
    run_ranks "$n" --out "$file" --resume auto "${small[@]}" --set collect.n_plans=$((last + 2)) &&
        is_whole "$file" $((last + 2))
    report $? "$n rank(s): the last start fills the holes"
    [ -z "$(ls -A "$scratch/disk")" ]
    report $? "$n rank(s): nothing is left on the scratch disk"
done
finish
