#!/bin/bash
# From measurements to a model: campaign, corpus, training. What is there already is reused, what was
# cut off goes on. usage: scripts/learn.sh BUILD CAMPAIGN.h5 FOLDER COLLECT.ini TRAIN.ini
# Leaves in FOLDER: corpus.h5 and model/model.h5. Exit status 75: stopped, run it again.
set -eu
cd "$(dirname "$0")/.."
bin=$1/bin
campaign=$2
corpus=$3/corpus.h5
model=$3/model
collect_ini=$4
train_ini=$5
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-$(nproc)}

when() { date -r "$1" '+%F %H:%M'; } # FILE

value() { sed -n "s/^ *\"$2\": \"*\([^\",]*\).*/\1/p" "$1" 2>/dev/null; } # FILE KEY
# What the summary of the campaign's last start says.
said() { value "${campaign%.h5}-summary.json" "$1"; } # KEY
count() { value "${corpus%.h5}.json" "$1"; }          # KEY

# On a slow disk what there was time for is enough.
is_finished() { [ "$(said status)" = "done" ] || [ "$(said ended_by)" = collect.max_minutes ]; }

if [ -s "$campaign" ] && is_finished; then
    echo "using what was measured on this machine, $(when "$campaign"): $campaign (remove it to measure anew)"
else
    mkdir -p "$(dirname "$campaign")"
    rc=0
    "$bin/mimesys_collect" --config "$collect_ini" --out "$campaign" --resume auto || rc=$?
    if [ "$rc" -ne 0 ] && ! { [ "$rc" -eq 75 ] && is_finished; }; then exit "$rc"; fi
    echo "measured on this machine, $(when "$campaign"): $campaign"
fi

mkdir -p "$model"
if [ "$corpus" -nt "$campaign" ]; then
    echo "using the corpus made of it: $corpus"
else
    rm -rf "${model:?}"/*
    rm -f "$corpus"
    "$bin/mimesys_dataset" "$campaign" -o "$corpus" || [ $? -eq 5 ] # 5: not one sample
    if [ ! -e "$corpus" ] || [ $((2 * $(count n_samples))) -lt "$(count n_slots)" ]; then
        echo "others used this machine during most of it: disturbed slots are taken, too"
        "$bin/mimesys_dataset" "$campaign" -o "$corpus" --set dataset.with_disturbed=true
    fi
fi

if ! cmp -s "$train_ini" "$model/train.ini"; then
    rm -rf "${model:?}"/*
    cp "$train_ini" "$model/train.ini"
fi
if [ -s "$model/model.h5" ]; then
    echo "using the model trained with it, $(when "$model/model.h5"): $model/model.h5"
else
    "$bin/mimesys_train" --config "$train_ini" --corpus "$corpus" --out "$model" --resume auto
fi
