#!/bin/bash
# Networks and what they predict, compared at equal training time: each is trained on a corpus of a
# simulated node for the same processor time, then asked for plans of held-out metrics, which run on
# that simulated node. Prints a table of normalised L1 by family, and one JSON object a model, which
# are also in FOLDER/architectures.jsonl. Nothing of it was measured on a real machine.
# What is there already is reused, what was cut off goes on: run it again. Exit status 75: stopped.
# usage: scripts/architectures.sh BUILD FOLDER
# MINUTES  processor time of training steps a model (default 30; a fraction such as 0.1 will do)
# SAMPLES  of the corpus (20000)          SIZE  sockets x cores of the simulated node (2x10)
# KINDS    "thread_token cell_token unet" PREDICTIONS  "eps x0 v flow"    OUTPUTS  "free"
# OMP_NUM_THREADS  of training (1)        MORE  further settings for all, "--set ..."
set -eu
cd "$(dirname "$0")/.."
bin=$1/bin
folder=$2
minutes=${MINUTES:-30}
samples=${SAMPLES:-20000}
size=${SIZE:-2x10}
windows=8 # of a plan, a sample each
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
corpus=$folder/corpus.h5
mkdir -p "$folder"

value() { sed -n "s/^ *\"$2\": \"*\([^\",]*\).*/\1/p" "$1" 2>/dev/null | head -n 1; } # FILE KEY

# Settings of what each kind is: as large as it can learn something in some minutes of a core, with
# batches so small that there are some hundred steps.
settings() { # KIND
    case $1 in
    thread_token) echo --set model.width=128 --set model.blocks=4 --set model.heads=4 --set train.batch=64 ;;
    cell_token) echo --set model.width=64 --set model.blocks=3 --set model.heads=4 --set train.batch=16 ;;
    unet) echo --set model.width=64 --set model.heads=4 --set train.batch=64 ;;
    *) echo "architectures: kind $1: expected thread_token, cell_token or unet" >&2 && return 1 ;;
    esac
}

# ---- what they learn from
wanted="size=$size samples=$samples"
if [ "$(cat "$folder/corpus.txt" 2>/dev/null)" != "$wanted" ]; then
    if [ -e "$corpus" ]; then
        echo "architectures: $folder holds a corpus of $(cat "$folder/corpus.txt"), asked for is $wanted" >&2
        exit 2
    fi
    "$bin/mimesys_collect" --set fleet.kind=simulated --set simulated.size="$size" \
        --set collect.windows=$windows --set collect.repeats=2 \
        --set collect.n_plans=$(((samples + windows - 1) / windows)) \
        --out "$folder/campaign.h5" --resume auto >&2
    "$bin/mimesys_dataset" "$folder/campaign.h5" -o "$corpus" >&2
    echo "$wanted" >"$folder/corpus.txt"
fi

# ---- one after the other
# Steps that fit into the time: from the processor time of some steps, the first left out.
count_steps() { # NAME ARGUMENTS...
    local name=$1 out=$folder/$1/try
    shift
    if [ ! -s "$folder/$name/steps" ]; then
        rm -rf "$out"
        "$bin/mimesys_train" "$@" --steps 4 --set validate.n_samples=0 --set validate.examples=1 --out "$out" >&2
        awk -v s="$(value "$out/summary.json" step_cpu_s)" -v m="$minutes" \
            'BEGIN {n = int(60 * m / s); print n < 1 ? 1 : n}' >"$folder/$name/steps.part"
        mv "$folder/$name/steps.part" "$folder/$name/steps"
        rm -rf "$out"
    fi
    cat "$folder/$name/steps"
}

train() { # KIND PREDICTION OUTPUT
    local name=$1-$2-$3-$minutes steps own arguments
    own=$(settings "$1")
    # shellcheck disable=SC2206 # words on purpose
    arguments=(--corpus "$corpus" --set model.kind="$1" --set model.prediction="$2" --set model.output="$3"
        $own --set validate.examples=256 --set validate.n_samples=512 ${MORE:-})
    mkdir -p "$folder/$name"
    steps=$(count_steps "$name" "${arguments[@]}")
    if [ "$(value "$folder/$name/model/summary.json" status)" != "done" ]; then
        "$bin/mimesys_train" "${arguments[@]}" --steps "$steps" --set validate.every="$steps" \
            --set train.warmup=$((steps / 20)) --set train.ema_start=$((steps / 2)) \
            --set train.ema="$(awk -v n="$steps" 'BEGIN {print 1 - 1 / (2 + n / 20)}')" \
            --set train.checkpoint_every=$((steps / 10 + 1)) --set train.log_every=$((steps / 50 + 1)) \
            --out "$folder/$name/model" --resume auto >&2
    fi
}

# A model's line of JSON, from its summary.
line() { # KIND PREDICTION OUTPUT
    local summary=$folder/$1-$2-$3-$minutes/model/summary.json
    awk -v kind="$1" -v prediction="$2" -v output="$3" -v minutes="$minutes" '
        function text(key,   s) { s = $0; sub("^.*\"" key "\": *", "", s); sub(",.*$", "", s); return s }
        /"nl1": \{/ {in_nl1 = 1; families = ""; next}
        /"nl1_floor": \{/ {in_floor = 1; floors = ""; next}
        /\}/ {in_nl1 = in_floor = 0}
        in_nl1 {sub(/^ */, ""); families = families " " $0}
        in_floor {sub(/^ */, ""); floors = floors " " $0}
        /"step":/ {steps = text("step")}
        /"parameters":/ {parameters = text("parameters")}
        /"nl1_mean":/ {mean = text("nl1_mean")}
        /"nl1_floor_mean":/ {floor = text("nl1_floor_mean")}
        /"simulated_node":/ {node = text("simulated_node")}
        /"validation_loss":/ && !/best/ {loss = text("validation_loss")}
        END {
            printf "{\"bench\": \"architectures_simulated\", \"kind\": \"%s\", \"prediction\": \"%s\", ", kind, prediction
            printf "\"output\": \"%s\", \"value\": %s, \"unit\": \"nl1\", \"families\": {%s}, ", output, mean, substr(families, 2)
            printf "\"floor\": %s, \"floor_families\": {%s}, \"simulated_node\": %s, ", floor, substr(floors, 2), node
            printf "\"minutes\": %s, \"steps\": %s, \"parameters\": %s, \"validation_loss\": %s}\n", minutes, steps, parameters, loss
        }' "$summary"
}

lines=$folder/architectures.jsonl
: >"$lines.part"
for kind in ${KINDS:-thread_token cell_token unet}; do
    for prediction in ${PREDICTIONS:-eps x0 v flow}; do
        for output in ${OUTPUTS:-free}; do
            rc=0
            train "$kind" "$prediction" "$output" || rc=$?
            if [ "$rc" -ne 0 ]; then exit "$rc"; fi
            line "$kind" "$prediction" "$output" | tee -a "$lines.part"
        done
    done
done
mv "$lines.part" "$lines"

# ---- for people: the best first
echo
echo "normalised L1 on $(sed -n '1s/.*"simulated_node": "\([^"]*\)".*/\1/p' "$lines"), held-out samples, $minutes min of processor time a model"
row='%-13s %-5s %-8s %8s %8s %8s %8s %8s %8s %9s\n'
# shellcheck disable=SC2059 # the format is ours
printf "$row" network learns output mean cpu io_read io_write memory cache steps
figure() { sed -n "s/.*\"$2\": *\([0-9.e+-]*\).*/\1/p" <<<"$1"; } # JSON KEY
word() { sed -n "s/.*\"$2\": *\"\([^\"]*\)\".*/\1/p" <<<"$1"; }    # the same, of a text
of_floor() { figure "${1#*\"floor_families\"}" "$2"; }
short() { awk -v x="$1" 'BEGIN {if (x == "") print "-"; else printf "%.4f", x}'; }
while read -r json; do
    own=${json%%\"floor\"*}
    # shellcheck disable=SC2059 # the format is ours
    printf "$row" "$(word "$own" kind)" \
        "$(word "$own" prediction)" \
        "$(word "$own" output)" "$(short "$(figure "$own" value)")" \
        "$(short "$(figure "$own" cpu)")" "$(short "$(figure "$own" io_read)")" \
        "$(short "$(figure "$own" io_write)")" "$(short "$(figure "$own" memory)")" \
        "$(short "$(figure "$own" cache)")" "$(figure "$json" steps)"
done < <(awk '{v = $0; sub(/.*"value": */, "", v); print v + 0 "\t" $0}' "$lines" | sort -g | cut -f 2-)
json=$(head -n 1 "$lines")
# shellcheck disable=SC2059 # the format is ours
printf "$row" "same plans" "" "" "$(short "$(figure "$json" floor)")" \
    "$(short "$(of_floor "$json" cpu)")" "$(short "$(of_floor "$json" io_read)")" \
    "$(short "$(of_floor "$json" io_write)")" "$(short "$(of_floor "$json" memory)")" \
    "$(short "$(of_floor "$json" cache)")" ""
