#!/bin/bash
# mimesys_model from the outside: weights out and in again to the bit, refusals. BIN: folder of the
# programs.
program_name=mimesys_model
# shellcheck source=tests/support/cli.sh
. tests/support/cli.sh
helpers=$BIN/../tests
corpus=$scratch/corpus.h5
"$helpers/make_corpus" "$corpus" && "$helpers/make_model" "$corpus" "$scratch/model.h5" || exit 1
model=$scratch/model.h5
network=(--set model.width=16 --set model.blocks=1 --set model.heads=2 --set model.mlp_ratio=2)

run_program show "$model" && grep -q '^block0.qkv.weight  *\[48, 16\] ' "$scratch/out" &&
    grep -q '^5555 parameters$' "$scratch/out" && grep -q 'width = 16' "$scratch/out"
report $? "a model's tensors are shown"
run_program show "$model" --json && grep -q '"kind": "thread_token"' "$scratch/out" &&
    grep -q '"parameters": 5555' "$scratch/out"
report $? "and as JSON"

run_program export "$model" -o "$scratch/a.npz" && [ "$(head -c 2 "$scratch/a.npz")" = PK ] &&
    grep -q '5555 parameters in 27 tensors' "$scratch/out"
report $? "weights are exported"
run_program show "$scratch/a.npz" && grep -q '^5555 parameters$' "$scratch/out"
report $? "and shown"
run_program import "$scratch/a.npz" --like "$model" -o "$scratch/b.h5" &&
    run_program export "$scratch/b.h5" -o "$scratch/b.npz" &&
    cmp "$scratch/a.npz" "$scratch/b.npz" >"$scratch/err" 2>&1
report $? "imported and exported again they are the same to the bit"
run_program import "$scratch/a.npz" --corpus "$corpus" "${network[@]}" -o "$scratch/c.h5" &&
    run_program export "$scratch/c.h5" --live -o "$scratch/c.npz" &&
    cmp "$scratch/a.npz" "$scratch/c.npz" >"$scratch/err" 2>&1
report $? "so are those imported for settings and a corpus"
use_program mimesys_train
run_program --corpus "$corpus" --out "$scratch/run" --resume "$scratch/c.h5" --steps 2 \
    --set train.batch=8 --set train.shards=1 --set model.timesteps=250 "${network[@]}" &&
    grep -q '^done: 2 steps' "$scratch/out"
report $? "mimesys_train goes on from there"
use_program mimesys_model

run_program import "$scratch/a.npz" --like "$model" -o "$scratch/dry.h5" --dry-run &&
    [ ! -e "$scratch/dry.h5" ]
report $? "a dry run writes nothing"

refuses 5 'expected shape' "another network is refused" \
    import "$scratch/a.npz" --corpus "$corpus" -o "$scratch/x.h5"
refuses 5 'numpy.npz: f4: the network has no such tensor' "other arrays are refused" \
    import tests/data/npz/numpy.npz --like "$model" -o "$scratch/x.h5"
head -c 9000 "$scratch/a.npz" >"$scratch/cut.npz"
refuses 5 'cut.npz: no .npz file' "a cut file is refused" \
    import "$scratch/cut.npz" --like "$model" -o "$scratch/x.h5"
refuses 1 'none.npz: No such file' "a missing file is refused" \
    import "$scratch/none.npz" --like "$model" -o "$scratch/x.h5"
refuses 5 'a.npz' "a .npz file is no model" export "$scratch/a.npz" -o "$scratch/x.npz"
refuses 2 'expected --like' "import must know the network" \
    import "$scratch/a.npz" -o "$scratch/x.h5"
refuses 2 'expected -o OUT.npz' "export into another form" export "$model" -o "$scratch/x.h5"
refuses 2 'is an input' "the model to be like is not replaced" \
    import "$scratch/a.npz" --like "$model" -o "$model"
refuses 2 'go with import' "--like goes with import" export "$model" --like "$model" -o "$scratch/x.npz"
[ ! -e "$scratch/x.h5" ] && [ ! -e "$scratch/x.npz" ]
report $? "nothing is left of what was refused"
finish
