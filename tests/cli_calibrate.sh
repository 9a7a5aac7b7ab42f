#!/bin/bash
# mimesys_run --calibrate from the outside: what is refused and what is kept, whether a stored one
# still holds, files of other versions, and calibrations of plain users with and without a home.
set -u
program_name=mimesys_run
may_log=yes # what it did before it was refused
# shellcheck source=tests/support/cli.sh
. tests/support/cli.sh
stored=$scratch/calibration.json
export MIMESYS_CALIBRATION=$stored
export MIMESYS_SCRATCH=$scratch/disk
export MIMESYS_HOST_LOCK=$scratch/host.lock
unset MIMESYS_ITERS MIMESYS_SLEEP ACTION_LIST_PATH XDG_CACHE_HOME
mkdir "$scratch/disk"
plan=$scratch/plan.h5
quick=(--set calibrate.seconds_each=0.05 --set calibrate.repeats=3)
printf '%s\n' BM_LIBC_Memcpy_Fleet_L1 BM_STRESS_NG_HddWriteNF_1MB_BurstScaled >"$scratch/two.txt"
two=(--set run.actions="$scratch/two.txt" "${quick[@]}")

# ---- what does not agree with itself (no measurement does to a thousandth)
strict=(--set calibrate.max_spread=0.001)
MIMESYS_ALLOW_UNSTABLE=false run_program --calibrate "${two[@]}" "${strict[@]}"
rc=$?
case $rc in
3) is_one_sentence "unstable: spread of .* calibrate.allow_unstable" ;;
4) is_one_sentence "not measurable now: others used .* calibrate.allow_unstable" ;;
*) false ;;
esac && [ ! -e "$stored" ] && [ -z "$(ls -A "$scratch/disk")" ]
report $? "an unstable calibration is refused by name, and not stored (exit $rc)"
run_program --calibrate "${two[@]}" "${strict[@]}" --json && grep -q '"n_unstable": [12]' "$scratch/out" &&
    grep -q '"is_unstable": true' "$stored" &&
    grep -q 'calibrate: BM_.*: spread of ' "$scratch/err"
report $? "when that is allowed it is kept, with a mark and a warning"
run_program --calibrate "${quick[@]}" && grep -q 'memory reads [0-9.]* GB/s, writes' "$scratch/out" &&
    grep -q '"memory_read_max_gb_s": [0-9]' "$stored" && grep -q '"sizes": "original"' "$stored" &&
    grep -q '"schema_version": 2' "$stored"
report $? "peaks of memory and the sizes' name are stored"

# ---- does it still hold?
check() { # ARGUMENTS...: exit status in $rc, the JSON's answer in $holds
    run_program --calibrate --check --json "$@"
    rc=$?
    holds=$(sed -n 's/.*"holds": \([a-z]*\).*/\1/p' "$scratch/out")
}
cp "$stored" "$scratch/good.json"
check
case $rc:$holds in
0:true | 3:false | 4:null) true ;; # the disk of a busy machine may have changed meanwhile
*) false ;;
esac && { [ $rc -eq 0 ] || is_one_sentence "holds"; }
report $? "--check: exit status and answer agree (exit $rc, holds $holds)"
cmp -s "$stored" "$scratch/good.json" && [ -z "$(ls -A "$scratch/disk")" ]
report $? "it changes and leaves nothing"
with() { # SED_SCRIPT: what is stored, changed
    sed "$1" "$scratch/good.json" >"$stored"
}
with 's/"op_s": [0-9.e-]*/"op_s": 50.0/; s/"spread": [0-9.e-]*/"spread": 0.0/'
check
[ $rc -eq 3 ] || [ $rc -eq 4 ] && [ "$holds" != true ]
report $? "figures that cannot be true do not hold (exit $rc)"
while read -r name part change; do
    with "$change"
    refuses 3 "no longer holds: .*$part" "$name" --calibrate --check
    check
    [ $rc -eq 3 ] && [ "$holds" = false ] && grep -q "\"why\": \".*$part" "$scratch/out"
    report $? "$name, as JSON"
done <<'CASES'
another_kernel kernel s/"kernel":.*/"kernel":"2.4.18","a":1,/;s/"machine_key":.*/"machine_key":"x",/;s/"a":1,//
another_machine machine s/"machine_key":.*/"machine_key":"0123456789abcdef",/
other_sizes sizes s/"sizes":.*/"sizes":"node",/
another_I/O_mode I/O.mode s/"direct"/"buffered"/;t;s/"buffered"/"direct"/
another_folder scratch.folder s/"scratch_folder":.*/"scratch_folder":"\/elsewhere",/
an_old_one days.ago s/"measured_real_s":.*/"measured_real_s":1600000000.0,/
CASES
with 's/"measured_real_s":.*/"measured_real_s":1600000000.0,/'
check --set calibrate.max_age_days=0
[ "$holds" != false ] || ! grep -q 'days ago' "$scratch/out"
report $? "age does not count when no limit is set"
rm "$stored"
refuses 3 "no calibration" "nothing is stored" --calibrate --check
run_program --calibrate --check --dry-run && grep -q "would see whether $stored holds" "$scratch/out"
report $? "a dry check looks at nothing"
refuses 2 "together with --calibrate" "--check alone" --check

# ---- files of other versions
with 's/"schema_version": 2/"schema_version": 3/'
refuses 5 "schema_version: expected a whole number from 1 to 2" "a file of a later version" \
    --calibrate --check
refuses 5 "not replaced" "and it is not replaced" --calibrate "${quick[@]}"
with '/"sizes"/d; /"memory_/d; s/"is_unstable": [a-z]*/"none": 0/; s/"schema_version": 2/"schema_version": 1/'
check
[ $rc -ne 5 ] && { [ "$holds" = true ] || [ "$holds" = null ] || grep -q 'an operation of' "$scratch/out"; }
report $? "a file of the first version is read (exit $rc)"

# ---- a run with what is stored
cp "$scratch/good.json" "$stored"
"$BIN/mimesys_generate" --trace tests/data/traces/stats-sort.txt --first 2 --slots 2 --slot 0.25 \
    --method single -o "$plan" >"$scratch/out" 2>"$scratch/err"
report $? "a plan"
with 's/"measured_real_s":.*/"measured_real_s":1600000000.0,/'
cp "$stored" "$scratch/old.json"
run_program "$plan" --out "$scratch/run" "${quick[@]}" && grep -q 'is stale: measured .* days ago' "$scratch/err" &&
    grep -q 'measuring [0-9]* I/O stressors for this run' "$scratch/err" &&
    cmp -s "$stored" "$scratch/old.json"
report $? "a run measures what a stale one has, and does not replace it"
run_program "$plan" --out "$scratch/run" --calibration "$stored" && ! grep -q 'measuring' "$scratch/err"
report $? "a named one is taken as it is"
with 's/"sizes":.*/"sizes":"node",/'
run_program "$plan" --out "$scratch/run" "${quick[@]}" &&
    grep -q 'is of sizes node, this is original' "$scratch/err"
report $? "one of other sizes is not taken"

# ---- plain users
if [ "$(id -u)" -ne 0 ] || ! command -v setpriv >/dev/null; then
    skip "plain users" "needs root to become one"
    finish
    exit
fi
chmod 755 "$scratch"
chmod 644 "$plan" "$scratch/two.txt"
mkdir -m 777 "$scratch/plain" "$scratch/plain/disk" "$scratch/plain/home"
as_nobody() { # VARIABLE=VALUE... -- ARGUMENTS...
    local variables=()
    while [ "$1" != -- ]; do
        variables+=("$1")
        shift
    done
    shift
    (cd "$scratch/plain" && timeout 120 setpriv --reuid 65534 --regid 65534 --clear-groups \
        env -i PATH="$PATH" MIMESYS_ALLOW_UNSTABLE=true MIMESYS_HOST_LOCK="$scratch/plain/lock" \
        MIMESYS_SCRATCH="$scratch/plain/disk" "${variables[@]}" "$absolute" "$@") \
        >"$scratch/out" 2>"$scratch/err"
}
absolute=$(cd "$BIN" && pwd)/$program_name
as_nobody HOME="$scratch/plain/home" -- --calibrate "${two[@]}" &&
    ls "$scratch/plain/home/.cache/mimesys/"calibration-*cpus.json >/dev/null 2>&1
report $? "a plain user's calibration is kept in the home's cache"
as_nobody HOME="$scratch/plain/home" -- --calibrate --check "${two[@]}"
rc=$?
[ $rc -eq 0 ] || [ $rc -eq 3 ] || [ $rc -eq 4 ]
report $? "and found again (exit $rc)"
as_nobody XDG_CACHE_HOME="$scratch/plain/cache" HOME=/nonexistent -- --calibrate "${two[@]}" &&
    ls "$scratch/plain/cache/mimesys/"calibration-*cpus.json >/dev/null 2>&1
report $? "or in XDG_CACHE_HOME"
as_nobody -- --calibrate "${two[@]}"
rc=$?
[ $rc -eq 2 ] && is_one_sentence "none of MIMESYS_CALIBRATION, XDG_CACHE_HOME and HOME is set"
report $? "without any the file must be named (exit $rc)"
as_nobody -- --calibrate "${two[@]}" --calibration "$scratch/plain/named.json" && [ -s "$scratch/plain/named.json" ]
report $? "as it can be"
as_nobody HOME=/nonexistent -- --calibrate "${two[@]}"
rc=$?
[ $rc -eq 1 ] && is_one_sentence "/nonexistent"
report $? "a home that is not there: one sentence before anything is measured (exit $rc)"
mkdir -m 555 "$scratch/plain/sealed"
as_nobody HOME="$scratch/plain/sealed" -- --calibrate "${two[@]}"
rc=$?
[ $rc -eq 1 ] && is_one_sentence "sealed"
report $? "a home that cannot be written (exit $rc)"
for home in "HOME=$scratch/plain/sealed" HOME=/nonexistent NO=home; do
    as_nobody "$home" -- "$plan" --out "$scratch/plain/run" "${quick[@]}" &&
        grep -q '"status": "done"' "$scratch/plain/run/summary.json"
    report $? "a run measures what it needs with ${home##*/}"
done
[ -z "$(ls -A "$scratch/plain/disk")" ]
report $? "nothing is left in the scratch folder"
finish
