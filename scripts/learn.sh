#!/bin/bash
# From measurements to a model: campaign, corpus, training. What is there already is reused, what was
# cut off goes on.
# usage: scripts/learn.sh BUILD CAMPAIGN.h5 FOLDER COLLECT.ini TRAIN.ini [FLAG OF mimesys_dataset...]
# Leaves in FOLDER: corpus.h5 and model/model.h5. Exit status 75: stopped, run it again.
set -eu
cd "$(dirname "$0")/.."
bin=$1/bin
campaign=$2
corpus=$3/corpus.h5
model=$3/model
collect_ini=$4
train_ini=$5
shift 5
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-$(nproc)}

when() { date -r "$1" '+%F %H:%M'; } # FILE

# What the summary of the campaign's last start says.
said() { sed -n "s/^ *\"$1\": \"*\([^\",]*\).*/\1/p" "${campaign%.h5}-summary.json" 2>/dev/null; } # KEY

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
    "$bin/mimesys_dataset" "$campaign" -o "$corpus" "$@"
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
