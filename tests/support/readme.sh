# Runs the README's command blocks of one tag, each in a folder of its own that looks like the
# repository. Source it after cli.sh.
# shellcheck shell=bash

# Prints block N (from 1) with TAG; fails when there is none.
readme_block() { # TAG N
    awk -v tag="<!-- tested: $1 -->" -v wanted="$2" '
        $0 == tag { is_tagged = 1; next }
        /^```sh$/ { if (is_tagged) { n++; is_inside = 1 } is_tagged = 0; next }
        /^```$/ { is_inside = 0; next }
        is_inside && n == wanted { print; found = 1 }
        END { exit !found }' README.md
}

# shellcheck disable=SC2154 # scratch: from cli.sh
readme_run() { # TAG
    local n=1 first
    mkdir -p "$scratch/home"
    while readme_block "$1" $n >"$scratch/block"; do
        first=$(head -n 1 "$scratch/block")
        HOME=$scratch/home XDG_CACHE_HOME=$scratch/home/.cache timeout 3000 \
            bash -e "$scratch/block" >"$scratch/out" 2>"$scratch/err"
        report $? "README ($1, block $n): $first ..."
        n=$((n + 1))
    done
    [ $n -gt 1 ]
    report $? "the README has $1 blocks"
}
