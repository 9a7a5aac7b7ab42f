#!/bin/bash
# mimesys_monitor from the outside: commands, kills, full disks, wrong files. BIN: folder of the
# programs.
program_name=mimesys_monitor
# shellcheck source=tests/support/cli.sh
. tests/support/cli.sh
unset SLURM_JOB_ID
file=$scratch/stats.txt
monitor() { run_program "$@"; }

n_records() { grep -c '^[0-9]' "$1"; }

# Whole records only: all end in a line end and hold every type of the first one, but for those of
# hardware, which are not in a record behind another process's, and those that are read once in 10 s;
# and our own reader takes the file without calling it truncated.
is_whole() { # FILE
    [ -s "$1" ] && [ -z "$(tail -c 1 "$1" | tr -d '\n')" ] && awk '
        /^\$|^!/ { next }
        /^$/ { n_empty++; next }
        /^[0-9]/ { if (record && seen != first) bad = 1; record++; seen = ""; type = ""; next }
        /^%|^(x_perf|x_imc|x_llc|x_resctrl|x_energy|sysv_shm|tmpfs|vfs) / { next }
        $1 != type { type = $1; seen = seen " " type; if (record == 1) first = seen }
        END { exit bad || seen != first || record == 0 || n_empty != record }' "$1" || return 1
    [ "$(n_records "$1")" -ge 2 ] || return 0 # one record makes no slot
    timeout 60 "$BIN/mimesys_trace" summary "$1" --json >"$scratch/summary" 2>>"$scratch/err" &&
        grep -q "\"records\": *$(n_records "$1")[,}]*\$" "$scratch/summary"
}

# Types that need no privileges.
types_for_all() { grep '^!' "$1" | grep -Ev '^!x_(perf|imc|llc|resctrl|energy) '; } # FILE

sleep_some() { sleep "$(printf '0.%03d' $((RANDOM % 350 + 30)))"; }

# ---- one record a call
monitor begin --out "$file" --job 17 && monitor collect --out "$file" &&
    monitor end --out "$file" && is_whole "$file" && [ "$(n_records "$file")" -eq 3 ] &&
    [ "$(grep -c '^[0-9.]* 17 ' "$file")" -eq 3 ] && [ "$(grep -c '^%' "$file")" -eq 2 ] &&
    grep -qx '%begin 17' "$file" && [ "$(grep -c '^%end 17$' "$file")" -eq 1 ]
report $? "begin, collect and end write three records of one job"

monitor begin --out "$file" --job 18 && is_whole "$file" && [ "$(n_records "$file")" -eq 4 ] &&
    [ "$(grep -c '^.hpcperfstats' "$file")" -eq 1 ] && grep -q '^[0-9.]* 18 ' "$file"
report $? "begin continues a file with a second job"

SLURM_JOB_ID=99 monitor collect --out "$file" && tail -n 40 "$file" | grep -q '^[0-9.]* 99 '
report $? "the job id comes from Slurm's environment"

head -n 1 "$file" | grep -qx '[$]hpcperfstats 2.4' && grep -q '^.x_tiers 1:yes' "$file" &&
    grep -q '^!cpu user,E,U=cs nice,E,U=cs system,E,U=cs idle,E,U=cs iowait,E,U=cs irq,E,U=cs softirq,E,U=cs$' "$file"
report $? "the header names version, tiers and types"

monitor begin --out "$scratch/strict.txt" --strict && is_whole "$scratch/strict.txt" &&
    ! grep -q '^.\{0,1\}x_' "$scratch/strict.txt"
report $? "a strict file has no x_ types"
refuses 5 "nothing was changed" "a strict file is not continued with x_ types" \
    collect --out "$scratch/strict.txt"

for _ in 1 2 3 4; do
    (for _ in 1 2 3 4 5; do timeout 60 "$program" collect --out "$scratch/shared.txt" || exit 1; done) &
done
wait
is_whole "$scratch/shared.txt" && [ "$(n_records "$scratch/shared.txt")" -eq 20 ] &&
    grep '^[0-9]' "$scratch/shared.txt" | cut -d' ' -f1 | sort -nc
report $? "four writers at once: twenty whole records in the order of time"

# ---- loop
monitor loop --out "$scratch/loop.txt" --interval 0.2 --duration 1 --job 5 --json &&
    is_whole "$scratch/loop.txt" &&
    grep -q "\"n_records\": $(n_records "$scratch/loop.txt")," "$scratch/out" &&
    [ "$(n_records "$scratch/loop.txt")" -ge 2 ] && [ "$(n_records "$scratch/loop.txt")" -le 6 ] &&
    [ "$(grep '^%' "$scratch/loop.txt" | tr '\n' ' ')" = '%begin 5 %end 5 ' ]
report $? "loop records for its duration, between begin and end"

for signal in TERM INT HUP USR1; do
    rm -f "$file"
    # a background job of a script ignores INT, so that its shell has to give the default back
    env --default-signal=INT "$program" loop --out "$file" --interval 0.05 2>"$scratch/err" &
    running=$!
    while [ ! -s "$file" ]; do sleep 0.02; done
    sleep 0.3
    kill -s "$signal" "$running"
    wait "$running"
    rc=$?
    running=
    [ "$rc" -eq 0 ] && is_whole "$file" && grep -q '^%end 0' "$file"
    report $? "SIG$signal ends loop with an end record (exit $rc)"
done

rm -f "$file"
"$program" loop --out "$file" --interval 0.2 --json >"$scratch/out" 2>"$scratch/err" &
running=$!
sleep 0.5
kill -STOP "$running"
sleep 1.1
kill -CONT "$running"
sleep 0.7
mv "$file" "$scratch/moved.txt"
sleep 0.7
kill -TERM "$running"
wait "$running"
rc=$?
running=
[ "$rc" -eq 0 ] && grep -q '"n_skipped": [1-9]' "$scratch/out" && is_whole "$scratch/moved.txt" &&
    grep '^[0-9]' "$scratch/moved.txt" | awk '
        NR > 1 && $1 - t < 0.02 { bad = 1 }
        NR > 1 && $1 - t > 0.7 { gap = 1 }
        { t = $1 }
        END { exit bad || !gap }'
report $? "samples that would be late are left out, not doubled"
is_whole "$file" && grep -q '^%end 0' "$file" && ! grep -q '^%end' "$scratch/moved.txt"
report $? "a file that is moved away is followed by a new one"

# ---- kill
rm -f "$file"
n_seen=0
bad=0
for _ in $(seq 20); do
    "$program" loop --out "$file" --interval 0.01 2>"$scratch/err" &
    running=$!
    sleep_some
    kill -9 "$running"
    wait "$running" 2>/dev/null
    running=
    [ -s "$file" ] || continue
    is_whole "$file" || bad=1
    [ "$(n_records "$file")" -ge "$n_seen" ] || bad=1
    n_seen=$(n_records "$file")
done
[ "$bad" -eq 0 ] && [ "$n_seen" -gt 20 ] && [ "$(grep -c '^.hpcperfstats' "$file")" -eq 1 ] &&
    monitor end --out "$file" && [ "$(n_records "$file")" -eq $((n_seen + 1)) ]
report $? "kill -9 at 20 random moments leaves whole records ($n_seen)"

printf '\n1795184695.644020 0 node-a\ncpu 0 12 1' >>"$file"
monitor collect --out "$file" && is_whole "$file" && [ "$(n_records "$file")" -eq $((n_seen + 2)) ] &&
    grep -q 'removed a record that was cut off' "$scratch/err"
report $? "a record that was cut off is removed before the next one"

# ---- what is refused
printf 'my thesis\n' >"$scratch/thesis.txt"
refuses 5 "thesis.txt: not a stats file.*my thesis" "another file is left alone" \
    begin --out "$scratch/thesis.txt"
[ "$(cat "$scratch/thesis.txt")" = "my thesis" ]
report $? "and keeps its content"
head -c 5000 /dev/urandom >"$scratch/noise"
refuses 5 "noise: not a stats file" "random bytes are left alone" collect --out "$scratch/noise"
sed 's/^\(.hostname\) .*/\1 elsewhere/' "$file" >"$scratch/other.txt"
refuses 5 "elsewhere" "a file of another host is left alone" collect --out "$scratch/other.txt"
refuses 1 "found a folder" "a folder" begin --out "$scratch"
refuses 1 "regular file" "a device" begin --out /dev/full
refuses 1 "No such file" "a folder that is missing" begin --out "$scratch/none/stats.txt"
mkfifo "$scratch/pipe"
refuses 1 "regular file" "a pipe" loop --out "$scratch/pipe"
refuses 2 "expected --out" "no --out" begin
refuses 2 "did you mean collect" "a misspelt command" colect --out "$file"
refuses 2 "--interval: expected" "an interval of 0" loop --out "$file" --interval 0
refuses 2 "--interval: expected" "an interval that is no number" loop --out "$file" --interval nan
refuses 2 "one word" "a job id of two words" begin --out "$file" --job "a b"

flock -o "$file" sleep 3 &
running=$!
sleep 0.3
refuses 1 "locked by another process for more than 0.3 s" "a file that stays locked" \
    collect --out "$file" --set monitor.lock_s=0.3
kill "$running"
wait "$running" 2>/dev/null
running=

# ---- what changes slowly
monitor loop --out "$scratch/slow.txt" --interval 0.1 --duration 0.5 && [ "$(grep -c '^vfs' "$scratch/slow.txt")" -eq 1 ] &&
    grep -q '^[$]x_slow_s 10 .*vfs' "$scratch/slow.txt" && [ "$(grep -c '^vm' "$scratch/slow.txt")" -ge 2 ]
report $? "slow types are in the first record of a short loop, and the header says so"
monitor loop --out "$scratch/all.txt" --interval 0.1 --duration 0.5 --set monitor.slow_s=0 &&
    [ "$(grep -c '^vfs' "$scratch/all.txt")" -eq "$(n_records "$scratch/all.txt")" ] &&
    ! grep -q x_slow_s "$scratch/all.txt"
report $? "and in every record on demand"

# ---- looking only
monitor loop --out "$scratch/dry.txt" --dry-run && grep -q 'would make' "$scratch/out" &&
    [ ! -e "$scratch/dry.txt" ]
report $? "--dry-run makes no file"
before=$(cksum <"$file")
monitor collect --out "$file" --dry-run && grep -q 'would continue' "$scratch/out" &&
    [ "$(cksum <"$file")" = "$before" ]
report $? "--dry-run changes no file"

# What is said to be read is what a file declares, and the rest has a reason.
monitor begin --out "$scratch/sources.txt" --dry-run && cp "$scratch/out" "$scratch/table" &&
    monitor begin --out "$scratch/sources.txt" &&
    [ "$(grep -v ' not read' "$scratch/table" | sed -n 's/ *read\(:.*\)\{0,1\}$//; s/^tier [123]  [^ ]* *//p' |
        tr ' ' '\n' | sort)" = "$(sed -n 's/^!\([^ ]*\) .*/\1/p' "$scratch/sources.txt" | sort)" ] &&
    [ "$(grep -c '^tier' "$scratch/table")" -eq 15 ] && grep -q '^tier 3  msr .*not used' "$scratch/table" &&
    ! grep 'not read' "$scratch/table" | grep -qv 'not read: ..*'
report $? "--dry-run lists the sources, and why others are not read"
monitor collect --out "$scratch/sources.txt" --json && [ "$(grep -c '"is_read": ' "$scratch/out")" -eq 15 ] &&
    [ "$(grep -c '"is_read": true' "$scratch/out")" -eq "$(grep '^tier' "$scratch/table" | grep -vc ' not read')" ]
report $? "and so does --json"
! grep -q '^x_\(perf\|imc\|llc\|energy\) ' "$scratch/sources.txt"
report $? "records of one process each have no counters that begin with it"

refuses 2 "monitor.pqos_log: only loop" "the log of pqos without loop" \
    begin --out "$scratch/pqos.txt" --set "monitor.pqos_log=$scratch/pqos.log"
if grep -q '^tier 2  perf .* not read' "$scratch/table"; then
    refuses 4 "monitor.pqos_log: needs x_perf, which is not read: " "the log of pqos here" \
        loop --out "$scratch/pqos.txt" --set "monitor.pqos_log=$scratch/pqos.log"
    [ ! -e "$scratch/pqos.txt" ] && [ ! -e "$scratch/pqos.log" ]
    report $? "and nothing was made"
else
    skip "the log of pqos where there are no counters" "there are"
fi
monitor begin --out "$scratch/peak.txt" --set monitor.peak_bandwidth_gb_s=115 &&
    grep -qx '[$]x_peak_bandwidth_gb_s 115' "$scratch/peak.txt"
report $? "the header tells the peak of the memory"

# ---- full disk, plain user
small=$scratch/small
if small_disk 16k "$small"; then
    monitor begin --out "$small/stats.txt"
    rc=$?
    while [ "$rc" -eq 0 ] && [ "$(wc -c <"$small/stats.txt")" -lt 100000 ]; do
        before=$(cksum <"$small/stats.txt")
        monitor collect --out "$small/stats.txt"
        rc=$?
    done
    [ "$rc" -eq 1 ] && [ "$(wc -l <"$scratch/err")" -eq 1 ] &&
        grep -q "^mimesys_monitor: $small/stats.txt: cannot be written" "$scratch/err" &&
        [ "$(cksum <"$small/stats.txt")" = "$before" ] && is_whole "$small/stats.txt"
    report $? "a full disk is one sentence and leaves the file readable (exit $rc)"
    timeout 60 "$program" loop --out "$small/stats.txt" --interval 0.05 2>"$scratch/err"
    rc=$?
    [ "$rc" -eq 1 ] && is_whole "$small/stats.txt"
    report $? "and ends loop (exit $rc)"
    refuses 1 "cannot be written" "a new file on a full disk" begin --out "$small/new.txt"
    [ ! -e "$small/new.txt" ]
    report $? "and leaves no file there"
else
    skip "a full disk" "mounting needs root"
fi

if [ "$(id -u)" -eq 0 ] && command -v setpriv >/dev/null; then
    cp "$program" "$scratch/program" && chmod 755 "$scratch/program"
    mkdir "$scratch/theirs" && chown 65534:65534 "$scratch/theirs"
    user=(setpriv --reuid 65534 --regid 65534 --clear-groups)
    timeout 60 "${user[@]}" "$scratch/program" loop --out "$scratch/theirs/stats.txt" \
        --interval 0.1 --duration 0.5 2>"$scratch/err" && is_whole "$scratch/theirs/stats.txt" &&
        [ "$(types_for_all "$scratch/theirs/stats.txt")" = "$(types_for_all "$file")" ]
    report $? "a plain user records the same types"
    timeout 60 "${user[@]}" "$scratch/program" collect --out "$file" 2>"$scratch/err"
    rc=$?
    [ "$rc" -eq 1 ] && grep -q 'Permission denied' "$scratch/err"
    report $? "a file of somebody else is a sentence (exit $rc)"
else
    skip "a plain user" "changing the user needs root"
fi

if command -v systemd-analyze >/dev/null && [ -e systemd/mimesys_monitor.service ]; then
    sed "s|^ExecStart=mimesys_monitor|ExecStart=$(realpath "$program")|; /^Documentation/d" \
        systemd/mimesys_monitor.service >"$scratch/mimesys_monitor.service"
    timeout 60 systemd-analyze verify "$scratch/mimesys_monitor.service" >"$scratch/err" 2>&1 &&
        ! grep -q 'mimesys_monitor.service' "$scratch/err"
    report $? "systemd takes the unit"
else
    skip "systemd takes the unit" "no systemd here"
fi

monitor --help && grep -q '^usage: mimesys_monitor begin' "$scratch/out"
report $? "--help"
finish
